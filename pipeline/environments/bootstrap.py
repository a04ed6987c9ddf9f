"""Prepare a new control plane: types, access rights of the load, and a first Project."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.environments import manifests
from pipeline.model.ports import Target
from pipeline.model.subject import Arm, Product
from pipeline.system import http_client
from pipeline.system.errors import LaunchError, LoadError, NetworkError

API = "/apis/resourcemanager.miloapis.com/v1alpha1"
ORGANIZATION = "milo-perf"
FIRST_PROJECT = "milo-perf-first"
_OBJECTS = "first-objects.yaml"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_CONTROL_PLANES = "/apis/infrastructure.miloapis.com/v1alpha1/projectcontrolplanes"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_POLL_S = 0.05


def prepare_server(
    target: Target, token: str, product: Product, arm: str, timeout_s: float
) -> None:
    """Wait until a server serves its own types, and let the load do everything.

    Args:
        target: The server, which answers.
        token: Token of an administrator.
        product: Product of the server.
        arm: Name of the arm, for messages.
        timeout_s: Seconds to wait.

    Raises:
        LaunchError: The server refused, or does not serve its types in time.
    """
    definition, binding, *_ = manifests.read(_OBJECTS)
    if product is Product.MILO:
        _create(target, token, _DEFINITIONS, definition)
        problem = f"the server of the {arm} does not serve its own types"
        _wait(lambda: _serves_types(target, token), target, timeout_s, problem)
    _create(target, token, _BINDINGS, binding)


def _serves_types(target: Target, token: str) -> bool:
    """Return True if Milo serves its own types and our definition; `/readyz` does not wait."""
    definitions = _get(target, token, _DEFINITIONS).get("items", [{}])
    paths = (f"{API}/organizations", f"{API}/projects", _CONTROL_PLANES)
    return all(_has_condition(one, "Established") for one in definitions) and all(
        _get(target, token, f"{path}?limit=1") for path in paths
    )


def create_first_projects(targets: Mapping[Arm, Target], token: str, timeout_s: float) -> None:
    """Create an Organization and a Project in each arm, and return once all are Ready.

    Args:
        targets: The servers.
        token: Token of an administrator.
        timeout_s: Seconds to wait for each.

    Raises:
        LaunchError: An object was refused or did not become Ready.
    """
    *_, organization, project = manifests.read(_OBJECTS)
    for target in targets.values():
        _create(target, token, f"{API}/organizations", organization)
        _create(target, token, f"{API}/projects", project)
    for arm, target in targets.items():

        def is_ready(target: Target = target) -> bool:
            path = f"{API}/projects/{FIRST_PROJECT}"
            return _has_condition(_get(target, token, path), "Ready")

        problem = f"the server of the {arm} answers, but its first Project was not Ready"
        _wait(is_ready, target, timeout_s, problem)


def _wait(condition: Callable[[], bool], target: Target, timeout_s: float, problem: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        _require_alive(target)
        if time.monotonic() > deadline:
            raise LaunchError(
                f"{problem} after {timeout_s:g} s",
                hint="look for its controllers in the logs of the server and of the manager",
            )
        time.sleep(_POLL_S)


def _create(target: Target, token: str, path: str, body: object) -> None:
    try:
        http_client.call("POST", f"{target.url}{path}", body, ca_file=target.ca_file, token=token)
    except NetworkError as error:
        _require_alive(target)
        raise LaunchError(f"the server is up but refused a first object: {error}") from error


def _require_alive(target: Target) -> None:
    try:
        target.check()
    except LoadError as error:
        raise LaunchError(str(error), hint=error.hint) from error


def _get(target: Target, token: str, path: str) -> dict[str, Any]:
    """Return an object, or an empty one while it cannot be read."""
    url = f"{target.url}{path}"
    try:
        _, answer = http_client.call("GET", url, ca_file=target.ca_file, token=token)
    except NetworkError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _has_condition(resource: Mapping[str, Any], name: str) -> bool:
    """Return True if an object has a condition of this type whose status is True."""
    conditions = resource.get("status", {}).get("conditions") or []  # it may be null
    return any(one["type"] == name and one["status"] == "True" for one in conditions)
