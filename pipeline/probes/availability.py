"""How steadily a server answers: a question and a small write, ten times a second."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.probes.sampling import Heartbeat, heartbeat, write_csv
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, ProbeError

PERIOD_S = 0.1
TIMEOUT_S = 1.0
NAME = "milo-perf-availability"
_PATH = "/api/v1/namespaces/default/configmaps"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class AvailabilityProbe:
    """Requests `/readyz` and changes a ConfigMap of the root, each on a connection of its own.

    Over the span it yields `availability.ready_share` and `availability.write_share` (1), the share
    of requests that were answered with 200 within a second.  A failed request counts for as many as
    would have been due meanwhile, because there is only one at a time.  And
    `availability.longest_gap` (s), the longest time between two moments at which both were
    answered; for a server that always answers it is about 0.1 s, the period.

    If this program itself stood still, there is none of these readings.

    The probe adds ten small writes a second to the work of the server and etcd, so it is opt-in.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_AvailabilityWatch"]:
        """See `Probe.watch`; writes `availability.csv` into `out` when it is asked for readings."""
        token = target.admin_token()
        reader, writer = (
            http_client.ServerConnection(
                target.url, ca_file=target.ca_file, token=token, timeout_s=TIMEOUT_S
            )
            for _ in range(2)
        )
        with heartbeat(PERIOD_S, "heartbeat of the availability probe") as heart:
            watch = _AvailabilityWatch(out, reader, writer, heart)
            thread = threading.Thread(target=watch.follow, name="availability probe", daemon=True)
            try:
                _create_config_map(writer)
                thread.start()
                yield watch
            finally:
                watch.stopped.set()
                for connection in (reader, writer):
                    connection.stop()  # even while a request waits for its answer
                if thread.ident:
                    thread.join()
                for connection in (reader, writer):
                    connection.close()


@dataclass(frozen=True, slots=True)
class AvailabilityCheck:
    """One pair of requests: Unix times, and whether each was answered with 200."""

    start_s: float
    ready_s: float  # the question was answered, and the write was sent
    end_s: float
    is_ready: bool
    is_written: bool


@dataclass(slots=True)
class _AvailabilityWatch:
    out: Path
    reader: http_client.ServerConnection
    writer: http_client.ServerConnection
    heartbeat: Heartbeat
    checks: list[AvailabilityCheck] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        """Check ten times a second until stopped, one check at a time."""
        unix_s = self.heartbeat.clock.offset_s
        due_s = time.monotonic()
        number = 0
        while not self.stopped.is_set():
            start_s = time.monotonic()
            is_ready = _is_answered(self.reader, "GET", "/readyz")
            ready_s = time.monotonic()
            number += 1
            change = json.dumps({"data": {"number": str(number)}})
            is_written = _is_answered(self.writer, "PATCH", f"{_PATH}/{NAME}", change)
            end_s = time.monotonic()
            times_s = (unix_s + start_s, unix_s + ready_s, unix_s + end_s)
            with self.lock:
                self.checks.append(AvailabilityCheck(*times_s, is_ready, is_written))
            due_s = max(due_s + PERIOD_S, end_s)  # missed checks are not made up for
            self.stopped.wait(max(0.0, due_s - end_s))

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        self.heartbeat.require_steady(span, "availability probe")
        with self.lock:
            checks = tuple(self.checks)
        rows = (
            (one.start_s, one.ready_s, one.end_s, int(one.is_ready), int(one.is_written))
            for one in checks
        )
        columns = ("start_s", "ready_s", "end_s", "is_ready", "is_written")
        write_csv(self.out / "availability.csv", columns, rows)
        return summarize_checks(checks, span)


def summarize_checks(checks: Sequence[AvailabilityCheck], span: Span) -> tuple[Reading, ...]:
    """Return the readings of the checks that began in a span, in which there must be one."""
    within = [one for one in checks if span.start_s <= one.start_s <= span.end_s]
    if not within:
        raise ProbeError("availability probe: no request was sent during the load")
    ready = [(one.is_ready, one.ready_s - one.start_s) for one in within]
    written = [(one.is_written, one.end_s - one.ready_s) for one in within]
    answered = [one.end_s for one in within if one.is_ready and one.is_written]
    inside = [moment for moment in answered if moment < span.end_s]
    gaps = [after - before for before, after in pairwise((span.start_s, *inside, span.end_s))]
    return (
        Reading("availability.ready_share", _answered_share(ready), "1"),
        Reading("availability.write_share", _answered_share(written), "1"),
        Reading("availability.longest_gap", max(gaps), "s"),
    )


def _answered_share(requests: Sequence[tuple[bool, float]]) -> float:
    answered = sum(is_answered for is_answered, _ in requests)
    missed = sum(
        max(1, int(lasted_s / PERIOD_S)) for is_answered, lasted_s in requests if not is_answered
    )
    return answered / (answered + missed)


def _create_config_map(connection: http_client.ServerConnection) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}}
    status, answer = connection.ask("POST", _PATH, json.dumps(body))
    if status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
        text = answer[:200].decode(errors="replace")
        raise ProbeError(f"availability probe: the server refused its ConfigMap: {status}: {text}")


def _is_answered(
    connection: http_client.ServerConnection, method: str, path: str, body: str = ""
) -> bool:
    try:
        return connection.ask(method, path, body, _MERGE)[0] == HTTPStatus.OK
    except NetworkError:
        return False
