"""The numbers of a row agree: its change is that from its baseline to its candidate."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy, scale
from pipeline.judge.rows import MetricValues, row_of_values
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Comparison
from pipeline.model.results import Sample
from pipeline.model.subject import Arm
from tests.builders import COUNT, LATENCY, THROUGHPUT, results

VALUES = st.one_of(st.none(), st.floats(1e-3, 1e3))
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=9)
FLOORS = st.sampled_from([0.0, 5e-4, 0.05])


def compared(metric: Metric, pairs: Sequence[tuple[float | None, float | None]]) -> Comparison:
    before, after = zip(*pairs, strict=True)
    (finding,) = policy.report(results((metric, before, after))).findings
    return finding.comparison


@given(pairs=PAIRS, metric=st.sampled_from([LATENCY, THROUGHPUT]), floor=FLOORS)
def test_a_ratio_is_that_of_the_values_beside_it(
    pairs: list[tuple[float | None, float | None]], metric: Metric, floor: float
) -> None:
    found = compared(replace(metric, floor=floor), pairs)
    if found.change is not None:
        assert found.baseline is not None
        assert found.candidate is not None
        ratio = (found.candidate - floor) / (found.baseline - floor)
        assert math.isclose(ratio, 1 + found.change.estimate, rel_tol=1e-6)


@given(pairs=PAIRS)
def test_a_difference_is_that_of_the_values_beside_it(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    found = compared(COUNT, pairs)
    if found.change is not None:
        assert found.baseline is not None
        assert found.candidate is not None
        difference = found.candidate - found.baseline
        assert math.isclose(difference, found.change.estimate, abs_tol=1e-6)


@given(
    before=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9),
    after=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9),
)
def test_so_it_is_with_groups_that_are_no_pairs(before: list[float], after: list[float]) -> None:
    measured = MetricValues("f", LATENCY, before, after, is_paired=False)
    row = row_of_values(measured, between_run_sd=0.0)
    baseline, candidate = row.comparison.baseline or 0.0, row.comparison.candidate or 0.0
    assert row.evidence is not None
    assert math.isclose(candidate / baseline, math.exp(row.evidence.mean), rel_tol=1e-6)


@given(
    trials=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(5, 900), st.integers(5, 900)),
        min_size=2,
        max_size=6,
    )
)
def test_a_share_is_that_of_all_trials_together(trials: list[tuple[int, int, int, int]]) -> None:
    share = Metric("s", "1", Better.LOWER, margin=0.01, gate=True, scale=Scale.DIFFERENCE)
    run = results((share, [x / n for x, _, n, _ in trials], [y / m for _, y, _, m in trials]))
    samples: dict[Arm, tuple[Sample, ...]] = {
        arm: (replace(run.samples[arm][0], denominators=tuple(float(t[2 + at]) for t in trials)),)
        for at, arm in enumerate(Arm)
    }
    (finding,) = policy.report(replace(run, samples=samples)).findings
    found = finding.comparison
    assert found.change is not None
    assert found.baseline is not None
    assert found.candidate is not None
    pooled = sum(t[0] for t in trials) / sum(t[2] for t in trials)
    assert math.isclose(found.baseline, pooled, abs_tol=1e-12)
    difference = found.candidate - found.baseline
    assert math.isclose(difference, found.change.estimate, abs_tol=1e-9)


def test_a_pair_that_lacks_an_arm_is_in_neither() -> None:
    found = compared(LATENCY, [(1.0, 2.0), (1.0, 2.0), (50.0, None), (None, 0.01)])
    assert (found.baseline, found.candidate) == pytest.approx((1.0, 2.0))


def test_an_arm_alone_is_shown_as_it_is() -> None:
    found = compared(LATENCY, [(1.0, None), (4.0, None)])
    assert found.baseline == pytest.approx(2.0)
    assert found.candidate is None


def test_a_value_without_a_ratio_has_a_plain_mean() -> None:
    found = compared(LATENCY, [(0.0, 1.0), (2.0, 1.0)])
    assert (found.baseline, found.candidate, found.change) == (1.0, 1.0, None)


@given(values=st.lists(st.floats(0.06, 1e3), min_size=1, max_size=9), floor=FLOORS)
def test_a_mean_is_between_its_values(values: list[float], floor: float) -> None:
    mean = scale.mean(replace(LATENCY, floor=floor), values)
    assert mean is not None
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
