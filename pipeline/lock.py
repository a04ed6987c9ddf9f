"""One measurement at a time on a machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import files
from pipeline.log import log

_SAID_AGAIN_S = 30.0


@contextmanager
def machine_to_ourselves(out: Path) -> Iterator[None]:
    """Wait until no other run measures on this machine: two would disturb each other.

    Args:
        out: Folder of this run, to tell another one that waits.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(files.cache() / "run.lock")
    owner = files.cache() / "run.owner"
    wait_s = 0.0
    while True:
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            wait_s = _SAID_AGAIN_S
            who = owner.read_text(encoding="utf-8") if owner.is_file() else "unknown"
            log.warning("another run is measuring on this machine (%s); waiting for it", who)
        else:
            break
    try:
        owner.write_text(str(out.absolute()), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
