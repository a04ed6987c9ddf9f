"""What a fresh control plane needs before it is measured: types, rights for the load, a Project."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.model.ports import Target
from pipeline.model.subject import Arm
from pipeline.system import http_client
from pipeline.system.errors import LaunchError, LoadError, NetworkError

API = "/apis/resourcemanager.miloapis.com/v1alpha1"
ORGANIZATION = "milo-perf"
FIRST_PROJECT = "milo-perf-first"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_INFRA = "infrastructure.miloapis.com"
_CONTROL_PLANES = f"/apis/{_INFRA}/v1alpha1/projectcontrolplanes"
_POLL_S = 0.05

# The one type that Milo's controller-manager wants in its infra cluster, with no more said of it
# than its controllers use: they create it with an empty spec, and read conditions of its status.
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


def definitions(target: Target, token: str, arm: str, timeout_s: float) -> None:
    """Return once Milo serves its own types and the one that its controller-manager wants.

    `/readyz` does not wait for them.

    Args:
        target: The server.
        token: Of an administrator.
        arm: For the message.
        timeout_s: Seconds to wait.

    Raises:
        LaunchError: They were refused, or are not served in time.
    """
    _create(target, token, _DEFINITIONS, _CONTROL_PLANE)

    def served() -> bool:
        listed = _get(target, token, _DEFINITIONS)
        paths = (f"{API}/organizations", f"{API}/projects", _CONTROL_PLANES)
        return all(map(_is("Established"), listed.get("items", [{}]))) and all(
            _get(target, token, f"{path}?limit=1") for path in paths
        )

    _until(served, {arm: target}, timeout_s, "does not serve its own types")


def authorise(target: Target, token: str, group: str) -> None:
    """Let a group do everything, by a role binding: its requests still count against all limits.

    Raises:
        LaunchError: The server refused.
    """
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


def projects(targets: Mapping[Arm, Target], token: str, timeout_s: float) -> None:
    """Create an Organization and a Project in each arm, and return once all are Ready.

    Args:
        targets: The servers.
        token: Of an administrator.
        timeout_s: Seconds to wait for each.

    Raises:
        LaunchError: One was refused or did not become Ready.
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
            return _is("Ready")(_get(target, token, f"{API}/projects/{FIRST_PROJECT}"))

        _until(is_ready, {arm: target}, timeout_s, "answers, but its first Project was not Ready")


def _until(
    condition: Callable[[], bool], who: Mapping[str, Target], timeout_s: float, what: str
) -> None:
    (arm, target), *_ = who.items()
    deadline = time.monotonic() + timeout_s
    while not condition():
        _still_there(target)
        if time.monotonic() > deadline:
            raise LaunchError(
                f"the server of the {arm} {what} after {timeout_s:g} s",
                hint="look for its controllers in the logs of the server and of the manager",
            )
        time.sleep(_POLL_S)


def _create(target: Target, token: str, path: str, body: object) -> None:
    try:
        http_client.call("POST", f"{target.url}{path}", body, ca_file=target.ca_file, token=token)
    except NetworkError as error:
        _still_there(target)
        raise LaunchError(f"the server is up but refused a first object: {error}") from error


def _still_there(target: Target) -> None:
    try:
        target.check()
    except LoadError as died:
        raise LaunchError(str(died), hint=died.hint) from died


def _get(target: Target, token: str, path: str) -> dict[str, Any]:
    """Return an object, or nothing while it cannot be read."""
    try:
        _, found = http_client.call(
            "GET", f"{target.url}{path}", ca_file=target.ca_file, token=token
        )
    except NetworkError:
        return {}
    return found if isinstance(found, dict) else {}


def _is(condition: str) -> Callable[[dict[str, Any]], bool]:
    """Return whether an object has a condition of this type that is true."""

    def check(shown: dict[str, Any]) -> bool:
        conditions = shown.get("status", {}).get("conditions") or []  # it may be null
        return any(c["type"] == condition and c["status"] == "True" for c in conditions)

    return check
