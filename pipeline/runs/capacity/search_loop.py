"""Carry out a search: decide the next step, measure it, and record it at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from pipeline.model.capacity import Capacity, CapacityQuestion, CapacityStep, SearchEnd
from pipeline.model.headroom import HeadroomExhaustedError
from pipeline.runs.capacity import search
from pipeline.system.log import log


class BudgetExhaustedError(Exception):
    """The budget is over in the middle of a step."""


@dataclass(frozen=True, slots=True)
class StepMeasurement:
    """The result of one step; see `CapacityStep` for each field."""

    values: dict[str, float]
    failed: str = ""
    invalid: tuple[str, ...] = ()
    holds: int = 1
    is_steady: bool = True


class CapacityLaunch(Protocol):
    """One start of the servers; its N only grows."""

    @property
    def n(self) -> int:
        """Number of Projects or objects that exist."""
        ...

    def measure(self, n: int, report_progress: Callable[[str], None]) -> StepMeasurement:
        """Fill up to a larger N, and measure there; report each action in words.

        Raises:
            BudgetExhaustedError: The budget is over.
            HeadroomExhaustedError: A reserve of the machine is exhausted.
            LoadError: The load could not be applied, and the build is still alive.
        """
        ...

    def remaining(self) -> dict[str, float]:
        """Return how far each quantity can grow on this machine; see `headroom.remaining`."""
        ...


Launch = Callable[[int], AbstractContextManager[CapacityLaunch]]
"""Starts the servers of a numbered launch; leaving the context stops them."""


def run_search(
    capacity: Capacity,
    start: Launch,
    on_progress: Callable[[str, float], None],
    deadline_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Capacity]:
    """Yield the capacity after each step, and finally with the reason why the search ended.

    Args:
        capacity: Capacity with the steps until now, which are not measured again.
        start: Function that starts the servers.
        on_progress: Receiver of the current action and the remaining seconds of the budget.
        deadline_s: End of the budget, by the clock.
        clock: Monotonic clock, in seconds.
    """
    number = max((step.launch for step in capacity.steps), default=-1)
    launch: CapacityLaunch | None = None
    with ExitStack() as stack:
        while True:
            max_n = search.largest_feasible(capacity.steps, launch.remaining()) if launch else None
            action = search.next_action(
                capacity.question, capacity.steps, left_s=deadline_s - clock(), max_n=max_n
            )
            if isinstance(action, search.StopSearch):
                yield replace(capacity, ended=action.reason, ended_by=action.text)
                return
            start_s, started_at = clock(), datetime.now(UTC)

            def report_progress(what: str, n: int = action.n) -> None:
                on_progress(f"N = {n}: {what}", deadline_s - clock())

            try:
                if launch is None or action.is_fresh or launch.n >= action.n:
                    stack.close()
                    number += 1
                    report_progress("start the servers")
                    launch = stack.enter_context(start(number))
                measurement = launch.measure(action.n, report_progress)
            except BudgetExhaustedError:
                text = f"the budget ended before N = {action.n} was measured"
                yield replace(capacity, ended=SearchEnd.BUDGET, ended_by=text)
                return
            except HeadroomExhaustedError as error:
                text = f"the machine gave out on the way to N = {action.n}: {error}"
                yield replace(capacity, ended=SearchEnd.MACHINE, ended_by=text)
                return
            duration_s = round(clock() - start_s, 3)
            step = CapacityStep(action.n, number, started_at, duration_s, measurement.values)
            step = _judge(capacity.question, step, measurement)
            capacity = search.add_step(capacity, step)
            reason = step.failed or ", ".join(step.broke) or "; ".join(step.invalid)
            log.info("N = %s: %s%s", step.n, step.outcome, f" ({reason})" if reason else "")
            yield capacity
            if step.failed:  # the servers are dead
                stack.close()
                launch = None


def _judge(
    question: CapacityQuestion, step: CapacityStep, measurement: StepMeasurement
) -> CapacityStep:
    """Return a step with the limits that broke.

    A broken limit counts even if the load was invalid: a load lighter than requested makes a build
    look better, not worse.
    """
    broke = search.broken_limits(question, measurement.values)
    missing = search.missing_quantities(question, measurement.values)
    invalid = (*measurement.invalid, *(f"{name} was not measured" for name in missing))
    return replace(
        step,
        broke=broke,
        failed=measurement.failed,
        invalid=() if broke or measurement.failed else invalid,
        holds=measurement.holds,
        is_steady=measurement.is_steady,
    )
