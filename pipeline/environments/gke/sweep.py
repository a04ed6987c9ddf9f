"""Delete what may be deleted, look again until it is gone, and say what is left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pipeline.environments.gke.compute import Leftovers
from pipeline.environments.gke.gke import Clusters
from pipeline.environments.gke.sweep_policy import Decision, Rules, decided
from pipeline.environments.gke.values import Found, Kind
from pipeline.system.errors import LaunchError, PipelineError
from pipeline.system.log import log

GONE_S = 30 * 60.0
"""How long is waited until everything is gone: a cluster takes about ten minutes."""


class Place(Protocol):
    """Where things of ours are."""

    @property
    def now_s(self) -> float:
        """Unix time by its own clock, as of the last look."""
        ...

    def look(self) -> list[Found]:
        """Return everything that is there."""
        ...

    def delete(self, found: Found) -> bool:
        """Begin to delete one; return whether it has begun."""
        ...


@dataclass(frozen=True, slots=True)
class Project:
    """A project of Google Cloud: its clusters, and what they left behind.

    Attributes:
        clusters: See there.
        leftovers: See there.
    """

    clusters: Clusters
    leftovers: Leftovers

    @property
    def now_s(self) -> float:
        """Unix time by Google's clock."""
        return self.clusters.now_s

    def look(self) -> list[Found]:
        """Return everything; see `Place`."""
        return [*self.clusters.look(), *self.leftovers.look()]

    def delete(self, found: Found) -> bool:
        """Begin to delete one; see `Place`."""
        where = self.clusters if found.kind is Kind.CLUSTER else self.leftovers
        return where.delete(found)


def looked(place: Place, rules: Rules) -> list[Decision]:
    """Return what is ours there, and what may happen to it."""
    found = place.look()
    names = frozenset(one.name for one in found if one.kind is Kind.CLUSTER)
    every = decided(found, replace(rules, clusters=names), place.now_s)
    return [decision for decision in every if decision.is_ours]


def swept(
    place: Place,
    rules: Rules,
    *,
    pause_s: float = 10.0,
    gone_s: float = GONE_S,
) -> list[Found]:
    """Delete what may be deleted until nothing is left of it; return what was deleted.

    Clusters go first, and what they held is looked for again once they are gone. Who else deletes
    the same at the same time is no matter.

    Args:
        place: Where.
        rules: What may be deleted.
        pause_s: Between two looks, in seconds.
        gone_s: Longest that all of it may take, in seconds.

    Raises:
        LaunchError: Something could not be deleted, or is not gone in time.
    """
    deadline = time.monotonic() + gone_s
    begun: dict[tuple[Kind, str, str, str], Found] = {}
    refused: dict[tuple[Kind, str, str, str], PipelineError] = {}
    while True:
        decisions = looked(place, rules)
        now = {decision.found.key: decision for decision in decisions}
        for decision in decisions:
            key = decision.found.key
            if decision.is_deleted and key not in begun and key not in refused:
                try:
                    if place.delete(decision.found):
                        begun[key] = decision.found
                        log.info("deleting the %s %s", decision.found.kind, decision.found.name)
                except PipelineError as error:
                    log.warning("%s", error)
                    refused[key] = error
        left = [
            key
            for key, decision in now.items()
            if key not in refused
            and (decision.is_deleted or key in begun or _is_going(decision.found, rules.run))
        ]
        if not left:
            break
        if time.monotonic() > deadline:
            names = _listed([now[key].found for key in left])
            raise LaunchError(
                f"not gone after {gone_s / 60:.0f} min: {names}",
                hint="run it again; the console of Google Cloud shows what holds it",
            )
        time.sleep(pause_s)
    if refused:
        raise next(iter(refused.values()))
    return list(begun.values())


def late(decisions: Sequence[Decision]) -> str:
    """Return what is older than twice its limit, in words; empty if nothing is."""
    return _listed([decision.found for decision in decisions if decision.is_late])


def _is_going(found: Found, run: str) -> bool:
    """Whether somebody else deletes what is of the one run that we delete."""
    return bool(run) and found.run == run and found.is_ending


def _listed(found: Sequence[Found]) -> str:
    return ", ".join(f"the {one.kind} {one.name} in {one.where}" for one in found)
