"""Wait for the Pods of a namespace, saying what is in the way, and notice when one ends."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.environments.api import Api
from pipeline.environments.refusals import ClusterError
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
_WATCH_S = 20.0
_LOOK_S = 3.0
_LINES = 12
_LOG_BYTES = 20_000_000


# Reasons of a Pod that the kubelet or the control plane ended; see `PodStatus` in Kubernetes' API.
_DISTURBED = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"}
)


@dataclass(frozen=True, slots=True)
class State:
    """How far a Pod is.

    Attributes:
        is_ready: Whether it answers.
        why: What it waits for, or how it ended; empty when it is ready.
        is_over: Whether waiting longer is of no use.
        is_of_itself: Whether it ended by itself: it exited, crashed, or took more memory than its
            limit.  A Pod that was evicted, preempted or deleted did not.
    """

    is_ready: bool
    why: str = ""
    is_over: bool = False
    is_of_itself: bool = False


def state(pod: Pod) -> State:
    """Return how far a Pod is, from what the cluster says of it."""
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    for container in status.get("containerStatuses") or ():
        if (found := _stopped(container.get("state", {}))) is not None:
            is_left_alone = not _is_disturbed(pod, conditions)
            return replace(found, is_of_itself=found.is_of_itself and is_left_alone)
    if status.get("phase") in ("Failed", "Succeeded"):
        why = ": ".join(filter(None, (status.get("reason", "Failed"), status.get("message", ""))))
        return State(is_ready=False, why=why, is_over=True)
    if "deletionTimestamp" in pod.get("metadata", {}):
        return State(is_ready=False, why="is being deleted by somebody else", is_over=True)
    if conditions.get("Ready", {}).get("status") == "True":
        return State(is_ready=True)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        why = f"{scheduled.get('reason', 'Pending')}: {scheduled.get('message', '')}"
        return State(is_ready=False, why=why)
    phase = status.get("phase", "Pending")
    return State(is_ready=False, why="does not answer yet" if phase == "Running" else str(phase))


def _is_disturbed(pod: Pod, conditions: Mapping[str, Any]) -> bool:
    """Return whether a Pod was evicted, preempted or deleted, and so did not end by itself."""
    target = conditions.get("DisruptionTarget", {})
    return (
        "deletionTimestamp" in pod.get("metadata", {})
        or target.get("status") == "True"
        or pod.get("status", {}).get("reason") in _DISTURBED
    )


def _stopped(now: Mapping[str, Any]) -> State | None:
    """Return why a container does not run, or None where it does."""
    if ended := now.get("terminated"):
        return State(is_ready=False, why=_ended(ended), is_over=True, is_of_itself=True)
    if waiting := now.get("waiting"):
        reason = str(waiting.get("reason", "Waiting"))
        why = ": ".join(filter(None, (reason, waiting.get("message", "")[:300])))
        return State(is_ready=False, why=why, is_over=reason in _HOPELESS)
    return None


def _ended(terminated: Mapping[str, Any]) -> str:
    reason, code = terminated.get("reason", "Error"), terminated.get("exitCode")
    if reason == "OOMKilled":
        return "was killed because it took more memory than its limit (OOMKilled)"
    return f"exited with {code} ({reason})"


@dataclass(slots=True)
class Pods:
    """The Pods of one namespace, which stands for one arm.

    Attributes:
        api: Of the cluster.
        namespace: Where they are.
        arm: For messages.
        key: What a Pod is called here, by default as it is there; empty for one that is not meant.
    """

    api: Api
    namespace: str
    arm: str
    key: Callable[[Pod], str] = lambda pod: str(pod["metadata"]["name"])
    _names: dict[str, str] = field(default_factory=dict)
    _looked_s: float = 0.0
    _said: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Of the list of Pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def wait_ready(self, names: Sequence[str], timeout_s: float) -> None:
        """Return once all are Ready; what each waits for is logged as it changes.

        Raises:
            LaunchError: One ended or cannot start, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            listed = self.api.ask("GET", self.path)
            seen = self.named(listed.get("items", ()))
            version = listed.get("metadata", {}).get("resourceVersion", "")
            if self._are_ready(names, seen):
                return
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self._give_up(names, seen, timeout_s)
            for event in self.api.watch(self.path, version, max(1.0, min(left_s, _WATCH_S))):
                if event.get("type") == "ERROR":
                    break  # the version is too old: ask for the list again
                pod = event["object"]
                seen |= self.named([pod])
                if self._are_ready(names, seen):
                    return
            else:
                time.sleep(0.1)  # a watch that breaks at once is not asked for without end

    def check(self, names: Iterable[str]) -> None:
        """Return while all run; asks the cluster at most every two seconds.

        A cluster that does not answer is no reason to stop a load that goes on.

        Raises:
            SubjectDiedError: One has ended by itself.
            LoadError: One was ended by the cluster, or by somebody in it.
        """
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        self._looked_s = time.monotonic()
        try:
            seen = self.named(self.listed())
        except ClusterError as error:
            log.warning("the Pods of the %s cannot be looked at: %s", self.arm, error)
            return
        for name in names:
            now = (
                state(seen[name])
                if name in seen
                else State(is_ready=False, why="was deleted", is_over=True)
            )
            if now.is_over:
                raise (SubjectDiedError if now.is_of_itself else LoadError)(
                    f"{name} of the {self.arm} {now.why} while it was measured",
                    hint=self.last(name),
                )

    def listed(self) -> list[Pod]:
        """Return the Pods as they are now.

        Raises:
            ClusterError: The cluster does not answer, or refused.
        """
        return list(self.api.ask("GET", self.path).get("items", ()))

    def named(self, pods: Iterable[Pod]) -> dict[str, Pod]:
        """Return those that are meant, by what they are called here."""
        found = {key: pod for pod in pods if (key := self.key(pod))}
        self._names.update({key: str(pod["metadata"]["name"]) for key, pod in found.items()})
        return found

    def last(self, name: str) -> str:
        """Return the last lines of the log of a Pod under a heading, for a hint."""
        try:
            text = self.api.text(self._log(name), {"tailLines": str(_LINES)})
        except ClusterError as error:
            return f"its log cannot be read: {error}"
        lines = [f"  {line[:300]}" for line in text.splitlines()]
        return "\n".join([f"its last lines, in {self.namespace}:", *lines])

    def keep(self, names: Iterable[str], out: Path) -> None:
        """Write the log of each Pod that there is to `NAME-ARM.log`."""
        for name in names:
            try:
                text = self.api.text(self._log(name), {"limitBytes": str(_LOG_BYTES)})
                (out / f"{name}-{self.arm}.log".replace(" ", "-")).write_text(
                    text, encoding="utf-8"
                )
            except ClusterError as error:
                if error.status != 404:
                    log.warning("the log of %s of the %s is lost: %s", name, self.arm, error)
                if not error.status:  # nobody answers: the others would be waited for as long
                    return
            except OSError as error:
                log.warning("the log of %s of the %s is lost: %s", name, self.arm, error.strerror)

    def _log(self, name: str) -> str:
        return f"{self.path}/{self._names.get(name, name)}/log"

    def _are_ready(self, names: Sequence[str], seen: Mapping[str, Pod]) -> bool:
        """Say what changed, and whether all are ready."""
        found = {name: state(seen[name]) for name in names if name in seen}
        for name, now in found.items():
            if now.is_over:
                raise LaunchError(
                    f"{name} of the {self.arm} was not ready: {now.why}",
                    hint=f"{_hint(now.why)}{self.last(name)}",
                )
            if now.why and self._said.get(name) != now.why:
                self._said[name] = now.why
                log.info("%s of the %s: %s", name, self.arm, now.why)
        return len(found) == len(names) and all(now.is_ready for now in found.values())

    def _give_up(self, names: Sequence[str], seen: Mapping[str, Pod], timeout_s: float) -> None:
        for name in names:
            now = (
                state(seen[name]) if name in seen else State(is_ready=False, why="was not created")
            )
            if not now.is_ready:
                raise LaunchError(
                    f"{name} of the {self.arm} was not ready after {timeout_s:g} s: {now.why}",
                    hint=f"{_hint(now.why)}{self.last(name)}",
                )


def _hint(why: str) -> str:
    """Return what helps, as a line, or nothing where only the log can tell."""
    if "Image" in why:
        return (
            "the cluster cannot get this image: see `registry`, `pull_secret` and the command"
            " `kind pack` in docs/howto/any-cluster.md\n"
        )
    if why.startswith("Unschedulable"):
        return (
            "no node has the room: give less to server, manager and etcd in [environment], or"
            " choose other nodes with node_selector\n"
        )
    return ""
