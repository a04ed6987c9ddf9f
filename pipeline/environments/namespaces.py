"""Create the namespaces of a launch, delete them at its end, and report those that are left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.environments.connect import wait_until
from pipeline.environments.manifests import RUN
from pipeline.system.log import log


@dataclass(slots=True)
class LaunchNamespace:
    """One namespace of a launch.

    It is deleted by UID, so that a namespace that somebody has created again under the same name
    is left alone.

    Attributes:
        api: Client of the cluster.
        name: Name of the namespace.
        run: Id of the run, which is one of its labels.
        uid: UID of the namespace; empty until the cluster has answered.
    """

    api: Api
    name: str
    run: str
    uid: str = ""

    @property
    def path(self) -> str:
        """API path of the namespace."""
        return namespace_path(self.name)

    def create(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Apply the manifests of the namespace and of the objects in it."""
        for manifest in manifests:
            applied = self.api.apply(manifest)
            if manifest["kind"] == "Namespace":
                self.uid = _uid(applied)

    def delete(self) -> bool:
        """Begin to delete the namespace, and return True if it is going to disappear."""
        try:
            if not self.uid:  # its creation was not answered
                namespace = self.api.request_or_none("GET", self.path) or {}
                labels = namespace.get("metadata", {}).get("labels") or {}
                if labels.get(RUN) != self.run:
                    return False
                self.uid = _uid(namespace)
            self.api.delete(self.path, self.uid)
        except ClusterError as error:
            if error.status == 409:  # it is terminating already, or it is another one
                return not self._is_replaced()
            self.warn_left(str(error))
            return False
        return True

    def is_gone(self) -> bool:
        """Return True if the namespace no longer exists."""
        namespace = self.api.request_or_none("GET", self.path)
        return namespace is None or _uid(namespace) != self.uid

    def warn_left(self, why: str) -> None:
        """Log that the namespace is still there, and how to delete it."""
        log.warning(
            "left in the cluster: %s: %s; delete it with kubectl, or let"
            " `milo-perf cluster sweep --context NAME --delete` do that when it expires",
            self.name,
            why,
        )

    def _is_replaced(self) -> bool:
        try:
            is_replaced = self.is_gone()
        except ClusterError:
            return False
        if is_replaced:
            log.warning("the namespace %s is not the one of this run: it is left alone", self.name)
        return is_replaced


def _uid(namespace: Mapping[str, Any]) -> str:
    return str(namespace.get("metadata", {}).get("uid", ""))


def delete_namespaces(namespaces: Sequence[LaunchNamespace], timeout_s: float) -> None:
    """Delete namespaces, and wait until they are gone; Ctrl-C ends only the waiting."""
    left: list[LaunchNamespace] = []

    def are_gone() -> bool:
        left[:] = [one for one in left if not one.is_gone()]
        return not left

    why = f"it is not gone after {timeout_s:g} s"
    try:
        left += [one for one in namespaces if one.delete()]
        wait_until(are_gone, timeout_s, pause_s=0.5)
    except ClusterError as error:
        why = str(error)
    except KeyboardInterrupt:
        for one in namespaces:
            one.delete()
        raise
    for one in left:
        one.warn_left(why)
