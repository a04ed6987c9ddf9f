"""Pairs that are added to a run that has ended: which, and what they may decide."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import constants, policy
from pipeline.judge.constants import FAMILY_ALPHA, PASS_ALPHA
from pipeline.judge.interim import looks_up_to, rule_for
from pipeline.judge.policy import with_more_pairs
from pipeline.judge.stats.student import quantile
from pipeline.model.report import Rule, Verdict
from pipeline.model.results import ResultSet
from pipeline.system.errors import ConfigError
from tests.builders import LATENCY, results

WAVE = (0.8, 1.25, 0.9, 1.2, 0.85, 1.1, 0.95, 1.3)


def noisy(valid: int, looks: tuple[int, ...] = (), asked: int | None = None) -> ResultSet:
    """Return a run that is inconclusive after so many valid pairs."""
    after = [WAVE[pair % len(WAVE)] for pair in range(valid)]
    run = results((LATENCY, [1.0] * valid, after), pairs_asked=asked or looks[-1])
    return replace(run, looks=looks)


def worse(valid: int, looks: tuple[int, ...]) -> ResultSet:
    """Return a run of a clear regression."""
    after = [1.5 + pair / 1000 for pair in range(valid)]
    run = results((LATENCY, [1.0] * valid, after), pairs_asked=looks[-1])
    return replace(run, looks=looks)


@pytest.mark.parametrize(
    ("run", "more", "is_over", "looks", "added", "until"),
    [
        pytest.param(noisy(8, (3, 5, 8)), 4, False, (3, 5, 8, 12), 1, 12, id="after its looks"),
        pytest.param(noisy(5, asked=5), 4, False, (5, 9), 1, 9, id="after a fixed number"),
        pytest.param(noisy(5, (3, 5, 8)), 2, True, (3, 5, 8), 0, 8, id="to the next look"),
        pytest.param(noisy(5, (3, 5, 8)), 5, True, (3, 5, 8, 10), 1, 10, id="beyond the last"),
        pytest.param(noisy(6, (3, 5, 8)), 2, True, (3, 5, 6, 8), 1, 8, id="judged between looks"),
        pytest.param(noisy(4, (3, 5, 8)), 2, True, (3, 4, 8), 0, 8, id="the next look is spent"),
        pytest.param(noisy(6, (3, 5, 8)), 2, False, (3, 5, 8), 0, 8, id="interrupted"),
        pytest.param(noisy(4, asked=8), 2, True, (4, 6), 1, 6, id="a fixed number cut short"),
        pytest.param(noisy(4, asked=8), 6, False, (8, 10), 1, 10, id="interrupted, then more"),
    ],
)
def test_planned_looks_stay_and_pairs_beyond_them_are_looked_at_where_they_end(
    run: ResultSet, more: int, looks: tuple[int, ...], added: int, until: int, *, is_over: bool
) -> None:
    longer, end = with_more_pairs(run, more, is_over=is_over)
    assert (longer.looks, longer.added, end) == (looks, added, until)
    assert longer.pairs_asked == (looks[-1] if looks else run.pairs_asked)
    assert not policy.is_enough(longer)
    assert longer.samples == run.samples


@given(
    most=st.integers(2, 30),
    is_fixed=st.booleans(),
    more=st.lists(st.integers(1, 40), max_size=8),
)
def test_all_looks_together_spend_what_there_is_however_many_are_added(
    most: int, more: list[int], *, is_fixed: bool
) -> None:
    looks = () if is_fixed else looks_up_to(most)
    run = replace(noisy(2, asked=most), looks=looks)
    planned = {look: rule_for(run, look) for look in looks or (most,)}
    for extra in more:
        total = run.pairs_asked + extra
        looks = (*(run.looks or (run.pairs_asked,)), total)
        run = replace(run, looks=looks, pairs_asked=total, added=run.added + 1)
    rules = [rule_for(run, look) for look in run.looks or (most,)]
    assert sum(rule.alpha for rule in rules) <= FAMILY_ALPHA + 1e-12
    assert sum(rule.pass_alpha for rule in rules) <= PASS_ALPHA + 1e-12
    assert min(rule.alpha for rule in rules) > 0
    assert {look: rule_for(run, look) for look in planned} == planned


@pytest.mark.parametrize("looks", [(3, 5, 8), (3, 5, 8, 12)])
def test_more_pairs_are_refused_where_everything_is_settled(looks: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="after 8 pairs every gating metric is settled"):
        with_more_pairs(worse(8, looks), 4, is_over=False)


def test_a_regression_that_was_found_stays() -> None:
    other = replace(LATENCY, name="other")
    red = [1.5, 1.501, 1.502, *WAVE[:5]]
    run = results(
        (LATENCY, [1.0] * 8, red), (other, [1.0] * 8, list(WAVE)), pairs_asked=8, specs=("a", "b")
    )
    run = replace(run, looks=(3, 5, 8), stops_at_red=True)
    assert policy.report(run).verdict is Verdict.REGRESSED
    longer, _ = with_more_pairs(run, 4, is_over=False)
    assert not policy.is_enough(longer)
    found = policy.report(longer)
    assert found.verdict is Verdict.REGRESSED
    assert found.findings[0].kept is not None


def test_the_number_of_pairs_that_would_settle_it_counts_with_what_they_may_decide() -> None:
    quieter = [1.0 + (value - 1.0) / 4 for value in WAVE]
    run = results((LATENCY, [1.0] * 8, quieter))
    needed: list[int] = []
    for looks in ((3, 5, 8, 200), (3, 5, 8)):
        report = policy.report(replace(run, looks=looks, pairs_asked=looks[-1]))
        (advice,) = (finding.advice for finding in report.findings)
        assert advice is not None
        needed.append(advice.more_pairs or 0)
    planned, ended = needed
    assert 0 < planned < ended


@pytest.mark.parametrize("planned", [(5,), (3, 5, 8)])
@pytest.mark.parametrize("chooses", ["as many again", "what makes a red most likely"])
def test_equal_builds_are_seldom_red_also_where_pairs_are_added(
    planned: tuple[int, ...], chooses: str
) -> None:
    random, runs, most, first = np.random.default_rng(11), 20_000, 60, planned[-1]
    run = noisy(2, planned[:-1] and planned, first)
    longer = replace(run, looks=(*planned, most), pairs_asked=most, added=1)
    values = random.normal(0, 1, (runs, most))
    pairs = np.arange(1, most + 1)
    mean = np.cumsum(values, axis=1) / pairs
    squares = np.cumsum(values**2, axis=1) - pairs * mean**2
    t = mean * np.sqrt(pairs * np.maximum(pairs - 1, 1) / np.maximum(squares, 1e-300))

    def critical(rule: Rule, at: int) -> float:
        return quantile(1 - rule.alpha / rule.min_family_size, at - 1)

    red = np.zeros(runs, dtype=bool)
    for look in planned:
        red |= t[:, look - 1] > critical(rule_for(longer, look), look)
    bounds = np.array([np.inf, *(critical(rule_for(longer, most), at) for at in pairs[1:])])
    end = np.full(runs, 2 * first)
    if chooses != "as many again":  # the worst that Proschan and Hunsberger (1995) allow for
        bound = bounds[2 * first - 1]
        now = np.clip(t[:, first - 1], 0.1, bound - 0.1)
        end = np.clip(np.ceil(first * bound**2 / now**2), first + 1, most).astype(int)
    red |= t[np.arange(runs), end - 1] > bounds[end - 1]
    stated = FAMILY_ALPHA / constants.MIN_FAMILY_SIZE
    assert red.mean() <= stated + 3 * (stated / runs) ** 0.5
