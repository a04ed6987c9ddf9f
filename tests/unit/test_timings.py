"""Percentiles of times: when they are told, what they are, whatever the file was cut into."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.drivers.k6.csv_points import PointSeries
from pipeline.drivers.k6.summarize import timings
from pipeline.judge.stats.summary import QUANTILES, min_values


def series(measured_ms: np.ndarray, first: int = 0) -> PointSeries:
    """Return points one second apart, from the first-th on."""
    times_us = 1_000_000 * np.arange(first, first + len(measured_ms))
    return PointSeries("x", {}, "200", "", True, times_us, measured_ms)  # noqa: FBT003 (a field)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_a_percentile_of_too_few_values_is_missing_and_not_a_guess(quantile: str) -> None:
    least = min_values(QUANTILES[quantile])
    names = [
        {reading.name for reading in timings("x", [series(np.arange(1.0, n + 1))])}
        for n in (least - 1, least)
    ]
    assert [f"x/{quantile}" in found for found in names] == [False, True]


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1e7), min_size=368, max_size=400))
def test_a_percentile_is_interpolated_between_the_two_values_beside_it(times: list[float]) -> None:
    found = {reading.name: reading.value for reading in timings("x", [series(np.array(times))])}
    ordered = sorted(times)
    for name, q in (("x/p50", 0.5), ("x/p90", 0.9), ("x/p95", 0.95), ("x/p99", 0.99)):
        below = math.floor(q * (len(ordered) - 1))
        share = q * (len(ordered) - 1) - below
        above = ordered[min(below + 1, len(ordered) - 1)]
        wanted = ordered[below] + share * (above - ordered[below])
        assert found[name] == pytest.approx(wanted / 1e3, rel=1e-9, abs=1e-12)


@given(st.lists(st.lists(st.floats(0, 1e7), min_size=1), min_size=1, max_size=5))
def test_how_the_file_was_cut_into_parts_makes_no_difference(parts: list[list[float]]) -> None:
    values = np.concatenate([np.array(part) for part in parts])
    ends = np.cumsum([len(part) for part in parts])
    cut_up = [
        series(values[end - len(part) : end], end - len(part))
        for part, end in zip(parts, ends, strict=True)
    ]
    assert list(timings("x", cut_up[::-1])) == list(timings("x", [series(values)]))
