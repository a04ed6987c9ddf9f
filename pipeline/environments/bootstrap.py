"""Prepare a new control plane: types, access rights of the load, and a first Project."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.environments.credentials import LOAD_GROUP
from pipeline.model.ports import Target
from pipeline.model.subject import Arm, Product
from pipeline.system import http_client
from pipeline.system.errors import LaunchError, LoadError, NetworkError

API = "/apis/resourcemanager.miloapis.com/v1alpha1"
ORGANIZATION = "milo-perf"
FIRST_PROJECT = "milo-perf-first"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_INFRA = "infrastructure.miloapis.com"
_CONTROL_PLANES = f"/apis/{_INFRA}/v1alpha1/projectcontrolplanes"
_POLL_S = 0.05

# The one type that Milo's controller-manager needs in its infra cluster, reduced to what its
# controllers use: they create objects with an empty spec, and read conditions of the status.
_CONTROL_PLANE = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"projectcontrolplanes.{_INFRA}"},
    "spec": {
        "group": _INFRA,
        "scope": "Cluster",
        "names": {
            "kind": "ProjectControlPlane",
            "listKind": "ProjectControlPlaneList",
            "plural": "projectcontrolplanes",
            "singular": "projectcontrolplane",
        },
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            name: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for name in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}


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
    if product is Product.MILO:
        wait_for_types(target, token, arm, timeout_s)
    _bind_cluster_admin(target, token, LOAD_GROUP)


def wait_for_types(target: Target, token: str, arm: str, timeout_s: float) -> None:
    """Return once Milo serves its own types and the one that its controller-manager needs.

    `/readyz` does not wait for them.

    Args:
        target: The server.
        token: Token of an administrator.
        arm: Name of the arm, for messages.
        timeout_s: Seconds to wait.

    Raises:
        LaunchError: The types were refused, or are not served in time.
    """
    _create(target, token, _DEFINITIONS, _CONTROL_PLANE)
    paths = (f"{API}/organizations", f"{API}/projects", _CONTROL_PLANES)

    def are_served() -> bool:
        definitions = _get(target, token, _DEFINITIONS).get("items", [{}])
        are_established = all(_has_condition(one, "Established") for one in definitions)
        return are_established and all(_get(target, token, f"{path}?limit=1") for path in paths)

    _wait(are_served, target, timeout_s, f"the server of the {arm} does not serve its own types")


def _bind_cluster_admin(target: Target, token: str, group: str) -> None:
    """Let a group do everything by a role; unlike for system:masters, rate limits still apply."""
    _create(
        target,
        token,
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "milo-perf-load"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        },
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
    version = "resourcemanager.miloapis.com/v1alpha1"
    organization = {
        "apiVersion": version,
        "kind": "Organization",
        "metadata": {"name": ORGANIZATION},
        "spec": {"type": "Standard"},
    }
    project = {
        "apiVersion": version,
        "kind": "Project",
        "metadata": {"name": FIRST_PROJECT},
        "spec": {"ownerRef": {"kind": "Organization", "name": ORGANIZATION}},
    }
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
