"""Every workload runs on a real control plane, small, and yields what it promises."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline.system.errors import Exit
from tests.running import Command, finished, nothing_is_left, until

pytestmark = [pytest.mark.real, pytest.mark.measuring]

HEAD = """
name = "all"
description = "every workload, small"
pairs = 2
max_invalid = 1

[environment]
kind = "local"
"""
ROW = (
    '  {{ name = "{name}", select = "{select}", unit = "{unit}",'
    ' scale = "difference", margin = 0.5 }},\n'
)

# Of each workload: what its driver is told, the probes that it asks for, and readings that it must
# yield with what they must at least be.
WORKLOADS: dict[str, tuple[str, list[str], dict[str, float]]] = {
    "object_crud": (
        (
            "rate = 6.0\nduration_s = 4\nprojects = 1\nobjects = 3\n"
            "request_timeout_s = 4\ndeadline_s = 8"
        ),
        ["heap"],
        {
            "http_req_duration{op=create}/p50": 1e-4,
            "http_req_duration{op=get}/p50": 1e-4,
            "server.heap": 1e6,
            "server.goroutines": 50,
            "server.requests": 20,
            "etcd.requests": 20,
        },
    ),
    "project_burst": (
        "iterations = 6\nduration_s = 4\nprojects = 6\nparameters = { ROUNDS = 2, ROUND_S = 1 }",
        ["projects"],
        {
            "project_ready/p50": 1e-4,
            "projects.ready/p50": 1e-4,
            "projects_created": 6,
            "projects_never_ready": 0,
            "server.files_added": 0,
            "server.goroutines_added": 1,
            "etcd.watchers_added": 0,
        },
    ),
    "garbage_collection": (
        "iterations = 6\nduration_s = 3\nprojects = 6\nobjects = 3\nparameters = { GET_S = 2 }",
        ["projects"],
        {
            "project_gone/p50": 1e-4,
            "projects.gone/p50": 1e-4,
            "projects_deleted": 6,
            "etcd.keys_left": 6,
            "etcd.names_left": 0,
            "http_req_duration{op=get_during}/p50": 1e-4,
        },
    ),
    "project_lifecycle": (
        (
            "rate = 3.0\nduration_s = 3\nprojects = 9\nobjects = 1\n"
            "request_timeout_s = 4\ndeadline_s = 8"
        ),
        [],
        {"project_ready/p50": 1e-4, "project_gone/p50": 1e-4, "projects_deleted": 7},
    ),
    "object_fill": (
        "iterations = 60\nduration_s = 3\nprojects = 1\nobjects = 30\nparameters = { PAGE = 10 }",
        [],
        {
            "http_req_duration{op=create}/p50": 1e-4,
            "http_req_duration{op=list_page}/p50": 1e-4,
            "objects_created": 60,
            "span": 0.05,
            "etcd.db_bytes_added": 0,
        },
    ),
    "late_finalizers": (
        (
            "iterations = 6\nduration_s = 6\nprojects = 6\nobjects = 1\ndeadline_s = 20\n"
            "parameters = { HOLD_S = 2, SPACING_S = 0.2 }"
        ),
        [],
        {
            "project_finalized/p50": 1e-4,
            "http_req_duration{op=finalize}/p50": 1e-4,
            "projects_gone_early": 0,
            "projects_never_gone": 0,
        },
    ),
    "create_while_deleting": (
        (
            "iterations = 12\nduration_s = 6\nprojects = 12\nobjects = 1\ndeadline_s = 20\n"
            "parameters = { SPACING_S = 0.2, DURING_S = 3 }"
        ),
        [],
        {
            "project_ready{op=quiet}/p50": 1e-4,
            "project_ready{op=during}/p50": 1e-4,
            "project_gone/p50": 1e-4,
            "projects_never_ready": 0,
        },
    ),
    "restart": (
        (
            "iterations = 1\nduration_s = 10\nprojects = 2\nobjects = 1\ndeadline_s = 30\n"
            "restarts = true"
        ),
        [],
        {
            "all_gone_after_restart/mean": 1e-3,
            "projects_never_gone": 0,
        },
    ),
    "first_creates": (
        "iterations = 8\nduration_s = 4\nprojects = 2\nparameters = { AT_ONCE = 4 }",
        [],
        {
            "http_req_duration{op=create}/p50": 1e-4,
            "server.goroutines_added": 0,
        },
    ),
    "first_touch": (
        "iterations = 3\nduration_s = 6\nprojects = 3",
        [],
        {
            "first_touch/p50": 1e-4,
            "http_req_duration{op=later_list}/p50": 1e-4,
            "retries": 0,
        },
    ),
    "noisy_neighbour": (
        (
            "rate = 5.0\nduration_s = 6\nprojects = 1\nobjects = 2\n"
            "request_timeout_s = 4\ndeadline_s = 8"
        ),
        ["availability"],
        {
            "http_req_duration{op=get_quiet}/p50": 1e-4,
            "http_req_duration{op=get_noisy}/p50": 1e-4,
            "availability.ready_share": 0.1,
            "availability.longest_gap": 0,
        },
    ),
    "isolation": (
        (
            "rate = 10.0\nduration_s = 6\nprojects = 1\n"
            "request_timeout_s = 4\ndeadline_s = 8\n"
            'parameters = { NOISE = "watches", NOISE_RATE = 4, WATCHES = 4 }'
        ),
        [],
        {
            "http_req_duration{op=get_quiet}/p50": 1e-4,
            "http_req_duration{op=get_noisy}/p50": 1e-4,
            "http_req_duration{op=get_beside}/p50": 1e-4,
            "noise_operations": 10,
            "noise_refused": 0,
            "server.dispatched{level=global-default}": 100,
            "server.rejected{level=global-default}": 0,
        },
    ),
    "churn": (
        (
            "iterations = 4\nduration_s = 12\nprojects = 8\nobjects = 1\n"
            "parameters = { WATCHES = 1 }"
        ),
        ["series"],
        {"projects_deleted": 8, "etcd.keys_slope": 1.99, "server.goroutines_slope": -100},
    ),
    "idle": (
        "iterations = 1\nduration_s = 2\nprojects = 1\nparameters = { SETTLE_S = 1 }",
        [],
        {"server.cpu": 0, "etcd.revisions": 0},
    ),
}


def workload(script: str) -> str:
    driver, probes, readings = WORKLOADS[script]
    rows = "".join(
        ROW.format(name=f"m{i}", select=select, unit=unit_of(select))
        for i, select in enumerate(readings)
    )
    return (
        f'\n[[workload]]\nname = "{script.replace("_", "-")}"\nprobes = {json.dumps(probes)}\n'
        f'metric = [\n{rows}]\n\n[workload.driver]\nkind = "k6"\nscript = "{script}.js"\n'
        f"max_rate_error = 0.5\n{driver}\n"
    )


def unit_of(select: str) -> str:
    if select.endswith(("heap", "bytes_added")):
        return "B"
    timed = "/p" in select or select == "span" or select.endswith((".cpu", "gap", "/mean"))
    return "s" if timed else "1"


def check(out: Path) -> None:
    """Fail where a reading is missing or below what it must be."""
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    assert not [trial["invalid"] for trial in results["trials"] if trial["invalid"]]
    found = {
        (arm, sample["workload"], sample["metric"]["name"]): sample["values"]
        for arm, samples in results["samples"].items()
        for sample in samples
    }
    for script, (_, _, readings) in WORKLOADS.items():
        for i, (select, least) in enumerate(readings.items()):
            for arm in ("baseline", "candidate"):
                values = found[arm, script.replace("_", "-"), f"m{i}"]
                where = f"{script}: {select} of the {arm}: {values}"
                assert all(value is not None and value >= least for value in values), where


def measure_one_pair(command: Command, folder: Path, workloads: str, against: str) -> None:
    """Stop a run after its first pair, which says all that is checked, and check it."""
    suite, out = folder / "all.toml", folder / "out"
    suite.write_text(HEAD + workloads)
    process = command("run", "--suite", suite, "--against", against, "--out", out)
    until((out / "pairs" / "001").is_dir, process, wait_s=900)  # Milo takes its time to delete
    process.send_signal(signal.SIGINT)
    finished(process, Exit.INTERRUPTED)
    check(out)
    assert nothing_is_left(folder, out)


def test_every_workload_yields_what_it_promises(command: Command, tmp_path: Path) -> None:
    measure_one_pair(command, tmp_path, "".join(map(workload, WORKLOADS)), "reference")


def test_every_script_is_in_this_test() -> None:
    scripts = Path(__file__).parents[2] / "k6_scripts"
    assert {path.stem for path in scripts.glob("*.js")} - {"capacity"} == set(WORKLOADS)


@pytest.mark.skipif("MILO_BIN" not in os.environ, reason="MILO_BIN is not set to a Milo binary")
def test_every_workload_yields_what_it_promises_on_milo(command: Command, tmp_path: Path) -> None:
    workloads = "".join(map(workload, WORKLOADS))
    workloads = workloads.replace("rate = 3.0\nduration_s = 3", "rate = 1.0\nduration_s = 9")
    workloads = workloads.replace("duration_s = 12", "duration_s = 30")  # of churn
    workloads = workloads.replace("deadline_s = 8", "deadline_s = 60")
    measure_one_pair(command, tmp_path, workloads, f"binary:{os.environ['MILO_BIN']}")
