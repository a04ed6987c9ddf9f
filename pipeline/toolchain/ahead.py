"""Build a source into the cache on one core: `python -m pipeline.toolchain.ahead SPEC COMMAND`.

`bisect` starts it beside a measurement, on machines with a core to spare.
"""

import os
import signal
import sys

from pipeline.model.subject import parse_spec
from pipeline.toolchain import milo

CORES = 8
"""Smallest number of cores with one to spare: a pair keeps two servers, two etcds, two
controller-managers and the load generator busy."""

_NICENESS = 10


def has_spare_core() -> bool:
    """Return whether a build beside a measurement has a core of its own."""
    return len(os.sched_getaffinity(0)) >= CORES


def argv(spec: str, command: str) -> list[str]:
    """Return the command line that builds a spec."""
    return [sys.executable, "-m", __name__, spec, command]


def main(spec: str, command: str) -> None:
    """Build a spec on the last core that this process may use."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the worktree is removed
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.nice(_NICENESS)
    milo.source(parse_spec(spec), command)


if __name__ == "__main__":
    main(*sys.argv[1:])
