"""Let one process at a time do what others can then use."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system.log import log

_SAID_S = 10.0


@contextmanager
def exclusive_lock(
    path: Path, doing: str, note: str = "", *, died: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold a lock while the block runs, after waiting aloud for whoever has it.

    The kernel frees the lock of a process that dies, however it dies.

    Args:
        path: File of the lock; it stays behind, empty.
        doing: What the holder does, such as `building etcd`.
        note: Told to those who wait.
        died: Called with the note of the holder before, if it was killed.
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
            wait_s = _SAID_S
            waited_s = time.monotonic() - began
            log.info("another process is %s; waiting for it (%.0f s)", _who(owner, doing), waited_s)
        else:
            break
    try:
        if left := _note(owner):
            died(left)
        owner.write_text(note, encoding="utf-8", errors="surrogateescape")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _who(owner: Path, doing: str) -> str:
    note = _note(owner)
    return f"{doing} ({note})" if note else doing


def _note(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # there is no holder, or it has just come or gone
        return ""
