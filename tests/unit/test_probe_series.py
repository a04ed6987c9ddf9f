"""A series is read at the ends of the cycles, and its slope is what a cycle adds."""

import os
import time
from pathlib import Path

import pytest

from pipeline.model.ports import Span
from pipeline.probes.scrape import read_plain_value
from pipeline.probes.series import SeriesPoint, SeriesProbe, slopes
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, probe_values, target

MARKS = (10.0, 20.0, 30.0, 40.0)


def found(points: list[SeriesPoint]) -> dict[str, float]:
    return probe_values(tuple(slopes("server.heap", points, MARKS)))


def test_the_value_of_a_cycle_is_the_first_after_its_end() -> None:
    high_in_between = [
        (time_s, value)
        for i in range(5)
        for time_s, value in ((10.0 * i + 0.5, 100.0 + 3 * i), (10.0 * i + 5, 900.0 * i))
    ]

    assert found(high_in_between)["server.heap_slope"] == pytest.approx(3)


def test_what_falls_has_a_slope_below_zero() -> None:
    seen = found([(10, 9.0), (20, 8.0), (30, 6.9), (40, 6.0)])

    assert seen["server.heap_slope_low"] < seen["server.heap_slope"] < 0


def test_the_last_cycle_may_take_the_last_value_there_is() -> None:
    assert found([(10, 1.0), (20, 2.0), (30, 3.0), (39.5, 4.0)])["server.heap_slope"] == 1


def test_a_series_that_ended_early_has_no_slope() -> None:
    assert found([(10, 1.0), (20, 2.0), (29.5, 3.0)]) == {}
    assert found([]) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"# TYPE x gauge\nx 1.5e+03\ny 2\n", 1500),
        (b"# TYPE x gauge\nx 2", 2),
        (b"# TYPE x gauge\nx_total 3\n", None),
        (b"\nx many\n", None),
    ],
)
def test_a_plain_family(text: bytes, expected: float | None) -> None:
    assert read_plain_value(text, "x") == expected


class Leaking:
    """A component that holds more each time it is asked, beside an etcd with as many keys."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, request: Request, _body: bytes) -> None:
        self.asked += 1
        if request.path == "/metrics":
            request.say(f"\ngo_goroutines {self.asked}\ngo_memstats_heap_inuse_bytes 4096\n")
        else:
            request.say(f'{{"count":"{self.asked}"}}')


def test_all_that_can_be_read_has_a_slope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.probes.series.PERIOD_S", 0.1)
    with answering(Leaking().answer) as url:
        watched = target(url, pid=os.getpid(), metrics={"server": f"{url}/metrics"})
        with SeriesProbe().watch(watched, tmp_path) as watch:
            began = time.time()
            time.sleep(1.1)
            marks = tuple(began + 0.2 * i for i in range(1, 6))
            seen = probe_values(watch.readings(Span(began, marks[-1], marks)))

    names = {"server.goroutines", "server.heap", "server.memory", "server.files", "etcd.keys"}
    assert set(seen) == {f"{name}_slope{end}" for name in names for end in ("", "_low", "_high")}
    assert seen["server.goroutines_slope_low"] > 0
    assert seen["server.heap_slope"] == 0
    assert (tmp_path / "series.csv").read_text().startswith("series,time_s,value\n")


def test_of_a_load_without_marks_only_the_samples_are_kept(tmp_path: Path) -> None:
    with SeriesProbe().watch(target(metrics={}, pid=os.getpid()), tmp_path) as watch:
        assert watch.readings(Span(0, 1)) == ()
    assert "server.memory," in (tmp_path / "series.csv").read_text()


def test_a_load_with_too_few_cycles_is_an_error(tmp_path: Path) -> None:
    with (
        SeriesProbe().watch(target(metrics={}), tmp_path) as watch,
        pytest.raises(LoadError, match="needs 3 cycles, and the load had 1"),
    ):
        watch.readings(Span(0, 1, (1.0,)))


def test_a_component_that_does_not_answer_has_no_series_and_no_say_in_the_others(
    tmp_path: Path,
) -> None:
    dead = target(metrics={"server": "http://127.0.0.1:1/metrics"}, pid=os.getpid())
    now = time.time()
    with SeriesProbe().watch(dead, tmp_path) as watch:
        seen = probe_values(watch.readings(Span(now, now + 1, (now - 2, now - 1, now))))

    assert "server.files_slope" in seen
    assert "server.goroutines_slope" not in seen
