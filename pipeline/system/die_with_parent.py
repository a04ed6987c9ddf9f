"""Become another program that dies with the one that started it.

Run as a script, in a bare interpreter (`python -I -S tether.py PARENT PROGRAM ARGUMENT…`): it asks
the kernel to be killed when its parent is gone, then becomes PROGRAM.  A `kill -9` of the pipeline
thus leaves nothing running.  The kernel watches the *thread* that started this process, so start it
from the main thread.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Set the death signal, make sure that the parent still lives, and become the program."""
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
