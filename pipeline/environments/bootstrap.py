"""Prepare a new control plane: types, access rights of the load, and a first Project."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.environments import manifests
from pipeline.environments.milo_manifests import MiloManifests, at_url
from pipeline.model.ports import FIRST_ORGANIZATION, Target, find_deaths
from pipeline.model.replicas import component_of
from pipeline.model.subject import Arm, Product
from pipeline.system import http_client
from pipeline.system.errors import LaunchError, LoadError, NetworkError, SetupDeathError
from pipeline.system.sanitize import truncate

API = "/apis/resourcemanager.miloapis.com/v1alpha1"
FIRST_PROJECT = "milo-perf-first"
_OBJECTS = "first-objects.yaml"
_PRODUCTION_OBJECTS = "production-objects.yaml"
_GRANT_POLICY = "grant-policy.yaml"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_CONTROL_PLANES = "/apis/infrastructure.miloapis.com/v1alpha1/projectcontrolplanes"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
_IAM = "iam.miloapis.com"
_QUOTA = "/apis/quota.miloapis.com/v1alpha1"
_QUOTA_KINDS = {  # by kind: the plural, and the condition of an object that is in use
    "ResourceRegistration": ("resourceregistrations", "Active"),
    "ClaimCreationPolicy": ("claimcreationpolicies", "Ready"),
    "GrantCreationPolicy": ("grantcreationpolicies", "Ready"),
}
_GRANTED = 1_000_000  # objects of a kind in each Project
_LOGS = "look for its controllers in the logs of the server and of the manager"
_MANIFESTS = "do the manifests belong to the version of the binary?"
_POLL_S = 0.05
_SECRET_POLL_S = 0.5


@contextmanager
def blame_dead_build(targets: Mapping[Arm, Target]) -> Iterator[None]:
    """Name the build that dies while the control planes are prepared.

    If both die, the machine may be at fault, and the error stays as it is.

    Args:
        targets: Builds whose servers are ready; may be changed inside.

    Raises:
        SetupDeathError: One build died.
    """
    try:
        yield
    except LaunchError as error:
        deaths = find_deaths(targets)
        if len(deaths) != 1:
            raise
        ((arm, death),) = deaths.items()
        raise SetupDeathError(f"before the load: {death}", arm=arm, hint=death.hint) from error


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
        _create(target, token, _DEFINITIONS, definition, arm=arm)
        for name, one in _servers(target).items():
            problem = f"{name} of the {arm} does not serve its own types"
            _wait(partial(_serves_types, one, token), target, timeout_s, problem)
    _create(target, token, _BINDINGS, binding, arm=arm)


def _servers(target: Target) -> dict[str, Target]:
    """Return a target for each API server, by its name; the URL of its metrics has its address."""
    return {
        name: replace(target, url=url.removesuffix("/metrics"))
        for name, url in target.metrics.items()
        if component_of(name) == "server"
    }


def _serves_types(target: Target, token: str) -> bool:
    """Return True if Milo serves its own types and our definition; `/readyz` does not wait."""
    definitions = _get(target, token, _DEFINITIONS).get("items", [{}])
    paths = (f"{API}/organizations", f"{API}/projects", _CONTROL_PLANES)
    return all(_has_condition(one, "Established") for one in definitions) and all(
        _get(target, token, f"{path}?limit=1") for path in paths
    )


def set_up_production(
    target: Target,
    token: str,
    milo_manifests: MiloManifests,
    webhooks_url: str,
    *,
    arm: str,
    timeout_s: float,
) -> None:
    """Create Users and roles, and install the webhooks and the quota services of Milo's manifests.

    Args:
        target: The server, whose controller-manager is ready.
        token: Token of an administrator.
        milo_manifests: Manifests of the build.
        webhooks_url: Base URL of the webhook server, as the API server reaches it.
        arm: Name of the arm, for messages.
        timeout_s: Seconds to wait for each part.

    Raises:
        LaunchError: An object was refused, or a part did not become ready.
    """
    for one in manifests.read(_PRODUCTION_OBJECTS):
        namespace = one["metadata"].get("namespace")
        path = f"namespaces/{namespace}/roles" if namespace else "users"
        _create(target, token, f"/apis/{_IAM}/v1alpha1/{path}", one, arm=arm, hint=_MANIFESTS)
    ca = base64.b64encode(target.ca_file.read_bytes()).decode()
    for one in at_url(milo_manifests.webhooks, webhooks_url, ca):
        path = f"{_WEBHOOKS}/{one['kind'].lower()}s"
        _create(target, token, path, one, arm=arm, hint=_MANIFESTS)
    *_, project = manifests.read(_OBJECTS)
    probe = {**project, "metadata": {"name": "milo-perf-refused"}}
    problem = "the webhooks are installed, and a Project outside of an Organization is accepted"
    for server in _servers(target).values():
        _wait(partial(_refuses, server, probe), target, timeout_s, problem)
    for one in (*milo_manifests.quota, *_grants(milo_manifests.quota_types)):
        plural, condition = _QUOTA_KINDS[one["kind"]]
        _create(target, token, f"{_QUOTA}/{plural}", one, arm=arm, hint=_MANIFESTS)
        path = f"{_QUOTA}/{plural}/{one['metadata']['name']}"
        _wait(
            partial(_is_true, target, token, path, condition),
            target,
            timeout_s,
            f"{one['kind']} {one['metadata']['name']} is not {condition}",
            detail=partial(_status, target, token, path),
            hint=_MANIFESTS,
        )


def create_first_projects(targets: Mapping[Arm, Target], token: str, timeout_s: float) -> None:
    """Create an Organization and a Project in each arm, and return once all can be used.

    A Secret in the Project shows that its users can create objects, under quota too.

    Args:
        targets: The servers.
        token: Token of an administrator.
        timeout_s: Seconds to wait for each.

    Raises:
        LaunchError: An object was refused or did not become Ready.
    """
    *_, organization, project = manifests.read(_OBJECTS)
    for arm, target in targets.items():
        hint = _MANIFESTS if target.needs_organization_path else ""
        create = partial(_create, target, arm=str(arm), hint=hint)
        create(token, f"{API}/organizations", organization)
        if target.needs_organization_path:  # by an ordinary user, as the webhooks want it
            user = _user_token(target)
            within = f"{API}/organizations/{FIRST_ORGANIZATION}/control-plane"
            create(user, f"{within}{API}/projects", project)
        else:
            create(token, f"{API}/projects", project)
    for arm, target in targets.items():
        path = f"{API}/projects/{FIRST_PROJECT}"
        _wait(
            partial(_is_true, target, token, path, "Ready"),
            target,
            timeout_s,
            f"the server of the {arm} answers, but its first Project was not Ready",
            detail=partial(_status, target, token, path),
        )
    for arm, target in targets.items():
        if target.needs_organization_path:
            _create_first_secret(target, str(arm), timeout_s)


def _create_first_secret(target: Target, arm: str, timeout_s: float) -> None:
    """Create a Secret in the first Project; a grant of quota may need a moment.

    Raises:
        LaunchError: The Secret was refused until the end.
    """
    user = _user_token(target)
    path = f"/projects/{FIRST_PROJECT}/control-plane/api/v1/namespaces/default/secrets"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": FIRST_PROJECT}}
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return _create(target, user, path, secret, arm=arm)
        except LaunchError as error:
            _require_alive(target)
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"{error}; it was tried for {timeout_s:g} s",
                    hint="under quota, is there a grant for the Project?",
                ) from error
        time.sleep(_SECRET_POLL_S)


def _grants(types: Sequence[str]) -> list[manifests.Manifest]:
    """Return a policy that grants every Project more of each resource type than a load needs."""
    if not types:
        return []
    (policy,) = manifests.read(_GRANT_POLICY)
    policy["spec"]["target"]["resourceGrantTemplate"]["spec"]["allowances"] = [
        {"resourceType": one, "buckets": [{"amount": _GRANTED}]} for one in types
    ]
    return [policy]


def _refuses(target: Target, project: object) -> bool:
    """Return True if no ordinary user may create a Project outside of an Organization."""
    user = _user_token(target)
    url = f"{target.url}{API}/projects?dryRun=All"
    try:
        http_client.call("POST", url, project, ca_file=target.ca_file, token=user)
    except NetworkError:
        return True
    return False


def _is_true(target: Target, token: str, path: str, condition: str) -> bool:
    return _has_condition(_get(target, token, path), condition)


def _wait(
    condition: Callable[[], bool],
    target: Target,
    timeout_s: float,
    problem: str,
    *,
    detail: Callable[[], str] = lambda: "",
    hint: str = _LOGS,
) -> None:
    """Wait for a condition; after the timeout, the error has the problem and its detail."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        _require_alive(target)
        if time.monotonic() > deadline:
            raise LaunchError(f"{problem} after {timeout_s:g} s{detail()}", hint=hint)
        time.sleep(_POLL_S)


def _create(
    target: Target, token: str, path: str, body: Mapping[str, Any], *, arm: str, hint: str = ""
) -> None:
    """Create an object that may exist already."""
    try:
        http_client.call("POST", f"{target.url}{path}", body, ca_file=target.ca_file, token=token)
    except NetworkError as error:
        _require_alive(target)
        name = f"{body['kind']} {body['metadata']['name']}"
        raise LaunchError(f"the server of the {arm} refused {name}: {error}", hint=hint) from error


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


def _status(target: Target, token: str, path: str) -> str:
    """Return the status of an object, as the end of a message."""
    status = _get(target, token, path).get("status") or "it has no status"
    return f": {truncate(str(status), 300)}"


def _user_token(target: Target) -> str:
    return target.token_file.read_text(encoding="utf-8")


def _has_condition(resource: Mapping[str, Any], name: str) -> bool:
    """Return True if an object has a condition of this type whose status is True."""
    conditions = resource.get("status", {}).get("conditions") or []  # it may be null
    return any(one["type"] == name and one["status"] == "True" for one in conditions)
