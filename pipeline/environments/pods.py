"""Wait until the Pods of a namespace are Ready, and notice when one of them ends."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.system.errors import LaunchError, LoadError, SubjectDiedError
from pipeline.system.log import log

Pod = Mapping[str, Any]

_HOPELESS = (
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)
# Reasons of a Pod that the kubelet or the control plane ended; see `PodStatus` in Kubernetes' API.
_DISRUPTED = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"}
)
_WATCH_S = 20.0
_POLL_S = 3.0
_LOG_LINES = 12
_LOG_BYTES = 20_000_000
_MAX_MESSAGE = 300  # characters


@dataclass(frozen=True, slots=True)
class PodState:
    """How far a Pod is.

    Attributes:
        is_ready: True if the Pod is Ready.
        why: Reason why the Pod is not Ready, or how it ended; empty if it is Ready.
        is_final: True if the Pod will never become Ready.
        failed_itself: True if the program exited, crashed, or exceeded its memory limit; False
            if the Pod was evicted, preempted or deleted.
    """

    is_ready: bool = False
    why: str = ""
    is_final: bool = False
    failed_itself: bool = False


def pod_state(pod: Pod | None) -> PodState:
    """Return how far a Pod is; None is a Pod that is not there any more."""
    if pod is None:
        return PodState(why="was deleted", is_final=True)
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    for container in status.get("containerStatuses") or ():
        if (stopped := _stopped_state(container.get("state", {}))) is not None:
            is_disrupted = (
                "deletionTimestamp" in pod.get("metadata", {})
                or conditions.get("DisruptionTarget", {}).get("status") == "True"
                or status.get("reason") in _DISRUPTED
            )
            return replace(stopped, failed_itself=stopped.failed_itself and not is_disrupted)
    if status.get("phase") in ("Failed", "Succeeded"):
        why = ": ".join(filter(None, (status.get("reason", "Failed"), status.get("message", ""))))
        return PodState(why=why, is_final=True)
    if "deletionTimestamp" in pod.get("metadata", {}):
        return PodState(why="is being deleted by somebody else", is_final=True)
    if conditions.get("Ready", {}).get("status") == "True":
        return PodState(is_ready=True)
    phase = str(status.get("phase", "Pending"))
    why = "does not answer yet" if phase == "Running" else phase
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        why = f"{scheduled.get('reason', 'Pending')}: {scheduled.get('message', '')}"
    return PodState(why=why)


def _stopped_state(container: Mapping[str, Any]) -> PodState | None:
    """Return the state of a container that does not run, or None if it runs."""
    if ended := container.get("terminated"):
        reason, code = ended.get("reason", "Error"), ended.get("exitCode")
        why = f"exited with {code} ({reason})"
        if reason == "OOMKilled":
            why = "was killed because it took more memory than its limit (OOMKilled)"
        return PodState(why=why, is_final=True, failed_itself=True)
    if waiting := container.get("waiting"):
        reason = str(waiting.get("reason", "Waiting"))
        why = ": ".join(filter(None, (reason, waiting.get("message", "")[:_MAX_MESSAGE])))
        return PodState(why=why, is_final=reason in _HOPELESS)
    return None


@dataclass(slots=True)
class Pods:
    """The Pods of one namespace.

    Attributes:
        api: Client of the cluster.
        namespace: Name of the namespace.
        arm: Name of the arm, for messages.
        name_of: Function that returns the name of a Pod in our messages; empty for a Pod to
            ignore.
    """

    api: Api
    namespace: str
    arm: str
    name_of: Callable[[Pod], str] = lambda pod: str(pod["metadata"]["name"])
    _names: dict[str, str] = field(default_factory=dict)
    _checked_s: float = 0.0
    _death: LoadError | None = None
    _logged: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """API path of the list of Pods."""
        return namespace_path(self.namespace, "pods")

    def wait_ready(self, names: Sequence[str], timeout_s: float) -> None:
        """Return once all are Ready; log what each waits for as it changes.

        Raises:
            LaunchError: A Pod ended or cannot start, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            listed = self.api.request("GET", self.path)
            pods = self.by_name(listed.get("items", ()))
            version = listed.get("metadata", {}).get("resourceVersion", "")
            if self._are_ready(names, pods):
                return
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self._are_ready(names, pods, f" after {timeout_s:g} s")
            for event in self.api.watch(self.path, version, max(1.0, min(left_s, _WATCH_S))):
                if event.get("type") == "ERROR":
                    break  # the version is too old: read the list again
                pods |= self.by_name([event["object"]])
                if self._are_ready(names, pods):
                    return
            time.sleep(0.1)  # a watch that breaks at once must not become a busy loop

    def check(self, names: Iterable[str]) -> None:
        """Return while all run; ask the cluster at most every three seconds.

        A cluster that does not answer does not stop a load that is running.  A Pod that has ended
        stays ended, so its error is raised at every later call.

        Raises:
            SubjectDiedError: The program of a Pod has ended.
            LoadError: A Pod was evicted, preempted or deleted.
        """
        if self._death is not None:
            raise self._death
        if time.monotonic() - self._checked_s < _POLL_S:
            return
        self._checked_s = time.monotonic()
        try:
            pods = self.by_name(self.read())
        except ClusterError as error:
            log.warning("the Pods of the %s cannot be read: %s", self.arm, error)
            return
        for name in names:
            state = pod_state(pods.get(name))
            if state.is_final:
                kind = SubjectDiedError if state.failed_itself else LoadError
                what = f"{name} of the {self.arm} {state.why}"
                self._death = kind(what, hint=self.log_tail(name))
                raise self._death

    def read(self) -> Sequence[Pod]:
        """Return all Pods of the namespace."""
        return list(self.api.request("GET", self.path).get("items", ()))

    def by_name(self, pods: Iterable[Pod]) -> dict[str, Pod]:
        """Return the Pods that have a name in our messages, by that name."""
        named = {name: pod for pod in pods if (name := self.name_of(pod))}
        self._names.update({name: str(pod["metadata"]["name"]) for name, pod in named.items()})
        return named

    def log_tail(self, name: str) -> str:
        """Return the last lines of a Pod's log under a heading, for a hint."""
        try:
            text = self.api.read_text(self._log_path(name), {"tailLines": str(_LOG_LINES)})
        except ClusterError as error:
            return f"its log cannot be read: {error}"
        lines = [f"  {line[:_MAX_MESSAGE]}" for line in text.splitlines()]
        return "\n".join([f"its last lines, in {self.namespace}:", *lines])

    def save_logs(self, names: Iterable[str], out: Path) -> None:
        """Write the log of each Pod to `NAME-ARM.log`; skip Pods that are not there."""
        for name in names:
            path = out / f"{name}-{self.arm}.log".replace(" ", "-")
            try:
                text = self.api.read_text(self._log_path(name), {"limitBytes": str(_LOG_BYTES)})
                path.write_text(text, encoding="utf-8")
            except ClusterError as error:
                if error.status != 404:
                    log.warning("the log of %s of the %s is lost: %s", name, self.arm, error)
                if not error.status:  # no answer: the other logs would take as long
                    return
            except OSError as error:
                log.warning("the log of %s of the %s is lost: %s", name, self.arm, error.strerror)

    def _log_path(self, name: str) -> str:
        return f"{self.path}/{self._names.get(name, name)}/log"

    def _are_ready(self, names: Sequence[str], pods: Mapping[str, Pod], late: str = "") -> bool:
        """Return True if all are Ready; raise LaunchError if one ended, or if it is too late."""
        states = [
            pod_state(pods[name]) if name in pods else PodState(why="was not created")
            for name in names
        ]
        for name, state in zip(names, states, strict=True):
            if state.is_final or (late and not state.is_ready):
                raise LaunchError(
                    f"{name} of the {self.arm} was not ready{late}: {state.why}",
                    hint=f"{_hint(state.why)}{self.log_tail(name)}",
                )
            if name in pods and state.why and self._logged.get(name) != state.why:
                self._logged[name] = state.why
                log.info("%s of the %s: %s", name, self.arm, state.why)
        return all(state.is_ready for state in states)


def _hint(why: str) -> str:
    if "Image" in why:
        return (
            "the cluster cannot get this image: see `registry`, `pull_secret` and the command"
            " `pack` in docs/howto/any-cluster.md\n"
        )
    if why.startswith("Unschedulable"):
        return (
            "no node has enough free resources: give less to server, manager and etcd in"
            " [environment], or choose other nodes with node_selector\n"
        )
    return ""
