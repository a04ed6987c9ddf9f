"""What only the user can provide is asked for in seconds, before anything is built."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.commands import main
from pipeline.environments.registry import read_environment
from pipeline.model.health import Check, Status
from pipeline.runs import preflight, suite_file
from pipeline.runs.suite_file import Suite
from pipeline.system import paths
from pipeline.system.errors import ConfigError, LaunchError, LoadError

FULL = suite_file.load(suite_file.path_of("full")).suite


@pytest.fixture(autouse=True)
def _nothing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def build(*_: object) -> None:
        raise AssertionError("nothing may be built")

    monkeypatch.setattr(toolchain, "artifact", build)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    for name in (
        *("CLUSTERLOADER2_BIN", "KIND_BIN"),
        *("DOCKER_HOST", "KIND_EXPERIMENTAL_PROVIDER"),
    ):
        monkeypatch.delenv(name, raising=False)


def program(folder: Path, name: str, script: str) -> Path:
    """Write a shell script that stands in for a program on the path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_without_clusterloader2_full_is_refused_with_the_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["run", "--suite", "full", "--against", "reference", "--out", f"{tmp_path / 'out'}"]
    assert main.main(argv) == 6

    message = capsys.readouterr().err
    assert "ClusterLoader2 is not on the path" in message
    assert "--driver k6" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["run", "deploy", "capacity"])
def test_a_binary_that_no_image_can_hold_is_refused_before_a_cluster_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    dynamic = f"binary:{Path(sys.executable).resolve()}"
    words = ["--suite", "smoke", "--against", dynamic]
    if command == "capacity":
        words = ["projects", "--limit", "ready<10s"]
    argv = [command, *words, "--candidate", dynamic, "--environment", "kind"]
    assert main.main([*argv, "--out", f"{tmp_path / 'out'}"]) == 5

    assert "is dynamically linked, and an image has no libraries" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_choice_of_k6_needs_no_clusterloader2() -> None:
    preflight.require_programs(FULL.only("k6"))
    with pytest.raises(LoadError, match="ClusterLoader2"):
        preflight.require_programs(FULL)


def test_the_plan_of_a_driver_has_its_workloads_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plan", "--suite", "full", "--driver", "clusterloader2", "--json"]) == 0

    plan = json.loads(capsys.readouterr().out)["plan"]
    assert [one["name"] for one in plan["workloads"]] == ["churn", "project-lifecycle"]


def test_a_driver_that_the_suite_does_not_have_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["plan", "--suite", "pr", "--driver", "clusterloader2"]) == 2
    assert "the suite pr has no workload of it" in capsys.readouterr().err


def engine_error() -> LaunchError:
    """Return the error of a run in kind."""
    suite = FULL.only("k6").model_copy(update={"environment": read_environment("kind")})
    with pytest.raises(LaunchError) as caught:
        preflight.require_programs(suite)
    return caught.value


def test_no_container_engine_is_said_first() -> None:
    error = engine_error()
    assert "none of docker, podman, nerdctl" in f"{error}"
    assert "docker.io" in error.hint


def test_an_engine_without_rights_is_told_from_one_that_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "docker", "exit 1")
    socket_path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket_path}")
    assert "start it" in engine_error().hint

    socket_path.touch()
    may_use = os.access  # root may use everything

    def access(path: Path | str, mode: int) -> bool:
        return path != socket_path and may_use(path, mode)

    monkeypatch.setattr(os, "access", access)
    error = engine_error()
    assert f"may not use {socket_path}" in f"{error}"
    assert "usermod -aG docker" in error.hint


def test_the_engine_is_the_one_that_kind_is_told_to_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "docker", "exit 1")
    program(tmp_path, "podman", "exit 0")
    assert "docker info" in f"{engine_error()}"
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "podman")
    checks = {one.name: one for one in read_environment("kind").checks()}
    assert checks["container engine"].found == "podman answers"


def test_nothing_is_built_to_delete_a_cluster_that_is_not_there_or_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(toolchain, "program", toolchain.artifact)  # which builds nothing here
    assert main.main(["kind", "down"]) == 5
    assert "milo-perf did not create the kind cluster milo-perf" in capsys.readouterr().err
    (tmp_path / "cache" / "kind" / "milo-perf").mkdir(parents=True)
    assert main.main(["kind", "down"]) == 5
    assert "none of docker, podman, nerdctl" in capsys.readouterr().err


def test_a_cluster_of_somebody_else_is_noticed_before_kind_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "docker", 'if [ "$1" = ps ]; then echo 0123456789ab; fi')
    monkeypatch.setattr(paths, "cache", lambda: tmp_path / "cache")
    assert "created by somebody else" in f"{engine_error()}"

    (tmp_path / "cache" / "kind" / "milo-perf").mkdir(parents=True)
    checks = {one.name: one for one in read_environment("kind").checks()}
    assert checks["kind cluster"].status is Status.OK


def test_a_warning_of_an_environment_does_not_refuse_a_run() -> None:
    check = Check("engine", Status.WARNING, "slow")
    environment = read_environment("local")

    class Slow(type(environment)):  # type: ignore[misc]  # a class that is known at run time
        """An environment with a remark."""

        def checks(self) -> list[Check]:
            return [check]

    preflight.require_programs(FULL.only("k6").model_copy(update={"environment": Slow()}))


EXAMPLE = paths.project_path("docs/examples/discovery")


def own_suite(folder: Path, change: Callable[[str], str]) -> Suite:
    """Return the example of a suite with a script of its own, after a change of the script."""
    shutil.copytree(EXAMPLE, folder / "perf")
    script = folder / "perf" / "discovery.js"
    script.write_text(change(script.read_text()))
    return suite_file.load(folder / "perf" / "discovery.toml").suite


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda text: text + "\nexport function (",
            "{}: Line 40:17 Unexpected token",
            id="syntax",
        ),
        pytest.param(
            lambda text: text + "\nthrow new Error('no such tenant')", "no such tenant", id="throws"
        ),
        pytest.param(
            lambda text: text.replace("export const options =", "const unused ="),
            None,
            id="without options",
        ),
        pytest.param(lambda text: text, None, id="unchanged"),
    ],
)
def test_a_script_beside_a_suite_is_loaded_before_anything_is_built(
    tmp_path: Path, change: Callable[[str], str], said: str | None
) -> None:
    suite = own_suite(tmp_path, change)
    if said is None:
        preflight.require_programs(suite)
        return
    with pytest.raises(ConfigError) as caught:
        preflight.require_programs(suite)
    assert said.format(tmp_path / "perf" / "discovery.js") in f"{caught.value}"
    assert f"{tmp_path / 'perf' / 'discovery.js'}" in f"{caught.value}"
