"""A slope and its interval, against another implementation and by what they promise."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, t

from pipeline.judge.stats.student import MIN_SLOPE_POINTS, slope_interval

WHOLE = st.integers(-1_000_000, 1_000_000)
NUMBERS = st.lists(WHOLE, min_size=MIN_SLOPE_POINTS, max_size=30).filter(
    lambda found: len(set(found)) > 1
)


@given(NUMBERS)
def test_it_agrees_with_scipy(values: list[int]) -> None:
    at = [float(i) for i in range(1, len(values) + 1)]

    low, slope, high = slope_interval(at, values, 0.9)

    expected = linregress(at, values)
    half = float(t.ppf(0.95, len(at) - 2) * expected.stderr)
    assert slope == pytest.approx(expected.slope, rel=1e-6, abs=1e-6)
    assert high - low == pytest.approx(2 * half, rel=1e-6, abs=1e-2)


def test_points_on_a_line_leave_no_doubt() -> None:
    assert slope_interval([1, 2, 3, 4], [5.0, 7.0, 9.0, 11.0], 0.9) == (2.0, 2.0, 2.0)


def test_a_leak_of_one_per_cycle_is_told_in_ten_cycles_or_fewer() -> None:
    draw = random.Random(7)

    def is_told(leak: float, cycles: int) -> bool:
        values = [100 + leak * cycle + draw.gauss(0, 0.3) for cycle in range(1, cycles + 1)]
        return slope_interval(list(range(1, cycles + 1)), values, 0.9)[0] > 0

    told = {cycles: sum(is_told(1.0, cycles) for _ in range(500)) / 500 for cycles in (4, 6, 10)}
    false_alarms = sum(is_told(0.0, 10) for _ in range(2000)) / 2000

    assert told[10] == 1
    assert told[6] > 0.99
    assert false_alarms == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(
    ("at", "values"),
    [
        pytest.param([1.0, 2.0], [1.0, 2.0], id="two points"),
        pytest.param([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], id="one place"),
        pytest.param([1.0, 2.0, 3.0], [1.0, 2.0], id="a value short"),
    ],
)
def test_too_few_points_are_an_error(at: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError, match="needs at least 3 points"):
        slope_interval(at, values, 0.9)
