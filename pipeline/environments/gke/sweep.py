"""Decide which resources may be deleted, delete them, and wait until they are gone."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from pipeline.environments.gke.clusters import Clusters
from pipeline.environments.gke.compute import PERMISSIONS, delete_leftover, list_leftovers
from pipeline.environments.gke.resources import (
    MAX_LIFETIME_S,
    OURS,
    CloudResource,
    ResourceKind,
    cluster_name,
)
from pipeline.system.errors import LaunchError, PipelineError
from pipeline.system.log import log

_Key: TypeAlias = tuple[ResourceKind, str, str, str]

CLOCK_SKEW_S = 600.0
"""Grace period after expiry, because clocks may differ."""

_MIN_LIFETIME_S = 3600.0
"""Minimum lifetime used for the overdue check, so that a disk created shortly before expiry is not
reported at once."""

DELETE_TIMEOUT_S = 30 * 60.0
"""How long to wait until everything is gone; a cluster takes about ten minutes."""


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """What may be deleted.

    Attributes:
        owner: The only project, or context, that is swept.
        clusters: Names of the clusters that exist.
        account: Service account of our clusters' nodes; empty for any.
        run: Run whose resources are deleted, expired or not; empty for everything that is expired.
        prefix: Prefix of the names of namespaces.
    """

    owner: str
    clusters: frozenset[str] = frozenset()
    account: str = ""
    run: str = ""
    prefix: str = OURS


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a resource.

    Attributes:
        resource: The resource.
        is_ours: Whether it is ours; resources of others are not even printed.
        is_deleted: Whether it may be deleted.
        reason: Reason in words.
        is_overdue: Whether it is older than twice its lifetime: the sweeper has not worked.
    """

    resource: CloudResource
    is_ours: bool
    is_deleted: bool
    reason: str
    is_overdue: bool = False


def decide(resource: CloudResource, policy: SweepPolicy, now_s: float) -> Decision:
    """Return what happens to a resource; `now_s` is by the clock that stamped its creation."""
    if foreign := _foreign_reason(resource, policy):
        return Decision(resource, is_ours=False, is_deleted=False, reason=foreign)
    keep = _keep_reason(resource, policy, now_s)
    life_s = _lifetime_s(resource)
    limit_s = (
        MAX_LIFETIME_S if life_s is None else min(max(life_s, _MIN_LIFETIME_S), MAX_LIFETIME_S)
    )
    return Decision(
        resource,
        is_ours=True,
        is_deleted=keep is None,
        reason=keep or (f"of run {policy.run}" if policy.run else "expired"),
        is_overdue=now_s > resource.created_s + 2 * limit_s + CLOCK_SKEW_S,
    )


def _foreign_reason(resource: CloudResource, policy: SweepPolicy) -> str | None:
    """Return the reason why a resource is not ours; None if it is ours."""
    if resource.owner != policy.owner:
        return f"of {resource.owner or 'an unknown project'}, which is not swept"
    if resource.kind is ResourceKind.FIREWALL:  # cannot have labels: only a tag and a name
        is_named = resource.name.startswith(f"gke-{resource.cluster}-")
        return None if resource.cluster and is_named else "not a rule of a cluster of ours"
    if not resource.is_labelled:
        return "without our label"
    if not _has_name_of_run(resource, policy):
        return "its name does not match its label"
    if resource.account and policy.account and resource.account != policy.account:
        return f"its nodes are {resource.account}, not {policy.account}"
    return None


def _has_name_of_run(resource: CloudResource, policy: SweepPolicy) -> bool:
    """Return whether the name is the one that follows from the label."""
    if not resource.run:
        return False
    if resource.kind is ResourceKind.NAMESPACE:
        prefix = re.escape(f"{policy.prefix}-{resource.run}")
        return bool(re.fullmatch(f"{prefix}(-.+)?", resource.name))
    return resource.cluster == cluster_name(resource.run)


def _keep_reason(resource: CloudResource, policy: SweepPolicy, now_s: float) -> str | None:
    """Return the reason why a resource of ours is kept; None if it is deleted."""
    is_firewall = resource.kind is ResourceKind.FIREWALL
    is_of_run = (
        resource.cluster == cluster_name(policy.run) if is_firewall else resource.run == policy.run
    )
    if policy.run and not is_of_run:
        return f"not of run {policy.run}"
    if resource.is_ending:
        return "being deleted already"
    # Google truncates long cluster names in tags
    has_cluster = any(name.startswith(resource.cluster) for name in policy.clusters)
    if has_cluster and resource.kind in PERMISSIONS:
        return "goes with its cluster"
    if resource.is_used:
        return "in use"
    return None if policy.run else _too_early_reason(resource, now_s)


def _too_early_reason(resource: CloudResource, now_s: float) -> str | None:
    """Return the reason why a resource has not expired; None if it has."""
    life_s = _lifetime_s(resource)
    if life_s is None:
        return "no expiry time"
    if life_s > MAX_LIFETIME_S + CLOCK_SKEW_S:
        return f"its label gives it {life_s / 3600:.0f} h, more than the maximum"
    left_s = resource.created_s + life_s + CLOCK_SKEW_S - now_s
    return f"expires in {max(left_s, 60) / 60:.0f} min" if left_s > 0 else None


def _lifetime_s(resource: CloudResource) -> float | None:
    """Return the lifetime that was requested, in seconds; None if unknown."""
    if resource.kind is ResourceKind.FIREWALL:
        return MAX_LIFETIME_S
    is_time = re.fullmatch(r"[0-9]{9,11}", resource.expires)
    return int(resource.expires) - resource.created_s if is_time else None


class ResourceScope(Protocol):
    """A project or a cluster in which resources are listed and deleted."""

    @property
    def now_s(self) -> float:
        """Unix time by its own clock, as of the last list."""
        ...

    def list_resources(self) -> Sequence[CloudResource]:
        """Return every resource."""
        ...

    def delete(self, resource: CloudResource) -> bool:
        """Begin to delete a resource; return False if it is busy."""
        ...


@dataclass(frozen=True, slots=True)
class CloudProject:
    """A project of Google Cloud: its clusters, and what they left behind."""

    clusters: Clusters

    @property
    def now_s(self) -> float:
        """See `ResourceScope.now_s`."""
        return self.clusters.now_s

    def list_resources(self) -> Sequence[CloudResource]:
        """See `ResourceScope.list_resources`."""
        clusters = self.clusters.list_resources()  # first: a disk may be released with its cluster
        return clusters + list_leftovers(self.clusters.project, self.clusters.prices)

    def delete(self, resource: CloudResource) -> bool:
        """See `ResourceScope.delete`."""
        if resource.kind is ResourceKind.CLUSTER:
            return self.clusters.delete(resource)
        return delete_leftover(self.clusters.project, resource)


def list_decisions(scope: ResourceScope, policy: SweepPolicy) -> list[Decision]:
    """Return our resources, and what may happen to each."""
    resources = scope.list_resources()
    clusters = frozenset(one.name for one in resources if one.kind is ResourceKind.CLUSTER)
    policy = replace(policy, clusters=clusters)
    decisions = [decide(resource, policy, scope.now_s) for resource in resources]
    return [decision for decision in decisions if decision.is_ours]


@dataclass(frozen=True, slots=True)
class _Deletions:
    """The deletions that were begun in a scope, and the errors of those that were refused."""

    scope: ResourceScope
    begun: dict[_Key, CloudResource] = field(default_factory=dict)
    errors: dict[_Key, PipelineError] = field(default_factory=dict)

    def begin(self, resource: CloudResource) -> None:
        """Begin to delete a resource, unless that was done, was refused, or it is busy."""
        if resource.key in self.begun or resource.key in self.errors:
            return
        try:
            if self.scope.delete(resource):
                self.begun[resource.key] = resource
                log.info("deleting the %s %s", resource.kind, resource.name)
        except PipelineError as error:
            log.warning("%s", error)
            self.errors[resource.key] = error


def delete_expired(
    scope: ResourceScope,
    policy: SweepPolicy,
    *,
    pause_s: float = 10.0,
    timeout_s: float = DELETE_TIMEOUT_S,
) -> Sequence[CloudResource]:
    """Delete what may be deleted, wait until it is gone, and return it.

    Clusters go first; what they used is listed again, every `pause_s`, once they are gone.  Several
    sweepers may delete the same resources at the same time.

    Raises:
        LaunchError: A resource could not be deleted, or is not gone in time.
    """
    deadline = time.monotonic() + timeout_s
    deletions = _Deletions(scope)
    while True:
        decisions = list_decisions(scope, policy)
        for decision in decisions:
            if decision.is_deleted:
                deletions.begin(decision.resource)
        remaining = [
            one.resource
            for one in decisions
            if one.resource.key not in deletions.errors
            and (
                one.is_deleted
                or one.resource.key in deletions.begun
                or (policy.run and one.resource.run == policy.run and one.resource.is_ending)
            )
        ]
        if not remaining:
            break
        if time.monotonic() > deadline:
            raise LaunchError(
                f"not gone after {timeout_s / 60:.0f} min: {', '.join(map(describe, remaining))}",
                hint="run it again; the console of Google Cloud shows what holds it",
            )
        time.sleep(pause_s)
    if deletions.errors:
        raise next(iter(deletions.errors.values()))
    return list(deletions.begun.values())


def describe(resource: CloudResource) -> str:
    """Return a resource in words."""
    return f"the {resource.kind} {resource.name} in {resource.where}"
