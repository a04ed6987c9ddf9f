"""How steadily a server answers: ten times a second, a question and a small write."""

import csv
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
from pipeline.probes.gaps import Pulse
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, ProbeError, StorageError
from pipeline.system.periodic import run_periodically

PERIOD_S = 0.1
TIMEOUT_S = 1.0
NAME = "milo-perf-availability"
_PATH = "/api/v1/namespaces/default/configmaps"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Availability:
    """Asks `/readyz` and changes a ConfigMap of the root, on a connection each that is kept open.

    It yields, over the span: `availability.ready_share` and `availability.write_share` (1), the
    share of tries that were answered with 200 within a second; a try that was not counts for as
    many as would have been due meanwhile, because a server that hangs is not asked again before.
    And `availability.longest_gap` (s), the longest time without a moment at which both were
    answered; of a server that always answers it is about 0.1 s, the time between two tries.

    Where this program itself stood still there are none of these: nobody asked.

    The server and etcd have ten small writes a second more to do, so a workload must ask for it.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`; writes `availability.csv` into `out` when it is asked for readings.

        Raises:
            ProbeError: The server refused the ConfigMap.
        """
        watch = _Watch(out, *_connections(target), Pulse(PERIOD_S))
        thread = threading.Thread(target=watch.follow, name="availability probe", daemon=True)
        try:
            _create(watch.writing)
            thread.start()
            with run_periodically(watch.pulse.beat, PERIOD_S, "pulse of the availability probe"):
                yield watch
        finally:
            watch.end()
            if thread.ident:
                thread.join()
            watch.close()


@dataclass(frozen=True, slots=True)
class Try:
    """One try: Unix time of its beginning and end in s, and whether each was answered."""

    start_s: float
    ready_s: float
    end_s: float
    is_ready: bool
    is_written: bool


@dataclass(slots=True)
class _Watch:
    out: Path
    asking: http_client.ServerConnection
    writing: http_client.ServerConnection
    pulse: Pulse
    tries: list[Try] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        """Try ten times a second until the end; while a try is not answered there is no other."""
        unix_s = self.pulse.clock.offset_s
        due_s = time.monotonic()
        number = 0
        while not self.ended.is_set():
            start_s = time.monotonic()
            is_ready = _is_answered(self.asking, "GET", "/readyz")
            ready_s = time.monotonic()
            number += 1
            change = json.dumps({"data": {"number": str(number)}})
            is_written = _is_answered(self.writing, "PATCH", f"{_PATH}/{NAME}", change)
            end_s = time.monotonic()
            times_s = (unix_s + start_s, unix_s + ready_s, unix_s + end_s)
            with self.lock:
                self.tries.append(Try(*times_s, is_ready, is_written))
            due_s = max(due_s + PERIOD_S, end_s)  # what was missed is not made up for
            self.ended.wait(max(0.0, due_s - end_s))

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`.

        Raises:
            ProbeError: Nothing was tried during the span, or not for a part of it.
        """
        self.pulse.require_steady(span, "availability probe")
        with self.lock:
            tries = tuple(self.tries)
        _write(self.out / "availability.csv", tries)
        return summary(tries, span)

    def end(self) -> None:
        """Stop trying, also where an answer is being waited for."""
        self.ended.set()
        for connection in (self.asking, self.writing):
            connection.stop()

    def close(self) -> None:
        """Close the connections, once nobody uses them any more."""
        for connection in (self.asking, self.writing):
            connection.close()


def summary(tries: Sequence[Try], span: Span) -> tuple[Reading, ...]:
    """Return the readings of a span.

    Args:
        tries: In the order made.
        span: Tries that began in it count.

    Raises:
        ProbeError: There is none.
    """
    within = [one for one in tries if span.start_s <= one.start_s <= span.end_s]
    if not within:
        raise ProbeError("availability probe: nothing was tried during the load")
    ready = [(one.is_ready, one.ready_s - one.start_s) for one in within]
    written = [(one.is_written, one.end_s - one.ready_s) for one in within]
    answered = [one.end_s for one in within if one.is_ready and one.is_written]
    inside = [moment for moment in answered if moment < span.end_s]
    gaps = [after - before for before, after in pairwise((span.start_s, *inside, span.end_s))]
    return (
        Reading("availability.ready_share", _share(ready), "1"),
        Reading("availability.write_share", _share(written), "1"),
        Reading("availability.longest_gap", max(gaps), "s"),
    )


def _share(tries: Sequence[tuple[bool, float]]) -> float:
    answered = sum(is_answered for is_answered, _ in tries)
    missed = sum(
        max(1, int(lasted_s / PERIOD_S)) for is_answered, lasted_s in tries if not is_answered
    )
    return answered / (answered + missed)


def _connections(
    target: Target,
) -> tuple[http_client.ServerConnection, http_client.ServerConnection]:
    try:
        token = target.admin_token_file.read_text(encoding="utf-8")
    except OSError as error:
        raise ProbeError(f"availability probe: no token: {error.strerror}") from error
    asking, writing = (
        http_client.ServerConnection(
            target.url, ca_file=target.ca_file, token=token, timeout_s=TIMEOUT_S
        )
        for _ in range(2)
    )
    return asking, writing


def _create(connection: http_client.ServerConnection) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}}
    status, said = connection.ask("POST", _PATH, json.dumps(body))
    if status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
        text = said[:200].decode(errors="replace")
        raise ProbeError(f"availability probe: its ConfigMap was refused: {status}: {text}")


def _is_answered(
    connection: http_client.ServerConnection, method: str, path: str, body: str = ""
) -> bool:
    try:
        return connection.ask(method, path, body, _MERGE)[0] == HTTPStatus.OK
    except NetworkError:
        return False


def _write(path: Path, tries: Sequence[Try]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["start_s", "ready_s", "end_s", "is_ready", "is_written"])
            for one in tries:
                answers = (int(one.is_ready), int(one.is_written))
                rows.writerow([one.start_s, one.ready_s, one.end_s, *answers])
    except OSError as error:
        raise StorageError.unwritable(path, error) from error
