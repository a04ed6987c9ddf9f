"""Start profiles of Milo: the ways in which a build of it is started."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

from pydantic import field_validator

from pipeline.environments import milo_manifests
from pipeline.environments.milo_manifests import MiloManifests
from pipeline.model.health import Check, Status
from pipeline.model.ports import Artifact
from pipeline.model.results import ETCD_FSYNC, ETCD_MEMBERS, MINIMAL, PROFILE, REPLICAS
from pipeline.model.subject import Arm, Product
from pipeline.storage.settings import Settings
from pipeline.system.errors import ConfigError, PipelineError

_ELECTION = ("--leader-elect=true", "--leader-elect-resource-namespace=milo-system", "--v=0")


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
        yield Check(name, Status.WARNING, found, milo_manifests.HINT)
        return
    try:
        folder = milo_manifests.find_folder(settings.manifests)
        milo_manifests.read_tree(folder, has_quota=settings.profile is Profile.PRODUCTION_QUOTA)
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
            f"the profile {settings.profile} needs the manifests of `{spec}`",
            hint=milo_manifests.HINT,
        )
    folder = milo_manifests.find_folder(artifact.manifests or settings.manifests)
    return milo_manifests.read_tree(folder, has_quota=settings.profile is Profile.PRODUCTION_QUOTA)
