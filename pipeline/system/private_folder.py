"""Folders for keys, tokens and the data of one launch, which are never kept.

A run removes its own.  If it was killed, the next run removes them, or the next command with the
same output folder.  A file lock marks the folders of a run that is still alive.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.system import paths
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log

_NAME = "private"
_MARK = ".milo-perf"
_MAX_DEPTH = 8  # faults/NAME/pairs/000/ARM/WORKLOAD/ARM/private, of `evaluate --faults`


@contextmanager
def private_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder that only this user can read; it is removed at the end.

    Its path is absolute: programs that run in folders of their own are told of files in it.
    """
    folder = out.absolute() / _NAME
    folder.mkdir(mode=0o700)
    lock = os.open(folder / f"{_MARK}.new", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{_MARK}.new").rename(folder / _MARK)  # visible only when it is locked
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def measurement_lock(out: Path) -> Iterator[None]:
    """Hold the lock of measurements on this machine; clean up after a run that was killed."""

    def remove(folder: str) -> None:
        if Path(folder).is_absolute():
            remove_leftovers(Path(folder))

    here = str(out.absolute())
    lock = paths.cache() / "run.lock"
    with exclusive_lock(lock, "measuring on this machine", here, on_killed=remove):
        yield


def remove_leftovers(out: Path) -> None:
    """Remove the private folders of a killed run below its output folder."""
    for folder in _private_folders(out):
        with suppress(OSError), _lock_unused(folder):
            shutil.rmtree(folder, ignore_errors=True)
            log.info("removed %s, which a run that was killed had left", folder)


def _private_folders(out: Path) -> Iterator[Path]:
    """Yield the private folders below a folder; links are not followed."""
    deepest = len(out.parts) + _MAX_DEPTH
    for name, folders, _ in os.walk(out, followlinks=False):
        here = Path(name)
        if _NAME in folders:
            folders.remove(_NAME)
            if not (here / _NAME).is_symlink():
                yield here / _NAME
        if len(here.parts) >= deepest - 1:
            folders.clear()


@contextmanager
def _lock_unused(folder: Path) -> Iterator[None]:
    """Hold the lock of a private folder; raise OSError if it is not one of ours, or is in use."""
    lock = os.open(folder / _MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
