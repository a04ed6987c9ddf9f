"""The t interval and its p, against another implementation and against what they claim."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge.stats.student import Estimate, grouped_estimate, mean_and_sd, paired_estimate

DIFFERENCES = st.lists(st.floats(-10, 10), min_size=2, max_size=12)


@given(DIFFERENCES, st.sampled_from([0.8, 0.9, 0.99]))
def test_the_interval_is_that_of_scipy(values: list[float], confidence: float) -> None:
    assume(np.std(values) > 1e-6)
    found = paired_estimate(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert found.interval(confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)


@given(DIFFERENCES)
def test_the_p_is_that_of_scipy(values: list[float]) -> None:
    assume(np.std(values) > 1e-6)
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert paired_estimate(values).p_above_zero() == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(DIFFERENCES, DIFFERENCES)
def test_two_groups_are_compared_as_scipy_does(before: list[float], after: list[float]) -> None:
    assume(min(np.std(before), np.std(after)) > 1e-6)
    found = grouped_estimate(before, after)
    expected = stats.ttest_ind(after, before, equal_var=False, alternative="greater")
    assert found.p_above_zero() == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert found.degrees_of_freedom == pytest.approx(expected.df)


def test_what_sets_groups_apart_makes_the_interval_wider_and_no_less_known() -> None:
    before, after = [1.0, 1.1, 0.9], [1.5, 1.6, 1.3]
    near, far = grouped_estimate(before, after), grouped_estimate(before, after, between_run_sd=0.3)
    assert far.standard_error == pytest.approx(math.hypot(near.standard_error, 0.3))
    assert far.degrees_of_freedom > near.degrees_of_freedom
    assert far.fixed_variance == pytest.approx(0.09)
    assert grouped_estimate([1.0, 1.0], [1.0, 1.0], between_run_sd=0.3) == Estimate(
        0.0, 0.3, math.inf, fixed_variance=0.09
    )


@pytest.mark.parametrize("size", [1e-140, 1.0, 1e150])
def test_the_freedom_of_two_groups_does_not_depend_on_the_unit(size: float) -> None:
    before, after = [1.0, 1.1, 0.9], [1.5, 1.6, 1.3]
    found = grouped_estimate(
        [size * v for v in before], [size * v for v in after], between_run_sd=0.1 * size
    )
    assert found.degrees_of_freedom == pytest.approx(
        grouped_estimate(before, after, between_run_sd=0.1).degrees_of_freedom
    )


def test_the_interval_of_a_published_example_is_right() -> None:
    # Student (1908), the sleep data: additional hours, drug 2 less drug 1.
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = paired_estimate(hours)
    assert found.mean == pytest.approx(1.58)
    assert found.interval(0.95) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert 2 * found.p_above_zero() == pytest.approx(0.00283289, abs=1e-7)


def test_a_known_error_makes_a_normal_interval() -> None:
    assert Estimate(1.0, 0.5, math.inf).interval(0.95) == pytest.approx((0.020018, 1.979982))
    assert Estimate(1.0, 0.5, math.inf).p_above_zero() == pytest.approx(0.02275013)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        pytest.param([0.1, 0.1, 0.1], 0.0, id="above zero"),
        pytest.param([0.0, 0.0], 1.0, id="zero"),
        pytest.param([-0.1, -0.1], 1.0, id="below zero"),
    ],
)
def test_equal_values_have_a_point_for_an_interval_and_a_sure_p(
    values: list[float], p: float
) -> None:
    assert paired_estimate(values).interval(0.9) == (values[0], values[0])
    assert paired_estimate(values).p_above_zero() == p


@given(DIFFERENCES)
def test_p_and_interval_agree(values: list[float]) -> None:
    found = paired_estimate(values)
    low, _ = found.interval(0.9)
    p = found.p_above_zero()
    assume(not math.isclose(p, 0.05, rel_tol=1e-6))
    assert (p < 0.05) == (low > 0)


def test_one_value_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two values"):
        mean_and_sd([1.0])
