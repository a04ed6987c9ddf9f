"""Real Milo, where a binary is at hand: it starts, it is measured, and nothing of it is left."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.system.errors import Exit
from tests.running import (
    Command,
    finished,
    load_of_pair,
    nothing_is_left,
    nothing_runs,
    running,
    until,
)

BINARY = os.environ.get("MILO_BIN", "")
SOURCE = os.environ.get("MILO_SOURCE", "")
with_source = pytest.mark.skipif(
    not SOURCE, reason="MILO_SOURCE is not set to the source tree of the binary in MILO_BIN"
)
pytestmark = [
    pytest.mark.real,
    pytest.mark.measuring,
    pytest.mark.skipif(not BINARY, reason="MILO_BIN is not set to a Milo binary"),
]
MANAGER = """[[workload.metric]]
name = "manager_goroutines"
select = "manager.goroutines"
unit = "1"
better = "lower"
margin = 0.1
only = "milo"
"""


@pytest.fixture
def milo(suite: Path) -> Path:
    """Add a metric of the controller-manager to the suite."""
    suite.write_text(suite.read_text() + MANAGER)
    return suite


def test_equal_binaries_are_measured_with_all_their_processes(
    command: Command, milo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    spec = f"binary:{BINARY}"
    finished(command("run", "--suite", milo, "--against", spec, "--out", out), Exit.NO_REGRESSION)

    results = json.loads((out / "results.json").read_text())
    assert {subject["spec"] for subject in results["subjects"].values()} == {spec}
    assert all(subject["facts"]["go"] for subject in results["subjects"].values())
    found = {
        sample["metric"]["name"]: sample["values"] for sample in results["samples"]["candidate"]
    }
    assert all(value > 100 for value in found["manager_goroutines"])
    assert all(value > 0.05 for value in found["create_p50"])  # Milo sleeps 50 ms in each create
    assert nothing_is_left(tmp_path, out)


def test_a_flag_that_this_version_does_not_know_is_named(
    command: Command, milo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    specs = ("--candidate", f"binary:{BINARY}?flag.no-such-flag=1", "--against", f"binary:{BINARY}")
    _, said = finished(command("run", "--suite", milo, *specs, "--out", out), Exit.NOT_STARTED)
    assert "does not know the flag `--no-such-flag`" in said
    assert nothing_is_left(tmp_path, out)


def test_a_variable_changes_what_is_measured(command: Command, milo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    specs = ("--candidate", f"binary:{BINARY}?env.GOMAXPROCS=nonsense", "--against", BINARY)
    _, said = finished(command("run", "--suite", milo, *specs, "--out", out), Exit.BAD_ARGUMENTS)
    assert "is not a subject" in said


def _server(out: Path) -> Path:
    return out / "pairs" / "000" / "server-baseline.log"


def _manager(out: Path) -> Path:
    return out / "pairs" / "000" / "manager-baseline.log"


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(lambda out: _server(out).exists, id="server starting"),
        pytest.param(lambda out: _manager(out).exists, id="manager starting"),
        pytest.param(lambda out: load_of_pair(out, 0), id="under load"),
    ],
)
def test_kill_9_leaves_no_process_of_milo(
    command: Command, milo: Path, tmp_path: Path, stage: Callable[[Path], Callable[[], bool]]
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", milo, "--against", f"binary:{BINARY}", "--out", out)
    until(stage(out), process)
    assert running(out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert nothing_runs(out)


def test_a_manager_that_dies_in_the_middle_is_named(
    command: Command, milo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", milo, "--against", f"binary:{BINARY}", "--out", out)
    until(load_of_pair(out, 0), process)
    victim = next(pid for pid in running(out) if _is_manager_of_baseline(pid))
    os.kill(victim, signal.SIGKILL)
    finished(process, Exit.NO_REGRESSION)  # a build that dies is a result, here of the baseline
    warnings = " ".join(json.loads((out / "verdict.json").read_text())["warnings"])
    assert "pair 0: object-crud: manager of the baseline was killed by signal 9" in warnings
    assert nothing_is_left(tmp_path, out)


def _is_manager_of_baseline(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return "controller-manager" in words and any("manager-baseline" in word for word in words)


@with_source
def test_production_is_measured_with_webhooks_and_leader_election(
    command: Command, milo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    spec = f"binary:{BINARY}?manifests={SOURCE}"
    options = ("--suite", milo, "--profile", "production", "--candidate", spec, "--against", spec)
    finished(command("run", *options, "--out", out), Exit.NO_REGRESSION)

    results = json.loads((out / "results.json").read_text())
    assert results["machine"]["fingerprint"]["profile"] == "production"
    log = (out / "pairs" / "000" / "manager-candidate.log").read_text()
    assert "Validating Project" in log  # the webhook was called for each Project
    assert "Successfully acquired lease" in log
    assert nothing_is_left(tmp_path, out)


def wrong_webhook(config: Path) -> None:
    file = config / "webhook" / "manifests.yaml"
    path = "/validate-resourcemanager-miloapis-com-v1alpha1-project\n"
    file.write_text(file.read_text().replace(path, "/no-such-path\n"))


def no_grant(config: Path) -> None:
    """Let Secrets claim what no registration, and so no grant, has."""
    for file in (config / "services/quota/claim-policies").glob("secret*.yaml"):
        file.write_text(file.read_text().replace("core.miloapis.com/secrets", "other.invalid/x"))


@with_source
@pytest.mark.parametrize(
    ("profile", "spoil", "said"),
    [
        ("production", wrong_webhook, "refused Project milo-perf-first"),
        ("production+quota", no_grant, "is not Ready"),
    ],
)
def test_manifests_that_do_not_match_the_binary_are_one_error_with_its_answer(
    milo: Path,
    tmp_path: Path,
    profile: str,
    spoil: Callable[[Path], None],
    said: str,
    *,
    command: Command,
) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    shutil.copytree(Path(SOURCE) / "config", tree / "config")
    spoil(tree / "config")
    milo.write_text(milo.read_text().replace('kind = "local"', 'kind = "local"\nready_s = 25'))
    spec = f"binary:{BINARY}?manifests={tree}"
    options = ("--suite", milo, "--profile", profile, "--candidate", spec, "--against", spec)
    _, shown = finished(command("run", *options, "--out", out), Exit.NOT_STARTED)
    assert said in shown
    assert nothing_is_left(tmp_path, out)
