"""Wait for the deletion of the Projects of a load, and delete everything that a load created.

A load generator that is stopped leaves its objects behind, and ClusterLoader2 cannot wait for a
deletion.
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


def wait_until_gone(
    targets: Mapping[Arm, Target], run: str, timeout_s: float
) -> tuple[dict[Arm, float], dict[Arm, int]]:
    """Wait until no arm has a Project of a load, or the time is over for all arms.

    Returns:
        Unix time at which the Projects of each arm were gone or the wait ended, and the number of
        Projects that each arm still had.
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
            try:
                left[arm] = len(_names(target, target.admin_token(), _PROJECTS, run))
            except (NetworkError, StorageError):  # maybe late under load: ask again
                left[arm] = max(left[arm], 1)
            if not left[arm] or is_over:
                ends[arm] = time.time()
        time.sleep(_POLL_S)
    return ends, left


def delete_objects(targets: Mapping[Arm, Target], run: str) -> None:
    """Delete every object whose name is a load's or begins with it, without waiting.

    An arm that does not answer is logged.
    """
    for arm, target in targets.items():
        try:
            token = target.admin_token()
            for kind in (_PROJECTS, _NAMESPACES, _ORGANIZATIONS):
                for name in _names(target, token, kind, run):
                    _call(target, token, "DELETE", f"{kind}/{name}")
        except (NetworkError, StorageError) as error:
            log.warning("what the load %s made in the %s may still be there: %s", run, arm, error)


def _names(target: Target, token: str, kind: str, run: str) -> list[str]:
    objects = _call(target, token, "GET", kind).get("items", [])
    names = [one["metadata"]["name"] for one in objects]
    return [name for name in names if name == run or name.startswith(f"{run}-")]


def _call(target: Target, token: str, method: str, path: str) -> dict[str, Any]:
    _, body = http_client.call(method, f"{target.url}{path}", ca_file=target.ca_file, token=token)
    return body if isinstance(body, dict) else {}
