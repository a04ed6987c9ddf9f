"""Carry a search out: ask what is next, measure it, and keep each step at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from pipeline.model.capacity import Capacity, CapacityQuestion, CapacityStep, SearchEnd
from pipeline.runs.capacity import search
from pipeline.system.log import log


class OutOfTimeError(Exception):
    """The budget is over in the middle of a step."""


class OutOfRoomError(Exception):
    """A reserve of the machine is used up; the message says which."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one step found; see `Step` for the meaning of each."""

    values: dict[str, float]
    failed: str = ""
    invalid: tuple[str, ...] = ()
    holds: int = 1
    is_steady: bool = True


class Launch(Protocol):
    """One start of the servers, which only ever holds more."""

    @property
    def n(self) -> int:
        """How many things there are."""
        ...

    def measure(self, n: int, tell: Callable[[str], None]) -> Measured:
        """Fill up to N, and measure there.

        Args:
            n: More than there is.
            tell: Told what is done.

        Raises:
            OutOfTimeError: The deadline is reached.
            OutOfRoomError: The machine gives out.
            LoadError: The load could not be applied, and the build still lives.
        """
        ...

    def left(self) -> dict[str, float]:
        """Return how much more of each quantity the machine has; see `room.left`."""
        ...


class Bench(Protocol):
    """Where launches come from."""

    def launch(self, number: int) -> AbstractContextManager[Launch]:
        """Start the servers anew; leaving the context stops them.

        Args:
            number: Of the launch, for its folder.
        """
        ...


def steps(
    capacity: Capacity,
    bench: Bench,
    tell: Callable[[str, float], None],
    ends_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Capacity]:
    """Yield what is known after each step, and at last why the search ended.

    Args:
        capacity: What is known so far; its steps are not measured again.
        bench: Where launches come from.
        tell: Told what is done, and how many seconds of the budget are left.
        ends_s: When the budget is over, by the clock.
        clock: Seconds that only rise.
    """
    number = max((step.launch for step in capacity.steps), default=-1)
    launch: Launch | None = None
    with ExitStack() as stack:
        while True:
            carries = search.reachable(capacity.steps, launch.left()) if launch else None
            action = search.next_action(
                capacity.question, capacity.steps, left_s=ends_s - clock(), reachable=carries
            )
            if isinstance(action, search.Stop):
                yield replace(capacity, ended=action.why, ended_by=action.said)
                return
            began_s, began_at = clock(), datetime.now(UTC)

            def told(what: str, n: int = action.n) -> None:
                tell(f"N = {n}: {what}", ends_s - clock())

            try:
                if launch is None or action.is_fresh or launch.n >= action.n:
                    stack.close()
                    number += 1
                    told("start the servers")
                    launch = stack.enter_context(bench.launch(number))
                measured = launch.measure(action.n, told)
            except OutOfTimeError:
                said = f"the budget ended before N = {action.n} was measured"
                yield replace(capacity, ended=SearchEnd.BUDGET, ended_by=said)
                return
            except OutOfRoomError as error:
                said = f"the machine gave out on the way to N = {action.n}: {error}"
                yield replace(capacity, ended=SearchEnd.MACHINE, ended_by=said)
                return
            duration_s = round(clock() - began_s, 3)
            step = CapacityStep(action.n, number, began_at, duration_s, measured.values)
            step = _judged(capacity.question, step, measured)
            capacity = search.added(capacity, step)
            log.info("N = %s: %s", step.n, _said(step))
            yield capacity
            if step.failed:  # there is nothing left to grow
                stack.close()
                launch = None


def _judged(question: CapacityQuestion, step: CapacityStep, measured: Measured) -> CapacityStep:
    """Return a step with what broke; what did not count is no reason where something did.

    A load that was lighter than asked makes a build look better, so what broke under it broke.
    """
    broke = search.broken(question, measured.values)
    absent = search.unmeasured(question, measured.values)
    invalid = (*measured.invalid, *(f"{quantity} was not measured" for quantity in absent))
    return replace(
        step,
        broke=broke,
        failed=measured.failed,
        invalid=() if broke or measured.failed else invalid,
        holds=measured.holds,
        is_steady=measured.is_steady,
    )


def _said(step: CapacityStep) -> str:
    why = step.failed or ", ".join(step.broke) or "; ".join(step.invalid)
    return f"{step.outcome}{f' ({why})' if why else ''}"
