"""An error of a program names no file or folder that is gone when a person reads it."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipeline.drivers.clusterloader2 import check
from pipeline.drivers.k6 import inspection
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.load_files import FOLDER
from pipeline.environments import kind
from pipeline.environments.kind import KindCluster, KindSettings
from pipeline.model.ports import Program
from pipeline.model.subject import parse_spec
from pipeline.runs.history import branch
from pipeline.system import paths, processes
from pipeline.system.errors import PipelineError
from pipeline.toolchain import git, reference

_COMMAND = re.compile(r"`[^`]*`")  # what was run, with the files that it was to write
_PATH = re.compile(r"(?<![\w:/.*])/[\w@.+~-]+(?:/[\w@.+~-]+)+")
SAID = "what the program said"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    source = folder / "go" / "reference"
    source.mkdir(parents=True)
    (source / "go.mod").write_text("module x\n\ngo 1.23\n")
    (source / "main.go").write_text("package main\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def worktree(folder: Path) -> None:
    with git.worktree(folder, "0" * 40):
        pass


def past_reference(folder: Path) -> None:
    source = folder / "go" / "reference"
    tree = git.committed_tree(source)
    (source / "main.go").write_text("package main // changed\n")
    reference.build_reference(parse_spec(f"reference@{tree}"), source)


def inspect(folder: Path) -> None:
    (folder / "own.js").write_text("")
    table = {"kind": "k6", "script": "own.js", "rate": 1, "duration_s": 2}
    settings = K6.model_validate(table, context={FOLDER: folder})
    inspection.require_loadable(settings, Program(Path("/bin/false"), "1", ""))


def expand(folder: Path) -> None:
    config = folder / "config.yaml"
    config.touch()
    check.check(config, {}, Program(Path("/bin/false"), "1", ""))


def push(folder: Path) -> None:
    with branch.checked_out(branch.Branch(f"{folder}", "history", "nights.jsonl")):
        pass


CASES: dict[str, Callable[[Path], object]] = {
    "worktree": worktree,
    "clone": lambda folder: git.mirror(f"file://{folder}", "v1"),
    "archive": lambda folder: git.extract(
        git.committed_tree(folder) or "", folder, folder / "elsewhere"
    ),
    "past reference": past_reference,
    "kind": lambda _: KindCluster(KindSettings(), Program(Path("/bin/false"), "1", "")).create(),
    "k6 inspect": inspect,
    "expand": expand,
    "history": push,
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_names_only_what_is_still_there(
    case: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(argv: list[str], *, output: Path, **_: object) -> NoReturn:
        output.write_text(f"{SAID}\n")
        status = processes.ExitStatus(1)
        raise processes.CommandError(argv, status, processes.log_tail(output))

    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(paths, "cache", lambda: cache)
    monkeypatch.setattr(kind, "require_ours", lambda _: None)
    real = processes.run

    def run(argv: list[str], **more: Any) -> None:  # noqa: ANN401 (those of the real one)
        if case == "past reference" and argv[0] == "git":  # there, only the build fails
            real(argv, **more)
        else:
            fails(argv, **more)

    monkeypatch.setattr(processes, "run", run)
    with pytest.raises(PipelineError) as caught:
        CASES[case](repository)
    text = f"{caught.value}\n{caught.value.hint}"
    named = [name.rstrip(".") for name in _PATH.findall(_COMMAND.sub("", text))]
    assert [name for name in named if not Path(name).exists()] == [], text
    assert SAID in text or case == "k6 inspect"
