"""Groups that are no pairs: what the machine does to a level is no change of the build."""

from array import array
from dataclasses import replace

import numpy as np
import pytest

from pipeline.judge import constants, policy
from pipeline.judge.rows import MetricValues
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Finding, Verdict

RATIO = Metric("m", "1", Better.LOWER, margin=0.03, gate=True)
COMPARISONS = 400


def measured(
    metric: Metric, before: np.ndarray, after: np.ndarray, *, of: float = 0.0
) -> MetricValues:
    ofs = tuple(array("d", [of] * len(arm)) for arm in (before, after)) if of else ()
    arms = array("d", before), array("d", after)
    return MetricValues(metric.name, metric, *arms, is_paired=False, denominators=ofs)


def judged(
    many: list[MetricValues], between_run_sd: float = constants.BETWEEN_RUN_SD
) -> list[Finding]:
    named = [
        replace(one, family=f"{number}", metric=replace(one.metric, name=f"{number}"))
        for number, one in enumerate(many)
    ]
    return policy.judge_table(named, between_run_sd=between_run_sd)


def share(findings: list[Finding], verdict: Verdict) -> float:
    return float(np.mean([finding.verdict is verdict for finding in findings]))


def machines(
    random: np.random.Generator, level: float, values: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return equal builds on two machines, which differ by as much as is allowed for."""
    factors = np.exp(random.normal(0, constants.BETWEEN_RUN_SD / np.sqrt(2), 2))
    before, after = (level * f * np.exp(random.normal(0, 0.005, values)) for f in factors)
    return before, after


@pytest.mark.parametrize("values", [3, 10, 40])
@pytest.mark.parametrize("level", [1e-6, 1.0, 4e8])
@pytest.mark.parametrize("better", Better)
@pytest.mark.parametrize("scale", Scale)
def test_equal_builds_on_two_machines_are_seldom_red(
    values: int, level: float, better: Better, scale: Scale
) -> None:
    random = np.random.default_rng(values)
    margin = RATIO.margin * (1.0 if scale is Scale.RATIO else level)
    metric = replace(RATIO, better=better, scale=scale, margin=margin)
    many = [measured(metric, *machines(random, level, values)) for _ in range(COMPARISONS)]
    assert share(judged(many), Verdict.REGRESSED) <= 0.02
    assert share(judged(many, between_run_sd=0.0), Verdict.REGRESSED) > 0.1


@pytest.mark.parametrize("level", [0.02, 0.3, 0.9])
def test_so_are_shares_of_many_events(level: float) -> None:
    random = np.random.default_rng(1)
    metric = replace(RATIO, scale=Scale.DIFFERENCE, margin=0.005 * level)
    of, many = 1e6, []
    for _ in range(COMPARISONS):
        shares = (np.minimum(1.0, arm) for arm in machines(random, level, 3))
        before, after = (random.binomial(int(of), share) / of for share in shares)
        many.append(measured(metric, before, after, of=of))
    assert share(judged(many), Verdict.REGRESSED) <= 0.02
    assert share(judged(many, between_run_sd=0.0), Verdict.REGRESSED) > 0.1


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([0.0] * 5, [0.0] * 5, Verdict.UNCHANGED, id="never anything"),
        pytest.param([0.0] * 5, [4.0, 5.0, 6.0, 5.0, 4.0], Verdict.REGRESSED, id="from nothing"),
        pytest.param([5.0, 4.0, 6.0], [0.0] * 3, Verdict.IMPROVED, id="to nothing"),
        pytest.param([1e6, 1e6 + 1], [1e6 + 9e3, 1e6 + 9e3], Verdict.INCONCLUSIVE, id="1 in 100"),
    ],
)
@pytest.mark.parametrize("of", [0.0, 1e4])
def test_a_level_of_nothing_has_nothing_that_sets_it_apart(
    before: list[float], after: list[float], expected: Verdict, of: float
) -> None:
    metric = replace(RATIO, scale=Scale.DIFFERENCE, margin=1.0)
    size = 1.0
    if of:
        size = 1e-7
        metric = replace(metric, margin=size)
    arms = size * np.array(before), size * np.array(after)
    (one,) = judged([measured(metric, *arms, of=1e4 * of)])
    assert one.verdict is expected


def test_the_part_that_more_values_do_not_shrink_is_known() -> None:
    random = np.random.default_rng(2)
    for scale in Scale:
        metric = replace(RATIO, scale=scale)
        few, many = (
            judged([measured(metric, *machines(random, 7.0, n))])[0].comparison for n in (3, 5000)
        )
        assert few.standard_error is not None
        assert many.standard_error is not None
        level = 1.0 if scale is Scale.RATIO else 7.0
        assert few.fixed_variance == pytest.approx((constants.BETWEEN_RUN_SD * level) ** 2, rel=0.2)
        assert few.fixed_variance < few.standard_error**2
        assert many.standard_error**2 == pytest.approx(many.fixed_variance, rel=0.01)


@pytest.mark.parametrize("scale", Scale)
def test_no_number_of_values_is_promised_that_would_not_suffice(scale: Scale) -> None:
    random = np.random.default_rng(4)
    tight = replace(RATIO, scale=scale, margin=0.03)
    (one,) = judged([measured(tight, *(np.exp(random.normal(0, 0.005, (2, 10)))))])
    assert one.verdict is Verdict.INCONCLUSIVE
    assert one.advice is not None
    assert one.advice.more_pairs is None
    wide = replace(tight, margin=0.3)
    noisy = np.tile([0.7, 1.31], 5)
    (one,) = judged([measured(wide, noisy, noisy)])
    assert one.advice is not None
    assert one.advice.more_pairs is not None
