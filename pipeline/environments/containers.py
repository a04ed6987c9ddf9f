"""Find the processes of containers on this machine, or read their usage from the kubelets."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.environments.api import Api, ClusterError
from pipeline.environments.pods import Pods
from pipeline.model.ports import ResourceUsage
from pipeline.system.errors import NetworkError

_PROC = Path("/proc")


def find_processes(pods: Mapping[str, Mapping[str, Any]], proc: Path = _PROC) -> dict[str, int]:
    """Return the process id of each Pod's container, or nothing unless all of them are visible.

    They are visible if the cluster runs on the kernel of this machine, and not if its container
    engine runs in a virtual machine.
    """
    containers = {}
    for component, pod in pods.items():
        for status in pod.get("status", {}).get("containerStatuses") or ():
            containers[component] = str(status.get("containerID", "")).rpartition("/")[2]
    if len(containers) < len(pods) or not all(containers.values()):
        return {}
    pids: dict[str, int] = {}
    for pid in sorted(int(folder.name) for folder in proc.iterdir() if folder.name.isdigit()):
        try:
            cgroup = (proc / str(pid) / "cgroup").read_text(encoding="utf-8")
        except OSError:  # it has ended
            continue
        for component, container in containers.items():
            if container in cgroup:
                pids.setdefault(component, pid)  # the lowest is the program itself
    return pids if len(pids) == len(containers) else {}


def read_usage(api: Api, pods: Pods, components: Iterable[str]) -> dict[str, ResourceUsage]:
    """Return the last sample of each component's usage, or raise NetworkError.

    A kubelet samples every 10 to 15 s.
    """
    names = set(components)
    try:
        nodes = {pod["spec"].get("nodeName", "") for pod in pods.read()} - {""}
        paths = [f"/api/v1/nodes/{node}/proxy/stats/summary" for node in nodes]
        summaries = [api.request("GET", path) for path in paths]
    except ClusterError as error:
        raise NetworkError(
            f"the kubelet's summary cannot be read: {error}", hint=error.hint
        ) from error
    usage = {}
    for summary in summaries:
        for pod in summary.get("pods") or ():
            ref = pod.get("podRef", {})
            if ref.get("namespace") == pods.namespace and ref.get("name") in names:
                for container in pod.get("containers") or ():
                    if (sample := _sample(container)) is not None:
                        usage[str(ref["name"])] = sample
    return usage


def _sample(container: Mapping[str, Any]) -> ResourceUsage | None:
    """Return the usage of a container, or None if its kubelet has no sample yet."""
    cpu, memory = container.get("cpu") or {}, container.get("memory") or {}
    try:
        time = re.sub(r"(\.\d{6})\d+", r"\1", cpu["time"])  # Python reads no nanoseconds
        return ResourceUsage(
            time_s=datetime.fromisoformat(time).timestamp(),
            cpu_s=int(cpu["usageCoreNanoSeconds"]) / 1e9,
            memory=int(memory["workingSetBytes"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
