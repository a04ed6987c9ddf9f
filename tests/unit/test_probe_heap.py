"""The heap is read after its garbage is collected."""

from pathlib import Path

import pytest

from pipeline.model.ports import Span
from pipeline.probes.heap import HeapProbe
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, probe_values, serving, target


class Server:
    """A program with garbage, which is gone only after two collections."""

    def __init__(self, metric: str = "go_gc_heap_live_bytes", others: str = "") -> None:
        self.metric, self.others = metric, others
        self.used = 1000
        self.collections = 0

    def answer(self, request: Request, _body: bytes) -> None:
        if request.path == "/debug/pprof/heap?gc=1":
            self.collections += 1
            request.say("profile")
            return
        garbage = max(0, 2 - self.collections) * 500
        self.collections = 0
        request.say(f"{self.metric} {self.used + garbage:.3e}\n{self.others}")


@pytest.mark.parametrize(
    "server",
    [
        # The last line includes the profile that was written since the collection.
        pytest.param(Server(others="go_memstats_heap_alloc_bytes 9e+06\n"), id="runtime metrics"),
        pytest.param(Server("go_memstats_heap_alloc_bytes"), id="no runtime metrics"),
    ],
)
def test_only_what_is_in_use_is_counted(server: Server, tmp_path: Path) -> None:
    with answering(server.answer) as url:
        watched = target(url, metrics={"server": f"{url}/metrics", "etcd": f"{url}/metrics"})
        with HeapProbe().watch(watched, tmp_path) as watch:
            server.used = 1600
            seen = probe_values(watch.readings(Span(0, 1)))

    assert seen == {"server.heap": 1600, "server.heap_added": 600}


def test_a_heap_that_shrank_added_nothing(tmp_path: Path) -> None:
    server = Server()
    with answering(server.answer) as url:
        watched = target(url, metrics={"manager": f"{url}/metrics"})
        with HeapProbe().watch(watched, tmp_path) as watch:
            server.used = 100
            seen = probe_values(watch.readings(Span(0, 1)))

    assert seen == {"manager.heap": 100, "manager.heap_added": 0}


def test_a_server_that_does_not_report_its_heap_is_an_error(tmp_path: Path) -> None:
    with serving("go_goroutines 1\n") as url:
        watched = target(url, metrics={"server": f"{url}/metrics"})
        with (
            pytest.raises(LoadError, match="server does not report go_gc_heap_live_bytes"),
            HeapProbe().watch(watched, tmp_path),
        ):
            pass
