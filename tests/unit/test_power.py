"""Power, by another implementation and by simulation.

`pytest -s tests/unit/test_power.py` prints the rates that docs/statistics.md states.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from pipeline.judge.constants import FAMILY_ALPHA, PASS_ALPHA, POWER
from pipeline.judge.stats.power import MarginTest, median_error_ratio
from pipeline.judge.stats.student import Estimate

DRAWS = 20_000
ERROR = 4 * math.sqrt(0.25 / DRAWS)  # four standard errors of a rate, at most

Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "t with 3 degrees of freedom": lambda random, shape: random.standard_t(3, shape) / math.sqrt(3),
    "skewed to worse": lambda random, shape: random.exponential(size=shape) - 1,
    "skewed to better": lambda random, shape: 1 - random.exponential(size=shape),
}


def rejected(d: np.ndarray, alpha: float, margin: float) -> np.ndarray:
    """Apply the rule to differences of shape (draws, pairs)."""
    k = d.shape[1]
    t = d.mean(axis=1) / d.std(axis=1, ddof=1) * math.sqrt(k)
    return np.asarray((t > stats.t.isf(alpha, k - 1)) & (d.mean(axis=1) > margin))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


@pytest.mark.parametrize("pairs", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0, 3.0])
def test_without_a_margin_it_is_the_noncentral_t(pairs: int, effect: float) -> None:
    critical = stats.t.isf(0.01, pairs - 1)
    expected = stats.nct.sf(critical, pairs - 1, effect * math.sqrt(pairs))
    error = 1 / math.sqrt(pairs)
    assert MarginTest(0.01, 0.0, POWER).power(effect, error, pairs - 1) == pytest.approx(
        expected, abs=2e-4
    )


def test_with_a_margin_that_decides_alone_it_is_normal() -> None:
    expected = stats.norm.sf((5.0 - 5.3) * math.sqrt(10))
    assert MarginTest(0.05, 5.0, POWER).power(5.3, math.sqrt(0.1), 9) == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize("pairs", [3, 5, 10])
@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("family", [1, 9])
def test_what_is_called_detectable_is_detected_that_often(
    pairs: int, deviation: float, family: int
) -> None:
    margin, alpha = math.log1p(0.05), FAMILY_ALPHA / family
    error = deviation / math.sqrt(pairs)
    effect = MarginTest(alpha, margin, POWER).smallest_detectable_effect(error, pairs - 1)
    random = np.random.default_rng([pairs, family, round(1000 * deviation)])
    rate = rejected(random.normal(effect, deviation, (DRAWS, pairs)), alpha, margin).mean()
    say(f"{pairs} pairs, spread {deviation:g}, {family} metrics: {effect:.3f} seen {rate:.3f}")
    assert rate == pytest.approx(POWER, abs=ERROR)
    assert effect > margin


def test_without_spread_the_margin_itself_is_detectable() -> None:
    assert MarginTest(0.05, 0.1, POWER).smallest_detectable_effect(0.0, 4) == 0.1


@pytest.mark.parametrize("pairs", [3, 5, 20])
def test_the_spread_of_a_few_pairs_is_taken_for_what_it_likely_is(pairs: int) -> None:
    random = np.random.default_rng(pairs)
    seen = random.normal(size=(DRAWS, pairs)).std(axis=1, ddof=1)
    assert np.median(seen) == pytest.approx(median_error_ratio(pairs - 1), rel=0.02)
    assert median_error_ratio(math.inf) == 1.0


def test_a_known_error_needs_a_normal_quantile() -> None:
    expected = stats.norm.isf(0.01) + stats.norm.ppf(POWER)
    test = MarginTest(0.01, 0.0, POWER)
    assert test.smallest_detectable_effect(1.0, math.inf) == pytest.approx(expected)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("pairs", [3, 5, 10])
@pytest.mark.parametrize("margin", [0.0, 1.0], ids=["no margin", "margin of one spread"])
def test_false_alarms_of_equal_builds(noise: str, pairs: int, margin: float) -> None:
    metrics, draws = 9, DRAWS // 5
    random = np.random.default_rng(pairs)
    shared, own = (NOISES[noise](random, (draws, n, pairs)) for n in (1, metrics))
    d = (shared + own) / math.sqrt(2)  # metrics of one launch vary together
    any_red = np.zeros(draws, dtype=bool)
    for metric in range(metrics):  # Holm rejects anything at all exactly when this does
        any_red |= rejected(d[:, metric], FAMILY_ALPHA / metrics, margin)
    say(f"{noise}, {pairs} pairs, margin {margin:g}: any false red {any_red.mean():.4f}")
    if noise != "skewed to better":  # a log ratio of equal builds is symmetric: shown only
        assert any_red.mean() <= FAMILY_ALPHA + 3 * math.sqrt(
            FAMILY_ALPHA * (1 - FAMILY_ALPHA) / draws
        )


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("pairs", [3, 5, 8, 10])
@pytest.mark.parametrize("freedom", [4.0, 8.0])
def test_intervals_with_a_prior_hold_the_truth(noise: str, pairs: int, freedom: float) -> None:
    random = np.random.default_rng(pairs)
    d = NOISES[noise](random, (DRAWS, pairs))
    both = freedom + pairs - 1
    variance = (freedom + (pairs - 1) * d.var(axis=1, ddof=1)) / both
    half = stats.t.isf(0.025, both) * np.sqrt(variance / pairs)
    held = float((np.abs(d.mean(axis=1)) <= half).mean())
    say(f"{noise}, {pairs} pairs, a prior of {freedom:g} degrees of freedom: {held:.4f}")
    assert 0.93 <= held <= (0.98 if noise == "normal" else 0.995)


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_a_true_worsening_of_the_margin_seldom_passes(pairs: int) -> None:
    random = np.random.default_rng(pairs)
    d = random.normal(1.0, 0.5, (DRAWS, pairs))
    half = stats.t.isf(PASS_ALPHA, pairs - 1) * d.std(axis=1, ddof=1) / math.sqrt(pairs)
    rate = (d.mean(axis=1) + half < 1.0).mean()
    say(f"{pairs} pairs: worse by exactly the margin, and called unchanged {rate:.4f}")
    assert rate == pytest.approx(PASS_ALPHA, abs=4 * math.sqrt(PASS_ALPHA / DRAWS))


def test_the_pairs_needed_are_the_first_that_suffice() -> None:
    test = MarginTest(0.01, 0.05, 0.8)
    needed = test.pairs_needed(0.1, 0.08, most=200)
    assert needed is not None
    now, before = (test.power(0.1, 0.08 / math.sqrt(k), k - 1) for k in (needed, needed - 1))
    assert now >= 0.8 > before


@pytest.mark.parametrize(
    ("effect", "deviation", "needed"),
    [
        pytest.param(0.05, 0.01, None, id="an effect of the margin is never settled"),
        pytest.param(0.051, 0.5, None, id="too many"),
        pytest.param(0.06, 0.0, 2, id="no spread"),
    ],
)
def test_pairs_needed_at_the_edges(effect: float, deviation: float, needed: int | None) -> None:
    assert MarginTest(0.05, 0.05, 0.8).pairs_needed(effect, deviation, most=200) == needed


@pytest.mark.parametrize("freedom", [4.0, 8.0], ids=["prior of 4", "prior of 8"])
@pytest.mark.parametrize("pairs", [3, 5, 8])
@pytest.mark.parametrize("alpha", [FAMILY_ALPHA / 5, FAMILY_ALPHA / 28, 0.1 * FAMILY_ALPHA / 28])
@pytest.mark.parametrize("margin", [0.0, math.log1p(0.05)], ids=["no margin", "margin 5 %"])
def test_with_a_prior_every_print_is_honest(
    freedom: float, pairs: int, alpha: float, margin: float
) -> None:
    """Each run is given the worsening that it prints; ten bins of the spread that it has seen."""
    typical, bins, draws = 0.03, 10, DRAWS
    random = np.random.default_rng([pairs, round(freedom)])
    true = typical * np.sqrt(freedom / random.chisquare(freedom, draws))
    d = random.normal(size=(draws, pairs)) * true[:, None]
    seen, both = d.var(axis=1, ddof=1), freedom + pairs - 1
    error = np.sqrt((freedom * typical**2 + (pairs - 1) * seen) / both / pairs)
    test = MarginTest(alpha, margin, POWER)
    per_error = [test.detectable_effect_at(one, both) for one in error]
    mean = d.mean(axis=1) + per_error
    is_red = (mean / error > stats.t.isf(alpha, both)) & (mean > margin)
    rates = [is_red[part].mean() for part in np.array_split(seen.argsort(), bins)]
    say(f"prior of {freedom:g}, {pairs} pairs, alpha {alpha:.5f}, margin {margin:.2f}: {rates}")
    assert all(0.75 < rate < 0.85 for rate in rates)


@pytest.mark.parametrize(
    ("effect", "deviation"), [(0.1, 0.08), (0.06, 0.02), (0.2, 0.3), (0.05, 0.01), (0.06, 0.0)]
)
@pytest.mark.parametrize("now", [2, 4, 30])
def test_without_a_fixed_part_values_are_needed_as_pairs_are(
    effect: float, deviation: float, now: int
) -> None:
    test = MarginTest(0.01, 0.05, 0.8)
    expected = test.pairs_needed(effect, deviation, most=200)
    estimate = Estimate(effect, deviation / math.sqrt(now), now - 1)
    assert test.values_needed(effect, estimate, now, most=200) == expected


@pytest.mark.parametrize("effect", [0.06, 0.15, 0.165, 0.17, 0.2, 0.5])
@pytest.mark.parametrize("now", [3, 10])
def test_no_number_of_values_makes_up_for_what_sets_two_groups_apart(
    effect: float, now: int
) -> None:
    """What is promised suffices, by simulation; what is out of reach, no number would see."""
    between_run_sd, spread, margin, alpha = 0.05, 0.1, 0.05, 0.01
    error = math.sqrt(between_run_sd**2 + 2 * spread**2 / now)
    test = MarginTest(alpha, margin, POWER)
    estimate = Estimate(effect, error, 2 * now, fixed_variance=between_run_sd**2)
    needed = test.values_needed(effect, estimate, now, most=5000)
    out_of_reach = test.is_out_of_reach(effect, between_run_sd**2)
    assert out_of_reach == (effect < 0.158)
    assert (needed is None) == out_of_reach
    random = np.random.default_rng([round(1000 * effect), now])
    number, draws = needed or 5000, 4000
    means, deviations = [], []
    for machine in (0.0, 1.0):
        own = random.normal(machine * effect, spread / math.sqrt(number), draws)
        means.append(own + random.normal(0, between_run_sd / math.sqrt(2), draws))
        deviations.append(spread * np.sqrt(random.chisquare(number - 1, draws) / (number - 1)))
    first, second = (found**2 / number for found in deviations)
    variance = first + second + between_run_sd**2
    freedom = variance**2 / ((first**2 + second**2) / (number - 1))
    shift = means[1] - means[0]
    is_red = (shift / np.sqrt(variance) > stats.t.isf(alpha, freedom)) & (shift > margin)
    if needed is None:
        assert is_red.mean() < POWER + ERROR
    else:
        assert is_red.mean() > POWER - 0.03
