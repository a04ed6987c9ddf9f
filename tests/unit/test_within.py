"""Within a trial: what dependent values are worth, against processes whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.judge.stats.summary import (
    block_length,
    effective_sample_size,
    min_values,
    quantile_standard_errors,
    summarize,
)


def dependent(random: np.random.Generator, n: int, coefficient: float) -> np.ndarray:
    """Return an autoregression of order 1, after it has settled."""
    noise, values = random.normal(size=n + 200), np.empty(n + 200)
    values[0] = noise[0]
    for at in range(1, n + 200):
        values[at] = coefficient * values[at - 1] + noise[at]
    return values[200:]


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368)])
def test_a_quantile_needs_so_many_values(quantile: float, needed: int) -> None:
    assert min_values(quantile) == needed


def test_independent_values_are_worth_their_number() -> None:
    random = np.random.default_rng(1)
    found = [effective_sample_size(random.lognormal(size=400), 0.5) / 400 for _ in range(50)]
    assert np.mean(found) == pytest.approx(0.93, abs=0.07)  # at most 1, so a little below it
    assert np.mean([block_length(random.normal(size=400)) for _ in range(50)]) < 3


def test_lags_are_taken_in_the_pairs_of_geyer() -> None:
    """Lags 0 and 1, then 2 and 3: the second sum is negative here, and the first counts."""
    above = [True, True, True, False, False, False] * 40
    signs = np.array(above) * 2.0 - 1
    one = float(signs[1:] @ signs[:-1]) / len(signs)
    two = float(signs[2:] @ signs[:-2] + signs[3:] @ signs[:-3])
    assert two < 0 < one
    found = effective_sample_size(signs, 0.5)
    assert found == pytest.approx(len(signs) / (1 + 2 * one), rel=0.01)


def test_dependent_values_are_worth_fewer() -> None:
    random = np.random.default_rng(2)
    found = np.mean(
        [effective_sample_size(dependent(random, 800, 0.8), 0.5) / 800 for _ in range(30)]
    )
    # Signs of an AR(1) correlate as 2/pi asin(0.8^k).
    truth = 1 / (1 + 2 * sum(2 / math.pi * math.asin(0.8**k) for k in range(1, 100)))
    assert found == pytest.approx(truth, rel=0.3)
    assert block_length(dependent(random, 800, 0.8)) > 5


@pytest.mark.parametrize("coefficient", [0.0, 0.6])
def test_the_error_of_a_median_is_that_between_repetitions(coefficient: float) -> None:
    random = np.random.default_rng(3)
    runs = [dependent(random, 600, coefficient) for _ in range(200)]
    truth = np.std([np.median(run) for run in runs])
    said = np.mean([quantile_standard_errors(run, [0.5])[0] for run in runs[:40]])
    assert said == pytest.approx(truth, rel=0.25)


def test_a_long_trial_is_told_by_a_part_of_it() -> None:
    random = np.random.default_rng(4)
    values = random.normal(size=60_000)
    (said,) = quantile_standard_errors(values, [0.5])
    assert said == pytest.approx(1.2533 / math.sqrt(60_000), rel=0.3)


@example([0.0] * 5 + [5.339263163353924e-91])  # its square is below the smallest double
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=80))
def test_any_values_have_a_finite_summary(values: list[float]) -> None:
    found = summarize(np.array(values))
    assert all(math.isfinite(figure.value) for figure in found.values())
    assert all(figure.value >= 0 for name, figure in found.items() if name.endswith("_error"))
    assert not any(figure.at_least for figure in found.values())


def test_values_without_any_spread_have_no_error() -> None:
    found = {name: figure.value for name, figure in summarize(np.full(100, 3.0)).items()}
    assert (found["p95"], found["p95_error"], found["p95_effective"]) == (3.0, 0.0, 100.0)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=6, max_size=120),
)
def test_a_figure_is_exact_or_below_that_of_the_true_values(
    pairs: list[tuple[float, float]],
) -> None:
    """Each true time is cut off at a deadline of its own, whatever those are."""
    true = np.array([time for time, _ in pairs])
    deadlines = np.array([deadline for _, deadline in pairs])
    cut_off = true > deadlines
    found = summarize(np.minimum(true, deadlines), cut_off)
    for name, figure in summarize(true).items():
        if name.endswith(("_error", "_effective", "count")):
            continue
        if figure.value != pytest.approx(found[name].value, abs=1e-9):
            assert found[name].at_least
        assert found[name].value <= figure.value + 1e-9


@pytest.mark.parametrize("late", [0, 1, 9, 49, 50, 51, 100])
def test_a_percentile_below_the_share_that_was_cut_off_is_exact(late: int) -> None:
    values = np.linspace(0.1, 1.0, 100)
    cut_off = np.arange(100) >= 100 - late
    found = summarize(np.where(cut_off, 2.0, values), cut_off)
    assert found["p50"].at_least == (late >= 50)
    assert found["p90"].at_least == (late >= 10)
    assert found["mean"].at_least == (late > 0)
