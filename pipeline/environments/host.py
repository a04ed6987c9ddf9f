"""Find the processes of containers on this machine, where a kind cluster runs on its own kernel."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


def processes(pods: Mapping[str, Mapping[str, Any]], proc: Path = _PROC) -> dict[str, int]:
    """Return the process id of each Pod's container; nothing unless all of them can be seen.

    A container engine in a virtual machine of its own hides them.

    Args:
        pods: By component, with the id of its container in the status.
        proc: Where the kernel shows processes.
    """
    wanted = {}
    for component, pod in pods.items():
        for status in pod.get("status", {}).get("containerStatuses") or ():
            wanted[component] = str(status.get("containerID", "")).rpartition("/")[2]
    if len(wanted) < len(pods) or not all(wanted.values()):
        return {}
    found: dict[str, int] = {}
    for folder in sorted(proc.iterdir(), key=_number):
        if not _number(folder):
            continue
        try:
            groups = (folder / "cgroup").read_text(encoding="utf-8")
        except OSError:  # it has ended
            continue
        for component, container in wanted.items():
            if container in groups and component not in found:  # the first is the program itself
                found[component] = _number(folder)
    return found if len(found) == len(wanted) else {}


def _number(folder: Path) -> int:
    return int(folder.name) if folder.name.isdigit() else 0
