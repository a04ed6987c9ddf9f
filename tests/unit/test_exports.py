"""Formats of other tools: valid by the tools' own rules, whatever names and values a run has."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import Metric as MetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pipeline.commands.main import main
from pipeline.judge import policy
from pipeline.judge.rows import MetricValues
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Verdict
from pipeline.model.results import Cutoff, ResultSet, Sample
from pipeline.model.subject import Arm
from pipeline.render.bencher import bencher
from pipeline.render.benchfmt import benchfmt
from pipeline.render.exports import ExportData, distinct, encode, of_report, of_table, unit_name
from pipeline.render.openmetrics import openmetrics
from pipeline.render.registry import EXPORTERS, ONE_ARM
from pipeline.storage import codec
from tests import pages
from tests.builders import COUNT, LATENCY, THROUGHPUT, results


def families(text: str) -> list[MetricFamily]:
    """Return what Prometheus' own parser reads."""
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def with_bounds(run: ResultSet, name: str, cutoff: Cutoff) -> ResultSet:
    """Return a run in which every value of the candidate's metric met a deadline."""

    def cut(sample: Sample) -> Sample:
        if sample.metric.name != name:
            return sample
        values = sample.values if cutoff is Cutoff.AT_LEAST else (None,) * len(sample.values)
        is_bound = cutoff is Cutoff.AT_LEAST
        cutoffs = tuple(None if is_bound and value is None else cutoff for value in values)
        return replace(sample, values=values, cutoffs=cutoffs)

    candidate = tuple(map(cut, run.samples[Arm.CANDIDATE]))
    return replace(run, samples={**run.samples, Arm.CANDIDATE: candidate})


texts = st.text(max_size=12) | st.sampled_from(["object-crud", "a b", 'q"\\', "p-95", "Ö/ü", "%41"])
units = st.sampled_from(["s", "B", "1/s", "1", "req/s", "ns", "µs", 'b"ad|`unit', ""])
amounts = st.floats(0, 1e140) | st.sampled_from([0.0, 1e-9, 1.0])
values = st.lists(st.none() | amounts, min_size=3, max_size=3)


@st.composite
def runs(draw: st.DrawFn) -> ResultSet:
    """Return a run with odd names, units, missing values, missing arms and lower bounds."""
    rows: list[tuple[Metric, list[float | None] | None, list[float | None] | None]] = []
    for name in draw(st.lists(texts, max_size=5, unique=True)):
        scale = draw(st.sampled_from(Scale))
        better = draw(st.sampled_from(Better))
        metric = Metric(name, draw(units), better, 0.05, gate=draw(st.booleans()), scale=scale)
        rows.append((metric, draw(st.none() | values), draw(st.none() | values)))
    workloads = {metric.name: draw(texts) for metric, *_ in rows}
    specs = (draw(texts), draw(texts))
    run = results(*rows, workloads=workloads, specs=specs)
    run = replace(run, suite=draw(texts), environment=draw(texts))
    for metric, *_ in rows:
        if draw(st.booleans()):
            run = with_bounds(run, metric.name, draw(st.sampled_from(Cutoff)))
    return run


@settings(max_examples=30)
@given(runs())
def test_every_format_holds_any_run_and_the_same_run_gives_the_same_bytes(run: ResultSet) -> None:
    report = policy.report(run)
    for arm in Arm:
        data = of_report(report, arm)
        for name, export in EXPORTERS.items():
            text = export(data)
            assert text == export(of_report(report, arm))
            assert text.endswith("\n")
            assert [c for c in text if not c.isprintable() and c != "\n"] == []
            text.encode()
            CHECKS[name](text, data)


def check_benchfmt(text: str, data: ExportData) -> None:
    """Check the grammar of the format, as golang.org/x/perf/benchfmt reads it."""
    better: dict[str, str] = {}
    arm, found = "", []
    for line in text.splitlines():
        if match := re.fullmatch(r"Unit (\S+) better=(lower|higher)", line):
            assert match[1] not in better
            better[match[1]] = match[2]
        elif match := re.fullmatch(r"Benchmark([^a-z\s]\S*) 1 (\S+) (\S+)", line):
            assert math.isfinite(float(match[2]))
            assert match[3] in better
            assert not re.search(r"-\d+$", match[1])
            found.append((arm, match[1], float(match[2])))
        elif match := re.fullmatch(r"arm: (\w+)", line):
            arm = match[1]
        else:
            assert not line or re.match(r"#|(suite|environment|cpu): ", line), line
    known = sum(len(one.finite_values(a)) for one in data.metrics for a in Arm)
    assert len(found) == known
    assert len({(arm, name) for arm, name, _ in found}) == sum(
        bool(one.finite_values(a)) for one in data.metrics for a in Arm
    )


def check_bencher(text: str, data: ExportData) -> None:
    """Check the published schema and the lengths that Bencher accepts."""
    found: dict[str, dict[str, dict[str, float]]] = json.loads(text)
    assert len(found) == sum(one.mean(data.arm) is not None for one in data.metrics)
    for name, measures in found.items():
        assert 1 <= len(name) <= 1024
        for measure, numbers in measures.items():
            assert 1 <= len(measure) <= 64
            assert set(numbers) - {"lower_value", "upper_value"} == {"value"}
            assert all(map(math.isfinite, numbers.values()))
            low, high = (
                numbers.get(key, numbers["value"]) for key in ("lower_value", "upper_value")
            )
            assert low <= numbers["value"] <= high


def check_action(text: str, data: ExportData) -> None:
    """Check the fields of the action's schema, and that a comment with them has no markup."""
    found: list[dict[str, Any]] = json.loads(text)
    names = [one["name"] for one in found]
    assert len(set(names)) == len(names) <= len(data.metrics)
    for one in found:
        assert set(one) - {"range", "extra"} == {"name", "unit", "value"}
        assert math.isfinite(one["value"])
        assert re.fullmatch(r"[ -_a-}]+", one["name"]), one["name"]  # no backtick
        assert not set(one["name"]) & set("|<>@#&*~\\")
        assert re.fullmatch(r"[0-9A-Za-z/%~]+", one["unit"]), one["unit"]


def check_openmetrics(text: str, data: ExportData) -> None:
    """Check the text with Prometheus' own parser; no series is there twice."""
    series: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    for family in families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert math.isfinite(sample.value)
            series.append((sample.name, tuple(sorted(sample.labels.items()))))
    assert len(set(series)) == len(series)
    of_means = [one for one in series if one[0].startswith("milo_perf_mean")]
    assert len(of_means) == sum(one.mean(arm) is not None for one in data.metrics for arm in Arm)


CHECKS: dict[str, Callable[[str, ExportData], None]] = {
    "benchfmt": check_benchfmt,
    "bencher": check_bencher,
    "customSmallerIsBetter": check_action,
    "customBiggerIsBetter": check_action,
    "openmetrics": check_openmetrics,
}


def test_every_format_of_other_tools_has_a_check() -> None:
    assert CHECKS.keys() == EXPORTERS.keys()
    assert EXPORTERS.keys() > ONE_ARM


@example(["", "\x00", "%00", "%FF", "%"])
@given(st.lists(texts, unique=True))
def test_different_texts_stay_different_once_they_are_encoded(found: list[str]) -> None:
    assert len({encode(text, str.isalnum) for text in found}) == len(found)


@settings(max_examples=30)
@given(st.text(min_size=40), st.text(min_size=40))
def test_long_texts_are_cut_off_and_stay_different(one: str, other: str) -> None:
    shown = [encode(text, most=30) for text in (one, other)]
    assert all(len(text) == 30 for text in shown)
    assert (shown[0] == shown[1]) is (one == other)


@given(st.lists(st.sampled_from(["a", "a~2", "b", "a~3"])))
def test_names_that_came_before_get_a_number(names: list[str]) -> None:
    found = distinct(names)
    assert len(found) == len(set(found)) == len(names)
    assert all(
        new == old or new.startswith(f"{old}~") for new, old in zip(found, names, strict=True)
    )


@given(units, st.sampled_from(Better), units, st.sampled_from(Better))
def test_a_unit_has_one_direction(one: str, up: Better, other: str, down: Better) -> None:
    metrics = [Metric("m", unit, better, 0.05) for unit, better in ((one, up), (other, down))]
    names = [unit_name(metric, {"s": "seconds"}) for metric in metrics]
    assert names[0] != names[1] or up is down


def test_each_direction_is_in_the_file_that_the_action_takes_it_from() -> None:
    data = of_report(
        policy.report(results((LATENCY, [1.0] * 3, [2.0] * 3), (THROUGHPUT, [5.0] * 3, [4.0] * 3)))
    )
    for name, metric in (("customSmallerIsBetter", LATENCY), ("customBiggerIsBetter", THROUGHPUT)):
        (entry,) = json.loads(EXPORTERS[name](data))
        assert entry["name"] == f"object-crud/{metric.name}"
    assert json.loads(EXPORTERS["customBiggerIsBetter"](of_report(policy.report(results())))) == []


def test_means_are_those_of_the_report_and_the_arm_can_be_chosen() -> None:
    report = pages.report()
    for arm in Arm:
        found = json.loads(bencher(of_report(report, arm)))
        for finding in report.findings:
            comparison = finding.comparison
            mean = comparison.baseline if arm is Arm.BASELINE else comparison.candidate
            (numbers,) = found[comparison.key].values()
            assert numbers["value"] == mean


def test_a_lower_bound_counts_and_is_named() -> None:
    run = with_bounds(results((LATENCY, [1.0] * 3, [9.0] * 3)), LATENCY.name, Cutoff.AT_LEAST)
    data = of_report(policy.report(run))
    assert "# object-crud/create_p50: 3 lower bounds of the candidate" in benchfmt(data)
    assert json.loads(bencher(data))["object-crud/create_p50"]["seconds"]["value"] == pytest.approx(
        9
    )
    assert "3 lower bounds" in json.loads(EXPORTERS["customSmallerIsBetter"](data))[0]["extra"]
    bounds = next(f for f in families(openmetrics(data)) if "bound" in f.name)
    assert [(s.labels["arm"], s.value) for s in bounds.samples] == [
        ("baseline", 0),
        ("candidate", 3),
    ]


def test_nothing_done_is_a_missing_value_and_no_number() -> None:
    run = with_bounds(results((COUNT, [1.0] * 3, [9.0] * 3)), COUNT.name, Cutoff.NOTHING_DONE)
    data = of_report(policy.report(run))
    assert json.loads(bencher(data)) == {}
    assert (
        'milo_perf_mean{suite="pr",environment="local",workload="object-crud",metric="files",arm="candidate"'
        not in openmetrics(data)
    )


def test_the_verdict_is_one_series_of_four() -> None:
    found = {f.name: f for f in families(openmetrics(of_report(pages.report())))}
    of_run = {s.labels["verdict"]: s.value for s in found["milo_perf_run_verdict"].samples}
    assert of_run == {v.value: float(v is Verdict.REGRESSED) for v in Verdict}
    at = {s.timestamp and float(s.timestamp) for f in found.values() for s in f.samples}
    assert at == {pages.measured().taken_at.timestamp()}


@settings(max_examples=30)
@given(st.lists(st.tuples(texts, texts, units), max_size=4, unique_by=lambda row: row[:2]))
def test_a_judged_table_has_every_format(rows: list[tuple[str, str, str]]) -> None:
    table = [
        MetricValues(family, metric, [1.0, 2.0], [2.0, 4.0], is_paired=True)
        for family, name, unit in rows
        for metric in (Metric(name, unit, Better.LOWER, 0.05),)
    ]
    findings = policy.judge_table(table)
    data = of_table(table, findings)
    assert [one.finite_values(Arm.CANDIDATE) for one in data.metrics] == [[2.0, 4.0]] * len(rows)
    for name, export in EXPORTERS.items():
        CHECKS[name](export(data), data)


@pytest.mark.parametrize("how", EXPORTERS)
def test_render_and_judge_print_each_format(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec.RESULTS.write(tmp_path / "results.json", pages.measured())
    assert main(["render", str(tmp_path), "--format", how]) == 0
    CHECKS[how](capsys.readouterr().out, of_report(pages.report()))
    table = tmp_path / "table.csv"
    rows = [
        f"{p},{arm},lat,{v},ms"
        for p in range(5)
        for arm, v in (("baseline", 1 + p / 99), ("candidate", 2))
    ]
    table.write_text("\n".join(["pair,arm,metric,value,unit", *rows]))
    assert main(["judge", str(table), "--format", how]) == 3
    printed = capsys.readouterr().out
    assert ("lat" in printed.lower()) is (how != "customBiggerIsBetter")


def test_an_arm_of_a_format_with_both_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec.RESULTS.write(tmp_path / "results.json", pages.measured())
    assert main(["render", str(tmp_path), "--format", "benchfmt", "--arm", "baseline"]) == 2
    assert "the format benchfmt has both builds" in capsys.readouterr().err
    assert main(["render", str(tmp_path), "--format", "bencher", "--arm", "baseline"]) == 0
    assert '"value": 0.0052' in capsys.readouterr().out
