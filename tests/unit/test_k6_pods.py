"""Points of several pods are as good as those of one; who did not do his share is told."""

import gzip
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.drivers.k6.pods import (
    PodShare,
    merge_points,
    pod_answers,
    read_share,
    uneven_shares,
)
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import read_points
from pipeline.drivers.pod_clocks import clock_jumps
from pipeline.model.ports import PodResult
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

GOLDEN = Path(__file__).parents[1] / "golden" / "k6"
OPEN = K6(kind="k6", script="object_crud.js", rate=20.0, duration_s=30.0)
FIXED = K6(kind="k6", script="object_crud.js", iterations=200, duration_s=30.0)
RECORDED = sorted(path.name for path in GOLDEN.glob("*.csv.gz"))


def split(path: Path, folder: Path, pods: int, seed: int) -> list[Path]:
    """Deal the lines of recorded points out to pods, in another order than they were written."""
    head, *lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    draw = random.Random(seed)
    dealt: list[list[str]] = [[] for _ in range(pods)]
    for line in lines:
        draw.choice(dealt).append(line)
    paths = [folder / f"{number}.csv.gz" for number in range(pods)]
    for file, own in zip(paths, dealt, strict=True):
        draw.shuffle(own)
        file.write_bytes(gzip.compress("".join([head, *own]).encode()))
    return paths


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("pods", [1, 8])
def test_the_numbers_are_equal_to_the_bit_however_many_pods_wrote_them(
    tmp_path: Path, name: str, pods: int
) -> None:
    text = gzip.decompress((GOLDEN / name).read_bytes()).decode()
    arms = [arm for arm in Arm if f"arm={arm}" in text]
    one = read_points(GOLDEN / name, arms)
    merge_points(split(GOLDEN / name, tmp_path, pods, seed=pods), tmp_path / "all.csv.gz")
    assert read_points(tmp_path / "all.csv.gz", arms) == one


def test_the_shares_of_recorded_points_add_up(tmp_path: Path) -> None:
    whole = read_share(GOLDEN / RECORDED[0])
    parts = [read_share(path) for path in split(GOLDEN / RECORDED[0], tmp_path, 3, seed=1)]
    assert whole.iterations == sum(one.iterations for one in parts) > 0
    assert whole.dropped == sum(one.dropped for one in parts)
    assert whole.start_s == min(one.start_s for one in parts if one.start_s)


def told(asked: K6, shares: Sequence[PodShare], pods: int = 2) -> list[str]:
    names = [f"load pod {number} of {pods}" for number in range(1, pods + 1)]
    return list(uneven_shares(asked, 2, pods, dict(zip(names, shares, strict=False))))


def test_equal_shares_are_no_news() -> None:
    assert told(OPEN, [PodShare(600, 0, 10.0), PodShare(600, 0, 10.9)]) == []
    assert told(OPEN, [PodShare(576, 0, 10.0), PodShare(624, 0, 10.0)]) == []


def test_fixed_work_is_dealt_out_with_the_vus_that_do_it() -> None:
    assert told(FIXED, [PodShare(240, 0, 10.0), PodShare(160, 0, 10.0)]) == []
    assert told(FIXED, [PodShare(400, 0, 10.0), PodShare(0, 0, None)]) == []
    (said,) = told(FIXED, [PodShare(200, 0, 10.0), PodShare(200, 0, 12.0)])
    assert "load pod 2 of 2 began 2.0 s after the first" in said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (PodShare(500, 0, 10.0), "load pod 2 of 2 ended 500 iterations, and its share is 600"),
        (PodShare(0, 0, None), "load pod 2 of 2 ended 0 iterations, and its share is 600"),
        (PodShare(600, 3, 10.0), "load pod 2 of 2 dropped 3 iterations, as all its VUs were busy"),
        (
            PodShare(600, 0, 12.5),
            "load pod 2 of 2 began 2.5 s after the first, or its node's clock is off",
        ),
    ],
)
def test_a_pod_that_was_slower_or_late_is_named(share: PodShare, said: str) -> None:
    assert told(OPEN, [PodShare(600, 0, 10.0), share]) == [said]


def test_the_share_of_a_pod_that_is_lost_is_nobodys() -> None:
    assert told(OPEN, [PodShare(600, 0, 10.0)]) == []


def test_points_of_another_form_are_refused(tmp_path: Path) -> None:
    first, second = split(GOLDEN / RECORDED[0], tmp_path, 2, seed=2)
    second.write_bytes(gzip.compress(b"metric_name,timestamp\nx,1\n"))
    with pytest.raises(LoadError, match=r"1\.csv\.gz: its columns are not those of the first pod"):
        merge_points([first, second], tmp_path / "all.csv.gz")


@pytest.mark.parametrize("kept", [0, 30, -20])
def test_points_that_are_cut_off_are_refused(tmp_path: Path, kept: int) -> None:
    first, second = split(GOLDEN / RECORDED[0], tmp_path, 2, seed=3)
    second.write_bytes(second.read_bytes()[:kept])
    with pytest.raises(LoadError, match=r"1\.csv\.gz: (the file is cut off|its columns)"):
        merge_points([first, second], tmp_path / "all.csv.gz")


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be put together: No such file"):
        merge_points([GOLDEN / RECORDED[0]], tmp_path / "gone" / "all.csv.gz")


def test_what_was_answered_is_counted_by_arm_and_class_of_code() -> None:
    share = read_share(GOLDEN / "object_crud.csv.gz")
    lines = gzip.decompress((GOLDEN / "object_crud.csv.gz").read_bytes()).decode().splitlines()
    for arm in Arm:
        own = [
            line
            for line in lines
            if line.startswith("http_req_duration,")
            and f"arm={arm}" in line
            and ("resource=secrets" in line or "resource=configmaps" in line)
        ]
        found = {reading.name: reading.value for reading in pod_answers(arm, [share, share])}
        assert found["pods.reads"] == 2 * sum("op=get" in line for line in own) > 0
        assert sum(found[f"pods.answers{{code={code}xx}}"] for code in "245") == 2 * len(own)


def test_a_pod_that_had_nothing_to_do_is_no_error(tmp_path: Path) -> None:
    head = gzip.decompress((GOLDEN / "object_crud.csv.gz").read_bytes()).splitlines(keepends=True)
    idle = tmp_path / "idle.csv.gz"
    idle.write_bytes(gzip.compress(head[0]))
    assert read_share(idle) == PodShare(0, 0, None)
    merge_points([idle, GOLDEN / "object_crud.csv.gz"], tmp_path / "all.csv.gz")
    one = read_points(GOLDEN / "object_crud.csv.gz", list(Arm))
    assert read_points(tmp_path / "all.csv.gz", list(Arm)) == one


@pytest.mark.parametrize(
    ("times_s", "off"),
    [((100.0, 130.0), ""), ((100.0, 3730.0), "3599.0 s"), ((-3500.0, 130.0), "3599.0 s")],
    ids=["its own clock", "set forward under load", "set back under load"],
)
def test_a_pod_whose_clock_was_set_under_load_is_named(
    times_s: tuple[float, float], off: str
) -> None:
    pod = PodResult("load pod 2 of 2", Path(), began_s=99.0, ended_s=131.0)
    said = list(clock_jumps(pod, times_s))
    expected = [f"load pod 2 of 2: the clock of its node was set by about {off} under load"]
    assert said == (expected if off else [])


def test_the_times_of_a_share_are_those_of_its_first_and_last_point(tmp_path: Path) -> None:
    whole = read_share(GOLDEN / RECORDED[0])
    parts = [read_share(path) for path in split(GOLDEN / RECORDED[0], tmp_path, 3, seed=1)]
    times = [one.times_s for one in parts if one.times_s]
    assert whole.times_s == (min(first for first, _ in times), max(last for _, last in times))
