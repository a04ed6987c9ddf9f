"""A quantile of a histogram is a guess within its bucket, and none beyond the last one."""

import pytest

from pipeline.judge.stats.summary import histogram_quantile


def test_without_a_value_there_is_no_quantile() -> None:
    assert histogram_quantile({}, 0.5) is None
    assert histogram_quantile({0.1: 0.0, float("inf"): 0.0}, 0.5) is None


def test_a_quantile_beyond_the_last_bound_is_refused() -> None:
    assert histogram_quantile({0.1: 90.0, 60.0: 98.0, float("inf"): 100.0}, 0.99) is None
    assert histogram_quantile({0.1: 90.0, 60.0: 99.5, float("inf"): 100.0}, 0.99) is not None


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_a_quantile_is_off_by_no_more_than_the_width(q: float) -> None:
    bounds = [0.1, 0.25, 0.5, 1.0, float("inf")]
    true = [i / 1000 for i in range(1, 1000)]
    at_most = {bound: float(sum(value <= bound for value in true)) for bound in bounds}

    seen = histogram_quantile(at_most, q)

    assert seen is not None
    assert abs(seen[0] - q) <= seen[1]
