"""Decide the next step of a search for capacity.  Pure: measured steps in, next action out.

N doubles, in one launch, until a limit breaks.  Then each step has its own launch and halves the
gap between held and broken, on a logarithmic scale, down to the requested resolution.  Finally both
sides of the edge are measured again; a step that would leave no time for that is not taken.  If
they contradict themselves, the interval widens to what always held and always broke.

The measured steps are the only state, so an interrupted search continues from its file.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

from pipeline.judge.forecast import BELIEVED_RATIO, MIN_SIZES
from pipeline.model.capacity import (
    Capacity,
    CapacityAnswer,
    CapacityQuestion,
    CapacityStep,
    SearchEnd,
    StepOutcome,
)

MAX_INVALID = 2
"""How often one N may be invalid before the search gives up."""

STEP_OVERHEAD_S = 8.0
"""Minimum seconds of a step beside its hold that do not grow with N: start and warm-up of k6, and
the poll that finds the build settled.  Used only to predict whether a step fits the budget."""

ALIVE = "alive"
"""What breaks when a build fails altogether."""


@dataclass(frozen=True, slots=True)
class MeasureStep:
    """Measure this N, in its own launch or in the current one, which only grows."""

    n: int
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class StopSearch:
    """End the search, for a reason that is also given in words."""

    reason: SearchEnd
    text: str


def next_action(
    question: CapacityQuestion,
    steps: Sequence[CapacityStep],
    *,
    left_s: float,
    max_n: int | None = None,
) -> MeasureStep | StopSearch:
    """Return what to do next.

    Args:
        question: Question of the search.
        steps: All measured steps, in that order.
        left_s: Remaining seconds of the budget.
        max_n: Largest N that fits the machine; None if unknown.
    """
    action = _next_step(question, steps, max_n)
    if isinstance(action, StopSearch):
        return action
    action = _repeat_in_time(question, steps, action, left_s)
    if isinstance(action, StopSearch):
        return action
    if left_s <= 0:
        return StopSearch(SearchEnd.BUDGET, f"the budget of {question.budget_s:g} s is over")
    if steps and (needed_s := expected_s(question, steps, action)) > left_s:
        return StopSearch(
            SearchEnd.BUDGET,
            f"the next step, N = {action.n}, would take about {needed_s:.0f} s,"
            f" and {left_s:.0f} s of the budget are left",
        )
    return action


def find_edge(steps: Sequence[CapacityStep]) -> CapacityAnswer:
    """Return the edge that the steps show; without steps, from 0 to unknown."""
    counts = _counts(steps)
    held = {n for n, (holds, _) in counts.items() if holds}
    broke = {n for n, (_, breaks) in counts.items() if breaks}
    low = max((n for n in held if n < min(broke, default=math.inf)), default=0)
    high = min((n for n in broke if n > max(held, default=0)), default=None)
    return CapacityAnswer(
        held=low,
        broke=high,
        first=_first_broken(steps, min(broke, default=None)),
        disagreed=tuple(sorted(n for n in counts if low < n < (high or math.inf))),
    )


def add_step(capacity: Capacity, step: CapacityStep) -> Capacity:
    """Return the capacity with one more step."""
    steps = (*capacity.steps, step)
    return replace(capacity, steps=steps, answer=find_edge(steps))


def steps_to_resume(steps: Sequence[CapacityStep]) -> tuple[CapacityStep, ...]:
    """Return the steps without invalid ones at the end, so that a resumed search tries again."""
    invalid = takewhile(lambda step: step.outcome is StepOutcome.INVALID, reversed(steps))
    return tuple(steps[: len(steps) - len(list(invalid))])


def broken_limits(question: CapacityQuestion, values: dict[str, float]) -> tuple[str, ...]:
    """Return the quantities at or above their limit, the farthest first."""
    shares = {
        limit.quantity: values[limit.quantity] / limit.below
        for limit in question.limits
        if limit.quantity in values
    }
    return tuple(sorted((q for q in shares if shares[q] >= 1), key=lambda q: -shares[q]))


def missing_quantities(question: CapacityQuestion, values: dict[str, float]) -> tuple[str, ...]:
    """Return the limited quantities without a value."""
    return tuple(limit.quantity for limit in question.limits if limit.quantity not in values)


def expected_s(
    question: CapacityQuestion, steps: Sequence[CapacityStep], action: MeasureStep
) -> float:
    """Return the expected seconds of a step, from at least one step before it.

    In one launch, the second step adds as much as the first and needs no start.  Each later one
    adds twice as much as the one before, so everything but the hold and `STEP_OVERHEAD_S` may
    double.  A step in its own launch takes as long as the steps of one launch up to the same N, or
    in proportion.
    """
    if not action.is_fresh:
        last_s = steps[-1].duration_s
        fixed_s = question.hold_s + STEP_OVERHEAD_S
        return last_s if len(steps) == 1 else max(last_s, 2 * last_s - fixed_s)
    launches = Counter(step.launch for step in steps)
    alone = [s for s in steps if s.launch != steps[0].launch and launches[s.launch] == 1]
    own_launches = [step.duration_s * max(1.0, action.n / step.n) for step in alone]
    if own_launches:
        return max(own_launches)
    first_launch = [step for step in steps if step.launch == steps[0].launch]
    top = max(step.n for step in first_launch)
    return sum(step.duration_s for step in first_launch) * min(1.0, action.n / top)


def largest_needed(forecast: int) -> int:
    """Return the largest N that must be measured for a forecast: at least one of enough sizes."""
    return max(math.ceil(forecast / BELIEVED_RATIO), 1 << (MIN_SIZES - 1))


def largest_start(forecast: int) -> int:
    """Return the largest first N from which doubling measures enough sizes for a forecast."""
    return largest_needed(forecast) >> (MIN_SIZES - 1)


def largest_feasible(steps: Sequence[CapacityStep], headroom: dict[str, float]) -> int | None:
    """Return the largest N that fits the machine if the current launch grows linearly.

    None if the steps give no growth.

    Args:
        steps: Measured steps; the last two of one launch give the growth per N.
        headroom: How far each quantity can grow from the last step on, in its base unit.
    """
    largest: list[float] = []
    for before, last in list(pairwise(steps))[-1:]:
        if before.launch != last.launch or last.n <= before.n:
            continue
        for quantity, more in headroom.items():
            if quantity in before.values and quantity in last.values:
                growth = last.values[quantity] - before.values[quantity]
                if growth > 0:
                    largest.append(last.n + max(0.0, more) * (last.n - before.n) / growth)
    return math.floor(min(largest)) if largest else None


def _next_step(
    question: CapacityQuestion, steps: Sequence[CapacityStep], max_n: int | None
) -> MeasureStep | StopSearch:
    counts = _counts(steps)
    if steps and steps[-1].outcome is StepOutcome.INVALID:
        return _repeat_invalid(steps)
    if not counts:
        return MeasureStep(question.start, is_fresh=True)
    edge = find_edge(steps)
    if edge.broke is None and question.forecast and not question.limits:
        return _measure_for_forecast(question, counts, max_n)
    if edge.broke is None:
        return _grow(question, max(counts), max_n)
    return _narrow(question, counts, edge.held, edge.broke)


def _repeat_in_time(
    question: CapacityQuestion, steps: Sequence[CapacityStep], action: MeasureStep, left_s: float
) -> MeasureStep | StopSearch:
    """Return the repetition of a side instead of a step that would leave no time for it.

    A wider interval whose sides were both measured twice says more than a narrower one that one
    launch decided.
    """
    edge = find_edge(steps)
    if edge.broke is None or not edge.held < action.n < edge.broke:
        return action
    counts = _counts(steps)
    to_repeat = [
        MeasureStep(side, is_fresh=True)
        for side in (edge.held, edge.broke)
        if side and sum(counts[side]) < question.repeats
    ]
    needed_s = sum(expected_s(question, steps, one) for one in (action, *to_repeat))
    if needed_s <= left_s:
        return action
    if to_repeat:
        return to_repeat[0]
    return StopSearch(
        SearchEnd.BUDGET,
        f"both sides of the edge were measured again, and {left_s:.0f} s are too few to narrow it",
    )


def _narrow(
    question: CapacityQuestion, counts: dict[int, tuple[int, int]], held: int, broke: int
) -> MeasureStep | StopSearch:
    """Narrow the gap between the sides of the edge, then measure both again."""
    smallest_broken = min(n for n, (_, breaks) in counts.items() if breaks)
    if held == 0 and smallest_broken > 1:
        return MeasureStep(smallest_broken // 2, is_fresh=True)
    largest_held = max((n for n, (holds, _) in counts.items() if holds), default=0)
    for low, high in ((held, smallest_broken), (largest_held, broke)):
        if low and high - low > 1 and high > low * (1 + question.resolution):
            middle = round(math.sqrt(low * high))
            return MeasureStep(min(max(middle, low + 1), high - 1), is_fresh=True)
    for side in (held, broke):
        if side and sum(counts[side]) < question.repeats:
            return MeasureStep(side, is_fresh=True)
    text = "the edge is found, and both of its sides were measured again"
    return StopSearch(SearchEnd.FOUND, text)


def _grow(question: CapacityQuestion, top: int, max_n: int | None) -> MeasureStep | StopSearch:
    """Double N, or go as far as the machine allows."""
    if max_n is None or max_n >= 2 * top:
        return MeasureStep(2 * top, is_fresh=False)
    if max_n > top * (1 + question.resolution):
        return MeasureStep(max_n, is_fresh=False)
    return StopSearch(
        SearchEnd.MACHINE,
        f"about N = {max_n} fits this machine, if memory, open files and disk grow on as they did;"
        " the build may hold more on a larger one",
    )


def _measure_for_forecast(
    question: CapacityQuestion, counts: dict[int, tuple[int, int]], max_n: int | None
) -> MeasureStep | StopSearch:
    """Double N up to what the forecast needs, and measure that in a new launch, too."""
    top, needed = max(counts), largest_needed(question.forecast)
    if top < needed:
        action = _grow(question, top, max_n)
        if isinstance(action, MeasureStep) and action.n > needed:
            return replace(action, n=needed)
        return action
    if sum(counts[top]) < question.repeats:
        return MeasureStep(top, is_fresh=True)
    return StopSearch(SearchEnd.MEASURED, f"the forecast needs no more than N = {top}")


def _repeat_invalid(steps: Sequence[CapacityStep]) -> MeasureStep | StopSearch:
    """Measure an invalid step again, or give up."""
    last = steps[-1]
    tries = sum(step.n == last.n and step.outcome is StepOutcome.INVALID for step in steps)
    if tries < MAX_INVALID:
        return MeasureStep(last.n, is_fresh=True)
    text = f"N = {last.n} was invalid {tries} times: {'; '.join(last.invalid)}"
    return StopSearch(SearchEnd.LOAD, text)


def _counts(steps: Sequence[CapacityStep]) -> dict[int, tuple[int, int]]:
    """Return how often each N held and broke; invalid steps do not count."""
    counts: dict[int, tuple[int, int]] = {}
    for step in steps:
        if step.outcome is not StepOutcome.INVALID:
            holds, breaks = counts.get(step.n, (0, 0))
            is_held = step.outcome is StepOutcome.HELD
            counts[step.n] = (holds + is_held, breaks + (not is_held))
    return counts


def _first_broken(steps: Sequence[CapacityStep], n: int | None) -> tuple[str, ...]:
    """Return all quantities that broke at one N, in the order of the first step there."""
    broke = [s for s in steps if s.n == n and s.outcome is StepOutcome.BROKE]
    names = [name for s in broke for name in ((ALIVE,) if s.failed else s.broke)]
    return tuple(dict.fromkeys(names))
