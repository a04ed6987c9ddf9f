"""Steps of a series: found where they are, and not where there are none."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from pipeline.judge.stats.contrasts import bumps, largest_contrast, splits
from pipeline.judge.stats.noise import Floats, autocorrelation, robust_residuals, step_sizes
from pipeline.judge.stats.steps import StepSearch, relative_spreads
from pipeline.judge.stats.steps import find_steps as steps_of
from pipeline.judge.stats.student import Estimate

SEARCH = StepSearch(split=0.04, bump=0.01)


def steps(values: Floats, search: StepSearch) -> list[int]:
    """Return the steps of a series, however much each of its points varies."""
    return steps_of(values, search, relative_spreads(values))


def step_size(before: Floats, after: Floats) -> Estimate:
    """Return the size of one step of a series that varies alike everywhere."""
    values = np.concatenate((before, after))
    (size,) = step_sizes(values, [len(before)], np.ones(len(values)))
    return size


def series(*levels: tuple[int, float], sd: float = 0.02, seed: int = 1) -> Floats:
    """Return normal noise about levels, each given as (points, level)."""
    rng = np.random.default_rng(seed)
    where = np.concatenate([np.full(points, level) for points, level in levels])
    return where + rng.normal(0, sd, len(where))


def wandering(n: int, rho: float, seed: int) -> Floats:
    """Return an AR(1) series of standard deviation 1."""
    drawn = np.random.default_rng(seed).normal(size=n) * np.sqrt(1 - rho * rho)
    drawn[0] /= np.sqrt(1 - rho * rho)
    walked: Floats = lfilter([1.0], [1.0, -rho], drawn)
    return walked


def test_a_large_step_is_found_at_its_first_point() -> None:
    assert steps(series((60, 0.0), (40, 0.2)), SEARCH) == [60]


def test_several_steps_are_found_in_order() -> None:
    found = steps(series((40, 0.0), (40, 0.3), (40, 0.1), (40, 0.5)), SEARCH)
    assert found == [40, 80, 120]


def test_a_step_and_a_step_back_are_found_though_short() -> None:
    assert steps(series((100, 0.0), (8, 0.2), (100, 0.0)), SEARCH) == [100, 108]


@pytest.mark.parametrize("at", [0, 1, 30, 58, 59])
def test_a_single_spike_is_no_step_wherever_it_is(at: int) -> None:
    values = series((60, 0.0))
    values[at] += 5.0
    assert steps(values, SEARCH) == []


def test_three_points_after_a_step_of_ten_deviations_are_enough() -> None:
    assert steps(series((50, 0.0), (3, 0.2)), SEARCH) == [50]


def test_steps_that_hide_each_other_are_found_together() -> None:
    """To a test of one of them the others are noise, and much of it."""
    assert steps(series((40, 0.0), (40, 0.3), (40, 0.0), (40, 0.4)), SEARCH) == [40, 80, 120]


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_series_too_short_for_two_segments_has_no_step(n: int) -> None:
    assert steps(np.arange(n, dtype=float) * 100, SEARCH) == []


def test_constant_values_have_no_step_and_two_constants_have_one() -> None:
    assert steps(np.full(40, 7.0), SEARCH) == []
    assert steps(np.repeat([7.0, 9.0], 20), SEARCH) == [20]
    assert steps(np.full(40, 0.1) + np.tile([1e-17, -1e-17], 20), SEARCH) == []


def test_counts_that_seldom_differ_have_no_step() -> None:
    values = np.full(80, 5.0)
    values[[11, 40, 62]] = 6.0
    assert steps(values, SEARCH) == []


def test_the_same_series_has_the_same_steps() -> None:
    values = series((30, 0.0), (30, 0.03), (30, 0.01))
    assert steps(values, SEARCH) == steps(values.copy(), SEARCH)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-100, 100),
    step=st.floats(-0.2, 0.2),
)
def test_neither_unit_nor_direction_moves_a_step(
    seed: int, scale: float, shift: float, step: float
) -> None:
    values = series((25, 0.0), (25, step), seed=seed)
    found = steps(values, SEARCH)
    assert steps((values + shift) * scale, SEARCH) == found
    assert steps(-values, SEARCH) == found


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=60))
def test_steps_ascend_and_keep_their_distance(values: list[float]) -> None:
    found = steps(np.array(values, dtype=float), SEARCH)
    assert all(b - a >= SEARCH.shortest for a, b in itertools.pairwise(found))
    assert not found or 0 < found[0] <= found[-1] < len(values)


@pytest.mark.parametrize(
    ("n", "most"), [pytest.param(20, 21, id="short"), pytest.param(80, 21, id="long")]
)
def test_equal_points_show_a_step_as_seldom_as_stated(n: int, most: int) -> None:
    """Stated: 5 % at most. 21 of 200 is beyond what 5 % gives once in a thousand times."""
    rng = np.random.default_rng(7)
    assert sum(bool(steps(rng.normal(size=n), SEARCH)) for _ in range(200)) < most


def test_noise_without_a_variance_makes_few_steps() -> None:
    """Student's t with 2 degrees of freedom: a tenth of the series, where 5 % are stated."""
    rng = np.random.default_rng(8)
    assert sum(bool(steps(rng.standard_t(2, size=60), SEARCH)) for _ in range(200)) < 34


def test_a_wandering_series_is_seldom_called_stepping() -> None:
    """Without the autocorrelation, nearly every one of these has steps."""
    found = sum(bool(steps(wandering(200, 0.8, seed), SEARCH)) for seed in range(60))
    assert found <= 15


def test_a_step_of_two_deviations_is_found_within_ten_points() -> None:
    found = 0
    for seed in range(40):
        values = series((50, 0.0), (10, 0.0488), sd=0.024, seed=seed)
        found += any(abs(k - 50) <= 5 for k in steps(values, SEARCH))
    assert found >= 36


@pytest.mark.parametrize(
    ("search", "said"),
    [
        pytest.param({"shortest": 1}, "at least two points", id="segment of one point"),
        pytest.param({"split": 0.0}, "chances", id="no chance"),
        pytest.param({"bump": 0.001}, "299 draws", id="smaller than draws can show"),
    ],
)
def test_a_search_that_cannot_be_is_refused(search: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StepSearch(**{"split": 0.04, "bump": 0.01, **search})  # type: ignore[arg-type]  # any parameter


def test_the_largest_contrast_is_the_two_sample_t_of_the_best_split() -> None:
    values = series((12, 0.0), (9, 0.05))
    (found,), (best,) = largest_contrast(values[None], splits([0, 21], 3), [0, 21])
    k = int(splits([0, 21], 3).j[best])
    before, after = values[:k], values[k:]
    pooled = (before.var() * k + after.var() * (21 - k)) / (21 - 2)
    t = (after.mean() - before.mean()) / np.sqrt(pooled * (1 / k + 1 / (21 - k)))
    assert found == pytest.approx(abs(t))


def test_bumps_leave_room_on_both_sides_and_reach_every_short_length() -> None:
    found = bumps([0, 10, 40], 3)
    assert ((found.i - found.s >= 3) & (found.e - found.j >= 3) & (found.j - found.i >= 3)).all()
    assert {3, 4, 5, 6} <= set((found.j - found.i).tolist())
    assert len(bumps([0, 8], 3)) == 0


def test_autocorrelation_is_nothing_where_it_may_be_chance() -> None:
    rng = np.random.default_rng(3)
    flat = sum(autocorrelation(x - x.mean()) == 0 for x in rng.normal(size=(100, 60)))
    assert flat >= 85
    assert autocorrelation(np.zeros(10)) == 0
    alike = wandering(500, 0.7, 1)
    assert autocorrelation(alike - alike.mean()) == pytest.approx(0.7, abs=0.1)


def test_a_score_is_bounded_and_constants_have_none() -> None:
    values = series((30, 0.0))
    values[3] = 99.0
    found = robust_residuals(values, [0, 30], np.ones(30))
    assert found is not None
    assert np.abs(found.scores).max() == 3.0
    assert robust_residuals(np.full(9, 1.5), [0, 9], np.ones(9)) is None


def test_the_size_of_a_step_without_noise_is_exact() -> None:
    size = step_size(np.full(3, 2.0), np.full(5, 2.5))
    assert (size.mean, size.standard_error) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("before", "after", "rho"), [(50, 50, 0.0), (50, 5, 0.0), (5, 5, 0.0), (80, 80, 0.6)]
)
def test_the_interval_of_a_size_covers_it_as_often_as_stated(
    before: int, after: int, rho: float
) -> None:
    covered = 0
    for seed in range(300):
        x = wandering(before + after, rho, seed)
        x[before:] += 3.0
        low, high = step_size(x[:before], x[before:]).interval(0.95)
        covered += low <= 3.0 <= high
    assert 0.89 <= covered / 300 <= 0.995


def test_a_spike_hardly_moves_the_size_of_a_step() -> None:
    values = series((30, 0.0), (30, 0.1))
    spiked = values.copy()
    spiked[40] += 50.0
    sizes = [step_size(x[:30], x[30:]).mean for x in (values, spiked)]
    assert sizes[0] == pytest.approx(sizes[1], abs=0.005)
