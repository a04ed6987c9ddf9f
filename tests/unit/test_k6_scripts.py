"""The scripts are options and turns that hold what they promise; k6 itself says so."""

import gzip
import json
import os
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline import toolchain
from pipeline.drivers.k6 import command
from pipeline.drivers.k6.settings import K6
from pipeline.model.ports import FIRST_ORGANIZATION
from pipeline.system import paths

SCRIPTS = sorted(path.name for path in paths.project_path("k6_scripts").glob("*.js"))
OPEN = [
    "capacity.js",
    "isolation.js",
    "noisy_neighbour.js",
    "object_crud.js",
    "project_lifecycle.js",
]
FIXED = [script for script in SCRIPTS if script not in OPEN]
TURNS = """
import {{ takeTurn }} from '{lib}/turn.js'
import exec from 'k6/execution'
export const options = {{
  scenarios: {{ load: {{ executor: 'shared-iterations', vus: 1, iterations: {iterations} }} }},
}}
export default function () {{
  const {{ arm, block }} = takeTurn()
  console.log(JSON.stringify({{ arm: arm.name, block, phase: exec.vu.tags.phase }}))
}}
export {{ handleSummary }} from '{lib}/turn.js'
"""

WINDOWS = """
import {{ windowAt }} from '{script}'
export {{ handleSummary }} from '{lib}/turn.js'
export const options = {{}}
export default function () {{
  console.log(JSON.stringify(Array.from({{ length: {count} }}, (_, index) => windowAt(index))))
}}
"""


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    token = tmp_path / "token"
    token.write_text("a token")
    return {
        "ARMS": "baseline,candidate",
        "SEED": "5",
        "RATE": "20",
        "ITERATIONS": "12",
        "LONGEST_S": "40",
        "PROJECTS": "12",
        "DURATION_S": "8",
        "WARMUP_S": "1",
        "BASELINE_URL": "https://127.0.0.1:1",
        "CANDIDATE_URL": "https://127.0.0.1:2",
        "BASELINE_TOKEN_FILE": str(token),
        "CANDIDATE_TOKEN_FILE": str(token),
        "K6_NO_USAGE_REPORT": "true",
        **changes,
    }


def k6(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(toolchain.program("k6").path), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def options(tmp_path: Path, script: str, **changes: str) -> dict[str, Any]:
    path = str(paths.project_path("k6_scripts", script))
    done = k6(environment(tmp_path, **changes), "inspect", "--include-system-env-vars", path)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def turns(tmp_path: Path, iterations: int, **changes: str) -> list[dict[str, Any]]:
    lib = paths.project_path("k6_scripts", "lib")
    return logged(tmp_path, TURNS.format(lib=lib, iterations=iterations), **changes)


def windows(tmp_path: Path, count: int, **changes: str) -> list[dict[str, Any]]:
    folder = paths.project_path("k6_scripts")
    script = WINDOWS.format(script=folder / "isolation.js", lib=folder / "lib", count=count)
    (found,) = logged(tmp_path, script, **changes)
    return list(found)


def logged(tmp_path: Path, text: str, **changes: str) -> list[Any]:
    """Return what a script logs, each line as JSON."""
    script = tmp_path / "script.js"
    script.write_text(text)
    arguments = ["run", "--quiet", "--address=", "--log-format=raw", str(script)]
    done = k6(environment(tmp_path, **changes), *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("script", OPEN)
def test_a_script_starts_iterations_at_a_constant_rate_and_judges_nothing(
    tmp_path: Path, script: str
) -> None:
    found = options(tmp_path, script)
    load = found["scenarios"]["load"]
    assert load["executor"] == "constant-arrival-rate"
    assert (load["rate"], load["timeUnit"], load["duration"]) == (20_000, "16m40s", "9s")
    assert load["preAllocatedVUs"] == load["maxVUs"]
    assert not found.get("thresholds")


@pytest.mark.parametrize("script", FIXED)
def test_fixed_work_is_the_same_for_each_arm_and_begins_at_the_same_moment(
    tmp_path: Path, script: str
) -> None:
    scenarios = options(tmp_path, script)["scenarios"]
    work = [scenarios["0-baseline-work"], scenarios["1-candidate-work"]]
    assert work[0] == work[1]
    assert work[0]["executor"] == "shared-iterations"
    assert work[0]["iterations"] == 12
    assert work[0]["vus"] <= 12
    assert work[0]["maxDuration"] == "40s"
    assert not options(tmp_path, script).get("thresholds")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("arms", ["baseline,candidate", "candidate,baseline"])
def test_scenarios_of_the_arms_start_in_the_order_of_the_arms(
    tmp_path: Path, script: str, arms: str
) -> None:
    names = options(tmp_path, script, ARMS=arms)["scenarios"]
    started = [name.split("-") for name in sorted(names) if "-" in name]  # k6 sorts them so
    assert [name[1] for name in started] == sorted(
        (name[1] for name in started), key=arms.split(",").index
    )
    assert bool(started) == (script in FIXED or "NOISE" in read(script))


def read(script: str) -> str:
    return paths.project_path("k6_scripts", script).read_text()


def test_reads_beside_fixed_work_go_to_each_arm_half_a_period_apart(tmp_path: Path) -> None:
    orders = set()
    for seed in range(8):
        scenarios = options(tmp_path, "garbage_collection.js", SEED=f"{seed}")["scenarios"]
        both = [scenarios[f"{arm}-beside"] for arm in ("0-baseline", "1-candidate")]
        starts = tuple(one.pop("startTime") for one in both)
        assert sorted(starts) == ["1.1s", "1s"]  # 5 reads per second
        assert both[0] == both[1]
        assert both[0]["executor"] == "constant-arrival-rate"
        orders.add(starts)
    assert len(orders) == 2


@pytest.mark.parametrize("mode", ["projects", "objects"])
def test_filling_is_fixed_work_for_as_many_as_are_asked(tmp_path: Path, mode: str) -> None:
    work = options(tmp_path, "capacity.js", MODE=mode)["scenarios"]["1-candidate-work"]
    assert (work["executor"], work["iterations"], work["vus"]) == ("shared-iterations", 12, 12)


def test_a_neighbour_makes_its_noise_in_each_arm_in_the_second_half(tmp_path: Path) -> None:
    scenarios = options(tmp_path, "noisy_neighbour.js")["scenarios"]
    assert scenarios["0-baseline-noise"] == scenarios["1-candidate-noise"]
    begins = float(scenarios["load"]["startTime"].removesuffix("s")) + 1 + 8 / 2
    assert scenarios["0-baseline-noise"]["startTime"] == f"{begins:g}s"


@pytest.mark.parametrize("script", OPEN)
def test_every_connection_is_open_before_the_load_begins(tmp_path: Path, script: str) -> None:
    scenarios = options(tmp_path, script)["scenarios"]
    assert scenarios["connect"]["vus"] == scenarios["load"]["maxVUs"]
    assert scenarios["connect"]["maxDuration"] == scenarios["load"]["startTime"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_without_its_variables_says_which_one_is_missing(script: str) -> None:
    done = k6(
        {"K6_NO_USAGE_REPORT": "true"}, "inspect", str(paths.project_path("k6_scripts", script))
    )
    assert done.returncode != 0
    assert "ARMS is not set" in done.stderr


def test_each_block_goes_once_to_each_arm_and_neither_is_first_by_rule(tmp_path: Path) -> None:
    found = turns(tmp_path, 200)
    blocks = list(zip(found[::2], found[1::2], strict=True))
    assert all(one["block"] == other["block"] for one, other in blocks)
    assert all({one["arm"], other["arm"]} == {"baseline", "candidate"} for one, other in blocks)
    first = Counter(one["arm"] for one, _ in blocks)
    assert 30 <= first["baseline"] <= 70  # of 100; the seed is fixed
    order = [one["arm"] for one, _ in blocks]
    runs = 1 + sum(one != other for one, other in pairwise(order))
    assert 35 <= runs <= 65


def test_warm_up_and_load_are_whole_blocks_and_one_iteration_too_many_is_in_neither(
    tmp_path: Path,
) -> None:
    phases = Counter((turn["phase"], turn["arm"]) for turn in turns(tmp_path, 181))
    assert phases["warmup", "baseline"] == phases["warmup", "candidate"] == 10
    assert phases["load", "baseline"] == phases["load", "candidate"] == 80
    assert sum(n for (phase, _), n in phases.items() if phase == "tail") == 1


def test_turns_depend_on_the_seed_alone(tmp_path: Path) -> None:
    assert turns(tmp_path, 60) == turns(tmp_path, 60) != turns(tmp_path, 60, SEED="6")


def test_an_arm_alone_gets_the_same_blocks(tmp_path: Path) -> None:
    alone = turns(tmp_path, 30, ARMS="candidate", RATE="10")
    assert {turn["arm"] for turn in alone} == {"candidate"}
    assert [turn["block"] for turn in alone] == list(range(30))


@pytest.mark.parametrize(
    "name", ["a=b", "a,b", "a=b,c=d", "a b", "a'b", 'a"b', "ä", "a#b%20", "-x"]
)
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    folder, script = tmp_path / name, tmp_path / "script.js"
    folder.mkdir()
    script.write_text("export default function () {}\nexport const handleSummary = () => ({})\n")
    load = K6(kind="k6", script="churn.js", iterations=1, duration_s=1, projects=1)
    done = k6(
        {**os.environ, **command.environment(load, {}, folder, 1)}, *command.arguments(script)
    )
    assert done.returncode == 0, done.stderr
    assert gzip.decompress((folder / command.POINTS).read_bytes()).startswith(b"metric_name,")


def test_churn_leaves_no_organization_in_each_cycle_of_a_soak() -> None:
    text = paths.project_path("k6_scripts", "churn.js").read_text()
    assert f"const OWNER = '{FIRST_ORGANIZATION}'" in text
    assert not re.search(r"\borganization\(", text)


def test_churn_refuses_projects_that_its_cycles_cannot_share(tmp_path: Path) -> None:
    path = str(paths.project_path("k6_scripts", "churn.js"))
    env = environment(tmp_path, PROJECTS="13")
    done = k6(env, "inspect", "--include-system-env-vars", path)
    assert "not a multiple of the 12 cycles" in done.stderr


def test_a_neighbour_of_one_arm_works_at_a_time_and_a_drift_of_the_machine_cancels(
    tmp_path: Path,
) -> None:
    found = windows(tmp_path, 24)
    noisy = [window["noisy"] for window in found]
    for at in range(0, 24, 6):
        first, second = noisy[at : at + 3], noisy[at + 3 : at + 6]
        assert sorted(first) == ["baseline", "candidate", "quiet"]
        assert second == first[::-1]
    assert len({tuple(noisy[at : at + 3]) for at in range(0, 24, 6)}) > 1
    assert found[0]["fromS"] == 1  # after the warm-up
    assert all(one["toS"] == other["fromS"] for one, other in pairwise(found))
    assert windows(tmp_path, 24, SEED="6") != found == windows(tmp_path, 24)


def test_an_arm_alone_has_windows_with_and_without_noise(tmp_path: Path) -> None:
    noisy = Counter(w["noisy"] for w in windows(tmp_path, 8, ARMS="candidate", RATE="10"))
    assert noisy == {"quiet": 4, "candidate": 4}


def test_a_neighbour_works_beside_the_whole_load_of_each_arm(tmp_path: Path) -> None:
    changes = {"NOISE": "watches", "WATCHES": "120", "NOISE_CLIENTS": "4"}
    scenarios = options(tmp_path, "isolation.js", **changes)["scenarios"]
    assert scenarios["0-baseline-noise"] == scenarios["1-candidate-noise"]
    assert scenarios["0-baseline-noise"]["startTime"] == scenarios["load"]["startTime"]
    assert scenarios["0-baseline-noise"]["vus"] == 4 + 3  # 50 watches each


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"NOISE": "music"}, "NOISE is none of objects, projects", id="kind"),
        pytest.param({"WINDOW_S": "0.1"}, "WINDOW_S is not above SETTLE_S: 0.1", id="window"),
    ],
)
def test_noise_that_is_none_is_named(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    path = str(paths.project_path("k6_scripts", "isolation.js"))
    env = environment(tmp_path, **changes)
    assert said in k6(env, "inspect", "--include-system-env-vars", path).stderr
