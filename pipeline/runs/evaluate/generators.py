"""Measure the resources of load generators: CPU by process accounting, memory by polling."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pipeline.system import processes
from pipeline.system.periodic import run_periodically

_POLL_S = 0.2


class GeneratorUsage:
    """The resources of the programs; complete when the block has been left.

    Attributes:
        cpu_s: CPU seconds of all programs that ended meanwhile.
        memory: Peak memory of all programs together, in bytes.
    """

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.memory = 0.0


@contextmanager
def watch_generators(programs: set[Path]) -> Iterator[GeneratorUsage]:
    """Measure the child processes that run some programs, while the block runs.

    Args:
        programs: Paths of the binaries.
    """
    use, before_s = GeneratorUsage(), processes.cpu_of_children_s()
    names = {str(path.resolve()) for path in programs}
    ours = psutil.Process()

    def look() -> None:
        use.memory = max(use.memory, _memory(ours, names))

    try:
        with run_periodically(look, _POLL_S, "generators"):
            yield use
    finally:
        use.cpu_s = processes.cpu_of_children_s() - before_s


def _memory(ours: psutil.Process, names: set[str]) -> float:
    total = 0.0
    for child in ours.children(recursive=True):
        with suppress(psutil.Error):
            if child.exe() in names:
                total += child.memory_info().rss
    return total
