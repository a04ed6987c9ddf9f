"""Each target of Task has a description, asks for what it needs, and runs the command it names."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.commands.main import build_parser
from pipeline.system import paths

TASK = shutil.which("task")
TASKFILE = paths.project_path("Taskfile.yml")
FOR_MILO = paths.project_path("docs", "examples", "milo", "Taskfile.perf.yml")
VALUES = {
    "DIR": "out/my run",
    "PROJECT": "perf-nights",
    "LOCATION": "us-central1-a",
    "RUN": "by-hand",
    "ACCOUNT": "nodes@example.com",
    "BUDGET_USD": "10",
    "ENVIRONMENT": "gke.toml",
    "PULL_REQUEST": "5",
    "LIMIT": "p95(ready)<10s",
}
SESSIONS = {
    "perf": ("run",),
    "kind_up": ("kind", "up"),
    "kind_down": ("kind", "down"),
    "report": ("render",),
}
"""Commands of sessions whose names differ."""

needs_task = pytest.mark.skipif(TASK is None, reason="task is not on the path")


def tasks_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tasks of a Taskfile by name."""
    tasks: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["tasks"]
    return tasks


def wanted(task: dict[str, Any]) -> list[str]:
    """Return the variables that a task requires."""
    names: list[str] = task.get("requires", {}).get("vars", [])
    return names


def dry_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Return what Task would run."""
    assert TASK is not None
    return subprocess.run(
        [TASK, "--dry", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )


@pytest.mark.parametrize("path", [TASKFILE, FOR_MILO], ids=lambda path: path.name)
def test_every_target_has_a_description(path: Path) -> None:
    assert [name for name, task in tasks_of(path).items() if not task.get("desc")] == []


def test_local_kind_and_gke_have_their_targets() -> None:
    assert {
        *("local:perf", "kind:up", "kind:perf", "kind:down"),
        *("gke:create", "gke:perf", "gke:delete", "capacity:projects"),
        *("load", "compare", "report", "publish"),
    } <= set(tasks_of(TASKFILE))


@needs_task
@pytest.mark.parametrize("name", [n for n, task in tasks_of(TASKFILE).items() if wanted(task)])
def test_a_target_without_its_variables_is_refused_by_their_names(name: str) -> None:
    names = wanted(tasks_of(TASKFILE)[name])
    refused = dry_run(TASKFILE.parent, name)

    assert refused.returncode != 0
    assert all(one in refused.stderr for one in names)


def nox_commands(name: str, **more: str) -> list[str]:
    """Return the arguments of the pipeline that a target of the Taskfile runs by nox."""
    task = tasks_of(TASKFILE)[name]
    given = {one: VALUES[one] for one in wanted(task)} | more
    values = [f"{one}={value}" for one, value in given.items()]
    shown = dry_run(TASKFILE.parent, name, *values)
    assert shown.returncode == 0, shown.stderr
    (line,) = re.findall(r"^task: \[.*?\] (.*)", shown.stderr, re.MULTILINE)
    words = shlex.split(line)
    assert words[:2] == ["nox", "-s"]
    session, rest = words[2], words[4:]
    return [*SESSIONS.get(session, (session,)), *rest]


@needs_task
@pytest.mark.parametrize(
    "name",
    [n for n in tasks_of(TASKFILE) if ":" in n or n in ("load", "stop", "compare", "report")]
    + ["publish"],
)
def test_a_target_runs_a_command_that_the_pipeline_understands(name: str) -> None:
    words = nox_commands(name)

    args = build_parser().parse_args(words)

    assert callable(args.command)
    if "DIR" in wanted(tasks_of(TASKFILE)[name]):
        assert VALUES["DIR"] in words


@needs_task
@pytest.mark.parametrize(
    "name", [n for n, t in tasks_of(TASKFILE).items() if "{{.BUILDS}}" in t.get("cmd", "")]
)
def test_a_variable_is_one_argument_whatever_is_in_it(name: str) -> None:
    odd = {one: f"./my {one}'s; id" for one in ("SUITE", "CANDIDATE", "AGAINST")}
    args = build_parser().parse_args(nox_commands(name, **odd))
    assert (args.suite, args.candidate, args.against) == tuple(odd.values())


@needs_task
def test_milo_includes_its_targets_with_three_variables(tmp_path: Path) -> None:
    (tmp_path / "Taskfile.yml").write_text(
        f"""
version: "3"
includes:
  perf:
    taskfile: {FOR_MILO}
    vars: {{ SUITE: full, AGAINST: v1.2.3, BUILD: "make build OUT={{out}}" }}
"""
    )
    program = tmp_path / "bin" / "milo-perf"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        shown = dry_run(tmp_path, "perf:run", "--", "--pairs", "3")

    (line,) = re.findall(r"^task: \[.*?\] (.*)", shown.stderr, re.MULTILINE)
    args = build_parser().parse_args(shlex.split(line)[1:])
    assert (args.suite, args.candidate, args.against, args.build, args.pairs) == (
        *("full", "source:.@HEAD", "source:.@v1.2.3", "make build OUT={out}"),
        3,
    )
