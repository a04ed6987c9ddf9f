"""Processes are watched over the whole load, or there is no number."""

import os
import re
import time
from pathlib import Path

import psutil
import pytest

from pipeline.model.ports import Span
from pipeline.probes.process import (
    PERIOD_S,
    ProcessProbe,
    observe_process,
    summarize_process,
)
from pipeline.probes.sampling import ProcessObservation
from pipeline.system.errors import LoadError
from tests.loopback import probe_values, target


def look(
    time_s: float,
    cpu_s: float,
    memory: int = 100,
    files: int | None = 7,
    written: int | None = 0,
) -> ProcessObservation:
    return ProcessObservation(
        time_s, cpu_s, memory, threads=3, files=files, read=0, written=written
    )


def test_cpu_seconds_are_interpolated_at_both_ends_of_the_span() -> None:
    seen = [look(0, 10.0), look(1, 11.0), look(2, 13.0), look(3, 13.0)]

    readings = summarize_process("server", seen, Span(0.5, 2.5))

    assert probe_values(readings)["server.cpu"] == pytest.approx(13.0 - 10.5)


def test_memory_and_files_are_those_of_the_span_only() -> None:
    seen = [look(0, 0, 999, 99), look(1, 0, 100, 5), look(2, 0, 300, 6), look(3, 0, 999, 99)]

    readings = summarize_process("etcd", seen, Span(0.5, 2.5))

    assert probe_values(readings)["etcd.memory_mean"] == 200
    assert probe_values(readings)["etcd.memory_max"] == 300
    assert probe_values(readings)["etcd.files"] == 6


def test_bytes_on_disk_are_interpolated_as_cpu_is() -> None:
    seen = [look(i, 0, written=1000 * i) for i in range(4)]

    readings = summarize_process("etcd", seen, Span(0.5, 2.5))

    assert probe_values(readings)["etcd.written"] == 2000
    assert probe_values(readings)["etcd.read"] == 0


def test_bytes_on_disk_that_we_may_not_know_are_missing() -> None:
    seen = [look(0, 0), look(1, 0, written=None), look(2, 0)]

    assert "etcd.written" not in probe_values(summarize_process("etcd", seen, Span(0.5, 1.5)))


def test_files_of_another_user_s_process_are_missing_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(process: psutil.Process) -> int:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "num_fds", refused)
    seen = observe_process(os.getpid())
    assert seen is not None
    assert seen.files is None
    found = probe_values(
        summarize_process("server", [look(0, 0), look(1, 1, files=None), look(2, 2)], Span(1, 1))
    )
    assert "server.files" not in found
    assert found["server.memory_mean"] == 100


def test_what_was_added_is_from_before_the_load_to_after_it() -> None:
    grown = [look(0, 0, 100, 7), look(1, 0, 900, 99), look(2, 0, 900, 99), look(3, 0, 150, 9)]

    up = probe_values(summarize_process("server", grown, Span(0.5, 2.5)))
    down = probe_values(
        summarize_process("server", [look(0, 0, 500, 50), *grown[1:]], Span(0.5, 2.5))
    )

    assert (up["server.memory_added"], up["server.files_added"]) == (50, 2)
    assert (down["server.memory_added"], down["server.files_added"]) == (0, 0)


def test_a_span_that_was_not_watched_whole_is_an_error_not_a_guess() -> None:
    with pytest.raises(LoadError, match="has samples for a part of the load only"):
        summarize_process("server", [look(1, 0), look(2, 0)], Span(0.5, 1.5))


def test_a_span_between_two_looks_has_the_memory_of_the_look_after_it() -> None:
    seen = [look(0, 0.0, 100), look(1, 1.0, 200), look(2, 1.0, 300)]

    readings = probe_values(summarize_process("server", seen, Span(0.25, 0.75)))

    assert readings["server.memory_mean"] == 200
    assert readings["server.cpu"] == pytest.approx(0.5)


def test_the_cpu_of_this_process_agrees_with_its_own_clock() -> None:
    before = observe_process(os.getpid())
    burned = time.process_time()
    while time.process_time() - burned < 0.2:
        pass
    after = observe_process(os.getpid())

    assert before is not None
    assert after is not None
    assert after.cpu_s - before.cpu_s == pytest.approx(0.2, abs=0.05)
    assert after.memory > 1e6
    assert after.written is None or after.written >= 0


def test_a_process_that_is_gone_gives_no_observation() -> None:
    assert observe_process(2**22 + 1) is None


def test_the_process_probe_watches_and_keeps_what_it_saw(tmp_path: Path) -> None:
    began = time.time()
    with ProcessProbe().watch(target(pid=os.getpid()), tmp_path) as watch:
        time.sleep(2.5 * PERIOD_S)
        readings = watch.readings(Span(began + PERIOD_S, began + 2 * PERIOD_S))

    assert probe_values(readings)["server.files"] > 3
    assert re.match(r"component,time_s,", (tmp_path / "process.csv").read_text())


def test_a_disk_that_is_full_does_not_lose_what_was_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ProcessProbe().watch(target(pid=os.getpid()), tmp_path / "nowhere"):
        pass

    assert "cannot be written" in caplog.text
