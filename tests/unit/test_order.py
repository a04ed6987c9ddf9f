"""What a report shows first, what it folds, and that no reader gets more than five warnings."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Finding, Report, RunWarning, Verdict, WarningKind
from pipeline.model.results import Failure, ResultSet
from pipeline.model.subject import Arm
from pipeline.model.traces import Traces
from pipeline.render import answer_line, rows, words
from pipeline.render.html import html
from pipeline.render.junit import junit
from pipeline.render.markdown import markdown
from pipeline.render.names import describe_metric, group_name
from pipeline.render.text import text
from pipeline.render.words import MAX_WARNING_GROUPS, warning_groups
from pipeline.storage import codec, verdict_file
from tests.builders import COUNT, LATENCY, THROUGHPUT, results
from tests.unit.test_answer import BASE, LIST, row

COMMAND = "milo-perf run --resume 'out/a b' --pairs 4"
MIXED = results(
    row(replace(LATENCY, name="create_p95")),
    row(LIST, 1.1, spread=60),
    row(replace(LATENCY, name="get_p50"), 0.5),
    row(replace(LATENCY, name="create_p50")),
    row(replace(LATENCY, name="update_p50"), 1.2),
    row(replace(LATENCY, name="server_cpu", description="CPU time of everything")),
    row(THROUGHPUT, 0.5),
)


def kept() -> Report:
    report = policy.report(results(row(LATENCY, 1.091)))
    (found,) = report.findings
    calm = policy.report(results(row(LATENCY, 1.02))).findings[0].comparison
    finding = Finding(calm, Verdict.REGRESSED, kept=replace(found.comparison, pairs=3))
    return replace(report, findings=(finding,))


def places(shown: str, names: Sequence[str]) -> list[int]:
    return [shown.index(name) for name in names]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_what_regressed_is_before_what_improved_and_doubts_are_last(width: int) -> None:
    shown = text(policy.report(MIXED), width=width).partition("What changed")[2]
    found = places(shown, ["rate", "update_p50", "get_p50", "create_p95", "list_p95"])
    assert found == sorted(found)
    assert places(
        shown, ["Unchanged", "Inconclusive", "Warnings" if "Warnings" in shown else "Environment"]
    )


def test_inconclusive_metrics_are_folded_and_unchanged_ones_grouped_in_markdown() -> None:
    body = markdown(policy.report(MIXED))
    first, *folded = body.split("<details>")
    assert "list_p95" not in first.partition("What changed")[2]
    assert "3 unchanged" in folded[0]
    assert "object-crud: create" in folded[0]
    assert "CPU time of everything, in seconds" in folded[0]
    assert "1 inconclusive" in folded[1]
    assert "list_p95" in folded[1]


def test_the_page_has_the_same_order_and_words() -> None:
    body = html(policy.report(MIXED), Traces(), "{}", next_step=COMMAND)
    found = places(body, ['id="changed"', 'id="unchanged"', 'id="inconclusive"', 'id="all"'])
    assert found == sorted(found)
    for said in ("at worst", "detectable change", "margin (tolerance)", "15 % (30 %)"):
        assert said in body
    assert "out/a b" in body
    assert ">sees<" not in body


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(text, id="text"),
        pytest.param(markdown, id="markdown"),
        pytest.param(lambda report: html(report, Traces(), "{}"), id="page"),
        pytest.param(junit, id="junit"),
    ],
)
def test_a_kept_verdict_says_where_it_is_from(shown: object) -> None:
    assert callable(shown)
    body = " ".join(shown(kept()).replace("&#91;", "[").replace("&#93;", "]").split())
    assert "found at 3 pairs: +9.1 % [" in body
    assert "all 5 pairs: +2.0 % [" in body


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_word_of_a_command_is_split(width: int) -> None:
    lines = text(policy.report(MIXED), width=width, next_step=COMMAND).splitlines()
    assert f"  {COMMAND}" in lines


WARNINGS = st.lists(
    st.sampled_from([f"object-crud: create_p50: w{i}" for i in range(9)] + ["x", "y"])
)


@given(
    said=st.lists(WARNINGS, min_size=5, max_size=5),
    invalid=st.dictionaries(st.integers(0, 2), st.sampled_from(["slow", "dead"]), max_size=3),
    dies=st.booleans(),
    modified=st.booleans(),
    lost=st.booleans(),
)
def test_there_is_one_group_of_warnings_for_each_kind_and_each_says_what_to_do(
    said: list[list[str]],
    invalid: dict[int, str],
    dies: bool,  # noqa: FBT001 (hypothesis)
    modified: bool,  # noqa: FBT001
    lost: bool,  # noqa: FBT001
) -> None:
    facts = {arm: {"modified": "yes" if modified else "no", "go": f"go{arm}"} for arm in Arm}
    run = results(row(LATENCY), (LIST, BASE, None if lost else BASE), invalid=invalid, facts=facts)
    trials = tuple(
        replace(
            t,
            warnings=tuple(said[t.pair]),
            failures=(Failure("it died"),) if dies and t.arm is Arm.CANDIDATE else (),
        )
        for t in run.trials
    )
    report = policy.report(replace(run, trials=trials))
    found = warning_groups(report)
    assert len(found) <= MAX_WARNING_GROUPS == len(WarningKind)
    assert all(group.advice and str(group).endswith(f"{group.advice}.") for group in found)
    shown = text(report, width=10_000).partition("\nWarnings\n")[2].partition("\n\n")[0]
    assert shown.count("  - ") == len(found)
    counted = sum(len(group.sentences) + group.more for group in found)
    assert counted == len(report.warning_texts) + len(words.metric_notes(report.findings))
    body = json.loads(codec.verdict_json(report, 0, "x"))
    assert body["warnings"] == list(report.warning_texts)


def test_a_warning_from_elsewhere_is_said_as_it_is() -> None:
    report = replace(
        policy.report(results(row(LATENCY))),
        warnings=(RunWarning(WarningKind.NOTE, "advice only: another machine"),),
    )
    assert [str(caution) for caution in warning_groups(report)] == ["advice only: another machine"]


def test_junit_has_the_answer() -> None:
    report = policy.report(MIXED)
    root = ET.fromstring(junit(report))
    told = [p.get("value") for p in root.iter("property") if p.get("name") == "answer"]
    assert told == [answer_line.answer(report)]


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("create_p50", "s", "median of create, in seconds"),
        ("list_p95", "s", "95th percentile of list, in seconds"),
        ("server_cpu_per_request", "s", "CPU time of the API server per request, in seconds"),
        ("etcd_files", "1", "open files of etcd"),
        ("ready_mean", "s", "mean of ready, in seconds"),
        ("keys_left", "1", "keys left"),
    ],
)
def test_a_metric_that_nobody_described_is_described_by_its_name(
    name: str, unit: str, expected: str
) -> None:
    assert describe_metric(Metric(name, unit, Better.LOWER, 0.1)) == expected


def test_a_description_of_the_suite_is_kept() -> None:
    metric = replace(LATENCY, description="how long a create takes")
    assert describe_metric(metric) == "how long a create takes, in seconds"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("create_p50", "create"),
        ("get_during_p50", "get during"),
        ("server_heap", "memory"),
        ("etcd_memory", "memory"),
        ("manager_cpu", "CPU"),
        ("errors_share", "errors share"),
    ],
)
def test_metrics_belong_together_by_operation_and_resource(name: str, expected: str) -> None:
    comparison = policy.report(results(row(replace(LATENCY, name=name)))).findings[0].comparison
    assert group_name(comparison) == expected


@given(verdicts=st.lists(st.sampled_from(Verdict), max_size=8))
def test_every_finding_is_shown_once(verdicts: list[Verdict]) -> None:
    comparison = policy.report(results(row(LATENCY))).findings[0].comparison
    findings = [
        Finding(replace(comparison, metric=replace(LATENCY, name=f"m{i}")), verdict)
        for i, verdict in enumerate(verdicts)
    ]
    groups = [f for group in rows.unchanged_groups(findings) for f in group.findings]
    shown = [*rows.changed_findings(findings), *groups, *rows.inconclusive_findings(findings)]
    assert sorted(f.comparison.metric.name for f in shown) == [
        f"m{i}" for i in range(len(findings))
    ]


OLD = {"margin", "floor", "gate", "scale", "unit", "pairs", "stored", "p_worse", "p_better"}


def verdict(run: ResultSet) -> dict[str, object]:
    report = policy.report(run)
    said = codec.verdict_json(report, 0, answer_line.answer(report), COMMAND)
    body: dict[str, object] = json.loads(said)
    jsonschema.validate(body, codec.schemas()["verdict-2.schema.json"])
    return body


def test_a_finding_has_one_shape_in_every_json() -> None:
    body = verdict(MIXED)
    findings = policy.report(MIXED).findings
    judged = json.loads(codec.judged_json(findings))
    jsonschema.validate(judged, codec.schemas()["judged-1.schema.json"])
    assert judged["schema"] == verdict_file.JUDGED
    assert judged["findings"] == body["findings"]


def test_the_verdict_has_the_answer_and_what_it_rests_on() -> None:
    body = verdict(MIXED)
    assert body["schema"] == verdict_file.VERDICT == "milo-perf.verdict/2"
    assert body["answer"] == answer_line.answer(policy.report(MIXED))
    assert body["next_step"] == COMMAND
    same = results(row(LATENCY), specs=("reference", "reference"))
    assert verdict(same)["facts"] == ["the embedded reference control plane was measured, not Milo"]


def test_keys_of_the_version_before_are_still_there() -> None:
    body = json.loads(codec.verdict_json(policy.report(MIXED), 0, "x"))
    for old, new in zip(body["metrics"], body["findings"], strict=True):
        assert set(old) >= OLD
        assert old["smallest_detectable"] == new["detectable_change"] == new["smallest_detectable"]
        assert old["direction"] == new["better"]
        change = {key: new[key] for key in ("low", "high", "bound")} | {"estimate": new["change"]}
        assert old["change"] == change
        assert (old["tolerance"], old["at_worst"]) == (new["tolerance"], new["at_worst"])


def test_a_kept_verdict_keeps_its_numbers_in_json() -> None:
    (finding,) = json.loads(codec.verdict_json(kept(), 3, "x"))["findings"]
    assert finding["kept"]["pairs"] == 3
    assert finding["kept"]["change"] == pytest.approx(0.091, abs=1e-3)
    assert finding["change"] == pytest.approx(0.02, abs=1e-3)
    (plain,) = json.loads(codec.verdict_json(policy.report(results(row(LATENCY))), 0, "x"))[
        "findings"
    ]
    assert plain["kept"] is None


def test_an_amount_has_its_worst_in_its_unit() -> None:
    gone = replace(COUNT, name="gone", unit="s", scale=Scale.DIFFERENCE, margin=0.03)
    before = [0.030, 0.031, 0.029, 0.030, 0.030]
    report = policy.report(results((gone, before, [v + 0.001 for v in before])))
    assert words.at_worst_text(report.findings[0]) == "+1 ms"
