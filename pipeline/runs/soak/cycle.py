"""One cycle of a soak: create, use and delete Projects, rest, and read every resource."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.drivers.k6.command import POINTS
from pipeline.drivers.k6.csv_points import read_series
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.single import run_script
from pipeline.model.ports import Program, Target
from pipeline.model.soak import SoakCycle, SoakQuestion
from pipeline.probes.etcd import count_keys
from pipeline.probes.heap import heap_sizes
from pipeline.probes.scrape import fetch_text, read_plain_value
from pipeline.runs.capacity.fill import most_common_error
from pipeline.runs.capacity.launcher import process_sizes
from pipeline.runs.plan import derive_seed
from pipeline.system.errors import LoadError, NetworkError, ProbeError, StorageError

if TYPE_CHECKING:
    import numpy as np

SCRIPT = "churn.js"

KEYS_PER_DELETED_PROJECT = 1
"""Keys that Milo never deletes: the namespace `default` of each Project."""

_PLAIN = {
    "goroutines": "go_goroutines",
    "db": "etcd_mvcc_db_total_size_in_bytes",
    "watchers": "etcd_debugging_mvcc_watcher_total",
}
_PROJECT_S = 20.0  # usual seconds of one Project, from its creation until it is gone
_REQUESTS_PER_OBJECT = 2
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class CycleRunner:
    """Runs cycles against one build that is up.

    Attributes:
        question: Question of the soak.
        target: Build under test.
        k6: Program that applies the load.
        out: Folder of the launch.
        launch: Number of the launch.
        check: Function that is called often; an exception from it ends the cycle.
        began_s: When the launch was ready, by `time.monotonic`.
    """

    question: SoakQuestion
    target: Target
    k6: Program
    out: Path
    launch: int
    check: Callable[[], None]
    began_s: float

    def run(self, number: int, deleted: int) -> SoakCycle:
        """Run one cycle; the folder of its load is kept only if it fails.

        Raises:
            CommandError: k6 failed.
            LoadError: What `check` raises, or no Project was Ready, or none was deleted.
        """
        folder = self.out / f"cycle-{number:06}"
        folder.mkdir()
        settings = settings_of(self.question)
        seed = derive_seed(self.question.seed, self.launch, number)
        reason = run_script(settings, self.target, self.k6, folder, seed=seed, check=self.check)
        if reason:
            raise LoadError(f"cycle {number}: {reason}", hint=f"see {folder}")
        times = _read_points(folder / POINTS, self.question.projects)
        if not (times.ready_s and times.deleted):
            what = "gone" if times.ready_s else "Ready"
            deadline_s = self.question.deadline_s
            error = f"; the most common error was {times.error}" if times.error else ""
            raise LoadError(
                f"cycle {number}: no Project was {what} within {deadline_s:g} s{error}",
                hint=f"see {folder}",
            )
        shutil.rmtree(folder)
        self._rest()
        values, deleted = resource_sizes(self.target), deleted + times.deleted
        if "keys" in values:
            values["keys"] = max(0.0, values["keys"] - KEYS_PER_DELETED_PROJECT * deleted)
        return SoakCycle(
            launch=self.launch,
            ended_s=round(time.monotonic() - self.began_s, 3),
            deleted=deleted,
            values=values,
            ready_s=times.ready_s,
            gone_s=times.gone_s,
            never_ready=times.never_ready,
            never_gone=times.never_gone,
        )

    def _rest(self) -> None:
        end_s = time.monotonic() + self.question.rest_s
        while time.monotonic() < end_s:
            self.check()
            time.sleep(min(_POLL_S, self.question.rest_s))


def settings_of(question: SoakQuestion) -> K6:
    """Return the load of one cycle."""
    return K6(
        kind="k6",
        script=SCRIPT,
        iterations=1,
        duration_s=_PROJECT_S * question.projects + 2 * question.deadline_s,
        projects=question.projects,
        objects=question.objects,
        object_bytes=question.object_bytes,
        requests_per_iteration=question.projects
        * (4 + 2 * _REQUESTS_PER_OBJECT * question.objects + 2 * question.watches),
        deadline_s=question.deadline_s,
        parameters={"REST_S": 0, "WATCHES": question.watches},
    )


def resource_sizes(target: Target) -> dict[str, float]:
    """Return the size of each resource that can be read now; see `SOAK_QUANTITIES`."""
    values: dict[str, float] = {}
    with suppress(NetworkError, ProbeError):  # also collects garbage, before the rest is read
        values |= {f"heap({component})": size for component, size in heap_sizes(target).items()}
    for component in target.metrics:
        with suppress(NetworkError, ProbeError, StorageError):
            text = b"\n" + fetch_text(target, component).encode()
            read = {kind: read_plain_value(text, family) for kind, family in _PLAIN.items()}
            if (goroutines := read.pop("goroutines")) is not None:
                values[f"goroutines({component})"] = goroutines
            if component == "etcd":
                values |= {kind: value for kind, value in read.items() if value is not None}
    if target.etcd_url:
        with suppress(NetworkError, ProbeError):
            values["keys"] = count_keys(target.etcd_url)
    return values | process_sizes(target)


@dataclass(frozen=True, slots=True)
class _CycleTimes:
    ready_s: tuple[float, ...]
    gone_s: tuple[float, ...]
    deleted: int
    never_ready: int
    never_gone: int
    error: str | None


def _read_points(path: Path, projects: int) -> _CycleTimes:
    """Return the times of one cycle; a Project that was refused is neither Ready nor gone."""
    series = list(read_series(path))

    def seconds(metric: str) -> tuple[float, ...]:
        found: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = [
            one.measured for one in series if one.metric == metric and not one.cut_off
        ]
        return tuple(round(float(ms) / 1e3, 4) for part in found for ms in part)

    def total(metric: str) -> int:
        return round(sum(float(one.measured.sum()) for one in series if one.metric == metric))

    ready_s, deleted = seconds("project_ready"), total("projects_deleted")
    return _CycleTimes(
        ready_s=ready_s,
        gone_s=seconds("project_gone"),
        deleted=deleted,
        never_ready=projects - len(ready_s),
        never_gone=max(0, total("projects_created") - deleted),
        error=most_common_error(series),
    )
