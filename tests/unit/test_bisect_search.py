"""The search for a commit on a simulated judge: what it finds, how often it errs, what it costs."""

import itertools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.benchmarks.bisect import spread_ratios
from pipeline.judge import bisect as judge
from pipeline.judge import scale
from pipeline.judge.bisect import BisectState, SearchCosts
from pipeline.judge.stats.position import (
    MeasuredBuild,
    PairVariance,
    change_posterior,
    pooled_variance,
)
from pipeline.model.bisect import CommitEvidence, CommitOutcome
from tests.bisections import SimulatedJudge, bisection, step_at
from tests.builders import COUNT, LATENCY, THROUGHPUT

RATIOS = spread_ratios()


@pytest.mark.parametrize("commits", [16, 64])
def test_of_40_searches_with_the_noise_of_this_machine_at_most_2_are_wrong(commits: int) -> None:
    """Changes are of 2 to 4 margins, and half of the noise has heavy tails."""
    draws, wrong, undecided = random.Random(commits), 0, 0
    for number in range(40):
        cause, ratio = draws.randint(1, commits), draws.choice(RATIOS)
        simulated = SimulatedJudge(
            step_at(cause, draws.uniform(2.0, 4.0)),
            ratio,
            seed=number,
            freedom=math.inf if number % 2 else 5.0,
        )
        _, decision = simulated.search(bisection(commits, sd_margins=max(ratio, 0.05)))
        wrong += decision.state is BisectState.FOUND and decision.high != cause
        undecided += decision.state is not BisectState.FOUND
    assert wrong <= 2
    assert undecided <= 2


def test_64_commits_and_three_margins_cost_8_commits_and_3_5_pairs_each() -> None:
    draws = random.Random(3)
    for number in range(24):
        ratio = draws.choice(RATIOS)
        simulated = SimulatedJudge(step_at(draws.randint(1, 64)), ratio, seed=number)
        found, decision = simulated.search(bisection(64, sd_margins=max(ratio, 0.05)))
        assert decision.state is BisectState.FOUND
        assert len(found.measured) <= 8
        assert found.pairs / len(found.measured) <= 3.5


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40),
    st.data(),
    st.sampled_from([LATENCY, THROUGHPUT, COUNT]),
    st.sampled_from([1.0, -1.0]),
)
def test_without_noise_the_cause_is_found_in_the_fewest_steps(
    commits: int, data: st.DataObject, metric: object, sign: float
) -> None:
    cause = data.draw(st.integers(1, commits))
    simulated = SimulatedJudge(step_at(cause, 3.0 * sign), 0.0)
    found, decision = simulated.search(bisection(commits, metric))  # type: ignore[arg-type]
    assert (decision.state, decision.high) == (BisectState.FOUND, cause)
    assert len(found.measured) <= math.ceil(math.log2(commits)) + 1 if commits > 1 else True
    size = judge.size_of(found, cause)
    assert size.share.estimate == pytest.approx(1.0)
    assert not size.is_part
    assert judge.decide(found, None).high == judge.decide(found, SearchCosts(1.0)).high


def test_equal_ends_are_refused_and_never_searched() -> None:
    searched = 0
    for number in range(60):
        found, decision = SimulatedJudge(lambda _: 0.0, 0.4, number).search(bisection(16))
        searched += decision.state is not BisectState.SAME_ENDS
        assert len(found.evidence[0].differences) in judge.ENDS_LOOKS
    assert searched <= 2


def test_the_cause_between_skipped_commits_is_a_range() -> None:
    simulated = SimulatedJudge(step_at(9), skipped=frozenset({7, 8, 9}))
    found, decision = simulated.search(bisection(16))
    assert (decision.state, decision.low, decision.high) == (BisectState.SKIPPED, 6, 10)
    assert len(found.measured) <= 6
    assert set(found.skipped) <= {7, 8, 9}


def test_skipped_commits_elsewhere_do_not_hide_the_cause() -> None:
    simulated = SimulatedJudge(step_at(3), skipped=frozenset(range(6, 14)))
    _, decision = simulated.search(bisection(16))
    assert (decision.state, decision.high) == (BisectState.FOUND, 3)


def test_the_largest_of_two_causes_is_found_and_then_the_rest() -> None:
    def level(at: int) -> float:
        return (4.0 if at >= 5 else 0.0) + (2.0 if at >= 12 else 0.0)

    simulated = SimulatedJudge(level, 0.3, seed=2)
    found, decision = simulated.search(bisection(16, sd_margins=0.3))
    assert decision.high == 5
    size = judge.size_of(found, 5)
    assert size.is_part
    assert size.share.low < 4 / 6 < size.share.high
    margin = scale.margin(LATENCY)
    assert size.rest.estimate == pytest.approx(math.expm1(2 * margin), abs=margin / 2)
    more, second = simulated.search(replace(found, wanted=2, is_finished=False))
    assert (second.state, second.high) == (BisectState.FOUND, 12)
    assert [more.position_of(one.commit) for one in more.found] == [5, 12]
    _, third = simulated.search(replace(more, wanted=3, is_finished=False))
    assert third.state is BisectState.NOTHING_MORE


def test_a_single_cause_has_no_rest() -> None:
    simulated = SimulatedJudge(step_at(6), 0.4, seed=4)
    found, _ = simulated.search(bisection(16))
    assert not judge.size_of(found, 6).is_part
    _, decision = simulated.search(replace(found, wanted=2, is_finished=False))
    assert decision.state is BisectState.NOTHING_MORE


def test_a_drift_blames_no_commit() -> None:
    for seed in range(2):
        simulated = SimulatedJudge(lambda at: 4.0 * at / 64, 0.3, seed, most=400)
        _, decision = simulated.search(bisection(64, sd_margins=0.3))
        assert decision.state is BisectState.SPREAD


def test_one_outlier_decides_nothing() -> None:
    start = bisection(16)
    margin = scale.margin(LATENCY)
    bad = CommitEvidence(16, CommitOutcome.MEASURED, (3 * margin,) * 3)
    middle = CommitEvidence(8, CommitOutcome.MEASURED, (3 * margin,))
    decision = judge.decide(start.with_evidence(bad).with_evidence(middle))
    assert (decision.state, decision.position) == (BisectState.SEARCHING, 8)


def test_a_commit_whose_build_is_dear_is_measured_later() -> None:
    start = bisection(16)
    bad = CommitEvidence(16, CommitOutcome.MEASURED, (3 * scale.margin(LATENCY),) * 3)
    start = start.with_evidence(bad)
    assert judge.decide(start, SearchCosts(60.0, 600.0)).position == 8
    assert judge.decide(start, SearchCosts(60.0, 600.0, frozenset({5, 14}))).position == 5


# The posterior


positions = st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True)


@pytest.mark.parametrize("unit", [0.05, 0.1, 0.5, 2.0, 10.0])
def test_two_changes_of_one_size_do_not_depend_on_the_unit(unit: float) -> None:
    shares = [
        change_posterior(
            [MeasuredBuild(at, (at * one,)) for at in (1, 2)], PairVariance(one**2, 4.0), 3.0 * one
        ).shares
        for one in (unit, 1.0)
    ]
    assert shares[0] == pytest.approx(shares[1], abs=1e-6)


@given(positions, st.data(), st.floats(0.1, 10.0))
def test_shares_are_probabilities_and_do_not_depend_on_the_unit(
    at: list[int], data: st.DataObject, unit: float
) -> None:
    values = st.lists(st.floats(-5, 5), min_size=1, max_size=4)
    builds = [MeasuredBuild(one, tuple(data.draw(values))) for one in sorted(at)]
    scaled = [
        MeasuredBuild(one.position, tuple(unit * value for value in one.differences))
        for one in builds
    ]
    prior, other = PairVariance(1.0, 4.0), PairVariance(unit**2, 4.0)
    posterior = change_posterior(builds, prior, 3.0)
    assert math.fsum(posterior.shares) + posterior.none == pytest.approx(1.0)
    assert change_posterior(scaled, other, 3.0 * unit).shares == pytest.approx(
        posterior.shares, abs=1e-6
    )
    beliefs = [posterior.before(position) for position in range(builds[-1].position + 1)]
    assert all(one <= other + 1e-12 for one, other in itertools.pairwise(beliefs))


def test_with_one_measured_build_every_position_is_equally_probable() -> None:
    posterior = change_posterior([MeasuredBuild(10, (3.0, 3.1))], PairVariance(0.1, 4.0), 3.0)
    assert posterior.shares == (1.0,)
    assert posterior.before(3) == pytest.approx(0.3)


def test_a_variance_is_pooled_with_its_prior_and_copies_say_nothing_of_it() -> None:
    builds = [MeasuredBuild(1, (1.0, 3.0)), MeasuredBuild(2, (0.0, 0.0), is_copy=True)]
    assert pooled_variance(builds, PairVariance(4.0, 1.0)) == PairVariance(3.0, 2.0)
