"""Execute a program that the kernel kills when its parent dies (PR_SET_PDEATHSIG).

Usage: `python -I -S die_with_parent.py PARENT_PID PROGRAM ARGUMENT…`.  After a `kill -9` of the
pipeline nothing keeps running.  The kernel watches the *thread* that started this process, so start
it from the main thread.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Set the signal, exit if the parent is gone already, and execute the program."""
    parent, program = int(argv[0]), argv[1]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execv(program, argv[1:])  # noqa: S606 (a list, and no shell)
    except OSError as error:
        sys.exit(f"{program}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
