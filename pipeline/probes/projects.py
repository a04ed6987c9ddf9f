"""How long Projects take to become Ready and to go, seen through one watch on all of them."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pipeline.judge.stats.summary import timing_readings
from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.probes.gaps import Pulse, pulse
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, ProbeError
from pipeline.system.log import log

PATH = "/apis/resourcemanager.miloapis.com/v1alpha1/projects"
_CONNECT_S = 10.0
_PULSE_S = 0.5
_AGAIN_S = 0.5  # between two attempts to watch, where the last one was refused

LATE_S = 20.0
"""A Project that needs longer to be gone has waited for a controller to look again: Milo needs 7 to
14 s where none has to, and looks again after 30 s or more."""


@dataclass(frozen=True, slots=True)
class Projects:
    """Watches all Projects through one stream, which costs a server what one client costs.

    Only Projects that were first seen while it watched count, those of the warm-up too.  It yields:

    - `projects.created` (1): how many they are.
    - `projects.ready/STAT`: from first seen to Ready, where STAT is `count`, `mean`, `p50`, `p90`,
      `p95` or `p99` (s, and 1 for the count); see `pipeline.judge.stats.summary`.
    - `projects.gone/STAT`: from first seen with a time of deletion to gone.  A Project that is
      not Ready, or not gone, when the load has ended was waited for until then: its time is a
      lower bound, and so is every STAT that it may change (`Reading.at_least`).
    - `projects.gone_late` (1): share of deleted Projects that were not gone after `LATE_S`; nothing
      where the load ended before that could be told of all of them.
    - `projects.never_ready` (1): neither Ready nor deleted before that, when the load ended, and
      `projects.never_ready_share` of those created.
    - `projects.never_gone` (1): being deleted when the load ended.
    - `projects.gaps` (1): how often the server had forgotten where the watch was.  Projects that
      lived then are left out, because their times are unknown; a warning is logged.

    Times are those at which an event arrived, by a clock that nobody sets.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`.

        Raises:
            ProbeError: The server refused to list or to watch.
        """
        stream = _Stream(target)
        stream.list_anew()
        thread = threading.Thread(target=stream.follow, name="projects probe", daemon=True)
        thread.start()
        try:
            if not stream.open.wait(_CONNECT_S):
                raise ProbeError(f"projects probe: no watch: {stream.error or 'no answer'}")
            with pulse(_PULSE_S, "pulse of the projects probe") as beating:
                yield _Watch(stream, beating)
        finally:
            stream.stop()
            thread.join()


@dataclass(slots=True)
class Life:
    """When a Project was seen, in seconds of a monotonic clock; None where it was not."""

    seen: float
    ready: float | None = None
    deleted: float | None = None
    gone: float | None = None


@dataclass(slots=True)
class Lives:
    """All Projects that were first seen while they were watched, by their unique id."""

    by_id: dict[str, Life] = field(default_factory=dict)
    created: int = 0
    gaps: int = 0

    def event(self, kind: str, project: Mapping[str, Any], at: float) -> None:
        """Take note of an event of the watch, such as `ADDED`."""
        metadata = project["metadata"]
        life = self.by_id.get(metadata["uid"])
        if life is None:
            if kind != "ADDED":
                return
            life = self.by_id[metadata["uid"]] = Life(at)
            self.created += 1
        if life.ready is None and _is_ready(project):
            life.ready = at
        if life.deleted is None and (kind == "DELETED" or metadata.get("deletionTimestamp")):
            life.deleted = at
        if kind == "DELETED":
            life.gone = at

    def gap(self) -> None:
        """Forget every Project that may have changed unseen."""
        self.gaps += 1
        self.by_id = {uid: life for uid, life in self.by_id.items() if life.gone is not None}

    def readings(self, now: float) -> Iterator[Reading]:
        """Yield what `Projects` promises.

        Args:
            now: When the load ended, by the clock of the events, in seconds: until then what is
                not Ready or not gone was waited for.
        """
        lives = list(self.by_id.values())
        ready = [
            (life.seen, life.ready)
            for life in lives
            if life.ready is not None or life.deleted is None
        ]
        gone = [(life.deleted, life.gone) for life in lives if life.deleted is not None]
        yield Reading("projects.created", self.created, "1")
        yield from _summary("projects.ready", ready, now)
        yield from _summary("projects.gone", gone, now)
        yield from _late(gone, now)
        never = sum(life.ready is None and life.deleted is None for life in lives)
        yield Reading("projects.never_ready", never, "1")
        if lives:
            yield Reading("projects.never_ready_share", never / len(lives), "1")
        going = sum(life.deleted is not None and life.gone is None for life in lives)
        yield Reading("projects.never_gone", going, "1")
        yield Reading("projects.gaps", self.gaps, "1")


@dataclass(frozen=True, slots=True)
class _Watch:
    stream: "_Stream"
    pulse: Pulse

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`.

        Raises:
            ProbeError: The watch broke and could not be opened again, or this program stood
                still.
        """
        self.pulse.require_steady(span, "projects probe")
        with self.stream.lock:
            if self.stream.error:
                raise ProbeError(f"projects probe: the watch broke: {self.stream.error}")
            return tuple(self.stream.lives.readings(time.monotonic()))


class _Stream:
    """A watch that goes on where it was when the server ends it."""

    def __init__(self, target: Target) -> None:
        try:
            self._token = target.admin_token_file.read_text(encoding="utf-8")
        except OSError as error:
            raise ProbeError(f"projects probe: no token: {error.strerror}") from error
        self._target = target
        self._version = ""
        self._stop = threading.Event()
        self._connection = http_client.ServerConnection(
            target.url, ca_file=target.ca_file, token=self._token
        )
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.lives = Lives()
        self.error = ""

    def list_anew(self) -> None:
        """Note the version of the store; what is there already does not count.

        Raises:
            ProbeError: The server refused.
        """
        _, body = self._connection.ask("GET", f"{PATH}?limit=1")
        try:
            self._version = str(json.loads(body)["metadata"]["resourceVersion"])
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise ProbeError("projects probe: the list of Projects has no version") from error

    def follow(self) -> None:
        """Watch until stopped; whatever goes wrong is kept in `error` until the watch is back."""
        while not self._stop.is_set():
            try:
                self._once()
            except (NetworkError, ProbeError) as error:
                if not self._stop.is_set():
                    self._note(str(error))
                    self._stop.wait(_AGAIN_S)
            finally:
                self._connection.close()

    def stop(self) -> None:
        """End the watch at once."""
        self._stop.set()
        self._connection.stop()

    def _once(self) -> None:
        query = f"watch=true&allowWatchBookmarks=true&resourceVersion={self._version}"
        status = self._connection.begin(f"{PATH}?{query}")
        if status == HTTPStatus.GONE:
            self._forgotten()
        elif status != HTTPStatus.OK:
            raise ProbeError(f"{PATH}: {status}")
        else:
            self._note("")
            self.open.set()
            self._read()

    def _read(self) -> None:
        began = time.monotonic()
        for line in self._connection.lines():
            if not self._event(line, time.monotonic()):
                self._forgotten()
                return
        self._stop.wait(max(0.0, began + _AGAIN_S - time.monotonic()))

    def _event(self, line: bytes, at: float) -> bool:
        """Return whether the watch goes on after an event."""
        try:
            event = json.loads(line)
            kind, project = event["type"], event["object"]
            if kind == "ERROR":
                if project.get("code") == HTTPStatus.GONE:
                    return False
                raise ProbeError(f"{PATH}: {project.get('message', 'an error')}")
            self._version = str(project["metadata"]["resourceVersion"])
            if kind != "BOOKMARK":
                with self.lock:
                    self.lives.event(kind, project, at)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise ProbeError(f"{PATH}: not an event of a watch: {line[:80]!r}") from error
        return True

    def _forgotten(self) -> None:
        log.warning(
            "projects probe: the watch had a gap, and Projects that lived then are left out"
        )
        self._connection.close()
        with self.lock:
            self.lives.gap()
        self.list_anew()

    def _note(self, error: str) -> None:
        with self.lock:
            self.error = error


def _is_ready(project: Mapping[str, Any]) -> bool:
    conditions = project.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _late(waits: Sequence[tuple[float, float | None]], now: float) -> Iterator[Reading]:
    """Yield the share of waits that were longer than `LATE_S`, where it is known of each."""
    shortest_s = [(now if end is None else end) - begin for begin, end in waits]
    late = sum(wait_s > LATE_S for wait_s in shortest_s)
    known = late + sum(end is not None and end - begin <= LATE_S for begin, end in waits)
    if waits and known == len(waits):
        yield Reading("projects.gone_late", late / known, "1", denominator=known)


def _summary(
    name: str, waits: Sequence[tuple[float, float | None]], now: float
) -> Iterator[Reading]:
    """Yield the summary of waits; one that has not ended by now is a lower bound.

    Args:
        name: What they are of.
        waits: When each began, and when it ended or None, in seconds of the clock of `now`.
        now: In seconds.
    """
    import numpy as np

    times_s = np.array([(now if end is None else end) - begin for begin, end in waits], dtype=float)
    cut_off = np.array([end is None for _, end in waits], dtype=bool)
    yield from timing_readings(name, times_s, cut_off)
