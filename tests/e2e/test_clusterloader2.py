"""Real ClusterLoader2, where a binary is at hand: each config, at the root and in Projects."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from pipeline.system.errors import Exit
from tests.running import Command, finished, nothing_is_left, nothing_runs, until

MILO = os.environ.get("MILO_BIN", "")
PROMETHEUS = os.environ.get("PROMETHEUS_BIN") or shutil.which("prometheus")
pytestmark = [
    pytest.mark.real,
    pytest.mark.measuring,
    pytest.mark.skipif(
        not os.environ.get("CLUSTERLOADER2_BIN"),
        reason="CLUSTERLOADER2_BIN is not set to a ClusterLoader2",
    ),
]
HEAD = """
name = "tiny"
description = "a few seconds of each config"
pairs = 2
max_invalid = 2

[environment]
kind = "local"
"""
ROW = (
    '  {{ name = "m{n}", select = "{select}", unit = "{unit}",'
    ' scale = "difference", margin = 0.5 }},'
)

# What each is given, and the lowest value that each reading has.
LOADS: dict[str, tuple[str, dict[str, float]]] = {
    "crud-at-the-root": (
        'config = "object-crud"\nobjects = 20\nrate = 20',
        {"cl2.step{step=create objects}": 1.7, "cl2.step{step=update objects}": 1.7},
    ),
    "crud-in-projects": (
        'config = "object-crud"\nwhere = "projects"\nprojects = 2\nobjects = 10\nrate = 20',
        {"cl2.rate": 10, "objects_created": 40, "server.requests{verb=PATCH}": 40},
    ),
    "fill-in-projects": (
        'config = "object-fill"\nwhere = "projects"\nprojects = 2\nobjects = 10\nrate = 20',
        {"cl2.step{step=create objects}": 0.9, "etcd.db_bytes_added": 0},
    ),
    "churn-at-the-root": (
        'config = "churn"\nprojects = 1\ncycles = 3\nrate = 5\nready_s = 60',
        {"cl2.timer{label=cycle 3}": 0.01, "projects_created": 3},
    ),
    "churn-in-a-project": (
        'config = "churn"\nwhere = "projects"\nprojects = 1\nobjects = 10\ncycles = 2\nrate = 20',
        {"cl2.timer{label=cycle 2}": 1.5, "cl2.rate": 10},
    ),
    "lifecycle": (
        'config = "project-lifecycle"\nprojects = 3\nrate = 2\nready_s = 60',
        {"cl2.step{step=wait for projects}": 0, "projects_deleted": 3, "etcd.keys_left": 0},
    ),
    "collection": (
        'config = "garbage-collection"\nprojects = 3\nobjects = 5\nrate = 20\nready_s = 90',
        {"cl2.step{step=delete projects}": 0, "etcd.keys_left": 0, "cl2.availability_share": 0.9},
    ),
}
MEASURED = {
    "cl2.availability_share": 0.9,
    "cl2.api_latency{verb=POST,resource=secrets,scope=resource}/p99": 1e-4,
    # All 40 of them: a counter that came into being with the load would have missed some.
    "cl2.api_latency{verb=POST,resource=secrets,scope=resource}/count": 39,
    "cl2.query{name=API request duration,resource=secrets,scope=resource,verb=POST}/Mean": 1e-4,
    "cl2.timer{label=total}": 1,
}


def unit_of(select: str) -> str:
    seconds = ("cl2.step", "cl2.timer", "cl2.api_latency", "cl2.query")
    if select.endswith("/count"):
        return "1"
    if select.startswith(seconds):
        return "s"
    if select == "cl2.rate":
        return "1/s"
    return "B" if select.startswith("etcd.db_bytes") else "1"


def workload(name: str, driver: str, readings: dict[str, float]) -> str:
    rows = "\n".join(
        ROW.format(n=n, select=select, unit=unit_of(select)) for n, select in enumerate(readings)
    )
    return (
        f'\n[[workload]]\nname = "{name}"\nmetric = [\n{rows}\n]\n\n[workload.driver]\n'
        f'kind = "clusterloader2"\nduration_s = 10\nmax_rate_error = 0.5\n{driver}\n'
    )


def measured(
    command: Command, tmp_path: Path, spec: str, *workloads: str
) -> dict[str, list[float]]:
    suite, out = tmp_path / "tiny.toml", tmp_path / "out"
    suite.write_text(HEAD + "".join(workloads))
    asked = ("run", "--suite", suite, "--candidate", spec, "--against", spec, "--out", out)
    finished(command(*asked), Exit.NO_REGRESSION, wait_s=1200)
    results = json.loads((out / "results.json").read_text())
    assert nothing_is_left(tmp_path, out)
    assert "Bearer" not in "".join(log.read_text() for log in out.rglob("clusterloader2.log"))
    return {
        f"{one['workload']}/{one['metric']['name']}": [v for v in one["values"] if v is not None]
        for one in results["samples"]["candidate"]
    }


def check(found: dict[str, list[float]], name: str, readings: dict[str, float]) -> None:
    for number, (select, least) in enumerate(readings.items()):
        values = found[f"{name}/m{number}"]
        assert values, f"{name}: nothing reported `{select}`"
        assert all(value >= least for value in values), f"{name}: `{select}` is {values}"


@pytest.mark.parametrize(
    "spec",
    [
        "reference",
        pytest.param(
            f"binary:{MILO}",
            marks=pytest.mark.skipif(not MILO, reason="MILO_BIN is not set to a Milo binary"),
            id="milo",
        ),
    ],
)
def test_every_config_measures_what_it_says(command: Command, tmp_path: Path, spec: str) -> None:
    found = measured(
        command, tmp_path, spec, *(workload(name, *load) for name, load in LOADS.items())
    )
    for name, (_, readings) in LOADS.items():
        check(found, name, readings)


@pytest.mark.skipif(not PROMETHEUS, reason="there is no Prometheus")
@pytest.mark.parametrize(
    "spec",
    [
        "reference",
        pytest.param(
            f"binary:{MILO}",
            marks=pytest.mark.skipif(not MILO, reason="MILO_BIN is not set to a Milo binary"),
            id="milo",
        ),
    ],
)
def test_the_four_measurements_have_values_from_a_real_prometheus(
    command: Command, tmp_path: Path, spec: str
) -> None:
    driver = 'config = "object-crud"\nobjects = 40\nrate = 20\nprometheus = true'
    found = measured(command, tmp_path, spec, workload("measured", driver, MEASURED))
    check(found, "measured", MEASURED)


def test_an_interrupted_run_leaves_no_process(command: Command, tmp_path: Path) -> None:
    suite, out = tmp_path / "tiny.toml", tmp_path / "out"
    suite.write_text(HEAD + workload("crud", *LOADS["crud-at-the-root"]))
    sides = ("--candidate", "reference", "--against", "reference")
    process = command("run", "--suite", suite, *sides, "--out", out)
    log = out / "pairs" / "000" / "crud" / "candidate" / "0-object-crud" / "clusterloader2.log"
    until(log.exists, process)
    process.send_signal(signal.SIGINT)
    finished(process, Exit.INTERRUPTED)
    assert nothing_runs(out)
