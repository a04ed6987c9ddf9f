"""Values in steps larger than the margin: without spread nothing is certain, and a hint says so."""

import itertools
from array import array
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import constants, policy
from pipeline.judge.resolution import common_step
from pipeline.judge.rows import MetricValues
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.prior import Prior, Spread
from pipeline.model.report import Finding, Verdict
from tests.builders import results

MS = Metric("m", "s", Better.LOWER, margin=0.05, gate=True)
COUNT = Metric("n", "1", Better.LOWER, margin=0.5, gate=True, scale=Scale.DIFFERENCE)
AMOUNT = replace(COUNT, unit="s")


def judged(*measured: MetricValues, between_run_sd: float = 0.0) -> list[Finding]:
    return policy.judge_table(measured, between_run_sd=between_run_sd)


def pairs(
    metric: Metric, before: list[float], after: list[float], *, is_paired: bool = True
) -> MetricValues:
    return MetricValues("f", metric, array("d", before), array("d", after), is_paired=is_paired)


def verdict(
    metric: Metric, before: list[float], after: list[float], *, is_paired: bool = True
) -> Verdict:
    return judged(pairs(metric, before, after, is_paired=is_paired))[0].verdict


def rounded(
    random: np.random.Generator, metric: Metric, noise: float, values: int, *, is_paired: bool
) -> MetricValues:
    """Return equal builds of which a clock tells whole steps, one of them about 10 % of a value."""
    level = 10 + random.uniform()
    before, after = np.round(random.normal(level, noise, (2, values)))
    size = 0.001 if metric.unit == "s" else 1.0
    return replace(
        pairs(metric, (size * before).tolist(), (size * after).tolist(), is_paired=is_paired)
    )


@pytest.mark.parametrize(
    "metric",
    [MS, replace(AMOUNT, margin=0.0005), COUNT, replace(MS, better=Better.HIGHER)],
    ids=["ratio", "amount", "count", "rate"],
)
@pytest.mark.parametrize("is_paired", [True, False], ids=["pairs", "groups"])
@pytest.mark.parametrize("noise", [0.2, 0.6])
@pytest.mark.parametrize("values", [3, 5])
def test_reports_of_equal_builds_whose_values_are_rounded_are_seldom_red(
    metric: Metric, noise: float, values: int, *, is_paired: bool
) -> None:
    random, reports, gates, reds = np.random.default_rng(values), 25, 28, 0
    for _ in range(reports):
        found = judged(
            *(
                rounded(random, replace(metric, name=f"{gate}"), noise, values, is_paired=is_paired)
                for gate in range(gates)
            )
        )
        reds += any(one.verdict is Verdict.REGRESSED for one in found)
    assert reds / reports <= constants.FAMILY_ALPHA + 2 * np.sqrt(constants.FAMILY_ALPHA / reports)


@pytest.mark.parametrize(("number", "is_paired"), [(3, True), (8, True), (40, True), (4, False)])
@pytest.mark.parametrize(("before", "unit"), [(10.0, "ms"), (0.010, "s"), (1e7, "ns")])
def test_one_step_proves_nothing_and_several_do(
    number: int, before: float, unit: str, *, is_paired: bool
) -> None:
    metric, step = replace(MS, unit=unit), before / 10
    baseline = [before] * (number - 1) + [before - step]
    for steps, expected in ((1, Verdict.INCONCLUSIVE), (5, Verdict.REGRESSED)):
        after = [value + steps * step for value in baseline]
        (found,) = judged(pairs(metric, baseline, after, is_paired=is_paired))
        assert found.verdict is expected
        said = (
            f"the values come in steps of {step:.3g} {unit}, which is more than the margin of 5 %"
        )
        assert any(said in warning for warning in found.comparison.warnings)


def test_values_that_round_to_the_same_do_not_pass_for_being_equal() -> None:
    """A build that is worse by two margins, most of a step, where most launches round alike."""
    random, passed, runs = np.random.default_rng(8), 0, 300
    for _ in range(runs):
        level, worse = 10 + random.uniform(), 0.9
        noise = random.normal(0, 0.15, (2, 8))
        before, after = np.round(level + noise[0]), np.round(level + worse + noise[1])
        is_told = len({*before, *after}) > 1 and (before != after).any()
        metric = replace(AMOUNT, margin=0.45)
        one = verdict(metric, before.tolist(), after.tolist())
        passed += is_told and one is Verdict.UNCHANGED
    assert passed / runs <= 0.02


@pytest.mark.parametrize("more", [1.0, 2.0, 7.0])
@pytest.mark.parametrize("number", [3, 5, 8])
def test_a_count_that_never_varies_is_sure(more: float, number: int) -> None:
    before = [12.0] * number
    after = [12.0 + more] * number
    (found,) = judged(pairs(COUNT, before, after))
    assert found.verdict is Verdict.REGRESSED
    assert found.comparison.p_worse == 0
    assert verdict(COUNT, after, before) is Verdict.IMPROVED
    assert verdict(COUNT, before, before) is Verdict.UNCHANGED


def test_unless_another_count_of_the_report_varies_as_much() -> None:
    steady = pairs(COUNT, [12.0] * 3, [13.0] * 3)
    other = pairs(replace(COUNT, name="other"), [8.0, 8.0, 9.0], [9.0, 8.0, 8.0])
    fine = pairs(replace(COUNT, name="other"), [8.0, 8.0, 8.1], [8.1, 8.0, 8.0])
    assert judged(steady, other)[0].verdict is Verdict.INCONCLUSIVE
    assert judged(steady, fine)[0].verdict is Verdict.REGRESSED


def test_a_value_that_did_not_vary_in_earlier_runs_is_sure() -> None:
    run = results((MS, [10.0] * 3, [11.0] * 3))
    assert policy.report(run).findings[0].verdict is Verdict.INCONCLUSIVE
    known = Prior("12 runs", 8.0, {"object-crud/m": Spread(0.0, 12)})
    assert policy.report(replace(run, prior=known)).findings[0].verdict is Verdict.REGRESSED
    varied = replace(known, spreads={"object-crud/m": Spread(0.001, 12)})
    assert policy.report(replace(run, prior=varied)).findings[0].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([100.0, 101.0, 99.0], [110.0, 111.0, 109.0], id="steps below the margin"),
        pytest.param([10.0] * 5, [11.0] * 5, id="five that never vary"),
        pytest.param([1.0, 2.0, 4.0], [1.1, 2.2, 4.4], id="ratios alike, steps not"),
    ],
)
def test_other_values_without_spread_are_sure_as_before(
    before: list[float], after: list[float]
) -> None:
    assert verdict(MS, before, after) is Verdict.REGRESSED


def test_many_rounded_values_that_vary_tell_less_than_a_step() -> None:
    random = np.random.default_rng(3)
    before, after = np.round(random.normal(20.3, 5.0, (2, 4000)))
    metric = replace(AMOUNT, margin=0.8)
    assert verdict(metric, before.tolist(), after.tolist()) is Verdict.UNCHANGED


@given(
    st.lists(st.integers(1, 5000), min_size=3, max_size=30, unique=True),
    st.sampled_from([1.0, 0.001, 1e6, 15.625, 1 / 12, 4096.0, 1e-9]),
)
def test_the_step_of_values_is_their_largest_common_divisor(counts: list[int], step: float) -> None:
    expected = step * np.gcd.reduce(counts)
    assert common_step([step * n for n in counts], step / 2) == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(0.9, 1.1), min_size=3, max_size=8, unique=True), st.integers(-200, 200))
def test_values_with_all_their_digits_have_no_step_that_matters(
    values: list[float], power: int
) -> None:
    found = common_step([v * 10.0**power for v in values], 0.03 * 0.9 * 10.0**power)
    digits = [round(v, 6) for v in values]
    if all(abs(v - d) > 1e-9 for v, d in zip(values, digits, strict=True)):
        assert found is None


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([10.0, 11.0], 1.0),
        ([1e7, 1.1e7], 1e6),
        ([0.010, 0.015], 0.001),
        ([0.0, 8.0], 1.0),
        ([-3.0, 3.0], 1.0),
        ([5.0, 5.0], None),
        ([0.0], None),
        ([5e-324, 1.0], None),
        ([1e-310, 1e150], None),
    ],
)
def test_of_two_values_the_last_digit_is_the_step(values: list[float], step: float | None) -> None:
    found = common_step(values, 0.0)
    assert found == (step if step is None else pytest.approx(step))


def test_every_pattern_of_one_step_at_three_pairs_is_no_evidence() -> None:
    for ups in itertools.product((0, 1), repeat=3):
        for base in itertools.product((10.0, 11.0, 12.0), repeat=3):
            after = [b + u for b, u in zip(base, ups, strict=True)]
            assert verdict(MS, list(base), after) is not Verdict.REGRESSED
