"""Delete what may be deleted, and wait until it is gone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pipeline.environments.gke.clusters import Clusters
from pipeline.environments.gke.compute import Leftovers
from pipeline.environments.gke.resources import CloudResource, ResourceKind
from pipeline.environments.gke.sweep_policy import Decision, SweepPolicy, decide
from pipeline.system.errors import LaunchError, PipelineError
from pipeline.system.log import log

DELETE_TIMEOUT_S = 30 * 60.0
"""How long to wait until everything is gone; a cluster takes about ten minutes."""


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
    leftovers: Leftovers

    @property
    def now_s(self) -> float:
        """Unix time by Google's clock."""
        return self.clusters.now_s

    def list_resources(self) -> Sequence[CloudResource]:
        """Return every resource; see `ResourceScope`."""
        return [*self.clusters.list_resources(), *self.leftovers.list_resources()]

    def delete(self, resource: CloudResource) -> bool:
        """Begin to delete a resource; see `ResourceScope`."""
        is_cluster = resource.kind is ResourceKind.CLUSTER
        return (self.clusters if is_cluster else self.leftovers).delete(resource)


def list_decisions(scope: ResourceScope, policy: SweepPolicy) -> list[Decision]:
    """Return our resources, and what may happen to each."""
    resources = scope.list_resources()
    clusters = frozenset(one.name for one in resources if one.kind is ResourceKind.CLUSTER)
    policy = replace(policy, clusters=clusters)
    decisions = [decide(resource, policy, scope.now_s) for resource in resources]
    return [decision for decision in decisions if decision.is_ours]


def delete_expired(
    scope: ResourceScope,
    policy: SweepPolicy,
    *,
    pause_s: float = 10.0,
    timeout_s: float = DELETE_TIMEOUT_S,
) -> Sequence[CloudResource]:
    """Delete what may be deleted, wait until it is gone, and return it.

    Clusters go first; what they used is listed again once they are gone.  Several sweepers may
    delete the same resources at the same time.

    Args:
        scope: Project or cluster.
        policy: What may be deleted.
        pause_s: Seconds between two lists.
        timeout_s: Seconds for all of it.

    Raises:
        LaunchError: A resource could not be deleted, or is not gone in time.
    """
    deadline = time.monotonic() + timeout_s
    deleting: dict[tuple[ResourceKind, str, str, str], CloudResource] = {}
    errors: dict[tuple[ResourceKind, str, str, str], PipelineError] = {}
    while True:
        decisions = list_decisions(scope, policy)
        for decision in decisions:
            resource = decision.resource
            if decision.is_deleted and resource.key not in deleting.keys() | errors:
                try:
                    if scope.delete(resource):
                        deleting[resource.key] = resource
                        log.info("deleting the %s %s", resource.kind, resource.name)
                except PipelineError as error:
                    log.warning("%s", error)
                    errors[resource.key] = error
        remaining = [
            decision.resource
            for decision in decisions
            if decision.resource.key not in errors
            and (
                decision.is_deleted
                or decision.resource.key in deleting
                or _is_terminating(decision.resource, policy.run)
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
    if errors:
        raise next(iter(errors.values()))
    return list(deleting.values())


def _is_terminating(resource: CloudResource, run: str) -> bool:
    """Return True if the resource belongs to the run being deleted and is already terminating."""
    return bool(run) and resource.run == run and resource.is_ending


def describe(resource: CloudResource) -> str:
    """Return a resource in words."""
    return f"the {resource.kind} {resource.name} in {resource.where}"
