"""Which resources the sweeper may delete.  Pure, so that every case is tested in a table."""

import re
from dataclasses import dataclass

from pipeline.environments.gke.resources import (
    MAX_LIFETIME_S,
    OURS,
    CloudResource,
    ResourceKind,
    cluster_name,
)

CLOCK_SKEW_S = 600.0
"""Grace period after expiry, because clocks may differ."""

_MIN_LIFETIME_S = 3600.0
"""Minimum lifetime used for the overdue check, so that a disk created shortly before expiry is not
reported at once."""

_LEFTOVERS = (
    ResourceKind.DISK,
    ResourceKind.ADDRESS,
    ResourceKind.BALANCER,
    ResourceKind.FIREWALL,
)


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
    """Return what happens to a resource.

    Args:
        resource: The resource.
        policy: What may be deleted.
        now_s: Unix time by the clock that stamped the creation time.
    """
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
    if policy.run and not _is_of_run(resource, policy.run):
        return f"not of run {policy.run}"
    if resource.is_ending:
        return "being deleted already"
    # Google truncates long cluster names in tags
    has_cluster = any(name.startswith(resource.cluster) for name in policy.clusters)
    if resource.kind in _LEFTOVERS and has_cluster:
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


def _is_of_run(resource: CloudResource, run: str) -> bool:
    if resource.kind is ResourceKind.FIREWALL:
        return resource.cluster == cluster_name(run)
    return resource.run == run
