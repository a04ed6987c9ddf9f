"""The answer in one line: which metric, how much, and nothing that the rows do not say."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.judge.policy import with_more_pairs
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound, Change, Finding, Verdict
from pipeline.model.results import Cutoff, Failure, ResultSet
from pipeline.model.subject import Arm
from pipeline.render import answer_line
from pipeline.render.names import readable_name
from pipeline.render.numbers import brief_change, brief_interval
from tests.builders import COUNT, LATENCY, THROUGHPUT, results

BASE = [1.00, 1.02, 0.98, 1.01, 0.99]
NOISE = [1.002, 0.997, 1.001, 0.996, 1.004]
LIST = replace(LATENCY, name="list_p95", margin=0.15, tolerance=0.3)
FILES = Metric("server_files", "1", Better.LOWER, margin=0.05)
SHARE = Metric("errors_share", "1", Better.LOWER, margin=0.002, gate=True, scale=Scale.DIFFERENCE)


def row(
    metric: Metric, factor: float = 1.0, spread: float = 1.0
) -> tuple[Metric, list[float], list[float]]:
    after = [b * factor * (1 + spread * (n - 1)) for b, n in zip(BASE, NOISE, strict=True)]
    return metric, BASE, after


def answer(run: ResultSet) -> str:
    return answer_line.answer(policy.report(run))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(
            results(row(LATENCY, 1.31), row(LIST)),
            "REGRESSION: create p50 +31 % (30 to 32 %)",
            id="regressed",
        ),
        pytest.param(
            results(row(LATENCY, 1.31), row(LIST, 1.6), row(THROUGHPUT, 0.5)),
            "REGRESSION: rate −50 %, and 2 more",
            id="worst first, in margins",
        ),
        pytest.param(
            results(row(LATENCY), row(LIST, spread=20), row(THROUGHPUT)),
            "PASS: no metric worse; at worst",
            id="passed",
        ),
        pytest.param(results(row(THROUGHPUT)), "PASS: no metric worse; at worst", id="alone"),
        pytest.param(
            results(row(LATENCY), row(FILES, 1.5)),
            "PASS: no gating metric worse, but 1 other; at worst",
            id="what does not gate",
        ),
        pytest.param(
            results(row(LATENCY, 0.8), row(FILES, 0.37), row(LIST)),
            "IMPROVED: create p50 −20 %, server files −63 %; nothing worse",
            id="improved",
        ),
        pytest.param(
            results(row(LATENCY, 0.8), row(FILES, 0.37), row(LIST, 0.4), row(THROUGHPUT, 2)),
            "IMPROVED: rate +100 %, list p95 −60 %, 2 more; nothing worse",
            id="gating ones first",
        ),
        pytest.param(
            results((LATENCY, BASE, None), row(LIST)),
            "INCONCLUSIVE: nothing to compare for create p50",
            id="missing",
        ),
        pytest.param(
            results(row(FILES, 1.5)),
            "INCONCLUSIVE: no metric gates, so nothing was judged",
            id="nothing gates",
        ),
        pytest.param(
            results(row(LATENCY), invalid=dict.fromkeys(range(1, 5), "k6 dropped 12 iterations")),
            "INVALID: 1 of 5 pairs is valid, 2 needed; k6 dropped 12 iterations",
            id="invalid",
        ),
        pytest.param(results(), "INVALID: no pair was measured", id="empty"),
        pytest.param(
            results((COUNT, [1.0] * 5, [8.0] * 5)), "REGRESSION: files +7", id="a whole count"
        ),
        pytest.param(
            results(
                row(LATENCY), workloads={}, specs=("milo", "milo"), digests=dict.fromkeys(Arm, "a")
            ),
            "PASS: no metric worse; at worst",
            id="the same binary",
        ),
    ],
)
def test_the_answer(run: ResultSet, expected: str) -> None:
    said = answer(run)
    head, worst, _ = said.partition("; at worst")
    assert f"{head}{worst}" == expected


def test_a_pass_says_the_typical_metric_and_the_one_nearest_its_tolerance() -> None:
    rows = [row(LATENCY), row(replace(LIST, margin=0.05), spread=5), row(THROUGHPUT, spread=2)]
    report = policy.report(results(*rows))
    latency, listed, rate = (f.comparison for f in report.findings)
    assert report.verdict is Verdict.UNCHANGED
    assert latency.at_worst is not None
    assert listed.at_worst is not None
    assert rate.at_worst is not None
    middle = sorted([latency.at_worst, listed.at_worst, 1 / (1 + rate.at_worst) - 1])[1]
    worst = max(
        (listed.at_worst / 0.3, listed, "list p95"),
        ((1 / (1 + rate.at_worst) - 1) / 0.05, rate, "rate"),
        key=lambda one: one[0],
    )
    typical = brief_change(LATENCY, middle, is_limit=True)
    named = brief_change(worst[1].metric, worst[1].at_worst or 0.0, is_limit=True)
    assert answer_line.answer(report) == (
        f"PASS: no metric worse; at worst {typical} typical, {named} {worst[2]}"
    )


def test_one_metric_alone_is_not_called_typical() -> None:
    report = policy.report(results(row(THROUGHPUT)))
    at_worst = report.findings[0].comparison.at_worst or 0.0
    assert at_worst < 0
    assert answer_line.answer(report).endswith(
        f"; at worst {brief_change(THROUGHPUT, at_worst, is_limit=True)} rate"
    )


def test_an_inconclusive_run_says_how_bad_it_could_be_and_what_settles_it() -> None:
    report = policy.report(results(row(LATENCY), row(LIST, 1.05, spread=60)))
    assert report.verdict is Verdict.INCONCLUSIVE
    (doubt,) = (f for f in report.gating if f.verdict is Verdict.INCONCLUSIVE)
    assert doubt.advice is not None
    more = answer_line.more_pairs(report)
    assert more == doubt.advice.more_pairs
    worst = brief_change(LIST, doubt.comparison.at_worst or 0.0, is_limit=True)
    assert answer_line.answer(report) == (
        f"INCONCLUSIVE: list p95 could be up to {worst} worse; {more} more pairs would settle it"
    )


@given(spread=st.floats(20, 90), factor=st.sampled_from([0.98, 1.0, 1.05, 1.12]))
def test_the_pairs_that_are_asked_for_can_be_added(spread: float, factor: float) -> None:
    report = policy.report(results(row(LATENCY), row(LIST, factor, spread=spread)))
    more = answer_line.more_pairs(report)
    if more is not None:
        valid = len(report.results.valid_pairs)
        longer, until = with_more_pairs(report.results, more, is_over=False)
        assert until >= valid + more
        assert longer.pairs_asked >= until
        assert f"; {more} more pair" in answer_line.answer(report)


def test_only_an_inconclusive_run_needs_more_pairs() -> None:
    for run in (results(row(LATENCY)), results(row(LATENCY, 2)), results()):
        assert answer_line.more_pairs(policy.report(run)) is None


def test_pairs_are_no_help_for_what_no_number_of_them_settles() -> None:
    report = policy.report(results(row(LATENCY, spread=200), row(LIST, 1.05, spread=60)))
    assert answer_line.more_pairs(report) is None
    assert answer_line.answer(report).endswith("more pairs alone will hardly settle them")


def test_a_name_has_its_workload_only_where_it_is_ambiguous() -> None:
    names = {"create_p50": "a", "list_p95": "b"}
    assert "REGRESSION: create p50 " in answer(
        results(row(LATENCY, 1.31), row(LIST), workloads=names)
    )
    report = policy.report(results(row(LATENCY, 1.31), workloads=names))
    (finding,) = report.findings
    twin = replace(finding, comparison=replace(finding.comparison, workload="b"))
    two = replace(report, findings=(finding, replace(twin, verdict=Verdict.UNCHANGED)))
    assert answer_line.answer(two).startswith("REGRESSION: a create p50 +31 % ")


def test_a_build_that_dies_comes_before_everything() -> None:
    run = results(row(LATENCY, 3.0))
    trials = tuple(
        replace(t, failures=(Failure("it died"),)) if t.arm is Arm.CANDIDATE else t
        for t in run.trials
    )
    said = answer(replace(run, trials=trials))
    assert said == (
        "REGRESSION: the candidate failed in 5 of 5 pairs, the baseline in 0, and 1 more"
    )


def test_a_kept_verdict_shows_the_look_that_found_it() -> None:
    report = policy.report(results(row(LATENCY, 1.31)))
    (found,) = report.findings
    calm = policy.report(results(row(LATENCY))).findings[0].comparison
    kept = Finding(calm, Verdict.REGRESSED, kept=replace(found.comparison, pairs=3))
    said = answer_line.answer(replace(report, findings=(kept,)))
    assert said == "REGRESSION: create p50 +31 % (30 to 32 %) at 3 pairs"


def test_a_lower_bound_is_said_to_be_one() -> None:
    run = results(row(LATENCY, 5.0))
    samples = {
        arm: tuple(
            replace(s, cutoffs=(Cutoff.AT_LEAST,) * 5) if arm is Arm.CANDIDATE else s
            for s in of_arm
        )
        for arm, of_arm in run.samples.items()
    }
    said = answer(replace(run, samples=samples))
    assert said.startswith("REGRESSION: create p50 at least +400 % (39")
    assert said.endswith(" % or more)")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("create_p50", "create p50"),
        ("server_cpu_per_request", "server CPU per request"),
        ("_", "_"),
        ("x" * 500, "x" * 60 + "…"),
    ],
)
def test_a_readable_name(name: str, expected: str) -> None:
    assert readable_name(name) == expected


@given(change=st.floats(-0.99, 9.9))
def test_a_limit_is_never_rounded_to_look_better(change: float) -> None:
    shown = brief_change(LATENCY, change, is_limit=True).removesuffix(" %").replace("−", "-")
    assert float(shown) / 100 >= change - 1e-9
    assert math.isclose(float(shown) / 100, change, rel_tol=0.11, abs_tol=1e-4)
    other = brief_change(THROUGHPUT, change, is_limit=True).removesuffix(" %").replace("−", "-")
    assert float(other) / 100 <= change + 1e-9


@given(
    ends=st.lists(st.floats(-0.9, 9.0), min_size=3, max_size=3).map(sorted),
    bound=st.sampled_from(Bound),
)
def test_an_interval_in_a_line_has_the_numbers_that_it_is_made_of(
    ends: list[float], bound: Bound
) -> None:
    shown = brief_interval(LATENCY, Change(ends[0], ends[1], ends[2], bound))
    plain = shown.replace("−", "-")
    estimate = float(plain.removeprefix("at least ").removeprefix("at most ").split(" ")[0])
    assert math.isclose(estimate, 100 * ends[1], abs_tol=6e-3 + 6 * max(map(abs, ends)))
    assert ("at least" in shown) == (bound is Bound.AT_LEAST)
    assert ("at most" in shown) == (bound is Bound.AT_MOST)


@given(
    worse=st.lists(st.sampled_from([0.4, 0.97, 1.0, 1.02, 1.3]), min_size=1, max_size=4),
    spread=st.sampled_from([0.5, 5.0, 60.0]),
    gates=st.booleans(),
)
def test_the_line_says_what_the_rows_say(worse: list[float], spread: float, gates: bool) -> None:  # noqa: FBT001 (hypothesis)
    rows = [
        row(replace(LATENCY, name=f"m{i}", gate=gates or i % 2 == 0), factor, spread)
        for i, factor in enumerate(worse)
    ]
    report = policy.report(results(*rows))
    line = answer_line.answer(report)
    word = {
        Verdict.REGRESSED: "REGRESSION",
        Verdict.IMPROVED: "IMPROVED",
        Verdict.UNCHANGED: "PASS",
        Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    }[report.verdict]
    assert line.startswith(f"{word}: ")
    assert "\n" not in line
    assert len(line) < 300
    reds = sum(f.verdict is Verdict.REGRESSED for f in report.gating)
    if reds > 1:
        assert line.endswith(f", and {reds - 1} more")


def test_a_hostile_name_stays_in_one_short_line() -> None:
    name = "a\nb\x1b[31m\u202e" + "x" * 10_000
    run = results(row(replace(LATENCY, name=name), 2.0), workloads={name: name})
    line = answer(run)
    assert line.isprintable()
    assert len(line) < 200
