"""Locks between processes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system.log import log

_LOG_PERIOD_S = 10.0


@contextmanager
def exclusive_lock(
    path: Path, doing: str, note: str = "", *, on_killed: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold a lock while the block runs; wait for another holder, and log that.

    The kernel frees the lock of a process that dies.

    Args:
        path: File of the lock; it is left behind, empty.
        doing: Activity in messages, such as `building etcd`.
        note: Text that waiting processes log.
        on_killed: Function that gets the note of the last holder if that was killed.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    owner = path.with_suffix(".owner")
    began = time.monotonic()
    wait_s = 0.0
    while True:
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            wait_s = _LOG_PERIOD_S
            waited_s = time.monotonic() - began
            holder = f"{doing} ({owned})" if (owned := _note(owner)) else doing
            log.info("another process is %s; waiting for it (%.0f s)", holder, waited_s)
        else:
            break
    try:
        if last_note := _note(owner):
            on_killed(last_note)
        owner.write_text(note, encoding="utf-8", errors="surrogateescape")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _note(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # there is no holder, or it has just started or ended
        return ""
