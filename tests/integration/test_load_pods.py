"""Several k6 in real load agents do one load together, as one k6 alone would."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.drivers.k6.csv_points import read_series
from pipeline.drivers.k6.driver import K6Driver
from pipeline.drivers.k6.settings import K6
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError
from tests.gotests import go_tests
from tests.load_agents import launched, make_folder

pytestmark = [pytest.mark.real, pytest.mark.measuring]

CRUD = K6(
    kind="k6",
    script="object_crud.js",
    rate=6.0,
    duration_s=4,
    warmup_s=1,
    projects=2,
    objects=5,
    max_rate_error=0.2,
    request_timeout_s=3,
    parameters={"LIST_EVERY": 2},
)


def test_the_go_tests_of_the_load_agent_pass(tmp_path: Path) -> None:
    said = go_tests("load-agent", tmp_path, "-count=1", "-v", ".")
    assert "ok  \tgithub.com/milo-os/milo-perf/go/load-agent" in said
    assert said.count("--- PASS") >= 9


@pytest.mark.parametrize(("count", "operator"), [(4, False), (2, True)])
def test_pods_do_the_load_that_was_asked_each_its_share(
    tmp_path: Path, count: int, *, operator: bool
) -> None:
    out = make_folder(tmp_path / "out")
    k6 = toolchain.program("k6")
    with launched(tmp_path, count, k6.path, operator=operator) as targets:
        load = K6Driver(CRUD, k6).measure(targets, out, seed=7)

    assert load.invalid == ()
    ended: Counter[str] = Counter()
    setups = 0
    for series in read_series(out / "points.csv.gz"):
        if series.metric == "iterations" and series.tags.get("phase") == "load":
            ended[series.tags["arm"]] += len(series.measured)
        setups += series.metric == "http_req_duration" and series.tags.get("op") == "setup"
    # One set up for all: the arms got the same work, and no more of it than from one k6.
    assert ended == dict.fromkeys(Arm, 24)
    assert setups > 0
    for arm in Arm:
        found = {reading.name: reading.value for reading in load.readings[arm]}
        assert found["errors_share"] == 0
        assert found["http_req_duration{op=create}/count"] == 24
        assert 0 < found["generator_cpu_share"] < 1
    assert len(list(out.glob("load-pod-*"))) == count


def test_a_script_that_pods_cannot_run_is_told_with_what_k6_said(tmp_path: Path) -> None:
    wrong = CRUD.model_copy(update={"parameters": {"LIST_EVERY": "soon"}})
    with (
        launched(tmp_path, 2, toolchain.program("k6").path) as targets,
        pytest.raises(LoadError, match=r"load pod . of 2|of the load") as caught,
    ):
        K6Driver(wrong, toolchain.program("k6")).measure(
            targets, make_folder(tmp_path / "out"), seed=7
        )
    assert "LIST_EVERY is not a number" in f"{caught.value} {caught.value.hint}"
