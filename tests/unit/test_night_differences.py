"""What differs between two nights: seldom by chance, and the same whatever comes later."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge.history import MIN_POINTS
from pipeline.judge.nights import NightTable, night_interval
from pipeline.model.metric import Better, Scale
from pipeline.model.nights import Night, NightValue

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
HALF_WIDTHS = st.floats(0.001, 0.5)


KINDS = st.tuples(st.sampled_from(Scale), st.sampled_from(Better), st.sampled_from(["s", "B"]))


def value(
    number: float, scale: Scale = Scale.RATIO, better: Better = Better.LOWER, unit: str = "s"
) -> NightValue:
    return NightValue(number, scale, better, unit, 3)


def nights(*values: dict[str, NightValue]) -> list[Night]:
    return [
        Night(
            f"n{at}", f"r{at}", FIRST + timedelta(days=at), "c", "r", "", "pr", "minimal", {}, one
        )
        for at, one in enumerate(values)
    ]


def noisy(number: int, metrics: int, seed: int) -> list[Night]:
    draw = np.random.default_rng(seed)
    drawn = np.exp(draw.normal(0, 0.05, (number, metrics)))
    return nights(*({f"w/m{m}": value(float(v)) for m, v in enumerate(row)} for row in drawn))


@pytest.mark.parametrize("number", [MIN_POINTS, 30, 100])
def test_of_equal_nights_at_most_one_pair_in_twenty_shows_a_difference(number: int) -> None:
    pairs, shown = 0, 0
    for seed in range(40):
        found = NightTable(noisy(number, 40, seed)).beyond_chance(number - 1, 3)
        pairs += len(found)
        shown += sum(bool(one.clearest) for one in found)
    assert shown / pairs < 0.05


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0.5, 2.0), KINDS), min_size=3, max_size=3),
        min_size=3,
        max_size=16,
    ),
    st.integers(1, 15),
)
def test_a_night_differs_in_the_same_way_whatever_comes_later(
    rows: list[list[tuple[float, tuple[Scale, Better, str]]]], at: int
) -> None:
    table = nights(*({f"w/m{m}": value(v, *k) for m, (v, k) in enumerate(row)} for row in rows))
    later = min(at, len(rows) - 1)
    whole, known = NightTable(table), NightTable(table[: later + 1])
    assert whole.beyond_chance(later, 3) == known.beyond_chance(later, 3)
    for earlier in range(later):
        assert whole.changes(earlier, later) == known.changes(earlier, later)


@pytest.mark.parametrize("better", Better)
def test_a_change_is_worse_in_the_direction_of_its_metric(better: Better) -> None:
    rows = [1.0, 1.001] * 6 + [1.3]
    table = NightTable(nights(*({"w/m": value(v, better=better)} for v in rows)))
    (change,) = table.changes(0, len(rows) - 1).values()
    assert change.is_beyond_chance
    assert change.change == pytest.approx(0.3)
    assert change.is_worse is (better is Better.LOWER)
    (found,) = {(one.worse, one.better) for one in table.beyond_chance(len(rows) - 1, 1)}
    assert found == ((1, 0) if better is Better.LOWER else (0, 1))


def test_a_count_that_never_varied_differs_when_it_does() -> None:
    rows = [5.0] * 12 + [6.0]
    table = NightTable(nights(*({"w/m": value(v, Scale.DIFFERENCE)} for v in rows)))
    assert [one.worse for one in table.beyond_chance(12, 3)] == [1] * 12
    assert [one.worse for one in table.beyond_chance(11, 3)] == [0] * 11


def test_the_rounding_of_doubles_is_no_difference() -> None:
    rows = [0.3] * 12 + [0.1 + 0.2]
    table = NightTable(nights(*({"w/m": value(v, Scale.DIFFERENCE)} for v in rows)))
    assert rows[0] != rows[-1]
    assert table.changes(0, 12)["w/m"].change == 0
    assert not any(one.clearest for one in table.beyond_chance(12, 3))


def test_fewer_nights_than_a_step_needs_say_nothing() -> None:
    rows = [1.0] * (MIN_POINTS - 2) + [9.0]
    table = NightTable(nights(*({"w/m": value(v)} for v in rows)))
    assert not any(one.clearest for one in table.beyond_chance(len(rows) - 1, 3))


def test_a_value_that_is_missing_or_of_another_kind_is_compared_with_nothing() -> None:
    rows: list[dict[str, NightValue]] = [{"w/m": value(1 + at % 2 / 1000)} for at in range(12)]
    rows += [{}, {"w/m": value(1.5, Scale.DIFFERENCE)}, {"w/m": value(1.5, unit="B")}]
    table = NightTable(nights(*rows))
    for later in (12, 13, 14):
        assert table.changes(11, later) == {}


@given(st.floats(1e-300, 1e18), st.floats(1e-300, 1e18), st.floats(0, 9e18))
def test_a_change_beyond_all_doubles_is_a_number(one: float, other: float, variance: float) -> None:
    table = NightTable(nights({"w/m": value(one)}, {"w/m": value(other)}))
    assert math.isfinite(table.changes(0, 1)["w/m"].change)
    found = night_interval(NightValue(one, Scale.RATIO, Better.LOWER, "s", 3, variance, 1))
    assert found is not None
    assert all(map(math.isfinite, found))


@given(HALF_WIDTHS, st.integers(2, 30), st.integers(1, 30))
def test_the_interval_of_a_night_is_around_its_change(
    variance: float, pairs: int, freedom: int
) -> None:
    one = NightValue(1.1, Scale.RATIO, Better.LOWER, "s", pairs, variance, freedom)
    found = night_interval(one)
    assert found is not None
    low, high = found
    assert low < one.change < high
    assert math.sqrt((1 + low) * (1 + high)) == pytest.approx(1.1)
    assert night_interval(value(1.1)) is None
