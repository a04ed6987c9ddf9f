"""Corrections for many tests, against their definitions."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge.stats.multiple import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), max_size=7)


@given(P_VALUES)
def test_holm_is_closed_testing_with_bonferroni(p_values: list[float]) -> None:
    # A hypothesis is rejected when every intersection that holds it is.
    m = len(p_values)
    expected = [
        min(
            1.0,
            max(
                len(subset) * min(p_values[j] for j in subset)
                for size in range(1, m + 1)
                for subset in combinations(range(m), size)
                if i in subset
            ),
        )
        for i in range(m)
    ]
    assert holm(p_values) == pytest.approx(expected)


@given(P_VALUES)
def test_holm_keeps_the_order_and_never_lowers_a_p(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    by_p = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_benjamini_and_hochberg_is_that_of_scipy(p_values: list[float]) -> None:
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))


def test_of_no_tests_nothing_is_corrected() -> None:
    assert benjamini_hochberg([]) == holm([]) == []
