"""Kill process groups when the pipe on stdin ends, which is when its writer died.

Usage: `python -I -S watchdog.py`.  Each line of stdin is `+GROUP` or `-GROUP`: a group that runs,
and one that has ended.  After a `kill -9` of the pipeline the kernel kills each program that it
started (see die_with_parent.py), and this kills their children.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Read which groups run until stdin ends, and kill those."""
    running: set[int] = set()
    for line in sys.stdin:
        change = running.add if line.startswith("+") else running.discard
        change(int(line[1:]))
    for group in running:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
