"""Probes read what is there, and say so when it is not."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipeline.errors import LoadError
from pipeline.ports import Span, Target
from pipeline.probes.etcd import Etcd, keys
from pipeline.probes.process import PERIOD_S, Observation, Process, observation, summary
from pipeline.probes.prometheus import Prometheus, goroutines


def target(url: str = "", *, pid: int = 0) -> Target:
    return Target(
        url=url,
        ca_file=Path("/nonexistent"),
        token_file=Path("/nonexistent"),
        admin_token_file=Path("/nonexistent"),
        processes={"server": pid} if pid else {},
        metrics={"etcd": f"{url}/metrics"} if url else {},
        etcd_url=url,
        check=lambda: None,
    )


@contextmanager
def serving(*answers: str) -> Iterator[str]:
    """Answer each request with the next body, the last one again and again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = (left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def look(time_s: float, cpu_s: float, memory: int = 100, files: int = 7) -> Observation:
    return Observation(time_s, cpu_s, memory, threads=3, files=files)


def value(readings: object, name: str) -> float:
    assert isinstance(readings, tuple)
    return float(next(reading.value for reading in readings if reading.name == name))


def test_cpu_seconds_are_interpolated_at_both_ends_of_the_span() -> None:
    seen = [look(0, 10.0), look(1, 11.0), look(2, 13.0), look(3, 13.0)]

    readings = summary("server", seen, Span(0.5, 2.5))

    assert value(readings, "server.cpu") == pytest.approx(13.0 - 10.5)


def test_memory_and_files_are_those_of_the_span_only() -> None:
    seen = [look(0, 0, 999, 99), look(1, 0, 100, 5), look(2, 0, 300, 6), look(3, 0, 999, 99)]

    readings = summary("etcd", seen, Span(0.5, 2.5))

    assert value(readings, "etcd.memory_mean") == 200
    assert value(readings, "etcd.memory_max") == 300
    assert value(readings, "etcd.files") == 6


def test_a_span_that_was_not_watched_whole_is_an_error_not_a_guess() -> None:
    with pytest.raises(LoadError, match="not seen over the whole load"):
        summary("server", [look(1, 0), look(2, 0)], Span(0.5, 1.5))


def test_the_cpu_of_this_process_agrees_with_its_own_clock() -> None:
    before = observation(os.getpid())
    burned = time.process_time()
    while time.process_time() - burned < 0.2:
        pass
    after = observation(os.getpid())

    assert before is not None
    assert after is not None
    assert after.cpu_s - before.cpu_s == pytest.approx(0.2, abs=0.05)
    assert after.memory > 1e6


def test_a_process_that_is_gone_gives_no_observation() -> None:
    assert observation(2**22 + 1) is None


def test_the_process_probe_watches_and_keeps_what_it_saw(tmp_path: Path) -> None:
    began = time.time()
    with Process().watch(target(pid=os.getpid()), tmp_path) as watch:
        time.sleep(2.5 * PERIOD_S)
        readings = watch.readings(Span(began + PERIOD_S, began + 2 * PERIOD_S))

    assert value(readings, "server.files") > 3
    assert re.match(r"component,time_s,", (tmp_path / "process.csv").read_text())


def test_goroutines_are_read_from_prometheus_text() -> None:
    assert goroutines("# TYPE go_goroutines gauge\ngo_goroutines 1.2e+03\nx 1\n", "etcd") == 1200


def test_a_server_that_reports_no_goroutines_is_an_error_not_zero() -> None:
    with pytest.raises(LoadError, match="etcd does not report go_goroutines"):
        goroutines("go_threads 4\n", "etcd")


def test_the_prometheus_probe_keeps_the_text(tmp_path: Path) -> None:
    with serving("go_goroutines 42\n") as url, Prometheus().watch(target(url), tmp_path) as watch:
        readings = watch.readings(Span(0, 1))

    assert value(readings, "etcd.goroutines") == 42
    assert (tmp_path / "etcd.prom").read_text() == "go_goroutines 42\n"


def test_keys_added_are_those_after_less_those_before(tmp_path: Path) -> None:
    answers = ('{"count":"3"}', '{"count":"10"}')
    with serving(*answers) as url, Etcd().watch(target(url), tmp_path) as watch:
        readings = watch.readings(Span(0, 1))

    assert value(readings, "etcd.keys_added") == 7


def test_etcd_leaves_a_count_of_zero_out() -> None:
    with serving("{}") as url:
        assert keys(url, "/projects/") == 0


@pytest.mark.parametrize("answer", ["not JSON", '{"count":"many"}', "[]"])
def test_an_etcd_that_answers_nonsense_is_an_error(answer: str) -> None:
    with serving(answer) as url, pytest.raises(LoadError):
        keys(url, "/projects/")


def test_an_etcd_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(LoadError, match="no answer"):
        keys("http://127.0.0.1:1", "/projects/")
