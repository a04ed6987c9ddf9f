"""What a run's folder keeps is read as far as it is there, and what is missing is said."""

import csv
import gzip
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm
from pipeline.runs import traces
from pipeline.runs.traces import BINS, MAX_STEPS, distribution, track
from pipeline.system import paths
from tests.builders import LATENCY, results

HEADER = (
    "metric_name,timestamp,metric_value,error_code,expected_response,name,scenario,status,"
    "extra_tags,metadata"
)


def run(**changes: object) -> ResultSet:
    one = results((LATENCY, [1.0, 1.1], [1.0, 1.1]), specs=("reference", "reference"))
    return replace(one, **changes)  # type: ignore[arg-type]  # any field


def write_points(path: Path, rows: Sequence[tuple[float, str]]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    lines = [
        f"http_req_duration,1800000000000000,{ms},,true,x,load,200,{tags}," for ms, tags in rows
    ]
    with gzip.open(path / "points.csv.gz", "wt") as file:
        file.write("\n".join([HEADER, *lines, ""]))


def write_looks(path: Path, looks: Sequence[tuple[float, float, int]]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    with (path / "process.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["component", "time_s", "cpu_s", "memory", "threads", "files"])
        rows.writerows(["server", time_s, cpu_s, memory, 9, 40] for time_s, cpu_s, memory in looks)


LOAD = "arm={}&op=create&phase=load"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(paths.project_path("suites", "pr.toml"), tmp_path / "suite.toml")
    for pair in range(2):
        base = tmp_path / "pairs" / f"{pair:03}" / "object-crud"
        tags = [LOAD.format(arm) for arm in Arm]
        warm = "arm=baseline&op=create&phase=warmup"
        write_points(base, [(2.0, tags[0]), (4.0, tags[0]), (3.0, tags[1]), (99.0, warm)])
        for arm in Arm:
            looks = [(100 + 0.5 * i, 0.2 * i, 1000 + i) for i in range(41)]
            write_looks(base / arm, looks)
    return tmp_path


def test_raw_times_of_the_load_are_those_of_each_arm(folder: Path) -> None:
    found = traces.read(folder, run())
    arms = found.distributions["object-crud", "http_req_duration{op=create}"]
    assert arms[Arm.BASELINE].values == pytest.approx((0.002, 0.002, 0.004, 0.004))
    assert arms[Arm.BASELINE].shares == (0.25, 0.5, 0.75, 1.0)
    assert arms[Arm.CANDIDATE].count == 2
    assert found.reads["object-crud/create_p50"] == "http_req_duration{op=create}/p50"
    assert found.unread == ()


def test_looks_become_rates_and_values_over_time(folder: Path) -> None:
    tracked = {t.name: t for t in traces.read(folder, run()).tracked}
    assert list(tracked) == ["server.cpu", "server.memory", "server.files"]
    cpu = tracked["server.cpu"].tracks[Arm.CANDIDATE]
    assert cpu.middle == pytest.approx([0.4] * len(cpu.middle))
    assert tracked["server.cpu"].unit == "cores"
    memory = tracked["server.memory"].tracks[Arm.BASELINE]
    assert memory.middle[0] == pytest.approx(1000, abs=1)
    assert memory.times_s[-1] == pytest.approx(20, abs=0.5)


def test_an_invalid_pair_is_not_read(folder: Path) -> None:
    (folder / "pairs" / "001" / "object-crud" / "points.csv.gz").write_bytes(b"not gzip")
    one = results(
        (LATENCY, [1.0, 1.1], [1.0, 1.1]), specs=("reference", "reference"), invalid={1: "bad"}
    )
    found = traces.read(folder, one)
    assert found.unread == ()
    arms = found.distributions["object-crud", "http_req_duration{op=create}"]
    assert arms[Arm.BASELINE].count == 2


def test_arms_that_took_turns_have_folders_of_their_own(tmp_path: Path) -> None:
    shutil.copy(paths.project_path("suites", "pr.toml"), tmp_path / "suite.toml")
    for arm in Arm:
        base = tmp_path / "pairs" / "000" / arm / "object-crud"
        write_points(base, [(2.0, LOAD.format(arm))])
        write_looks(base / arm, [(1.0, 0.0, 5), (2.0, 0.5, 6), (3.0, 1.0, 7)])
    found = traces.read(tmp_path, run(interleave=Interleave.TRIAL))
    assert set(found.distributions["object-crud", "http_req_duration{op=create}"]) == set(Arm)
    assert set(found.tracked[0].tracks) == set(Arm)


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        pytest.param("suite.toml", None, "suite.toml is not in the folder", id="no suite"),
        pytest.param("suite.toml", b"name = 1", "suite.toml cannot be used", id="another suite"),
        pytest.param(
            "pairs/000/object-crud/points.csv.gz", b"\x1f\x8b", "points.csv.gz", id="cut off"
        ),
        pytest.param(
            "pairs/000/object-crud/baseline/process.csv", b"a,b\n1,2\n", "process.csv", id="columns"
        ),
        pytest.param(
            "pairs/000/object-crud/baseline/process.csv", b"\xff\xfe", "process.csv", id="encoding"
        ),
    ],
)
def test_what_cannot_be_read_is_said_and_the_rest_is_there(
    folder: Path, path: str, content: bytes | None, said: str
) -> None:
    (folder / path).unlink()
    if content is not None:
        (folder / path).write_bytes(content)
    found = traces.read(folder, run())
    assert len(found.unread) == 1
    assert said in found.unread[0]
    assert str(folder) not in found.unread[0]
    assert found.tracked


def test_an_empty_folder_has_no_evidence(tmp_path: Path) -> None:
    found = traces.read(tmp_path, run())
    assert (found.distributions, found.tracked, found.files) == ({}, (), ())


def test_files_are_listed_but_for_keys(folder: Path) -> None:
    (folder / "pairs" / "000" / "object-crud" / "ca.pem").touch()
    (folder / "results.json").touch()
    found = traces.read(folder, run()).files
    assert found[:2] == ("results.json", "suite.toml")
    assert "pairs/000/object-crud/points.csv.gz" in found
    assert not any(name.endswith(".pem") for name in found)


@pytest.mark.parametrize("count", [1, 199, 200, 201, 100_000])
def test_a_curve_has_few_steps_and_both_ends(count: int) -> None:
    values = np.sort(np.random.default_rng(1).lognormal(size=count))
    found = distribution(values)
    assert len(found.values) <= MAX_STEPS
    assert found.values[-1] == values[-1]
    assert list(found.values) == sorted(found.values)
    assert list(found.shares) == sorted(found.shares)
    assert np.interp(0.5, found.shares, found.values) == pytest.approx(
        np.quantile(values, 0.5), rel=0.05
    )


def test_a_track_is_the_median_within_its_extremes_and_ends_with_most_pairs() -> None:
    def pair(size: float, seconds: int) -> list[tuple[float, float]]:
        return [(10.0 + t, size) for t in range(seconds + 1)]

    found = track([pair(1, 20), pair(2, 20), pair(9, 40)], is_counter=False)
    assert found.times_s[-1] < 21
    assert len(found.times_s) <= BINS
    assert (found.low[0], found.middle[0], found.high[0]) == (1, 2, 9)


def test_two_looks_are_a_line() -> None:
    found = track([[(0.0, 40.0), (30.0, 44.0)]], is_counter=False)
    assert found.middle == (40.0, 44.0)
    assert found.times_s == (0.0, 30.0)


def test_a_closer_look_takes_the_place_of_two(folder: Path) -> None:
    place = folder / "pairs" / "000" / "object-crud" / "candidate"
    for name, looks in (("goroutines.csv", 2), ("series.csv", 9)):
        rows = [f"server.goroutines,{100 + t},{1000 + t}" for t in range(looks)]
        (place / name).write_text("\n".join(["series,time_s,value", *rows]))
    tracked = {t.name: t for t in traces.read(folder, run()).tracked}
    assert len(tracked["server.goroutines"].tracks[Arm.CANDIDATE].middle) == 8
    assert list(tracked)[:3] == ["server.cpu", "server.memory", "server.goroutines"]


def test_a_spec_of_another_version_is_no_reason_to_read_less(folder: Path) -> None:
    one = results((LATENCY, [1.0, 1.1], [1.0, 1.1]), specs=("moon", "moon@1?x"))
    assert traces.read(folder, one).distributions
