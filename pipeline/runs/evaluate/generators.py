"""What load generators take of the machine while they work: CPU by accounting, memory by looks."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pipeline.system import processes
from pipeline.system.periodic import run_periodically

_EVERY_S = 0.2


class GeneratorUsage:
    """What the programs took; complete when the block has been left.

    Attributes:
        cpu_s: CPU seconds of all programs that ended meanwhile.
        memory: Most memory that they had at once, in bytes; looked at five times a second.
    """

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.memory = 0.0


@contextmanager
def watch_generators(programs: set[Path]) -> Iterator[GeneratorUsage]:
    """Watch our own children that run one of some programs, while the block runs.

    Args:
        programs: Paths of their binaries.
    """
    use, before_s = GeneratorUsage(), processes.cpu_of_children_s()
    names = {str(path.resolve()) for path in programs}
    ours = psutil.Process()

    def look() -> None:
        use.memory = max(use.memory, _memory(ours, names))

    try:
        with run_periodically(look, _EVERY_S, "generators"):
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
