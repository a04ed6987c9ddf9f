"""A gap in what a probe saw is a gap: the metric is missing, by name."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.ports import ResourceUsage, Span
from pipeline.probes import containers, process, series
from pipeline.probes.process import PERIOD_S
from pipeline.probes.sampling import (
    MAX_GAP_PERIODS,
    Heartbeat,
    ProcessObservation,
    longest_gap_s,
    require_complete,
)
from pipeline.system.errors import LoadError
from tests.loopback import target

SPAN = Span(10.0, 40.0)


def looks(*times_s: float) -> list[ProcessObservation]:
    """Return looks at a process that uses one processor until 40 s, and none after that."""
    return [ProcessObservation(at, min(at, 40.0), 100, 3, 7, 0, 0) for at in times_s]


def every(period_s: float, start_s: float, end_s: float) -> list[float]:
    return [start_s + period_s * n for n in range(int((end_s - start_s) / period_s) + 1)]


def test_a_process_that_is_seen_all_the_time_has_its_cpu() -> None:
    found = process.summarize_process("server", looks(*every(PERIOD_S, 9, 41)), SPAN)
    assert {one.name: one.value for one in found}["server.cpu"] == pytest.approx(30.0)


def test_a_freeze_of_15_s_at_the_end_is_no_cpu_of_30_percent_less() -> None:
    frozen = [at for at in every(PERIOD_S, 9, 60) if not 35 < at < 50]
    with pytest.raises(LoadError, match=r"process probe: server has no samples for 15\.0 s"):
        process.summarize_process("server", looks(*frozen), SPAN)


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_looks_that_a_clock_was_set_between_are_refused(by_s: float) -> None:
    stepped = [at + (by_s if at > 20 else 0) for at in every(PERIOD_S, 9, 41)]
    with pytest.raises(LoadError, match=r"process probe: server has (no )?samples"):
        process.summarize_process("server", looks(*stepped), SPAN)


def test_a_kubelet_that_did_not_look_for_a_minute_is_a_gap() -> None:
    seen = [ResourceUsage(at, at, 5) for at in (0.0, 15.0, 30.0, 90.0)]
    with pytest.raises(LoadError, match=r"containers probe: etcd has no samples for 60\.0 s"):
        containers.summarize_containers("etcd", seen, Span(10.0, 80.0))


def test_a_series_with_a_gap_has_no_slope_and_the_others_have(tmp_path: Path) -> None:
    whole = [(float(at), 1.0) for at in range(50)]
    gap = [(at, value) for at, value in whole if not 20 < at < 30]
    with series.SeriesProbe().watch(target(metrics={}), tmp_path) as watch:
        watch.points.update({"server.heap": whole, "server.goroutines": gap})
        found = watch.readings(Span(10.0, 40.0, tuple(map(float, range(12, 40, 3)))))
    assert {one.name.partition("_")[0] for one in found} == {"server.heap"}


@given(
    st.lists(st.floats(0.05, MAX_GAP_PERIODS - 0.01), min_size=40, max_size=60),
    st.integers(1, 30),
    st.floats(MAX_GAP_PERIODS + 0.01, 100.0),
)
def test_gaps_of_the_span_count_and_no_others(
    periods: list[float], number: int, gap_periods: float
) -> None:
    times = [0.0]
    for at, one in enumerate(periods):
        times.append(times[-1] + (gap_periods if at == number else one))
    before, after = times[number], times[number + 1]
    assert longest_gap_s(times, Span(before, after), 1.0) == after - before
    assert longest_gap_s(times, Span(0.0, before), 1.0) == 0.0
    assert longest_gap_s(times, Span(after, times[-1]), 1.0) == 0.0
    with pytest.raises(LoadError):
        require_complete(times, Span(times[0], times[-1]), 1.0, "x")


def test_a_pulse_that_missed_beats_says_for_how_long() -> None:
    pulse = Heartbeat(0.1)
    pulse.beat()
    pulse.last_s -= 15.2
    pulse.beat()
    now_s = pulse.clock.now_s()
    with pytest.raises(
        LoadError, match=r"availability probe: milo-perf itself did not run for 15\.2 s"
    ):
        pulse.require_steady(Span(now_s - 10, now_s), "availability probe")
    pulse.require_steady(Span(now_s + 1, now_s + 2), "availability probe")


_WATCHED = """
import os, sys, time
from pathlib import Path
from pipeline.system.errors import LoadError
from pipeline.model.ports import Span, Target
from pipeline.probes.sampling import heartbeat
from pipeline.probes.process import ProcessProbe
nowhere, out = Path("/nonexistent"), Path(sys.argv[1])
target = Target("", nowhere, nowhere, nowhere, {"server": os.getpid()}, {}, "", lambda: None)
with ProcessProbe().watch(target, out) as watch, heartbeat(0.1, "heartbeat") as heart:
    time.sleep(1.2)
    began = heart.clock.now_s()
    print("watching", flush=True)
    sys.stdin.readline()
    time.sleep(0.7)
    span = Span(began, heart.clock.now_s())
    for ask in (lambda: watch.readings(span), lambda: heart.require_steady(span, "heartbeat")):
        try:
            print("seen", ask(), flush=True)
        except LoadError as error:
            print(error, flush=True)
"""


def test_a_program_that_is_stopped_for_a_while_says_so(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WATCHED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin
        assert program.stdout
        assert program.stdout.readline() == "watching\n"
        os.kill(program.pid, signal.SIGSTOP)
        time.sleep(MAX_GAP_PERIODS * PERIOD_S + 0.7)
        os.kill(program.pid, signal.SIGCONT)
        said, _ = program.communicate("\n", timeout=60)
    first, second = said.splitlines()
    assert first.startswith("process probe: server has no samples for ")
    assert second.startswith("heartbeat: milo-perf itself did not run for ")
