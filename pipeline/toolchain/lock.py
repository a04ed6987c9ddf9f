"""Let one process at a time do what others can then use."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.log import log

_SAID_S = 10.0


@contextmanager
def alone(path: Path, doing: str) -> Iterator[None]:
    """Hold a lock while the block runs, after waiting aloud for whoever has it.

    The kernel frees the lock of a process that dies, however it dies.

    Args:
        path: File of the lock; it stays behind, empty.
        doing: What the holder does, such as `building etcd`.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    began = time.monotonic()
    wait_s = 0.0
    while True:
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            wait_s = _SAID_S
            waited_s = time.monotonic() - began
            log.info("another process is %s; waiting for it (%.0f s)", doing, waited_s)
        else:
            break
    try:
        yield
    finally:
        lock.release()
