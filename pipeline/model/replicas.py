"""Names of the replicas of a component: `server` and `server-2`, or `etcd` to `etcd-3`."""

from collections.abc import Mapping
from typing import TypeVar

_T = TypeVar("_T")


def replica_name(component: str, number: int) -> str:
    """Return the name of a replica; the first, number 1, has the name of its component."""
    return component if number == 1 else f"{component}-{number}"


def replica_names(component: str, count: int) -> list[str]:
    """Return the names of all replicas of a component."""
    return [replica_name(component, number) for number in range(1, count + 1)]


def component_of(replica: str) -> str:
    """Return the component of a replica: `server` for `server-2`."""
    return replica.partition("-")[0]


def by_component(replicas: Mapping[str, _T]) -> dict[str, dict[str, _T]]:
    """Return values by component and replica, given by replica, in the same order."""
    components: dict[str, dict[str, _T]] = {}
    for name, value in replicas.items():
        components.setdefault(component_of(name), {})[name] = value
    return components
