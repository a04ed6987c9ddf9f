"""Read the headroom of this machine."""

import re
import resource
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.model.headroom import Headroom
from pipeline.toolchain.machine import available, memory


def headroom(folder: Path, processes: Mapping[str, int] | None = None) -> Headroom:
    """Return the resources that this machine has left.

    Args:
        folder: Output folder, which need not exist yet.
        processes: Process ids by component; a process that ended is skipped.
    """
    import psutil

    open_files: dict[str, int] = {}
    for component, pid in (processes or {}).items():
        with suppress(psutil.Error):
            open_files[component] = psutil.Process(pid).num_fds()
    return Headroom(
        memory=available(),
        memory_total=memory(),
        disk=shutil.disk_usage(_existing(folder)).free,
        files=files_limit(),
        open_files=open_files,
    )


def files_limit() -> float:
    """Return the open file limit of a process: the hard one, to which Go programs raise theirs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        return float(hard)
    match = re.search(r"\d+", Path("/proc/sys/fs/nr_open").read_text(encoding="utf-8"))
    return float(match[0]) if match else float("inf")


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
