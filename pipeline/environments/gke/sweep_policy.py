"""What the sweeper may delete: pure, so that every case can be written in a table."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.environments.gke.values import LONGEST_LIFE_S, OURS, Found, Kind, name_of

SKEW_S = 600.0
"""How far clocks may differ: so long after its end is something left alone."""

_LEAST_S = (
    3600.0  # a disk may be made a minute before the end, and nobody is late a minute after it
)
_LEFTOVERS = (Kind.DISK, Kind.ADDRESS, Kind.BALANCER, Kind.FIREWALL)


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be deleted.

    Attributes:
        owner: The one project, or context, that is swept.
        clusters: Names of the clusters that are there.
        account: Service account that the nodes of our clusters have; empty for any.
        run: Only what is of this run, whether expired or not; empty for all that is expired.
        prefix: Of the names of namespaces.
    """

    owner: str
    clusters: frozenset[str] = frozenset()
    account: str = ""
    run: str = ""
    prefix: str = OURS


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to something that was found.

    Attributes:
        found: See there.
        is_ours: Whether it is ours at all; what is not is not even shown.
        is_deleted: Whether it may be deleted.
        why: In words.
        is_late: Whether it is older than twice its limit: sweeping has not worked for long.
    """

    found: Found
    is_ours: bool
    is_deleted: bool
    why: str
    is_late: bool = False


def decided(found: Iterable[Found], rules: Rules, now_s: float) -> list[Decision]:
    """Return what happens to each.

    Args:
        found: In any order.
        rules: See there.
        now_s: Unix time by the clock of whoever said when things were created.
    """
    return [decide(one, rules, now_s) for one in found]


def decide(found: Found, rules: Rules, now_s: float) -> Decision:
    """Return what happens to one thing; see `decided`."""
    foreign = _foreign(found, rules)
    if foreign:
        return Decision(found, is_ours=False, is_deleted=False, why=foreign)
    kept = _kept(found, rules, now_s)
    life_s = _life_s(found)
    limit_s = LONGEST_LIFE_S if life_s is None else min(max(life_s, _LEAST_S), LONGEST_LIFE_S)
    is_late = now_s > found.created_s + 2 * limit_s + SKEW_S
    return Decision(
        found,
        is_ours=True,
        is_deleted=not kept,
        why=kept or (f"of run {rules.run}" if rules.run else "expired"),
        is_late=is_late,
    )


def _foreign(found: Found, rules: Rules) -> str:
    """Return why something is not ours; empty if it is."""
    if found.owner != rules.owner:
        return f"of {found.owner or 'an unknown project'}, which is not swept"
    if found.kind is Kind.FIREWALL:  # these cannot have labels: tag and name are all there is
        is_named = found.name.startswith(f"gke-{found.cluster}-")
        return "" if found.cluster and is_named else "not a rule of a cluster of ours"
    if not found.is_labelled:
        return "without our label"
    if not _is_named(found, rules):
        return "named otherwise than its label says"
    if found.account and rules.account and found.account != rules.account:
        return f"its nodes are {found.account}, not {rules.account}"
    return ""


def _is_named(found: Found, rules: Rules) -> bool:
    """Whether the name is what the label makes it."""
    if not found.run:
        return False
    if found.kind is Kind.NAMESPACE:
        return bool(re.fullmatch(f"{re.escape(f'{rules.prefix}-{found.run}')}(-.+)?", found.name))
    return found.cluster == name_of(found.run)


def _kept(found: Found, rules: Rules, now_s: float) -> str:
    """Return why something of ours is kept; empty if it is deleted."""
    if rules.run and not _is_of_run(found, rules.run):
        return f"not of run {rules.run}"
    if found.is_ending:
        return "being deleted already"
    if found.kind in _LEFTOVERS and _has_cluster(found, rules.clusters):
        return "goes with its cluster"
    if found.is_used:
        return "in use"
    return "" if rules.run else _too_early(found, now_s)


def _too_early(found: Found, now_s: float) -> str:
    """Return why something has not expired; empty if it has."""
    life_s = _life_s(found)
    if life_s is None:
        return "no time at which it expires"
    if life_s > LONGEST_LIFE_S + SKEW_S:
        return f"its label gives it {life_s / 3600:.0f} h, more than anybody may ask for"
    left_s = found.created_s + life_s + SKEW_S - now_s
    return f"expires in {max(left_s, 60) / 60:.0f} min" if left_s > 0 else ""


def _life_s(found: Found) -> float | None:
    """Return how long something was to live, in seconds; None if nobody said so."""
    if found.kind is Kind.FIREWALL:
        return LONGEST_LIFE_S
    return int(found.expires) - found.created_s if _is_time(found.expires) else None


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{9,11}", text))


def _is_of_run(found: Found, run: str) -> bool:
    if found.kind is Kind.FIREWALL:
        return found.cluster == name_of(run)
    return found.run == run


def _has_cluster(found: Found, clusters: frozenset[str]) -> bool:
    """Whether its cluster is there; Google cuts long names short in tags."""
    return any(name.startswith(found.cluster) for name in clusters)
