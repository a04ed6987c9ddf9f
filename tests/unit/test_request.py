"""What was asked for is kept in request.json, and restored by `run --resume`."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import main
from pipeline.environments import registry
from pipeline.environments.kind import KindSettings
from pipeline.model.request import RunRequest, StoredRequest
from pipeline.model.results import Interleave
from pipeline.runs import run, suite_file, trust
from pipeline.runs.folder import REQUEST, RunFolder
from pipeline.runs.request import resolve
from pipeline.runs.suite_file import SUITE
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, Exit
from pipeline.system.paths import RESULTS
from tests import builders

TEXT = st.text(max_size=20).filter(lambda text: text.isprintable())
REQUESTS = st.builds(
    RunRequest,
    suite=TEXT,
    candidate=TEXT,
    against=TEXT,
    baseline=TEXT,
    pairs=st.none() | st.integers(2, 1000),
    interleave=st.sampled_from(Interleave),
    seed=st.none() | st.integers(0, 2**31),
    environment=TEXT,
    keep=st.booleans(),
    load_pods=st.none() | st.integers(0, 100),
    build=TEXT,
    budget_s=st.none() | st.floats(1, 1e6),
    prior=TEXT,
)


@given(request=REQUESTS)
def test_a_request_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, request: RunRequest
) -> None:
    path = tmp_path_factory.mktemp("request") / REQUEST
    kind = {"kind": "kind", "load_pods": 2, "server": {"cpu": 1.5}}
    stored = StoredRequest(
        request, "sha256:00", request.candidate, request.against, 5, 1, (3, 5), 60.0, kind
    )
    codec.write_text(path, codec.REQUEST.dumps(stored))
    assert codec.REQUEST.read(path) == stored


def test_all_settings_of_a_run_are_restored(tmp_path: Path) -> None:
    request = RunRequest(
        *("smoke", "reference", "reference"),
        environment="kind",
        keep=True,
        load_pods=3,
        budget_s=600.0,
        seed=7,
    )
    resolved = resolve(request)
    folder = RunFolder(tmp_path / "out", "run")
    folder.create(codec.REQUEST.dumps(resolved.to_store()))

    stored = codec.REQUEST.read(folder.request)

    assert stored.request == request
    environment = registry.from_values(stored.environment, "request.json")
    assert environment == KindSettings(keep=True, load_pods=3)
    assert (stored.budget_s, stored.seed, stored.looks) == (600.0, 7, resolved.plan.looks)


def test_the_budget_of_a_suite_is_kept_too() -> None:
    assert resolve(RunRequest("smoke", "reference", "reference")).to_store().budget_s == 180


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of an interrupted run, whose request.json a test then edits."""
    out = tmp_path / "out"
    out.mkdir()
    loaded = suite_file.load(suite_file.path_of("smoke"))
    results = builders.results(
        (builders.LATENCY, [0.1] * 3, [0.1] * 3), specs=("reference", "reference"), pairs_asked=5
    )
    results = replace(results, suite="smoke", suite_digest=loaded.digest)
    codec.RESULTS.write(out / RESULTS, results)
    (out / SUITE).write_text(loaded.text)
    (out / REQUEST).write_text(codec.REQUEST.dumps(builders.stored_request(results)))
    return out


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            body = body[parent]
        body[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set("schema", "milo-perf.request/2"), "a newer milo-perf wrote it"),
        (_set("schema", "other"), "its schema is 'other'"),
        (_set("pairs", "many"), "pairs: "),
        (_set("request.interleave", "sometimes"), "request.interleave: "),
        (_set("request.colour", "red"), "request.colour: this version does not know the key"),
        (_set("budget", 3), "budget: this version does not know the key"),
        (_set("environment.kind", "moon"), "environment"),
        (_set("environment.nodes", 3), "environment.nodes: unknown key"),
        (_set("environment", {"kind": "kind"}), "environment.kind: is kind"),
        (_set("candidate", "binary:/nowhere/milo"), "candidate: is binary:/nowhere/milo"),
        (_set("suite_digest", "sha256:00"), "suite_digest: is sha256:00"),
        (_set("seed", 5), "seed: is 5"),
        (lambda body: body.pop("candidate"), "candidate"),
    ],
)
def test_nonsense_in_a_request_is_one_error_that_names_the_field(
    folder: Path,
    edit: Callable[[dict[str, Any]], object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = json.loads((folder / REQUEST).read_text())
    edit(body)
    (folder / REQUEST).write_text(json.dumps(body))

    code = main.main(["run", "--resume", str(folder), "--trust"])

    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code in (Exit.BAD_ARGUMENTS, Exit.NO_BASELINE)
    assert len(errors) == 1
    assert f"{folder / REQUEST}: " in errors[0]
    assert message in errors[0]
    for command in ("compare", "render"):
        assert main.main([command, str(folder)]) == Exit.NO_REGRESSION


@pytest.mark.parametrize("name", [REQUEST, SUITE])
def test_a_file_that_is_gone_is_named(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).unlink()

    assert main.main(["run", "--resume", str(folder)]) != Exit.NO_REGRESSION

    assert f"{folder / name}" in capsys.readouterr().err
    assert main.main(["compare", str(folder)]) == Exit.NO_REGRESSION


def test_a_build_that_is_gone_is_one_error_that_names_the_field(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"binary:{tmp_path}/milo"
    results = codec.RESULTS.read(folder / RESULTS)
    subjects = {a: replace(s, spec=gone) for a, s in results.subjects.items()}
    results = replace(results, subjects=subjects)
    codec.RESULTS.write(folder / RESULTS, results)
    codec.REQUEST.write(folder / REQUEST, builders.stored_request(results))

    assert main.main(["run", "--resume", str(folder), "--trust"]) == Exit.NOT_STARTED

    (error,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert f"{folder / REQUEST}: baseline: {tmp_path}/milo" in error
    assert main.main(["compare", str(folder)]) == Exit.NO_REGRESSION


def test_a_request_that_was_edited_is_not_resumed_unasked(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    results = codec.RESULTS.read(folder / RESULTS)
    suite = suite_file.load(folder / SUITE).suite
    trust.note(run.origin(RunFolder(folder, "run"), results, suite), folder)
    body = json.loads((folder / REQUEST).read_text())
    body["request"]["build"] = "touch executed"
    (folder / REQUEST).write_text(json.dumps(body))

    assert main.main(["run", "--resume", str(folder)]) == Exit.BAD_ARGUMENTS

    assert "was changed since" in capsys.readouterr().err


def test_a_missing_request_says_that_the_results_can_be_read(folder: Path) -> None:
    (folder / REQUEST).unlink()
    with pytest.raises(BaselineError, match="no such file") as caught:
        run.resume(folder)
    assert "`compare` and `render` still read the results" in caught.value.hint
