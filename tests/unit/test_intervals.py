"""The paired t interval and its p, against another implementation and against what they claim."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from pipeline.stats.intervals import (
    deviation_of,
    half_width,
    mean_interval,
    moments,
    p_above_zero,
)

DIFFERENCES = st.lists(st.floats(-10, 10), min_size=2, max_size=12)


@given(DIFFERENCES, st.sampled_from([0.8, 0.9, 0.99]))
def test_the_interval_is_that_of_scipy(values: list[float], confidence: float) -> None:
    assume(np.std(values) > 1e-6)
    low, mean, high = mean_interval(values, confidence)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert low == pytest.approx(expected.low, rel=1e-6, abs=1e-9)
    assert high == pytest.approx(expected.high, rel=1e-6, abs=1e-9)
    assert mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)


@given(DIFFERENCES)
def test_the_p_is_that_of_scipy(values: list[float]) -> None:
    assume(np.std(values) > 1e-6)
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert p_above_zero(values) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_interval_of_a_published_example_is_right() -> None:
    # Student (1908), the sleep data: additional hours, drug 2 less drug 1.
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    low, mean, high = mean_interval(hours, 0.95)
    assert (low, mean, high) == pytest.approx((0.7001142, 1.58, 2.4598858), abs=1e-6)
    assert 2 * p_above_zero(hours) == pytest.approx(0.00283289, abs=1e-7)


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
    assert mean_interval(values, 0.9) == (values[0], values[0], values[0])
    assert p_above_zero(values) == p


@given(DIFFERENCES)
def test_p_and_interval_agree(values: list[float]) -> None:
    low, _, _ = mean_interval(values, 0.9)
    p = p_above_zero(values)
    assume(not math.isclose(p, 0.05, rel_tol=1e-6))
    assert (p < 0.05) == (low > 0)


def test_a_deviation_can_be_read_off_the_interval() -> None:
    assert deviation_of(half_width(0.3, 7, 0.9), 7, 0.9) == pytest.approx(0.3)


def test_one_value_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two values"):
        moments([1.0])
