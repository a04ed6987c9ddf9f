"""The Projects that a load of ClusterLoader2 made: wait for their end, or bring it about.

ClusterLoader2 cannot wait for something to be gone, and leaves what it made when it is stopped.
"""

import time
from collections.abc import Mapping
from typing import Any

from pipeline.model.ports import Target
from pipeline.model.subject import Arm
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, StorageError
from pipeline.system.log import log

_API = "/apis/resourcemanager.miloapis.com/v1alpha1"
_PROJECTS = f"{_API}/projects"
_ORGANIZATIONS = f"{_API}/organizations"
_NAMESPACES = "/api/v1/namespaces"
_POLL_S = 0.1


def gone(
    targets: Mapping[Arm, Target], run: str, timeout_s: float
) -> tuple[dict[Arm, float], dict[Arm, int]]:
    """Wait until no arm has a Project of a load any more.

    Args:
        targets: That were loaded.
        run: Name of the load.
        timeout_s: Seconds to wait at most, for all arms together.

    Returns:
        When each arm was seen without them, or given up, in seconds of Unix time; and how many
        Projects each had then.

    Raises:
        LoadError: A component died meanwhile.
    """
    ends: dict[Arm, float] = {}
    left = dict.fromkeys(targets, 0)
    deadline = time.monotonic() + timeout_s
    while len(ends) < len(targets):
        is_over = time.monotonic() > deadline
        for arm, target in targets.items():
            if arm in ends:
                continue
            target.check()
            left[arm] = _count(target, run)
            if not left[arm] or is_over:
                ends[arm] = time.time()
        time.sleep(_POLL_S)
    return ends, left


def deleted(targets: Mapping[Arm, Target], run: str) -> None:
    """Ask for the end of everything that a load made; an arm that does not answer is left alone.

    Args:
        targets: That were loaded.
        run: Name of the load, with which the names of its namespaces begin.
    """
    for arm, target in targets.items():
        try:
            token = target.admin_token()
            for kind in (_PROJECTS, _NAMESPACES, _ORGANIZATIONS):
                for name in _names(target, token, kind, run):
                    _call(target, token, "DELETE", f"{kind}/{name}")
        except (NetworkError, StorageError) as error:
            log.warning("what ClusterLoader2 made in the %s may still be there: %s", arm, error)


def _count(target: Target, run: str) -> int:
    try:
        return len(_names(target, target.admin_token(), _PROJECTS, run))
    except (
        NetworkError,
        StorageError,
    ):  # under load an answer may be late: there may be one, so ask again
        return 1


def _names(target: Target, token: str, kind: str, run: str) -> list[str]:
    """Return the names of the objects of a kind that a load made."""
    found = _call(target, token, "GET", kind)
    names = [one["metadata"]["name"] for one in found.get("items", [])]
    return [name for name in names if name.startswith(f"{run}-")]


def _call(target: Target, token: str, method: str, path: str) -> dict[str, Any]:
    _, found = http_client.call(method, f"{target.url}{path}", ca_file=target.ca_file, token=token)
    return found if isinstance(found, dict) else {}
