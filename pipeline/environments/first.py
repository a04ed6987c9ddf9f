"""What a fresh control plane needs before it is measured: rights for the load, a first Project."""

import time

from pipeline import web
from pipeline.errors import LaunchError, LoadError
from pipeline.ports import Target

API = "/apis/resourcemanager.miloapis.com/v1alpha1"
ORGANIZATION = "milo-perf"
FIRST_PROJECT = "milo-perf-first"
_POLL_S = 0.05


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


def first_project(target: Target, token: str, arm: str, timeout_s: float) -> None:
    """Create an Organization and a Project, and return once the Project is Ready.

    Args:
        target: The server.
        token: Of an administrator.
        arm: For the message.
        timeout_s: Seconds to wait.

    Raises:
        LaunchError: It did not become Ready.
    """
    version = "resourcemanager.miloapis.com/v1alpha1"
    _create(
        target,
        token,
        f"{API}/organizations",
        {
            "apiVersion": version,
            "kind": "Organization",
            "metadata": {"name": ORGANIZATION},
            "spec": {"type": "Standard"},
        },
    )
    _create(
        target,
        token,
        f"{API}/projects",
        {
            "apiVersion": version,
            "kind": "Project",
            "metadata": {"name": FIRST_PROJECT},
            "spec": {"ownerRef": {"kind": "Organization", "name": ORGANIZATION}},
        },
    )
    deadline = time.monotonic() + timeout_s
    while not _is_ready(target, token):
        _still_there(target)
        if time.monotonic() > deadline:
            raise LaunchError(
                f"the server of the {arm} answers, but its first Project was not Ready"
                f" after {timeout_s:g} s",
                hint="look for its controller in the server's log",
            )
        time.sleep(_POLL_S)


def _create(target: Target, token: str, path: str, body: object) -> None:
    try:
        web.call("POST", f"{target.url}{path}", body, ca_file=target.ca_file, token=token)
    except LoadError as error:
        _still_there(target)
        raise LaunchError(f"the server is up but refused a first object: {error}") from error


def _still_there(target: Target) -> None:
    try:
        target.check()
    except LoadError as died:
        raise LaunchError(str(died), hint=died.hint) from died


def _is_ready(target: Target, token: str) -> bool:
    try:
        _, project = web.call(
            "GET",
            f"{target.url}{API}/projects/{FIRST_PROJECT}",
            ca_file=target.ca_file,
            token=token,
        )
    except LoadError:
        return False
    conditions = project.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
