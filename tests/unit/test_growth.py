"""A leak is told from a cache that fills, and neither is claimed without evidence."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.judge.growth import FALSE_LEAK, MIN_CYCLES, find_growth
from pipeline.model.soak import GrowthVerdict

Floats = NDArray[np.float64]

X: Floats = np.linspace(0.0, 118.0, 60)
"""Projects deleted at the end of each cycle of a soak of ten minutes."""

LENGTH = float(X[-1])


def noise(random: np.random.Generator, sd: float, rho: float) -> Floats:
    values = np.empty(len(X))
    values[0] = random.standard_normal() * sd
    for i in range(1, len(X)):
        values[i] = rho * values[i - 1] + np.sqrt(1 - rho**2) * sd * random.standard_normal()
    return values


def cache(tau: float) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(1000 * (1 - np.exp(-x / (tau * LENGTH))), dtype=np.float64)


def creep(tau: float) -> Callable[[Floats], Floats]:
    """Return the level of resident memory, which creeps."""
    return lambda x: np.asarray(300 * np.log1p(x / (tau * LENGTH)), dtype=np.float64)


def verdicts(
    level: Callable[[Floats], Floats], *, sd: float, rho: float, times: int, creeps: bool = False
) -> list[str]:
    random = np.random.default_rng(5)
    series = (5000 + level(X) + noise(random, sd, rho) for _ in range(times))
    return [find_growth(X.tolist(), one.tolist(), creeps=creeps).verdict for one in series]


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize(
    "level",
    [
        pytest.param(lambda x: 0 * x, id="flat"),
        *(pytest.param(cache(tau), id=f"cache {tau}") for tau in (0.05, 0.2, 0.5, 1.0, 2.0)),
    ],
)
def test_a_cache_that_fills_is_no_leak(level: Callable[[Floats], Floats], rho: float) -> None:
    found = verdicts(level, sd=30, rho=rho, times=40)
    assert found.count(GrowthVerdict.LEAK) <= 1


@pytest.mark.parametrize("sd", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("caches", [1, 2, 3])
def test_any_number_of_caches_is_no_leak(caches: int, sd: float) -> None:
    random = np.random.default_rng(3)

    def filling(x: Floats) -> Floats:
        taus = np.exp(random.uniform(np.log(0.02), np.log(2.0), caches))
        return np.asarray(sum(cache(tau)(x) for tau in taus), dtype=np.float64)

    found = [verdicts(filling, sd=sd, rho=0.0, times=1)[0] for _ in range(40)]
    assert found.count(GrowthVerdict.LEAK) <= 1


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("tau", [0.02, 0.1, 0.5, 2.0])
def test_resident_memory_that_creeps_is_no_leak(tau: float, rho: float) -> None:
    alone = verdicts(creep(tau), sd=30, rho=rho, times=40, creeps=True)
    assert alone.count(GrowthVerdict.LEAK) <= 1
    both = verdicts(lambda x: creep(tau)(x) + cache(0.1)(x), sd=30, rho=rho, times=40, creeps=True)
    assert both.count(GrowthVerdict.LEAK) <= 1


def test_a_leak_of_ten_goroutines_per_project_is_found_in_ten_minutes() -> None:
    found = verdicts(lambda x: 10 * x, sd=20, rho=0.0, times=30)
    assert found.count(GrowthVerdict.LEAK) >= 28


@pytest.mark.parametrize(("tau", "sd"), [(0.05, 15.0), (0.2, 4.0)])
def test_a_leak_is_found_beside_a_cache(tau: float, sd: float) -> None:
    found = verdicts(lambda x: 10 * x + cache(tau)(x), sd=sd, rho=0.0, times=30)
    assert found.count(GrowthVerdict.LEAK) >= 28


def test_a_leak_of_memory_is_found_beside_creep() -> None:
    found = verdicts(lambda x: 60 * x + creep(0.1)(x), sd=20, rho=0.0, times=30, creeps=True)
    assert found.count(GrowthVerdict.LEAK) >= 28


def test_a_filled_cache_is_a_plateau() -> None:
    found = verdicts(cache(0.05), sd=15, rho=0.0, times=30)
    assert found.count(GrowthVerdict.PLATEAU) >= 28


def test_a_cache_that_still_fills_is_neither() -> None:
    assert set(verdicts(cache(1.0), sd=15, rho=0.0, times=20)) == {GrowthVerdict.CANNOT_TELL}


def test_an_exact_series_is_read_exactly() -> None:
    leak = find_growth(X.tolist(), (100 + 3 * X).tolist())
    assert leak.verdict is GrowthVerdict.LEAK
    assert leak.per_unit == pytest.approx(3, rel=1e-3)
    assert leak.low == pytest.approx(3, rel=1e-3)
    assert (leak.first, leak.last) == pytest.approx((100, 100 + 3 * LENGTH))
    flat = find_growth(X.tolist(), [7.0] * len(X))
    assert flat.verdict is GrowthVerdict.PLATEAU
    assert find_growth(X.tolist(), [0.0] * len(X)).verdict is GrowthVerdict.PLATEAU


@given(
    st.lists(st.floats(0, 1e12, allow_subnormal=False), min_size=MIN_CYCLES, max_size=40).filter(
        any
    ),
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
)
def test_units_do_not_matter(values: list[float], unit: float, step: float) -> None:
    at = [float(i) for i in range(len(values))]
    one = find_growth(at, values)
    other = find_growth([step * x for x in at], [unit * y for y in values])
    assert one.low <= one.high
    size = max(values)
    assert other.low * step / unit == pytest.approx(one.low, rel=1e-5, abs=1e-7 * size)
    assert other.high * step / unit == pytest.approx(one.high, rel=1e-5, abs=1e-7 * size)


def test_too_few_or_unordered_cycles_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 12"):
        find_growth([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="in order"):
        find_growth([0.0] * MIN_CYCLES, [1.0] * MIN_CYCLES)


def test_the_stated_error_is_small() -> None:
    assert FALSE_LEAK * 12 * 20 < 0.5  # resources of 20 soaks
