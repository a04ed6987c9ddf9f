"""What containers use, as the kubelet of their node says, through the cluster's API server."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pipeline.environments.api import Api
from pipeline.environments.pods import Pods
from pipeline.environments.refusals import ClusterError
from pipeline.model.ports import ResourceUsage
from pipeline.system.errors import LoadError


def usage(api: Api, pods: Pods, components: Iterable[str]) -> dict[str, ResourceUsage]:
    """Return what each component had used when its kubelet last looked, every 10 to 15 seconds.

    Raises:
        LoadError: A kubelet did not answer, or we may not ask it.
    """
    wanted = set(components)
    try:
        nodes = {pod["spec"].get("nodeName", "") for pod in pods.listed()} - {""}
        summaries = [api.ask("GET", f"/api/v1/nodes/{node}/proxy/stats/summary") for node in nodes]
    except ClusterError as error:
        raise LoadError(
            f"the kubelet's summary cannot be read: {error}", hint=error.hint
        ) from error
    found = {}
    for summary in summaries:
        for pod in summary.get("pods") or ():
            about = pod.get("podRef", {})
            if about.get("namespace") == pods.namespace and about.get("name") in wanted:
                for container in pod.get("containers") or ():
                    if (one := _used(container)) is not None:
                        found[str(about["name"])] = one
    return found


def _used(container: Mapping[str, Any]) -> ResourceUsage | None:
    """Return what a container used, or None where its kubelet has not looked yet."""
    cpu, memory = container.get("cpu") or {}, container.get("memory") or {}
    try:
        return ResourceUsage(
            time_s=_unix_s(cpu["time"]),
            cpu_s=int(cpu["usageCoreNanoSeconds"]) / 1e9,
            memory=int(memory["workingSetBytes"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _unix_s(written: str) -> float:
    """Return a time of Kubernetes in Unix time; it may have nanoseconds, which Python has not."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", written)).timestamp()
