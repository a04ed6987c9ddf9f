"""Namespaces of ours: deleted when a launch ends, and named where that did not work."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.environments.api import Api
from pipeline.environments.paths import within
from pipeline.environments.refusals import ClusterError
from pipeline.environments.way import until
from pipeline.log import log


@dataclass(frozen=True, slots=True)
class Home:
    """One namespace of a launch."""

    api: Api
    name: str

    @property
    def path(self) -> str:
        """Of the namespace."""
        return within(self.name)

    def is_deleted(self) -> bool:
        """Begin to delete it; say whether the cluster took that."""
        try:
            self.api.delete(self.path)
        except ClusterError as error:
            self.is_left(str(error))
            return False
        return True

    def is_left(self, why: str) -> None:
        """Say that it is still there."""
        log.warning(
            "left in the cluster: %s: %s; delete it with kubectl, or let"
            " `python -m pipeline cluster sweep --context NAME --delete` do that when it expires",
            self.name,
            why,
        )


def remove(homes: Sequence[Home], gone_s: float) -> None:
    """Delete namespaces, and wait until they are gone; Ctrl-C ends only the waiting."""
    try:
        _wait_gone([one for one in homes if one.is_deleted()], gone_s)
    except KeyboardInterrupt:
        for one in homes:
            one.is_deleted()
        raise


def _wait_gone(left: list[Home], gone_s: float) -> None:
    def are_gone() -> bool:
        left[:] = [one for one in left if one.api.found("GET", one.path)]
        return not left

    what = f"it is not gone after {gone_s:g} s"
    try:
        until(are_gone, gone_s, pause_s=0.5)
    except ClusterError as error:
        what = str(error)
    for one in left:
        one.is_left(what)
