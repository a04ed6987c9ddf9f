"""An evaluation is resumed with everything that was requested."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.environments.local import LocalSettings
from pipeline.model.evaluation import FaultDetection, LoadLevel, WorkloadAttempt
from pipeline.model.ports import Artifact
from pipeline.model.request import EvaluateRequest
from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.runs.evaluate import run
from pipeline.runs.evaluate.faults import FaultTable
from pipeline.runs.evaluate.launcher import EvaluationLauncher
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, ConfigError

LEVEL = LoadLevel("k6", 100.0, "rate", 99.0, 8.0, 0.2, 60e6)
REQUEST = EvaluateRequest(candidate="reference", repetitions=3, faults=4, seed=7)


def attempt(repetition: int) -> WorkloadAttempt:
    return WorkloadAttempt(
        "object-crud", "k6", repetition, 20.0, 2.0, 15.0, 1000.0, 1.0, 60e6, 1000, 3, 40, {}
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Replace what measures; gives the repetitions, and the pairs of each fault, that were run."""
    calls: list[object] = []

    def attempts(
        _self: EvaluationLauncher, repetitions: range, _total: int, _seed: int
    ) -> Iterator[WorkloadAttempt]:
        for repetition in repetitions:
            calls.append(repetition)
            if len(calls) == 2:
                raise KeyboardInterrupt
            yield attempt(repetition)

    def rows(table: FaultTable) -> Iterator[FaultDetection]:
        calls.append(("faults", table.pairs))
        yield FaultDetection("cpu=1ms", table.pairs, {}, {})

    @contextmanager
    def opened(*_: object) -> Iterator[None]:
        yield None

    artifact = Artifact(Subject("reference", "sha256:00"), Path("x"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(toolchain, "artifact", lambda *_: artifact)
    monkeypatch.setattr(toolchain, "programs_of", lambda _: {})
    monkeypatch.setattr(toolchain, "machine_with", lambda *_: Machine({}, {}))
    monkeypatch.setattr(LocalSettings, "open", opened)
    monkeypatch.setattr(EvaluationLauncher, "attempts", attempts)
    monkeypatch.setattr(EvaluationLauncher, "load_levels", lambda *_: iter([LEVEL]))
    monkeypatch.setattr(FaultTable, "rows", rows)
    return calls


@pytest.fixture
def interrupted(measured: list[object], tmp_path: Path) -> Path:
    out = tmp_path / "evaluation"
    with pytest.raises(KeyboardInterrupt):
        run.run(REQUEST, out)
    assert measured == [0, 1]
    return out


def test_a_resumed_evaluation_keeps_its_repetitions_and_measures_the_faults_that_were_asked_for(
    interrupted: Path, measured: list[object]
) -> None:
    evaluation = run.resume(interrupted)
    assert measured[2:] == [1, 2, ("faults", 4)]
    assert [one.repetition for one in evaluation.attempts] == [0, 1, 2]
    assert (evaluation.rungs, evaluation.seed) == ((LEVEL,), 7)


def test_other_faults_are_stored_for_the_next_time(
    interrupted: Path, measured: list[object]
) -> None:
    run.resume(interrupted, 5)
    request = codec.EVALUATE_REQUEST.read(interrupted / "request.json")
    assert request == replace(REQUEST, faults=5)
    run.resume(interrupted)
    assert measured[-1] == ("faults", 5)


def test_a_changed_request_is_refused_by_its_field(interrupted: Path) -> None:
    path = interrupted / "request.json"
    path.write_text(path.read_text().replace('"repetitions": 3', '"repetitions": 9'))
    with pytest.raises(ConfigError, match="or was changed since"):
        run.resume(interrupted)
    with pytest.raises(ConfigError, match=r"request\.json: repetitions: is 9"):
        run.resume(interrupted, is_trusted=True)
    path.write_text("{}")
    with pytest.raises(BaselineError, match=r"request\.json: its schema"):
        run.resume(interrupted)
