"""Two shares: published intervals, no events at all, and events that come in clusters."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stats.shares import Shares, of_trials


@pytest.mark.parametrize(
    ("events", "of", "expected"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table II, method 6.
        pytest.param((48, 56), (80, 70), (0.0533, 0.3377), id="a"),
        pytest.param((3, 9), (10, 10), (0.1821, 0.8370), id="b"),
        pytest.param((0, 10), (20, 10), (0.7225, 1.0), id="g"),
    ],
)
def test_a_published_interval(
    events: tuple[float, float], of: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert Shares(events, of).interval(0.95) == pytest.approx(expected, abs=1e-4)


def test_no_event_at_all_still_leaves_room_for_some() -> None:
    found = Shares((0, 0), (1000, 1000))
    low, high = found.interval(0.95)
    assert high == pytest.approx(3.84 / 1003.84, rel=1e-3)
    assert low == pytest.approx(-high)
    assert found.p_above_zero() == pytest.approx(0.5)
    assert found.error > 0


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_interval_holds_the_estimate_and_agrees_with_the_p(x: int, y: int) -> None:
    found = Shares((x, y), (20, 20))
    low, high = found.interval(0.9)
    assert -1 <= low <= found.mean <= high <= 1
    if not math.isclose(found.p_above_zero(), 0.05, rel_tol=1e-3):
        assert (found.p_above_zero() < 0.05) == (low > 0)


def test_trials_that_differ_more_than_chance_make_it_wider() -> None:
    even = of_trials([(5, 1000)] * 4, [(10, 1000)] * 4)
    uneven = of_trials([(0, 1000), (20, 1000), (0, 1000), (0, 1000)], [(10, 1000)] * 4)
    assert even.dispersion == 1
    assert uneven.dispersion > 5
    assert uneven.freedom == 6
    assert uneven.interval(0.95)[1] > even.interval(0.95)[1]


def test_equal_shares_are_seldom_called_different() -> None:
    random = np.random.default_rng(5)
    draws, red = 2000, 0
    for _ in range(draws):
        before, after = random.binomial(800, 0.004, (2, 5))
        trials = [[(float(x), 800.0) for x in arm] for arm in (before, after)]
        red += of_trials(*trials).p_above_zero() < 0.05
    assert red / draws <= 0.05 + 3 * math.sqrt(0.05 / draws)
