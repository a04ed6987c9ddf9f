"""Settings of a herd of watches, as a suite declares it."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from pipeline.model.bounds import MAX_RATE, MAX_SECONDS
from pipeline.model.reading_names import ReadingNames, with_unit
from pipeline.storage.settings import (
    Count,
    CountOrZero,
    ObjectBytes,
    Rate,
    Seconds,
    Settings,
    require_load,
)
from pipeline.system import paths

PROGRAM = "watch-herd"
_SOURCES = ("go", PROGRAM)
_KINDS = 2  # Secrets and ConfigMaps
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
SETTLE_S = 10.0
"""Seconds after the load in which a server may end what belongs to watches that ended."""

ListWay = Literal["page", "full", "cached", "watchlist"]
"""Way of a list: a page, all from etcd, all from the watch cache, or all by a WatchList."""


class WatchHerd(Settings):
    """Watches over Secrets and ConfigMaps in Projects, while objects are written at a rate.

    Attributes:
        kind: Always `watch-herd`.
        watches: Number of watches in each arm, spread over all Projects and both kinds.
        rate: Writes begun per second for **each** arm: creates, updates and deletes.
        list_rate: Lists begun per second for each arm, by the `list_ways` in turn.
        list_ways: Ways of the lists.
        projects: Number of Projects that one launch creates in each arm.
        objects: Number of objects of each kind in each Project, created before the watches begin.
        object_bytes: Size of an object's data, in bytes.
        duration_s: Length of the measured phase in seconds.
        watch_list: Whether a watch begins with the objects that exist (WatchList), not with a list.
        watch_timeout_s: Shortest time after which a watch asks to be ended, in seconds; the longest
            is twice that, as in client-go.  Such a watch goes on at once from its last event or
            bookmark.  0 leaves the time to the server, which is half an hour or more.
        page_size: Number of objects of a page.
        request_timeout_s: Seconds after which a write or a list is given up.
        drain_s: Seconds after the last write in which events may come; later ones are lost.
        sync_s: Seconds in which all watches must be in step.
        setup_s: Seconds in which all Projects must be Ready and filled.
        max_generator_cpu: Share of the processors of its machine or pod that a generator may use.
    """

    counted: ClassVar[str] = "writes"
    restarts: ClassVar[bool] = False
    iterations: ClassVar[None] = None  # the load has a rate
    raw_bytes_per_request: ClassVar[float] = 10.0

    kind: Literal["watch-herd"]
    watches: Annotated[int, Field(ge=1, le=100_000)]
    rate: Rate
    list_rate: Annotated[float, Field(ge=0, le=MAX_RATE)] = 0.0
    projects: Count
    objects: CountOrZero = 0
    object_bytes: ObjectBytes = 1000
    duration_s: Seconds
    list_ways: Annotated[tuple[ListWay, ...], Field(min_length=1)] = get_args(ListWay)
    watch_timeout_s: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = 0
    watch_list: bool = False
    page_size: Count = 100
    request_timeout_s: Seconds = 5.0
    drain_s: Seconds = 5.0
    sync_s: Seconds = 60.0
    setup_s: Seconds = 180.0
    max_generator_cpu: Annotated[float, Field(gt=0, le=1)] = 0.6

    @model_validator(mode="after")
    def _every_project_is_watched(self) -> Self:
        if self.watches < _KINDS * self.projects:
            raise ValueError(
                f"{self.watches} watches do not reach both kinds of objects in"
                f" {self.projects} Projects: {_KINDS * self.projects} are needed"
            )
        return self

    @model_validator(mode="after")
    def _writes_something(self) -> Self:
        require_load(self.rate, self.duration_s)
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """See `DriverSettings.needs`."""
        return (PROGRAM,)

    @property
    def title(self) -> str:
        """Display name of the load."""
        return f"{self.watches:,} watches over {self.projects} Projects"

    @property
    def load_s(self) -> float:
        """Expected seconds of the load and what it waits for, without start and set-up."""
        return self.duration_s + self.drain_s + SETTLE_S

    @property
    def most_s(self) -> float:
        """Maximum seconds that one launch spends on the load."""
        load_s = self.sync_s + self.duration_s + self.drain_s + SETTLE_S
        return self.setup_s + load_s + self.request_timeout_s

    @property
    def max_pods(self) -> int:
        """Largest number of pods that can divide the load: each has Projects of its own."""
        return self.projects

    def requests_expected(self, arms: int) -> int:
        """Return the approximate number of requests of one run, over all arms."""
        load = (self.rate + self.list_rate) * self.duration_s
        return round(arms * (load + 2 * self.watches + _KINDS * self.projects * self.objects))

    def reading_names(self) -> ReadingNames:
        """Return the names of the readings of `result.py`."""
        times = [f"{name}/{key}" for name in ("watch_lag", "herd_write") for key in QUANTILES]
        lists = [f"herd_list{{way={way}}}/p50" for way in get_args(ListWay)]
        units = {
            **with_unit("s", (*times, *lists, "watches_synced")),
            **with_unit("1", ("events_delivered", "events_lost", "events_duplicated")),
            **with_unit("1", ("events_out_of_order", "events_of_other_projects")),
            **with_unit("1", ("watch_bookmarks", "watch_timeouts", "watch_start_retries")),
            **with_unit("1", ("watch_restarts", "watch_goroutines", "goroutines_left", "requests")),
            **with_unit("1", ("errors_share", "generator_cpu_share")),
            **with_unit("B", ("watch_heap", "heap_left", "heap_ended")),
        }
        return ReadingNames(units, (r"watch_restarts\{reason=.*\}",))

    @property
    def main(self) -> str:
        """Name of the file that belongs to this load alone."""
        return "main.go"

    def tree(self) -> dict[str, Path]:
        """Return every file that decides what is measured, by its relative path."""
        folder = paths.project_path(*_SOURCES)
        files = [*folder.glob("*.go"), folder / "go.mod"]
        return {path.name: path for path in files if not path.name.endswith("_test.go")}

    def own_files(self) -> dict[str, Path]:
        """Return no file: the program is ours."""
        return {}
