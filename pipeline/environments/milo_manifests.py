"""Read the parts of Milo's own manifests that a start profile uses, from a source tree of Milo."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.system import paths
from pipeline.system.errors import ConfigError, LaunchError

HINT = (
    "name the source tree of the same version: SPEC?manifests=DIR, or `manifests` in [environment]"
)
"""What to do without manifests, or about those that are not what we expect."""

_WEBHOOKS = "config/webhook"
_QUOTA = ("config/services/quota/registrations", "config/services/quota/claim-policies")
_SERVER = "config/apiserver/deployment.yaml"
_MANAGER = "config/controller-manager/base/deployment.yaml"
_WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_QUOTA_KINDS = ("ResourceRegistration", "ClaimCreationPolicy")
_SERVER_FLAGS = ("feature-gates", "logging-format", "shared-etcd-client-pool-size", "v")
_MANAGER_FLAGS = (
    *("feature-gates", "leader-elect", "leader-elect-lease-duration"),
    *("leader-elect-renew-deadline", "leader-elect-resource-namespace"),
    *("leader-elect-retry-period", "logging-format", "v"),
)
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_QUANTITY = re.compile(r"(\d{1,15})([KMGT]i)?")
_MAX_FILE = 4 * 2**20  # bytes of one file of manifests

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MiloManifests:
    """The part of Milo's manifests that is not the same in every profile.

    Attributes:
        webhooks: Webhook configurations.
        quota: Registrations and claim policies of the quota services.
        quota_types: Resource types that a Project needs a grant for, sorted.
        server_flags: Flags of the API server, such as `--v=4`.
        manager_flags: Flags of the controller-manager, such as `--leader-elect=true`.
        server_variables: Environment variables of the API server: Go's memory limit, if any.
        manager_variables: Environment variables of the controller-manager.
    """

    webhooks: tuple[Manifest, ...] = ()
    quota: tuple[Manifest, ...] = ()
    quota_types: tuple[str, ...] = ()
    server_flags: tuple[str, ...] = ()
    manager_flags: tuple[str, ...] = ()
    server_variables: Mapping[str, str] = field(default_factory=dict)
    manager_variables: Mapping[str, str] = field(default_factory=dict)


def find_folder(path: Path | str) -> Path:
    """Return a source tree of Milo as an absolute path, or raise ConfigError if it is missing."""
    folder = paths.expand(path).absolute()
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder} with Milo's manifests", hint=HINT)
    return folder


def read_tree(folder: Path, *, has_quota: bool) -> MiloManifests:
    """Return what a production profile needs of a source tree; `has_quota` for the quota services.

    Raises:
        LaunchError: A file of the manifests is missing, or is not what we expect.
    """
    try:
        return _parse(folder, has_quota=has_quota)
    except (AttributeError, LookupError, TypeError) as error:
        raise LaunchError(
            f"{folder}: a manifest does not have the form that Kubernetes documents: {error!r}",
            hint=HINT,
        ) from error


def _parse(folder: Path, *, has_quota: bool) -> MiloManifests:
    server, manager = (_container(folder / path) for path in (_SERVER, _MANAGER))
    webhooks = tuple(_objects(folder, (_WEBHOOKS,), _WEBHOOK_KINDS))
    quota = tuple(_objects(folder, _QUOTA, _QUOTA_KINDS)) if has_quota else ()
    for one in (*webhooks, *quota):
        str(one["metadata"]["name"])  # what is used once servers run fails here, before
    at_url(webhooks, "", "")
    specs = [one["spec"] for one in quota if one["kind"] == "ResourceRegistration"]
    return MiloManifests(
        webhooks=webhooks,
        quota=quota,
        quota_types=tuple(
            sorted(
                str(one["resourceType"])
                for one in specs
                if one["consumerType"]["kind"] == "Project"
            )
        ),
        server_flags=_flags(server, _SERVER_FLAGS),
        manager_flags=_flags(manager, _MANAGER_FLAGS),
        server_variables=_memory_limit(server, folder / _SERVER),
        manager_variables=_memory_limit(manager, folder / _MANAGER),
    )


def at_url(webhooks: Sequence[Manifest], url: str, ca: str) -> list[Manifest]:
    """Return webhook configurations that call a URL instead of a Service.

    Args:
        webhooks: Webhook configurations of Milo.
        url: Base URL of the controller-manager's webhook server.
        ca: Certificate of its authority, PEM in base64.
    """
    changed = []
    for one in webhooks:
        hooks = []
        for hook in one.get("webhooks") or ():
            path = hook["clientConfig"]["service"]["path"]
            hooks.append({**hook, "clientConfig": {"url": f"{url}{path}", "caBundle": ca}})
        changed.append({**one, "webhooks": hooks})
    return changed


def _objects(folder: Path, parts: Sequence[str], kinds: Sequence[str]) -> Iterator[Manifest]:
    """Return the objects of some kinds in the YAML files of folders.

    Raises:
        LaunchError: There is none of them.
    """
    paths = [path for part in parts for path in sorted((folder / part).glob("*.yaml"))]
    found = [one for path in paths for one in _documents(path) if one.get("kind") in kinds]
    if missing := sorted(set(kinds) - {str(one["kind"]) for one in found}):
        raise LaunchError(
            f"{folder}: no {missing[0]} in {' or '.join(parts)}",
            hint="is this the source tree of the version that is measured?",
        )
    yield from found


def _container(path: Path) -> Manifest:
    """Return the container of a Deployment."""
    for one in _documents(path):
        if one.get("kind") == "Deployment":
            container: Manifest = one["spec"]["template"]["spec"]["containers"][0]
            return container
    raise LaunchError(f"{path}: there is no Deployment in it", hint=HINT)


def _documents(path: Path) -> list[Manifest]:
    import yaml

    try:
        if path.stat().st_size > _MAX_FILE:
            raise LaunchError(f"{path}: is larger than {_MAX_FILE // 2**20} MiB", hint=HINT)
        parsed = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LaunchError(f"{path}: cannot be read: {error.strerror}", hint=HINT) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LaunchError(f"{path}: is not YAML", hint=HINT) from error
    return [one for one in parsed if isinstance(one, dict)]


def _flags(container: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """Return the flags of a container that have one of the names, with variables filled in."""
    variables = {
        str(one["name"]): str(one["value"]) for one in container.get("env") or () if "value" in one
    }
    flags = []
    for argument in container.get("args") or ():
        name, equals, value = str(argument).removeprefix("--").partition("=")
        value = _VARIABLE.sub(lambda match: variables.get(match[1], ""), value)
        if name in names and value:
            flags.append(f"--{name}{equals}{value}")
    return tuple(flags)


def _memory_limit(container: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Return the variable for Go's soft memory limit, which Milo sets to the container's limit."""
    limits = (container.get("resources") or {}).get("limits") or {}
    if "memory" not in limits:
        return {}
    match = _QUANTITY.fullmatch(str(limits["memory"]))
    if match is None:
        raise LaunchError(f"{path}: limits.memory is {limits['memory']}, not such as 512Mi")
    return {"GOMEMLIMIT": f"{match[1]}{match[2] or ''}B"}
