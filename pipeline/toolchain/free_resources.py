"""Read how much of this machine is left."""

import re
import resource
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.model.headroom import Room
from pipeline.toolchain.machine import available, memory


def room(folder: Path, processes: Mapping[str, int] | None = None) -> Room:
    """Return what is left just now.

    Args:
        folder: Where the output goes; it need not exist yet.
        processes: Ids by component; one that is gone is left out.
    """
    import psutil

    open_files: dict[str, int] = {}
    for component, pid in (processes or {}).items():
        with suppress(psutil.Error):
            open_files[component] = psutil.Process(pid).num_fds()
    return Room(
        memory=available(),
        memory_total=memory(),
        disk=shutil.disk_usage(_existing(folder)).free,
        files=files_limit(),
        open_files=open_files,
    )


def files_limit() -> float:
    """Return how many files a process may open: the hard limit, to which a Go program raises it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        return float(hard)
    found = re.search(r"\d+", Path("/proc/sys/fs/nr_open").read_text(encoding="utf-8"))
    return float(found[0]) if found else float("inf")


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
