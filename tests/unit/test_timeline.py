"""A run over time is drawn from its raw data, and never from numbers that are not there."""

import csv
import gzip
import math
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.main import main
from pipeline.model.subject import Arm
from pipeline.model.traces import Timeline, TimelineCurve, TimelinePanel
from pipeline.render.timeline import timeline_svg
from pipeline.runs.timeline import read_timeline
from pipeline.storage import codec
from pipeline.system.errors import ConfigError
from tests import pages

START_S = 1_800_000_000.0
POINTS = "metric_name,timestamp,metric_value,extra_tags,status,error_code,expected_response\n"


def write(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def process(component: str, second: int, cpu_s: float) -> tuple[object, ...]:
    return component, START_S + second, cpu_s, 1e6 * (1 + second), 5, 9, "", ""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    results = pages.measured()
    codec.RESULTS.write(tmp_path / "results.json", results)
    pair = tmp_path / "pairs" / f"{results.valid_pairs[0]:03}"
    workload = next(iter(results.samples[Arm.CANDIDATE])).workload
    folder = pair / workload / "candidate"
    columns = ("component", "time_s", "cpu_s", "memory", "threads", "files", "read", "written")
    rows = [process(name, s, 0.5 * s) for name in ("server", "etcd") for s in range(5)]
    write(folder / "process.csv", columns, rows)
    sizes = [("server.goroutines", START_S + s, 100 + s) for s in range(5)]
    sizes += [("etcd.db", START_S + s, 4096) for s in range(5)]
    write(folder / "series.csv", ("series", "time_s", "value"), sizes)
    lines = "".join(
        f"http_req_duration,{int((START_S + 1) * 1e6) + n},{value},arm={arm}&phase=load,200,,true\n"
        for arm, value in (("candidate", 20.0), ("baseline", 9000.0))
        for n in range(10)
    )
    with gzip.open(pair / workload / "points.csv.gz", "wt") as file:
        file.write(POINTS + lines)
    return tmp_path


def test_every_quantity_of_the_candidate_is_a_panel(run: Path) -> None:
    timeline = read_timeline(run, codec.RESULTS.read(run / "results.json"))
    panels = {panel.title: panel for panel in timeline.panels}
    assert list(panels) == [
        *("latency of requests", "CPU", "memory", "goroutines", "database of etcd"),
    ]
    assert [curve.name for curve in panels["CPU"].curves] == ["server", "etcd"]
    ((cores, *_), *_) = panels["CPU"].curves[0].segments
    assert list(cores) == pytest.approx([0.5, 0.5])
    (latency, _) = panels["latency of requests"].curves
    assert [value for _, value in latency.segments[0]] == [pytest.approx(0.02)]
    assert timeline.workloads[0][1:] == (0.0, 4.0)


def test_the_drawing_is_well_formed_and_says_what_it_shows(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(run), "--format", "timeline"]) == 0
    text = capsys.readouterr().out
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in text
    assert ">database of etcd<" in text


def test_a_folder_without_raw_data_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keeps no raw data of pair"):
        read_timeline(tmp_path, pages.measured())


def test_times_that_are_not_of_one_launch_are_refused(run: Path) -> None:
    (path,) = run.rglob("series.csv")
    write(path, ("series", "time_s", "value"), [("a.b", -1e308, 1), ("a.b", 1e308, 1)])
    with pytest.raises(ConfigError, match="are not those of one launch"):
        read_timeline(run, codec.RESULTS.read(run / "results.json"))


_VALUES = st.floats(0, 1e15) | st.sampled_from([0.0, 1e-12])


@given(
    st.lists(st.tuples(st.floats(0, 1e5), _VALUES), min_size=1, max_size=9),
    st.sampled_from(["s", "B", "cores", "1"]),
    st.text(max_size=20),
)
def test_every_coordinate_is_a_number_inside_the_drawing(
    points: list[tuple[float, float]], unit: str, name: str
) -> None:
    curves = tuple(TimelineCurve(one, (tuple(sorted(points)),)) for one in ("server", "p95"))
    last = max(time_s for time_s, _ in points)
    panel = TimelinePanel("t", unit, curves)
    text = timeline_svg(Timeline(name, ((name, 0.0, last),), (panel, panel)))
    root = ET.fromstring(text)
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        numbers = [float(rect.attrib[key]) for key in ("x", "y", "width", "height")]
        assert all(map(math.isfinite, numbers))
        assert min(numbers) >= 0
