"""A folder from elsewhere is data: nothing that it names is executed unless somebody trusts it."""

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.model.capacity import Capacity, CapacityQuestion, CountedResource
from pipeline.model.evaluation import Evaluation
from pipeline.model.limit import parse_limits
from pipeline.model.releases import Release, ReleaseSeries
from pipeline.model.request import CapacityRequest, EvaluateRequest, ReleasesRequest, RunRequest
from pipeline.model.results import Machine
from pipeline.model.subject import Arm, Subject
from pipeline.runs import suite_file, trust
from pipeline.runs.folder import REQUEST
from pipeline.runs.suite_file import SUITE
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import ConfigError, Exit
from pipeline.system.paths import CAPACITY, EVALUATION, RELEASES, RESULTS
from tests import builders

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a folder of its own for what was begun."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "milo-perf"


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """Return a build whose command leaves the file `executed` behind when it is executed."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "go.mod").write_text("module go.miloapis.com/milo\n")
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@x")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run([*git, *command], cwd=repository, check=True)
    build = f"cp {shlex.quote(str(_evil(tmp_path)))} {{out}}"
    return Subject(f"source:{repository}@HEAD", "sha256:" + "0" * 64, {"build": build})


def _evil(tmp_path: Path) -> Path:
    """Return a program that `cp` is, but for the file that it leaves behind."""
    found = tmp_path / "bin" / "cp"
    if not found.exists():
        found.parent.mkdir()
        found.write_text(f'#!/bin/sh\ntouch {tmp_path}/executed\nexec /bin/cp "$@"\n')
        found.chmod(0o755)
    return found


def run_of(subject: Subject, out: Path) -> None:
    suite = paths.project_path("suites", "smoke.toml")
    loaded = suite_file.load(suite)
    found = replace(
        builders.results((builders.LATENCY, [0.1], [0.1])),
        suite="smoke",
        suite_digest=loaded.digest,
        pairs_asked=3,
        subjects=dict.fromkeys(Arm, subject),
    )
    out.mkdir()
    codec.RESULTS.write(out / RESULTS, found)
    (out / SUITE).write_text(loaded.text)
    (out / REQUEST).write_text(codec.REQUEST.dumps(builders.stored_request(found)))


def capacity_of(subject: Subject, out: Path) -> None:
    limits = parse_limits(["memory<4GB"])
    question = CapacityQuestion(CountedResource.PROJECTS, limits, budget_s=60.0, start=5)
    out.mkdir()
    codec.CAPACITY.write(
        out / CAPACITY,
        Capacity(question, subject, "local", "sha256:00", Machine({}, {}), {}, AT),
    )
    request = CapacityRequest(question.things, ("memory<4GB",), subject.spec, budget_s=60.0, seed=0)
    codec.CAPACITY_REQUEST.write(out / REQUEST, request)


def evaluation_of(subject: Subject, out: Path) -> None:
    out.mkdir()
    codec.EVALUATION.write(
        out / EVALUATION, Evaluation(subject, Machine({}, {}), {}, AT, 2, 1, scripts=())
    )
    codec.EVALUATE_REQUEST.write(out / REQUEST, EvaluateRequest(candidate=subject.spec))
    (out / SUITE).write_text(paths.project_path("suites", "evaluation", "drivers.toml").read_text())


def series_of(subject: Subject, out: Path) -> None:
    releases = tuple(Release(name, subject.spec) for name in ("v1.0.0", "v1.1.0"))
    loaded = suite_file.load(paths.project_path("suites", "smoke.toml"))
    out.mkdir()
    codec.RELEASES.write(
        out / RELEASES,
        ReleaseSeries(
            *("smoke", loaded.digest, "local", releases, 7, 0.95, Machine({}, {}), {}), taken_at=AT
        ),
    )
    request = RunRequest(suite="smoke", build=subject.facts["build"])
    codec.RELEASES_REQUEST.write(out / REQUEST, ReleasesRequest(releases, request, seed=7))


FOLDERS = [
    pytest.param("run", run_of, id="run"),
    pytest.param("capacity", capacity_of, id="capacity"),
    pytest.param("evaluate", evaluation_of, id="evaluate"),
    pytest.param("releases", series_of, id="releases"),
]


@pytest.mark.parametrize(("verb", "make"), FOLDERS)
def test_to_go_on_with_a_folder_from_elsewhere_executes_nothing_that_is_in_it(
    verb: str,
    make: Callable[[Subject, Path], None],
    subject: Subject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "a folder"
    make(subject, out)
    before = {path: path.read_bytes() for path in out.iterdir()}

    assert main.main([verb, "--resume", str(out)]) == Exit.BAD_ARGUMENTS

    said = capsys.readouterr().err
    assert f"{out} was not started here by you" in said
    assert subject.spec in said
    assert f"built by: {subject.facts['build']}" in said
    assert f"milo-perf {verb} --resume '{out}' --trust" in said
    assert not (tmp_path / "executed").exists()
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(("verb", "make"), FOLDERS)
def test_a_request_that_cannot_be_read_is_named_before_anybody_is_asked_to_trust_it(
    verb: str,
    make: Callable[[Subject, Path], None],
    subject: Subject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    make(subject, out)
    (out / REQUEST).write_text('{"schema": "nonsense/1"}')

    assert main.main([verb, "--resume", str(out)]) == Exit.NO_BASELINE

    said = capsys.readouterr().err
    assert f"{out / REQUEST}: its schema" in said
    assert "--trust" not in said


def test_a_folder_that_somebody_trusts_is_gone_on_with_and_not_asked_about_again(
    subject: Subject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    run_of(subject, out)
    for arguments in (["--trust"], []):
        assert main.main(["run", "--resume", str(out), *arguments]) == Exit.NOT_STARTED
        assert "is not Milo" in capsys.readouterr().err
        assert (tmp_path / "executed").exists()


def begun(spec: str = "binary:./milo", **texts: str) -> RunOrigin:
    return RunOrigin("run --resume", (AT, 7), {"candidate": Subject(spec, "sha256:00")}, texts)


def test_what_was_begun_here_is_gone_on_with_unasked(tmp_path: Path) -> None:
    trust.note(begun(), tmp_path / "out")
    trust.require(begun(), tmp_path / "moved elsewhere", is_trusted=False)


@pytest.mark.parametrize(
    "other",
    [
        begun("binary:/tmp/other"),
        begun("binary:./milo?env.LD_PRELOAD=/tmp/x.so"),
        begun(environment="[environment]\nkind = 'remote'\nkubeconfig = '/tmp/x'"),
        replace(begun(), began=(AT, 8)),
        replace(begun(), command="evaluate --resume"),
        replace(begun(), suite="sha256:another script"),
    ],
    ids=[
        "another binary",
        "a variable",
        "an environment",
        "another run",
        "another verb",
        "a script",
    ],
)
def test_a_folder_that_was_changed_since_it_was_begun_here_is_asked_about(
    tmp_path: Path, other: RunOrigin
) -> None:
    trust.note(begun(), tmp_path)
    with pytest.raises(ConfigError, match="or was changed since") as caught:
        trust.require(other, tmp_path, is_trusted=False)
    assert next(iter(other.subjects.values())).spec in caught.value.hint
    assert all(
        line in caught.value.hint for one in other.texts.values() for line in one.split("\n")
    )


def test_what_a_refusal_shows_cannot_steer_a_terminal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        trust.require(begun("binary:\x1b[2J", suite="a\r\x1b]0;x\x07"), tmp_path, is_trusted=False)
    assert [c for c in caught.value.hint if not c.isprintable() and c != "\n"] == []


def test_a_state_that_cannot_be_written_costs_a_question_and_no_run(
    tmp_path: Path,
    state: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.system.log.log.propagate", True)
    state.parent.write_text("a file is in the way")
    trust.note(begun(), tmp_path)
    assert "will need --trust" in caplog.text
    with pytest.raises(ConfigError, match="was not started here"):
        trust.require(begun(), tmp_path, is_trusted=False)
    trust.require(begun(), tmp_path, is_trusted=True)


@pytest.mark.parametrize(
    "verb", [["run"], ["capacity", "projects"], ["evaluate"], ["releases", "a=reference"]]
)
def test_trust_is_of_resume_only(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*verb, "--trust"]) == Exit.BAD_ARGUMENTS
    assert "--trust needs --resume DIR" in capsys.readouterr().err
