"""Carry out a soak: run one cycle after the other, record each, and say why it ended."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from pipeline.judge.growth import broken_limits, growth_of_resources
from pipeline.model.headroom import HeadroomExhaustedError
from pipeline.model.soak import Soak, SoakCycle, SoakEnd
from pipeline.system.errors import LoadError, NetworkError, SubjectDiedError
from pipeline.system.log import log
from pipeline.system.processes import CommandError

MAX_FAILURES = 3
"""How many cycles in a row may fail on a build that is alive."""


def run_cycles(
    soak: Soak,
    run_cycle: Callable[[int, int], SoakCycle],
    check: Callable[[], None],
    on_progress: Callable[[str, float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Soak]:
    """Yield the soak after each cycle of one launch, and finally with the reason why it ended.

    A build that dies or stops working is a result.  A cycle that fails on a build that is alive is
    left out.

    Args:
        soak: Soak with the cycles of earlier launches.
        run_cycle: Function that runs one cycle, given its number and the Projects deleted before.
        check: Function that raises SubjectDiedError if a server died.
        on_progress: Receiver of the current action and the remaining seconds.
        clock: Monotonic clock, in seconds.

    Raises:
        LoadError: The load generator failed in some cycles in a row; no build is to blame.
    """
    deadline_s = clock() + soak.question.lasts_s - soak.spent_s
    failures, deleted = 0, 0
    for number in itertools.count(1):
        left_s = deadline_s - clock()
        if left_s <= 0:
            yield replace(soak, ended=SoakEnd.TIME, ended_by="the time is over")
            return
        on_progress(f"cycle {number}", left_s)
        try:
            cycle = run_cycle(number, deleted)
        except HeadroomExhaustedError as error:
            yield replace(soak, ended=SoakEnd.MACHINE, ended_by=f"{error}")
            return
        except (CommandError, LoadError, NetworkError, SubjectDiedError) as error:
            failures += 1
            reason = _death(check)
            is_over = not soak.cycles and clock() >= deadline_s
            if not reason and (failures == MAX_FAILURES or is_over):
                first = "the only cycle" if failures == 1 else f"{failures} cycles in a row"
                reason = f"{first} failed: {error}"
                if isinstance(error, CommandError):
                    raise LoadError(reason, hint=error.hint) from error
            if reason:
                yield replace(soak, ended=SoakEnd.FAILED, ended_by=reason)
                return
            log.warning("cycle %s failed: %s", number, error)
            continue
        failures, deleted = 0, cycle.deleted
        cycles = (*soak.cycles, cycle)
        soak = replace(soak, cycles=cycles, growth=growth_of_resources(cycles))
        if broke := broken_limits(soak):
            ended_by = f"broken: {', '.join(broke)}"
            yield replace(soak, broke=broke, ended=SoakEnd.LIMIT, ended_by=ended_by)
            return
        yield soak


def _death(check: Callable[[], None]) -> str:
    """Return how a server died; empty while all are alive."""
    try:
        check()
    except SubjectDiedError as died:
        return f"{died}"
    return ""
