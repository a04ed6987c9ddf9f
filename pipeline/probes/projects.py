"""How long Projects take to become Ready and to be deleted, through one watch on all of them."""

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
from pipeline.probes.sampling import Heartbeat, heartbeat
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, ProbeError
from pipeline.system.log import log

PATH = "/apis/resourcemanager.miloapis.com/v1alpha1/projects"
_CONNECT_S = 10.0
_HEARTBEAT_S = 0.5
_RETRY_S = 0.5  # between two attempts to watch

LATE_S = 20.0
"""A deletion that takes longer has waited for a controller's retry: Milo needs 7 to 14 s without a
retry, and retries after 30 s or more."""


@dataclass(frozen=True, slots=True)
class ProjectsProbe:
    """Watches all Projects through one stream, which costs a server as much as one client.

    Only Projects that were created during the watch count, with those of the warm-up.  It yields:

    - `projects.created` (1): their number.
    - `projects.ready/STAT`: time from creation to Ready, where STAT is `count`, `mean`, `p50`,
      `p90`, `p95` or `p99` (s, and 1 for the count); see `pipeline.judge.stats.summary`.
    - `projects.gone/STAT`: time from the request of deletion to the end.  A Project that is not
      Ready, or not gone, at the end of the load was waited for until then: its time is a lower
      bound, and so is every STAT that it may change (`Reading.at_least`).
    - `projects.gone_late` (1): share of deleted Projects that were not gone after `LATE_S`; absent
      if the load ended before that was known of all of them.
    - `projects.never_ready` (1): Projects that were neither Ready nor deleted at the end of the
      load, and `projects.never_ready_share` of those created.
    - `projects.never_gone` (1): Projects that were being deleted at the end of the load.
    - `projects.gaps` (1): number of times that the server had dropped the watch's version.
      Projects that lived then are left out, because their times are unknown; a warning is logged.

    Times are arrival times of events, by the monotonic clock.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_ProjectsWatch"]:
        """See `Probe.watch`."""
        stream = _ProjectStream(target)
        stream.read_version()
        thread = threading.Thread(target=stream.follow, name="projects probe", daemon=True)
        thread.start()
        try:
            if not stream.open.wait(_CONNECT_S):
                raise ProbeError(f"projects probe: no watch: {stream.error or 'no answer'}")
            with heartbeat(_HEARTBEAT_S, "heartbeat of the projects probe") as heart:
                yield _ProjectsWatch(stream, heart)
        finally:
            stream.stop()
            thread.join()


@dataclass(slots=True)
class ProjectLifetime:
    """Times of a Project's events, in seconds of the monotonic clock; None if not seen."""

    created: float
    ready: float | None = None
    deleted: float | None = None
    gone: float | None = None


@dataclass(slots=True)
class ProjectLifetimes:
    """All Projects that were created during the watch, by their UID."""

    by_id: dict[str, ProjectLifetime] = field(default_factory=dict)
    created: int = 0
    gaps: int = 0

    def add_event(self, kind: str, project: Mapping[str, Any], at: float) -> None:
        """Add an event of the watch, such as `ADDED`."""
        metadata = project["metadata"]
        life = self.by_id.get(metadata["uid"])
        if life is None:
            if kind != "ADDED":
                return
            life = self.by_id[metadata["uid"]] = ProjectLifetime(at)
            self.created += 1
        if life.ready is None and _is_ready(project):
            life.ready = at
        if life.deleted is None and (kind == "DELETED" or metadata.get("deletionTimestamp")):
            life.deleted = at
        if kind == "DELETED":
            life.gone = at

    def add_gap(self) -> None:
        """Drop every Project that may have changed unseen."""
        self.gaps += 1
        self.by_id = {uid: life for uid, life in self.by_id.items() if life.gone is not None}

    def readings(self, now: float) -> Iterator[Reading]:
        """Yield the readings of `ProjectsProbe`; `now` is the end of the load, by that clock."""
        lives = list(self.by_id.values())
        known = [life for life in lives if life.ready is not None or life.deleted is None]
        ready = [(life.created, life.ready) for life in known]
        gone = [(life.deleted, life.gone) for life in lives if life.deleted is not None]
        yield Reading("projects.created", self.created, "1")
        yield from _wait_summary("projects.ready", ready, now)
        yield from _wait_summary("projects.gone", gone, now)
        yield from _late_share(gone, now)
        never = sum(life.ready is None and life.deleted is None for life in lives)
        yield Reading("projects.never_ready", never, "1")
        if lives:
            yield Reading("projects.never_ready_share", never / len(lives), "1")
        going = sum(life.deleted is not None and life.gone is None for life in lives)
        yield Reading("projects.never_gone", going, "1")
        yield Reading("projects.gaps", self.gaps, "1")


@dataclass(frozen=True, slots=True)
class _ProjectsWatch:
    stream: "_ProjectStream"
    heartbeat: Heartbeat

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        self.heartbeat.require_steady(span, "projects probe")
        with self.stream.lock:
            if self.stream.error:
                raise ProbeError(f"projects probe: the watch broke: {self.stream.error}")
            return tuple(self.stream.lives.readings(time.monotonic()))


class _ProjectStream:
    """A watch that continues at its last version when the server ends it."""

    def __init__(self, target: Target) -> None:
        self._version = ""
        self._stop = threading.Event()
        self._connection = http_client.ServerConnection(
            target.url, ca_file=target.ca_file, token=target.admin_token()
        )
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.lives = ProjectLifetimes()
        self.error = ""

    def read_version(self) -> None:
        """Read the current version of the store, from which the watch starts."""
        _, body = self._connection.ask("GET", f"{PATH}?limit=1")
        try:
            self._version = str(json.loads(body)["metadata"]["resourceVersion"])
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise ProbeError("projects probe: the list of Projects has no version") from error

    def follow(self) -> None:
        """Watch until stopped; `error` has the last failure until the watch is reopened."""
        while not self._stop.is_set():
            try:
                self._watch_once()
            except (NetworkError, ProbeError) as error:
                if not self._stop.is_set():
                    self._set_error(str(error))
                    self._stop.wait(_RETRY_S)
            finally:
                self._connection.close()

    def stop(self) -> None:
        """End the watch at once."""
        self._stop.set()
        self._connection.stop()

    def _watch_once(self) -> None:
        query = f"watch=true&allowWatchBookmarks=true&resourceVersion={self._version}"
        status = self._connection.begin(f"{PATH}?{query}")
        if status == HTTPStatus.GONE:
            self._restart()
        elif status != HTTPStatus.OK:
            raise ProbeError(f"{PATH}: {status}")
        else:
            self._set_error("")
            self.open.set()
            began = time.monotonic()
            for line in self._connection.lines():
                if not self._add_line(line, time.monotonic()):
                    self._restart()
                    return
            self._stop.wait(max(0.0, began + _RETRY_S - time.monotonic()))

    def _add_line(self, line: bytes, at: float) -> bool:
        """Add the event of a line; return whether the watch continues after it."""
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
                    self.lives.add_event(kind, project, at)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise ProbeError(f"{PATH}: not an event of a watch: {line[:80]!r}") from error
        return True

    def _restart(self) -> None:
        log.warning(
            "projects probe: the watch had a gap, and Projects that lived then are left out"
        )
        self._connection.close()
        with self.lock:
            self.lives.add_gap()
        self.read_version()

    def _set_error(self, error: str) -> None:
        with self.lock:
            self.error = error


def _is_ready(project: Mapping[str, Any]) -> bool:
    conditions = project.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _late_share(waits: Sequence[tuple[float, float | None]], now: float) -> Iterator[Reading]:
    """Yield the share of waits longer than `LATE_S`, if it is known of each wait."""
    shortest_s = [(now if end is None else end) - begin for begin, end in waits]
    late = sum(wait_s > LATE_S for wait_s in shortest_s)
    known = late + sum(end is not None and end - begin <= LATE_S for begin, end in waits)
    if waits and known == len(waits):
        yield Reading("projects.gone_late", late / known, "1")  # not of independent events


def _wait_summary(
    name: str, waits: Sequence[tuple[float, float | None]], now: float
) -> Iterator[Reading]:
    """Yield the summary of waits, each a start and an end; one without end is a lower bound."""
    import numpy as np

    times_s = np.array([(now if end is None else end) - begin for begin, end in waits], dtype=float)
    cut_off = np.array([end is None for _, end in waits], dtype=bool)
    yield from timing_readings(name, times_s, cut_off)
