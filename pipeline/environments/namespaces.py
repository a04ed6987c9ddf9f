"""Namespaces of ours: made, deleted when a launch ends, and named where that did not work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.environments.connect import until
from pipeline.environments.manifests import RUN
from pipeline.system.log import log


@dataclass(slots=True)
class LaunchNamespace:
    """One namespace of a launch.

    It is deleted by its UID, so that a namespace that somebody has made anew under the same name
    is left alone.

    Attributes:
        api: Of the cluster.
        name: Of the namespace.
        run: Id of the run, which is in its labels.
        uid: As the cluster answered when it was made; empty before.
    """

    api: Api
    name: str
    run: str
    uid: str = ""

    @property
    def path(self) -> str:
        """Of the namespace."""
        return namespace_path(self.name)

    def make(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Apply the namespace, and what belongs to it.

        Raises:
            ClusterError: It was refused.
        """
        for manifest in manifests:
            answer = self.api.apply(manifest)
            if manifest["kind"] == "Namespace":
                self.uid = _uid(answer)

    def is_deleted(self) -> bool:
        """Begin to delete it; say whether the cluster took that."""
        try:
            self.uid = self.uid or self._uid_of_run()
            if not self.uid:
                return False
            self.api.delete(self.path, self.uid)
        except ClusterError as error:
            if error.status == 409 and self._is_another():
                return False
            if error.status != 409:  # otherwise it is being deleted already
                self.is_left(str(error))
                return False
        return True

    def is_gone(self) -> bool:
        """Return whether it is there no more.

        Raises:
            ClusterError: The cluster does not answer.
        """
        found = self.api.request_or_none("GET", self.path)
        return found is None or _uid(found) != self.uid

    def is_left(self, why: str) -> None:
        """Say that it is still there."""
        log.warning(
            "left in the cluster: %s: %s; delete it with kubectl, or let"
            " `milo-perf cluster sweep --context NAME --delete` do that when it expires",
            self.name,
            why,
        )

    def _uid_of_run(self) -> str:
        """Return the UID of the namespace if it is of this run: the answer may have been lost."""
        found = self.api.request_or_none("GET", self.path)
        labels = (found or {}).get("metadata", {}).get("labels") or {}
        return _uid(found or {}) if labels.get(RUN) == self.run else ""

    def _is_another(self) -> bool:
        """Return whether somebody has made the namespace anew, and say so."""
        try:
            is_another = self.is_gone()
        except ClusterError:
            return False
        if is_another:
            log.warning("the namespace %s is not the one of this run: it is left alone", self.name)
        return is_another


def _uid(found: Mapping[str, Any]) -> str:
    return str(found.get("metadata", {}).get("uid", ""))


def remove(homes: Sequence[LaunchNamespace], gone_s: float) -> None:
    """Delete namespaces, and wait until they are gone; Ctrl-C ends only the waiting."""
    try:
        _wait_gone([one for one in homes if one.is_deleted()], gone_s)
    except KeyboardInterrupt:
        for one in homes:
            one.is_deleted()
        raise


def _wait_gone(left: list[LaunchNamespace], gone_s: float) -> None:
    def are_gone() -> bool:
        left[:] = [one for one in left if not one.is_gone()]
        return not left

    what = f"it is not gone after {gone_s:g} s"
    try:
        until(are_gone, gone_s, pause_s=0.5)
    except ClusterError as error:
        what = str(error)
    for one in left:
        one.is_left(what)
