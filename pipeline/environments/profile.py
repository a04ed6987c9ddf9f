"""Start profiles of Milo, and the part of Milo's own manifests that a profile uses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from pipeline.model.health import Check, Status
from pipeline.model.ports import Artifact
from pipeline.model.results import ETCD_FSYNC, ETCD_MEMBERS, MINIMAL, PROFILE, REPLICAS
from pipeline.model.subject import Arm, Product
from pipeline.storage.settings import Settings
from pipeline.system import paths
from pipeline.system.errors import ConfigError, LaunchError, PipelineError

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
_ELECTION = ("--leader-elect=true", "--leader-elect-resource-namespace=milo-system", "--v=0")
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_QUANTITY = re.compile(r"(\d{1,15})([KMGT]i)?")
_MAX_FILE = 4 * 2**20  # bytes of one file of manifests
_HINT = (
    "name the source tree of the same version: SPEC?manifests=DIR, or `manifests` in [environment]"
)

Manifest = dict[str, Any]


class Profile(StrEnum):
    """The way in which Milo is started."""

    MINIMAL = MINIMAL
    """The smallest set of flags that works: no webhooks, no leader election, etcd without fsync."""

    PRODUCTION = "production"
    """What Milo's manifests say: webhooks, Users, leader election, JSON logs, etcd with fsync."""

    PRODUCTION_QUOTA = "production+quota"
    """The same with the quota services, and a grant for every Project."""


class ProfileSettings(Settings):
    """Settings of an environment that say how Milo is started.

    Attributes:
        profile: Start profile of Milo.
        manifests: Folder of a source tree of Milo, for builds that do not bring their own.
        etcd_fsync: True to let etcd wait for the disk; None for what the profile says.
        etcd_members: Number of members of each build's etcd.
        replicas: Number of API servers, and of controller-managers, of each build.
    """

    profile: Profile = Profile.MINIMAL
    manifests: str = ""
    etcd_fsync: bool | None = None
    etcd_members: Literal[1, 3] = 1
    replicas: Literal[1, 2, 3] = 1

    @field_validator("profile", mode="before")
    @classmethod
    def _require_profile(cls, value: object) -> object:
        if value not in set(Profile):
            raise ValueError(f"there is no profile `{value}`; write one of {', '.join(Profile)}")
        return value

    @property
    def is_production(self) -> bool:
        """True unless Milo is started in the minimal way."""
        return self.profile is not Profile.MINIMAL

    @property
    def has_fsync(self) -> bool:
        """True if etcd waits for the disk."""
        return self.is_production if self.etcd_fsync is None else self.etcd_fsync

    def profile_facts(self) -> dict[str, str]:
        """Return the facts of the fingerprint; none for the minimal profile."""
        return {
            **({PROFILE: str(self.profile)} if self.is_production else {}),
            **({ETCD_FSYNC: "on"} if self.has_fsync else {}),
            **({ETCD_MEMBERS: str(self.etcd_members)} if self.etcd_members > 1 else {}),
            **({REPLICAS: str(self.replicas)} if self.replicas > 1 else {}),
        }

    @property
    def has_replicas(self) -> bool:
        """True if a component of a build has several processes."""
        return self.replicas > 1 or self.etcd_members > 1

    @property
    def replica_programs(self) -> tuple[str, ...]:
        """Names of the programs that several replicas need."""
        return ("balancer",) if self.replicas > 1 else ()


def profile_checks(settings: ProfileSettings) -> Iterator[Check]:
    """Return what a profile needs besides the builds; nothing for the minimal one."""
    yield from _replica_checks(settings)
    if not settings.is_production:
        return
    name = f"profile {settings.profile}"
    if not settings.manifests:
        found = "each build must bring Milo's manifests: a source does, a binary does not"
        yield Check(name, Status.WARNING, found, _HINT)
        return
    try:
        folder = _folder(settings.manifests)
        _read(folder, has_quota=settings.profile is Profile.PRODUCTION_QUOTA)
    except PipelineError as error:
        yield Check(name, Status.MISSING, str(error), error.hint)
    else:
        yield Check(name, Status.OK, f"manifests in {folder}")


def _replica_checks(settings: ProfileSettings) -> Iterator[Check]:
    if not settings.has_replicas:
        return
    processes = (2 * settings.replicas + settings.etcd_members) * len(Arm)
    found = (
        f"{settings.replicas} API servers, {settings.replicas} controller-managers and"
        f" {settings.etcd_members} members of etcd for each build: {processes} processes"
    )
    yield Check("replicas", Status.OK, found)


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


def read_manifests(artifact: Artifact, settings: ProfileSettings) -> MiloManifests:
    """Return what the profile needs of a build's manifests.

    The minimal profile needs nothing, but for leader election among replicas.

    Raises:
        ConfigError: The build has no such profile or no replicas, or brings no manifests.
        LaunchError: A file of the manifests is missing, or is not what we expect.
    """
    spec = artifact.subject.spec
    if settings.replicas > 1 and artifact.product is not Product.MILO:
        raise ConfigError(
            f"`{spec}` has no leader election, so it cannot have {settings.replicas} replicas",
            hint="leave `replicas` out of [environment], or give a build of Milo",
        )
    if not settings.is_production:
        return MiloManifests(manager_flags=_ELECTION if settings.replicas > 1 else ())
    if artifact.product is not Product.MILO:
        raise ConfigError(
            f"`{spec}` has no profile {settings.profile}, only {Profile.MINIMAL}",
            hint="leave --profile out, or give a build of Milo",
        )
    if artifact.manifests is None and not settings.manifests:
        raise ConfigError(
            f"the profile {settings.profile} needs the manifests of `{spec}`", hint=_HINT
        )
    folder = _folder(artifact.manifests or settings.manifests)
    return _read(folder, has_quota=settings.profile is Profile.PRODUCTION_QUOTA)


def _folder(path: Path | str) -> Path:
    folder = paths.expand(path).absolute()
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder} with Milo's manifests", hint=_HINT)
    return folder


def _read(folder: Path, *, has_quota: bool) -> MiloManifests:
    try:
        return _parse(folder, has_quota=has_quota)
    except (AttributeError, LookupError, TypeError) as error:
        raise LaunchError(
            f"{folder}: a manifest does not have the form that Kubernetes documents: {error!r}",
            hint=_HINT,
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
    raise LaunchError(f"{path}: there is no Deployment in it", hint=_HINT)


def _documents(path: Path) -> list[Manifest]:
    import yaml

    try:
        if path.stat().st_size > _MAX_FILE:
            raise LaunchError(f"{path}: is larger than {_MAX_FILE // 2**20} MiB", hint=_HINT)
        parsed = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LaunchError(f"{path}: cannot be read: {error.strerror}", hint=_HINT) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LaunchError(f"{path}: is not YAML", hint=_HINT) from error
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
