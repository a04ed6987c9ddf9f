"""Go profiles of every component of a target, for `explain`: from `/debug/pprof`, as they come."""

import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from pipeline.model.ports import Span, Target
from pipeline.model.profiles import EvidenceKind
from pipeline.model.results import Reading
from pipeline.probes.sampling import write_csv
from pipeline.probes.scrape import credentials_for
from pipeline.storage import pprof
from pipeline.system import http_client
from pipeline.system.clock import SteadyClock
from pipeline.system.errors import NetworkError, ProbeError, StorageError

PROFILES = "profiles.csv"
"""Name of the file that lists the profiles of one arm, and those that are missing."""

COLUMNS = ("component", "kind", "when", "file", "start_s", "end_s", "count", "gap")
"""Columns of that file: Unix times, the number of profiles that a file sums up, and a reason."""

WINDOW_S = 6
"""Length of one CPU profile; several follow each other, because nobody knows when a load ends.  The
end of one costs the component about 10 ms of CPU."""

WALL_PERIOD_S = 1.0
"""Time between two goroutine profiles under load.  One costs Milo about 10 ms of CPU."""

_TIMEOUT_S = 20.0
_FOLDER = "/debug/pprof"
_PATHS = {
    EvidenceKind.GOROUTINES: f"{_FOLDER}/goroutine",
    EvidenceKind.BLOCK: f"{_FOLDER}/block",
    EvidenceKind.MUTEX: f"{_FOLDER}/mutex",
    EvidenceKind.HEAP: f"{_FOLDER}/heap?gc=1",
}
_COLLECTIONS = 2  # a sync.Pool releases its objects only in the second one
_MAX_KEPT = 64 * 2**20  # bytes of goroutine profiles of one component


@dataclass(frozen=True, slots=True)
class ProfilesProbe:
    """Takes profiles before, during and after a load; it yields no readings, only files.

    Before and after: goroutines, block, mutex, and the heap after a garbage collection.  During:
    CPU profiles back to back, and a goroutine profile each second, of which the sum is kept: it
    says how long goroutines stay where.  What a component refuses is listed with the reason.

    Attributes:
        running: What is being sampled, of both arms if these are loaded together.
    """

    running: "list[_Source]" = field(default_factory=list)

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_ProfilesWatch"]:
        """See `Probe.watch`; writes profiles and `profiles.csv` into `out`."""
        with ExitStack() as stack:
            sources = [
                _Source(component, target, out, stack.enter_context(_connections(target, url)))
                for component, url in target.metrics.items()
            ]
            for source in sources:
                source.take_all("before")
            self.running.extend(sources)
            for source in sources:
                source.start()
            try:
                yield _ProfilesWatch(out, sources, self.running)
            finally:
                for source in sources:
                    source.stop()
                    self.running.remove(source)


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One line of `profiles.csv`."""

    component: str
    kind: EvidenceKind
    when: str
    file: str = ""
    start_s: float = 0.0
    end_s: float = 0.0
    count: int = 1
    gap: str = ""

    def __post_init__(self) -> None:
        if not -math.inf < self.start_s <= self.end_s < math.inf:
            raise ValueError(f"a profile cannot be from {self.start_s} to {self.end_s}")


@dataclass(frozen=True, slots=True)
class _Connections:
    """One connection for each thread, and one for the main thread."""

    main: http_client.ServerConnection
    cpu: http_client.ServerConnection
    wall: http_client.ServerConnection

    def all(self) -> tuple[http_client.ServerConnection, ...]:
        return (self.main, self.cpu, self.wall)


@contextmanager
def _connections(target: Target, url: str) -> Iterator[_Connections]:
    ca_file, token = credentials_for(target, url)
    made = [
        http_client.ServerConnection(url, ca_file=ca_file, token=token, timeout_s=_TIMEOUT_S)
        for _ in range(3)
    ]
    try:
        yield _Connections(*made)
    finally:
        for one in made:
            one.close()


@dataclass(slots=True)
class _Source:
    """The profiles of one component of one target."""

    component: str
    target: Target
    out: Path
    connections: _Connections
    rows: list[ProfileRow] = field(default_factory=list)
    sampled: list[tuple[float, bytes]] = field(default_factory=list)
    clock: SteadyClock = field(default_factory=SteadyClock)
    stopped: threading.Event = field(default_factory=threading.Event)
    cpu_began_s: float = 0.0
    is_cpu_left: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def take_all(self, when: str) -> None:
        """Take each profile that shows a state, and the heap last: it collects garbage."""
        for kind, path in _PATHS.items():
            repeats = _COLLECTIONS if kind is EvidenceKind.HEAP else 1
            for left in reversed(range(repeats)):
                at = self.clock.now_s()
                data, gap = _fetch(self.connections.main, path)
                if gap:
                    self.rows.append(ProfileRow(self.component, kind, when, gap=gap))
                    break
                if not left:
                    self._keep(kind, when, data, (at, self.clock.now_s()))

    def start(self) -> None:
        """Begin to sample."""
        for number, follow in enumerate((self._follow_cpu, self._follow_goroutines)):
            name = f"profiles of {self.component}, {number}"
            self.threads.append(threading.Thread(target=follow, name=name, daemon=True))
            self.threads[-1].start()

    def finish(self, span: Span) -> None:
        """Wait for the CPU profile that is being taken, unless it began after the load."""
        self.stopped.set()
        self.is_cpu_left = span.end_s < self.cpu_began_s
        if self.is_cpu_left:
            self.connections.cpu.stop()
        for thread in self.threads:
            thread.join(WINDOW_S + _TIMEOUT_S)

    def stop(self) -> None:
        """End every request and thread at once."""
        self.stopped.set()
        for connection in self.connections.all():
            connection.stop()
        for thread in self.threads:
            thread.join()

    def keep_wall(self, span: Span) -> None:
        """Write the sum of the goroutine profiles that were taken within a span."""
        within = [data for at, data in self.sampled if span.start_s <= at <= span.end_s]
        try:
            profiles = [pprof.parse_profile(data, "goroutine") for data in within]
            total = pprof.sum_profiles(profiles)
        except ProbeError as error:
            row = ProfileRow(self.component, EvidenceKind.WALL, "load", gap=f"{error}")
            self.rows.append(row)
            return
        if total is not None:
            times = (span.start_s, span.end_s)
            data = pprof.dump_profile(total)
            self._keep(EvidenceKind.WALL, "load", data, times, len(within))

    def _follow_cpu(self) -> None:
        number = 0
        while not self.stopped.is_set():
            at = self.cpu_began_s = self.clock.now_s()
            path = f"{_FOLDER}/profile?seconds={WINDOW_S}"
            data, gap = _fetch(self.connections.cpu, path)
            if self.is_cpu_left and number:
                return
            if gap:
                self.rows.append(ProfileRow(self.component, EvidenceKind.CPU, "load", gap=gap))
                return
            times = (at, self.clock.now_s())
            self._keep(EvidenceKind.CPU, f"load-{number:02}", data, times)
            number += 1

    def _follow_goroutines(self) -> None:
        kept = 0
        while not self.stopped.wait(WALL_PERIOD_S):
            at = self.clock.now_s()
            data, gap = _fetch(self.connections.wall, _PATHS[EvidenceKind.GOROUTINES])
            kept += len(data)
            if gap or kept > _MAX_KEPT:
                reason = gap or "the goroutine profiles are too large"
                row = ProfileRow(self.component, EvidenceKind.WALL, "load", gap=reason)
                self.rows.append(row)
                return
            self.sampled.append((at, data))

    def _keep(
        self,
        kind: EvidenceKind,
        when: str,
        data: bytes,
        times: tuple[float, float],
        count: int = 1,
    ) -> None:
        name = f"{self.component}-{kind}-{when}.pb.gz"
        try:
            (self.out / name).write_bytes(data)
        except OSError as error:
            self.rows.append(ProfileRow(self.component, kind, when, gap=f"{error.strerror}"))
            return
        self.rows.append(ProfileRow(self.component, kind, when, name, *times, count))


@dataclass(frozen=True, slots=True)
class _ProfilesWatch:
    out: Path
    sources: list[_Source]
    running: list[_Source]

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`; there are none."""
        for source in self.running:  # also those of the other arm, which is asked after this one
            source.stopped.set()
        for source in self.sources:
            source.finish(span)
        for source in self.sources:
            source.take_all("after")
            source.keep_wall(span)
        rows = [
            (
                *(one.component, one.kind.value, one.when, one.file),
                *(one.start_s, one.end_s, one.count, one.gap),
            )
            for source in self.sources
            for one in source.rows
        ]
        write_csv(self.out / PROFILES, COLUMNS, rows)
        return ()


def _fetch(connection: http_client.ServerConnection, path: str) -> tuple[bytes, str]:
    """Return a profile, or the reason why there is none."""
    try:
        status, body = connection.download(path, pprof.MAX_BYTES)
    except (NetworkError, StorageError) as error:
        return b"", f"{error}"
    if status != HTTPStatus.OK:
        return b"", f"{path}: the server answered {status}"
    if len(body) > pprof.MAX_BYTES:
        return b"", f"{path}: more than {pprof.MAX_BYTES / 2**20:g} MiB"
    return body, ""
