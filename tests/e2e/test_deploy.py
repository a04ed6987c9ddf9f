"""A deployment of real servers is loaded, and leaves nothing running however it ends."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.model.deployment import DeploymentState
from pipeline.storage import codec
from pipeline.system.errors import Exit
from tests.running import Command, finished, nothing_is_left

pytestmark = [pytest.mark.real, pytest.mark.measuring]


def test_a_deployment_is_loaded_and_dies_with_its_keeper(
    command: Command, suite: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finished(command("deploy", "--suite", suite, "--against", "reference", "--out", out), 0)
    deployment = codec.DEPLOYMENT.read(out / "deployment.json")
    assert deployment.state is DeploymentState.UP

    text, errors = finished(command("load", out, "--pairs", 1), Exit.NO_REGRESSION)
    assert "a verdict needs 2" in text
    results = codec.RESULTS.read(out / "results.json")
    assert [trial.launch for trial in results.trials] == [0, 0], errors
    finished(command("compare", out), Exit.WRONG_LOAD)  # one pair has no interval

    os.kill(deployment.keeper, signal.SIGKILL)
    _, errors = finished(command("load", out), Exit.BAD_ARGUMENTS)
    assert "deploy --resume" in errors
    finished(command("deploy", "--stop", out), Exit.NO_REGRESSION)
    assert nothing_is_left(tmp_path, out)
