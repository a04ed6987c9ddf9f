"""Find the edge of a build: measured steps in, the next action out.

First N doubles, in one launch, until something breaks.  Then each step has a launch of its own and
halves the gap, in ratios, until it is as narrow as asked.  Then both sides of the edge are measured
again, and where they disagree with themselves the interval widens to what held, and broke, always.

Nothing here remembers anything: the steps say all, so an interrupted search goes on from its file.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.model.capacity import (
    Capacity,
    CapacityAnswer,
    CapacityQuestion,
    CapacityStep,
    SearchEnd,
    StepOutcome,
)

INVALID_AT_MOST = 2
"""So often one N may be invalid before the search gives up."""

FIXED_S = 8.0
"""Seconds of a step beside its hold, at least, that do not grow with N: k6's start and warm-up, and
the look that finds a build settled.  It only feeds the guess whether a step fits the budget."""

ALIVE = "alive"
"""What a build breaks that fails altogether."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure this N: in a launch of its own, or in the present one, which only grows."""

    n: int
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Measure no more."""

    why: SearchEnd
    said: str


def next_action(
    question: CapacityQuestion,
    steps: Sequence[CapacityStep],
    *,
    left_s: float,
    reachable: int | None = None,
) -> Measure | Stop:
    """Return what to do now.

    Args:
        question: What was asked.
        steps: All that were measured, in that order.
        left_s: Seconds of the budget that are left.
        reachable: The largest N that the machine is known to carry, or None where it is unknown.
    """
    action = _wanted(question, steps, reachable)
    if isinstance(action, Stop):
        return action
    if left_s <= 0:
        return Stop(SearchEnd.BUDGET, f"the budget of {question.budget_s:g} s is over")
    if steps and (needed_s := expected_s(question, steps, action)) > left_s:
        return Stop(
            SearchEnd.BUDGET,
            f"the next step, N = {action.n}, would take about {needed_s:.0f} s,"
            f" and {left_s:.0f} s of the budget are left",
        )
    return action


def answer(steps: Sequence[CapacityStep]) -> CapacityAnswer:
    """Return the edge that the steps show; an interval from nothing to nothing without any."""
    counts = _counts(steps)
    held = {n for n, (holds, _) in counts.items() if holds}
    broke = {n for n, (_, breaks) in counts.items() if breaks}
    low = max((n for n in held if n < min(broke, default=math.inf)), default=0)
    high = min((n for n in broke if n > max(held, default=0)), default=None)
    return CapacityAnswer(
        held=low,
        broke=high,
        first=_first(steps, min(broke, default=None)),
        disagreed=tuple(sorted(n for n in counts if low < n < (high or math.inf))),
    )


def added(capacity: Capacity, step: CapacityStep) -> Capacity:
    """Return what is known with one more step."""
    steps = (*capacity.steps, step)
    return replace(capacity, steps=steps, answer=answer(steps))


def reopened(capacity: Capacity, budget_s: float | None) -> Capacity:
    """Return an interrupted or finished search that may go on, with another budget if given."""
    question = capacity.question
    if budget_s is not None:
        question = replace(question, budget_s=budget_s)
    return replace(capacity, question=question, ended=None, ended_by="")


def broken(question: CapacityQuestion, values: dict[str, float]) -> tuple[str, ...]:
    """Return the quantities at or above their limit, the farthest first."""
    shares = {
        limit.quantity: values[limit.quantity] / limit.below
        for limit in question.limits
        if limit.quantity in values
    }
    return tuple(sorted((q for q in shares if shares[q] >= 1), key=lambda q: -shares[q]))


def unmeasured(question: CapacityQuestion, values: dict[str, float]) -> tuple[str, ...]:
    """Return the limited quantities that a step has no value of."""
    return tuple(limit.quantity for limit in question.limits if limit.quantity not in values)


def expected_s(question: CapacityQuestion, steps: Sequence[CapacityStep], action: Measure) -> float:
    """Return about how many seconds a step takes, from at least one step before it.

    The second step adds as much as the first, and needs no launch.  Later ones add twice as much
    as the one before, so all but the hold and `FIXED_S` may double.  A launch of its own takes as
    long as the steps of one launch together that got as far, or in proportion.
    """
    if not action.is_fresh:
        last_s = steps[-1].duration_s
        fixed_s = question.hold_s + FIXED_S
        return last_s if len(steps) == 1 else max(last_s, 2 * last_s - fixed_s)
    alike = [s.duration_s * max(1.0, action.n / s.n) for s in steps if _is_alone(steps, s)]
    if alike:
        return max(alike)
    grown = [step for step in steps if step.launch == steps[0].launch]
    top = max(step.n for step in grown)
    return sum(step.duration_s for step in grown) * min(1.0, action.n / top)


def reachable(steps: Sequence[CapacityStep], room: dict[str, float]) -> int | None:
    """Return the largest N that the machine carries if the present launch grows on as it did.

    Args:
        steps: The last two of one launch tell how much one more of N takes.
        room: How much more of each quantity there may be, in its base unit, from the last step on.

    Returns:
        None where the steps do not tell.
    """
    most: list[float] = []
    for before, last in list(pairwise(steps))[-1:]:
        if before.launch != last.launch or last.n <= before.n:
            continue
        for quantity, more in room.items():
            if quantity in before.values and quantity in last.values:
                grown = last.values[quantity] - before.values[quantity]
                if grown > 0:
                    most.append(last.n + max(0.0, more) * (last.n - before.n) / grown)
    return math.floor(min(most)) if most else None


def _wanted(
    question: CapacityQuestion, steps: Sequence[CapacityStep], reachable: int | None
) -> Measure | Stop:
    counts = _counts(steps)
    if steps and steps[-1].outcome is StepOutcome.INVALID:
        return _once_more(steps)
    if not counts:
        return Measure(question.start, is_fresh=True)
    found = answer(steps)
    if found.broke is None:
        return _upwards(question, max(counts), reachable)
    return _inwards(question, counts, found.held, found.broke)


def _inwards(
    question: CapacityQuestion, counts: dict[int, tuple[int, int]], held: int, broke: int
) -> Measure | Stop:
    """Narrow what is between the two sides of the edge, then measure both again."""
    smallest = min(n for n, (_, breaks) in counts.items() if breaks)
    if held == 0 and smallest > 1:
        return Measure(smallest // 2, is_fresh=True)
    largest = max((n for n, (holds, _) in counts.items() if holds), default=0)
    for low, high in ((held, smallest), (largest, broke)):
        if low and high - low > 1 and high > low * (1 + question.resolution):
            middle = round(math.sqrt(low * high))
            return Measure(min(max(middle, low + 1), high - 1), is_fresh=True)
    for side in (held, broke):
        if side and sum(counts[side]) < question.repeats:
            return Measure(side, is_fresh=True)
    return Stop(SearchEnd.FOUND, "the edge is found, and both of its sides were measured again")


def _upwards(question: CapacityQuestion, top: int, reachable: int | None) -> Measure | Stop:
    """Double, or go as far as the machine carries where that is not as far."""
    if reachable is None or reachable >= 2 * top:
        return Measure(2 * top, is_fresh=False)
    if reachable > top * (1 + question.resolution):
        return Measure(reachable, is_fresh=False)
    return Stop(
        SearchEnd.MACHINE,
        f"the machine carries about N = {reachable}, as far as memory, open files and disk grow on"
        " as they did; the build may hold more on a larger one",
    )


def _once_more(steps: Sequence[CapacityStep]) -> Measure | Stop:
    """Measure an invalid step again, or give up."""
    last = steps[-1]
    tries = sum(step.n == last.n and step.outcome is StepOutcome.INVALID for step in steps)
    if tries < INVALID_AT_MOST:
        return Measure(last.n, is_fresh=True)
    return Stop(
        SearchEnd.LOAD, f"N = {last.n} was invalid {tries} times: {'; '.join(last.invalid)}"
    )


def _counts(steps: Sequence[CapacityStep]) -> dict[int, tuple[int, int]]:
    """Return how often each N held and broke; an N that was only invalid is not in it."""
    counts: dict[int, tuple[int, int]] = {}
    for step in steps:
        if step.outcome is not StepOutcome.INVALID:
            holds, breaks = counts.get(step.n, (0, 0))
            is_held = step.outcome is StepOutcome.HELD
            counts[step.n] = (holds + is_held, breaks + (not is_held))
    return counts


def _first(steps: Sequence[CapacityStep], n: int | None) -> tuple[str, ...]:
    """Return all that broke at one N, in the order of the first step that broke there."""
    broke = [s for s in steps if s.n == n and s.outcome is StepOutcome.BROKE]
    names = [name for s in broke for name in ((ALIVE,) if s.failed else s.broke)]
    return tuple(dict.fromkeys(names))


def _is_alone(steps: Sequence[CapacityStep], step: CapacityStep) -> bool:
    """Tell whether a step had a launch of its own."""
    return step.launch != steps[0].launch and sum(s.launch == step.launch for s in steps) == 1
