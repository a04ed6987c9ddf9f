"""When a run has all the pairs it needs, and what is said of one that ended before."""

from dataclasses import replace

import pytest

from pipeline.judge import policy
from pipeline.model.results import ResultSet
from tests.builders import LATENCY, results
from tests.unit.test_policy import NOISY, ROW, SAME, STEADY


@pytest.mark.parametrize(
    ("after", "said"),
    [
        pytest.param(SAME, "", id="settled"),
        pytest.param(NOISY, "the run ended at 5 of up to 8 valid pairs", id="stopped"),
    ],
)
def test_a_run_that_ended_before_it_was_settled_says_so(after: list[float], said: str) -> None:
    run = replace(results((LATENCY, STEADY, after), pairs_asked=8), looks=(3, 5, 8))
    assert said in " ".join(policy.report(run).warning_texts)


@pytest.mark.parametrize(
    ("run", "looks", "enough"),
    [
        pytest.param(results(ROW), (), True, id="as many as asked"),
        pytest.param(results(ROW, pairs_asked=6), (), False, id="one is missing"),
        pytest.param(results(ROW, pairs_asked=8), (3, 5, 8), True, id="settled at a look"),
        pytest.param(results(ROW, pairs_asked=8), (3, 8), False, id="between two looks"),
        pytest.param(
            results((LATENCY, STEADY, NOISY), pairs_asked=8), (3, 5, 8), False, id="not settled"
        ),
        pytest.param(
            results(ROW, (replace(LATENCY, name="lost"), STEADY, None), pairs_asked=8),
            (3, 5, 8),
            True,
            id="more pairs would not bring a lost metric back",
        ),
    ],
)
def test_a_run_has_enough_pairs(run: ResultSet, looks: tuple[int, ...], *, enough: bool) -> None:
    assert policy.is_enough(replace(run, looks=looks)) is enough
