"""Decide the next step of a search for a commit, and what the evidence says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.judge import scale
from pipeline.judge.interim import alpha_shares
from pipeline.judge.stats.position import (
    ChangePosterior,
    MeasuredBuild,
    PairVariance,
    change_posterior,
    pooled_variance,
)
from pipeline.judge.stats.student import upper_tail
from pipeline.model.bisect import Bisection, CommitEvidence, CommitOutcome
from pipeline.model.metric import Better, Metric
from pipeline.model.report import Change

ENDS_ALPHA = 0.01
"""Probability to search although the ends are equal."""

POSITION_ALPHA = 0.04
"""Probability that the commit is another one.  Both together are the 5 % that a search may err."""

CAUSE_ALPHA = 0.01
"""Largest one-sided p value of the change between a commit and the one before it, by their own
pairs alone, times the number of commits it was chosen from.  A slow drift has a most probable
commit, too, and none that stands out."""

MAX_TRIED = 3.0
"""Number of commits with pairs, in steps of a binary search, after which the change is spread."""

ENDS_LOOKS = (3, 5, 8, 12)
"""Numbers of pairs at which the ends are compared; each look spends its share of `ENDS_ALPHA`."""

MIN_PAIRS = 2
"""Smallest number of pairs of a commit: one outlier must not decide."""

SIZE_PAIRS = 4
"""Smallest number of pairs of the commit that is found, and of the one before it: its size is what
people read."""

MAX_PAIRS = 12
"""Number of pairs after which an undecided commit is left, and another one is tried."""

MOST_PAIRS = 24
"""Largest number of pairs of one commit in a whole search."""

CONFIDENCE = 0.95
"""Two-sided confidence level of the intervals that are shown."""

MIN_SD_MARGINS = 0.1
"""Smallest standard deviation of a pair, in margins: counts hardly vary, and never by nothing."""

UNKNOWN_SD_MARGINS = 0.5
"""Guess of the standard deviation of a pair without earlier runs, in margins."""

_BUILD_PAIRS = 2.5  # pairs that a commit needs, for the choice of the next one


class BisectState(StrEnum):
    """The state of a search."""

    COMPARING_ENDS = "comparing ends"
    """It is not known yet whether the ends differ."""

    SAME_ENDS = "same ends"
    """The ends do not differ, so there is nothing to find."""

    SEARCHING = "searching"
    """More pairs would help."""

    FOUND = "found"
    """The commit is known."""

    SKIPPED = "skipped"
    """The cause is one of several commits that cannot be measured, or the next after them."""

    SPREAD = "spread"
    """Several commits changed the metric, and none stands out."""

    NOTHING_MORE = "nothing more"
    """No further cause is there."""

    UNDECIDED = "undecided"
    """Every commit has as many pairs as are allowed, and they do not decide."""


@dataclass(frozen=True, slots=True)
class BisectDecision:
    """The state of a search, and what to measure next.

    Attributes:
        state: State of the search.
        position: Position to measure next, or of the commit that was found; None if neither.
        low: Position after which the cause is, with high probability.
        high: Position up to which the cause is.
        probability: Probability that it is there.
    """

    state: BisectState
    position: int | None
    low: int
    high: int
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class SearchCosts:
    """Expected durations, in seconds.

    Attributes:
        pair_s: Duration of one pair.
        build_s: Duration of one build.
        built: Positions whose build is in the cache.
    """

    pair_s: float = 60.0
    build_s: float = 0.0
    built: frozenset[int] = frozenset()

    def commit_s(self, position: int) -> float:
        """Return the expected duration of a build and its pairs."""
        return _BUILD_PAIRS * self.pair_s + (0.0 if position in self.built else self.build_s)


@dataclass(frozen=True, slots=True)
class Level:
    """The worsening of one commit against the good end.

    Attributes:
        position: Position of the commit.
        change: Change with its interval.
        pairs: Number of pairs; 0 for a build that is the good end's.
    """

    position: int
    change: Change
    pairs: int


@dataclass(frozen=True, slots=True)
class CauseSize:
    """The size of the change at one commit.

    Attributes:
        change: Change from the commit before it.
        share: Share of the whole change, with its interval.
        rest: Change that other commits make.
        is_part: True if the rest is beyond chance.
    """

    change: Change
    share: Change
    rest: Change
    is_part: bool


def decide(bisection: Bisection, costs: SearchCosts | None = None) -> BisectDecision:
    """Return the state of a search, and what to measure next.

    The first evidence compares the ends.  After that a commit is measured until the probability
    that the cause is on its other side is small, and the next is the one with most information per
    second.  The error probability of a step is its share of `POSITION_ALPHA`.
    """
    last = bisection.last_position
    ends = _compare_ends(bisection)
    if ends is not BisectState.SEARCHING:
        position = last if ends is BisectState.COMPARING_ENDS else None
        return BisectDecision(ends, position, 0, last)
    posterior = posterior_of(bisection)
    low, high = posterior.gap(posterior.best)
    probability = posterior.shares[posterior.best]
    if bisection.found and posterior.none >= 1 - POSITION_ALPHA:
        return BisectDecision(BisectState.NOTHING_MORE, None, 0, last, posterior.none)
    current = _unfinished(bisection, posterior)
    if current is not None:
        return BisectDecision(BisectState.SEARCHING, current, low, high, probability)
    if probability >= 1 - POSITION_ALPHA:
        if high - low == 1:
            return _confirm(bisection, high, probability)
        if set(bisection.skipped).issuperset(range(low + 1, high)):
            return BisectDecision(BisectState.SKIPPED, None, low, high, probability)
    return _next_commit(bisection, posterior, costs or SearchCosts())


def posterior_of(bisection: Bisection) -> ChangePosterior:
    """Return where the largest change is that was not found yet, by the evidence."""
    builds = _builds(bisection)
    largest = max(abs(builds[-1].mean), scale.margin(bisection.metric))
    known = [bisection.position_of(one.commit) for one in bisection.found]
    return change_posterior(builds, _prior(bisection), largest, known)


def first_variance(metric: Metric, earlier: float | None) -> float:
    """Return the variance of a pair before anything is measured, on the test scale.

    Args:
        metric: Metric that is searched.
        earlier: Variance in earlier runs; None if unknown.
    """
    margin = scale.margin(metric)
    least = (MIN_SD_MARGINS * margin) ** 2
    return max(least, (UNKNOWN_SD_MARGINS * margin) ** 2 if earlier is None else earlier)


def variance_of(bisection: Bisection) -> PairVariance:
    """Return the variance of a pair by all evidence and earlier runs."""
    pooled = pooled_variance(_builds(bisection), _prior(bisection))
    least = (MIN_SD_MARGINS * scale.margin(bisection.metric)) ** 2
    return PairVariance(max(least, pooled.variance), pooled.degrees_of_freedom)


def levels(bisection: Bisection) -> tuple[Level, ...]:
    """Return the change of each commit with evidence, by position."""
    variance = variance_of(bisection)
    shown = []
    for build in _builds(bisection):
        pairs = len(build.differences)
        is_good = build.is_copy and not any(build.differences)
        half = 0.0 if is_good else variance.half_width(pairs, CONFIDENCE)
        change = _change(bisection.metric, build.mean, half)
        shown.append(Level(build.position, change, 0 if build.is_copy else pairs))
    return tuple(shown)


def covers(bisection: Bisection, now: Change | None) -> bool:
    """Return whether the change of both ends is that of a search, as far as intervals tell.

    It is another change in the other direction, or where it is larger and the intervals do not
    overlap.

    Args:
        bisection: Search that measured its ends.
        now: Change that was measured later; None for one of unknown size.
    """
    if now is None:
        return True
    metric, searched = bisection.metric, levels(bisection)[-1].change
    side = math.copysign(1.0, scale.worse(metric, searched.estimate))
    nearest, farthest = (
        choose(side * scale.worse(metric, end) for end in (one.low, one.high))
        for choose, one in ((min, now), (max, searched))
    )
    return side * scale.worse(metric, now.estimate) > 0 and nearest <= farthest


def size_of(bisection: Bisection, position: int) -> CauseSize:
    """Return the size of the change at a position, by the pairs of its commit and the one before.

    Source:
        The interval of the share is by the delta method: Casella and Berger, Statistical Inference,
        2nd ed., section 5.5.4.
    """
    builds = {build.position: build for build in _builds(bisection)}
    total, after = builds[bisection.last_position], builds[position]
    before = builds.get(position - 1)
    own = 1 / len(after.differences) + (1 / len(before.differences) if before else 0.0)
    ends = 1 / len(total.differences)
    shared = ends if after is total else 0.0
    step, whole = after.mean - (before.mean if before else 0.0), total.mean
    share, rest = step / whole, whole - step
    variance = variance_of(bisection)
    half = variance.half_width(1, CONFIDENCE)
    half_share = half * math.sqrt(own + share**2 * ends - 2 * share * shared) / abs(whole)
    half_rest = half * math.sqrt(own + ends - 2 * shared)
    return CauseSize(
        _change(bisection.metric, step, half * math.sqrt(own)),
        Change(share - half_share, share, share + half_share),
        _change(bisection.metric, rest, half_rest),
        is_part=rest * math.copysign(1.0, whole) > half_rest,
    )


def _compare_ends(bisection: Bisection) -> BisectState:
    """Return whether the ends differ, by the looks until now.

    They are called equal if a look shows that they differ by less than the margin, or at the last.
    """
    evidence = bisection.evidence_at(bisection.last_position)
    values = evidence.differences if evidence else ()
    prior = _prior(bisection)
    least = (MIN_SD_MARGINS * scale.margin(bisection.metric)) ** 2
    for look, share in zip(ENDS_LOOKS, alpha_shares(len(ENDS_LOOKS)), strict=True):
        if len(values) < look:
            return BisectState.COMPARING_ENDS
        build = MeasuredBuild(bisection.last_position, values[:look])
        pooled = pooled_variance([build], prior)
        variance = PairVariance(max(least, pooled.variance), pooled.degrees_of_freedom)
        error = variance.standard_error(look)
        p = 2 * upper_tail(abs(build.mean) / error, variance.degrees_of_freedom)
        if p < share * ENDS_ALPHA:
            return BisectState.SEARCHING
        if abs(build.mean) + variance.half_width(look, CONFIDENCE) < scale.margin(bisection.metric):
            return BisectState.SAME_ENDS
    return BisectState.SAME_ENDS


def _confirm(bisection: Bisection, position: int, probability: float) -> BisectDecision:
    """Return the decision on a commit that probably is the cause."""
    low = position - 1
    fewest, pairs = _least_measured(bisection, (low, position))
    is_clear = pairs >= SIZE_PAIRS and _stands_out(bisection, position)
    if is_clear or (fewest is None and _stands_out(bisection, position)):
        return BisectDecision(BisectState.FOUND, position, low, position, probability)
    if fewest is None:
        return BisectDecision(BisectState.SPREAD, None, 0, bisection.last_position)
    return BisectDecision(BisectState.SEARCHING, fewest, low, position, probability)


def _stands_out(bisection: Bisection, position: int) -> bool:
    """Return whether a commit differs from the one before it beyond chance, by their own pairs."""
    builds = {build.position: build for build in _builds(bisection)}
    after, before = builds[position], builds.get(position - 1)
    parts = 1 / len(after.differences) + (1 / len(before.differences) if before else 0.0)
    variance = variance_of(bisection)
    step = math.copysign(1.0, builds[bisection.last_position].mean) * (
        after.mean - (before.mean if before else 0.0)
    )
    t = step / math.sqrt(variance.variance * parts)
    p = upper_tail(t, variance.degrees_of_freedom)
    return p * bisection.last_position < CAUSE_ALPHA


def _next_commit(
    bisection: Bisection, posterior: ChangePosterior, costs: SearchCosts
) -> BisectDecision:
    """Return the decision for the most informative commit; none if the change is too spread."""
    if len(bisection.measured) > MAX_TRIED * _steps(bisection):
        return BisectDecision(BisectState.SPREAD, None, 0, bisection.last_position)
    position = _most_informative(bisection, posterior, costs)
    state = BisectState.UNDECIDED if position is None else BisectState.SEARCHING
    return BisectDecision(state, position, *_credible_range(posterior))


def _least_measured(bisection: Bisection, positions: Sequence[int]) -> tuple[int | None, float]:
    """Return the position with the fewest pairs, and their number.

    None and infinity if no position can have more.
    """
    pairs = {
        position: len(evidence.differences)
        for position in positions
        if position
        and (evidence := bisection.evidence_at(position))
        and evidence.outcome is CommitOutcome.MEASURED
        and len(evidence.differences) < MOST_PAIRS
    }
    fewest = min(pairs, key=lambda position: pairs[position], default=None)
    return fewest, math.inf if fewest is None else pairs[fewest]


def _unfinished(bisection: Bisection, posterior: ChangePosterior) -> int | None:
    """Return the position that was measured last, if it needs more pairs before another one."""
    last = bisection.evidence[-1]
    if last.outcome is not CommitOutcome.MEASURED or len(bisection.evidence) == 1:
        return None
    position, pairs = bisection.position_of(last.commit), len(last.differences)
    if pairs < MIN_PAIRS:
        return position
    side = posterior.before(position)
    other = min(side, 1 - posterior.none - side)
    return position if other > _step_alpha(bisection) and pairs < MAX_PAIRS else None


def _step_alpha(bisection: Bisection) -> float:
    """Return the share of the error probability that one step may leave on its other side."""
    return POSITION_ALPHA / _steps(bisection)


def _steps(bisection: Bisection) -> int:
    """Return the number of commits that a search without noise measures, both ends included."""
    return math.ceil(math.log2(max(2, bisection.last_position))) + 1


def _most_informative(
    bisection: Bisection, posterior: ChangePosterior, costs: SearchCosts
) -> int | None:
    """Return the position with most expected information per second; None if none is left.

    A commit near one that could not be built will often not build either.
    """
    skipped, best, most = bisection.skipped, None, 0.0
    rest = 1 - posterior.none
    for position in range(1, bisection.last_position + 1):
        evidence = bisection.evidence_at(position)
        if evidence and (
            evidence.outcome is not CommitOutcome.MEASURED
            or len(evidence.differences) >= MOST_PAIRS
        ):
            continue
        nearest = min((abs(position - other) for other in skipped), default=math.inf)
        chance = 1 - 0.5**nearest
        information = _entropy(posterior.before(position) / rest if rest > 0 else 0.0)
        value = chance * information / costs.commit_s(position)
        if value > most * (1 + 1e-9):
            best, most = position, value
    return best


def _entropy(probability: float) -> float:
    """Return the entropy of a yes-or-no question, in bits."""
    if not 0 < probability < 1:
        return 0.0
    other = 1 - probability
    return -probability * math.log2(probability) - other * math.log2(other)


def _credible_range(posterior: ChangePosterior) -> tuple[int, int, float]:
    """Return (low, high, probability) of the smallest range that has the cause with high chance."""
    ends, shares = posterior.ends, posterior.shares
    wanted = (1 - POSITION_ALPHA) * (1 - posterior.none)
    ranges = [
        (ends[last + 1] - ends[first], -total, ends[first], ends[last + 1])
        for first in range(len(shares))
        for last in range(first, len(shares))
        if (total := math.fsum(shares[first : last + 1])) >= wanted
    ]
    _, total, low, high = min(ranges)
    return low, high, -total


def _builds(bisection: Bisection) -> list[MeasuredBuild]:
    """Return the builds with differences, by position; equal builds share theirs."""
    by_commit = {one.commit: one for one in bisection.evidence}
    builds = []
    for one in bisection.evidence:
        differences, is_copy = _differences(one, by_commit.get(one.same_as or 0)), False
        if one.outcome is CommitOutcome.SAME_BUILD:
            is_copy = True
        if differences:
            builds.append(
                MeasuredBuild(bisection.position_of(one.commit), differences, is_copy=is_copy)
            )
    return sorted(builds, key=lambda build: build.position)


def _differences(one: CommitEvidence, same: CommitEvidence | None) -> tuple[float, ...]:
    if one.outcome is not CommitOutcome.SAME_BUILD:
        return one.differences
    return same.differences if same and one.same_as else (0.0,) * MIN_PAIRS


def _prior(bisection: Bisection) -> PairVariance:
    return PairVariance(bisection.prior_variance, bisection.prior_freedom)


def _change(metric: Metric, worse: float, half: float) -> Change:
    """Return a worsening and half of its interval as a change of the metric."""
    ends = [scale.change(metric, worse + by * half) for by in (-1, 0, 1)]
    low, middle, high = ends if metric.better is Better.LOWER else reversed(ends)
    return Change(low, middle, high)
