"""A run is gone on with: where it was interrupted, or with pairs that are added at its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline import toolchain
from pipeline.commands import main
from pipeline.model.ports import Artifact, Load, Span
from pipeline.model.results import Reading, ResultSet
from pipeline.model.subject import Arm, Subject
from pipeline.runs import measure, run, suite_file, trust
from pipeline.runs.folder import RunFolder
from pipeline.runs.plan import Plan
from pipeline.runs.suite_file import SUITE
from pipeline.storage import codec
from pipeline.system import private_folder
from pipeline.system.errors import ConfigError, Exit, InvalidPairsError, LoadError
from pipeline.system.paths import RESULTS
from tests.builders import stored_request
from tests.fakes import SUITE as TINY
from tests.fakes import Bench, FakeDriver, Told, empty
from tests.unmeasured import without_machine

WAVE = (8.0, 12.5, 9.0, 12.0, 8.5, 11.0)
SUBJECT = Subject("reference", "sha256:00")


def uneven(pair: int) -> Load:
    """Return a load whose candidate is now slower and now faster, at twice the CPU per request."""
    values = {Arm.BASELINE: (10.0, 100), Arm.CANDIDATE: (WAVE[pair % len(WAVE)], 50)}
    readings = {
        arm: (Reading("create/p50", p50, "ms"), Reading("requests", requests, "1"))
        for arm, (p50, requests) in values.items()
    }
    return Load(readings, dict.fromkeys(Arm, Span(0, 5)), ())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Measure with fakes only; gives the numbers of the pairs that were measured."""
    numbers: list[int] = []
    real = measure.run_pairs

    def run_pairs(
        plan: Plan,
        _harness: measure.Harness,
        results: ResultSet,
        out: Path,
        _shown: object,
        *,
        is_enough: measure.StopCondition,
        settled_workloads: measure.WorkloadFilter,
    ) -> Iterator[ResultSet]:
        says = [uneven(pair) for pair in range(results.pairs, results.pairs + 20)]
        bench = Bench(plan.suite, out, FakeDriver(says))
        for latest in real(
            plan,
            bench.harness(),
            results,
            out,
            Told(),
            is_enough=is_enough,
            settled_workloads=settled_workloads,
        ):
            numbers.append(latest.pairs)
            yield latest

    without_machine(monkeypatch, tmp_path / "state")
    monkeypatch.setattr(measure, "run_pairs", run_pairs)
    monkeypatch.setattr(toolchain, "artifact", lambda *_: Artifact(SUBJECT, Path("x")))
    return numbers


def tiny(folder: Path, *, gates: int = 1) -> suite_file.Suite:
    """Return a suite the first metrics of which gate: an inconclusive one, and a worse one."""
    path = folder / SUITE
    path.write_text(TINY.replace("margin = 0.05", "margin = 0.05\ngate = true", gates))
    return suite_file.load(path).suite


@pytest.fixture
def ended(measured: list[int], tmp_path: Path) -> Path:
    """Return the folder of a run that was inconclusive at all its looks, at 3 and 4 pairs."""
    assert measured_to_the_end(tmp_path, gates=1) == Exit.NO_REGRESSION
    assert measured == [1, 2, 3, 4]
    measured.clear()
    return tmp_path


def measured_to_the_end(out: Path, *, gates: int) -> int:
    """Measure a new run into a folder, and return how the command ends."""
    suite = tiny(out, gates=gates)
    digest = suite_file.load(out / SUITE).digest
    begun = replace(empty(suite), suite_digest=digest, looks=(3, 4), pairs_asked=4)
    codec.RESULTS.write(out / RESULTS, begun)
    folder = RunFolder(out, "run")
    codec.REQUEST.write(folder.request, stored_request(begun))
    trust.note(run.origin(folder, begun, suite), out)
    return main.main(["run", "--resume", str(out)])


def test_pairs_are_added_to_those_that_are_there(ended: Path, measured: list[int]) -> None:
    before = codec.RESULTS.read(ended / RESULTS)
    assert main.main(["run", "--resume", str(ended), "--pairs", "2"]) == Exit.NO_REGRESSION
    assert measured == [5, 6]
    after = codec.RESULTS.read(ended / RESULTS)
    assert (after.looks, after.added) == ((3, 4, 6), 1)
    assert after.of_first(4).samples == before.samples


def test_a_run_that_has_ended_measures_nothing_more_unasked(
    ended: Path, measured: list[int]
) -> None:
    assert main.main(["run", "--resume", str(ended)]) == Exit.NO_REGRESSION
    assert measured == []


def test_pairs_that_were_being_added_are_gone_on_with_like_any_others(
    ended: Path,
    measured: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inner = interrupt(monkeypatch, after=1)
    assert main.main(["run", "--resume", str(ended), "--pairs", "3"]) == Exit.INTERRUPTED
    assert f"run --resume {ended}\n" in capsys.readouterr().err
    assert codec.RESULTS.read(ended / RESULTS).looks == (3, 4, 7)
    assert measured == [5]
    monkeypatch.setattr(measure, "run_pairs", inner)
    assert main.main(["run", "--resume", str(ended)]) == Exit.NO_REGRESSION
    assert measured == [5, 6, 7]


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[..., Iterator[ResultSet]]:
    """Press Ctrl-C once so many pairs are measured; return what measures them."""
    inner: Callable[..., Iterator[ResultSet]] = measure.run_pairs

    def run_pairs(*args: object, **more: object) -> Iterator[ResultSet]:
        for number, latest in enumerate(inner(*args, **more), start=1):
            yield latest
            if number == after:
                raise KeyboardInterrupt

    monkeypatch.setattr(measure, "run_pairs", run_pairs)
    return inner


def test_an_interruption_before_the_first_added_pair_says_how_many_there_were_to_be(
    ended: Path,
    measured: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def waits(_: Path) -> NoReturn:
        raise KeyboardInterrupt

    before = codec.RESULTS.read(ended / RESULTS)
    monkeypatch.setattr(private_folder, "measurement_lock", waits)
    assert main.main(["run", "--resume", str(ended), "--pairs", "3"]) == Exit.INTERRUPTED
    assert f"run --resume {ended} --pairs 3\n" in capsys.readouterr().err
    assert codec.RESULTS.read(ended / RESULTS) == before
    assert measured == []


def test_what_another_process_measured_meanwhile_is_not_lost(
    ended: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def waits(_: Path) -> Iterator[None]:
        monkeypatch.setattr(private_folder, "measurement_lock", lambda _: nullcontext())
        assert main.main(["run", "--resume", str(ended), "--pairs", "2"]) == Exit.NO_REGRESSION
        yield

    monkeypatch.setattr(private_folder, "measurement_lock", waits)
    assert main.main(["run", "--resume", str(ended), "--pairs", "1"]) == Exit.BAD_ARGUMENTS
    assert "another process resumed" in capsys.readouterr().err
    assert codec.RESULTS.read(ended / RESULTS).pairs == 6


@pytest.mark.parametrize("pairs", ["0", "-2"])
def test_pairs_are_added_and_never_taken_away(
    ended: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["run", "--resume", str(ended), "--pairs", pairs]) == Exit.BAD_ARGUMENTS
    assert "how many more to measure" in capsys.readouterr().err


def test_a_regression_is_not_measured_away(
    measured: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measured_to_the_end(tmp_path, gates=2) == Exit.REGRESSION
    assert main.main(["run", "--resume", str(tmp_path), "--pairs", "2"]) == Exit.REGRESSION
    assert measured == [1, 2, 3, 4, 5, 6]
    assert "the regression that was found stays" in capsys.readouterr().err


def test_a_budget_that_has_ended_a_run_is_kept_until_pairs_are_asked_for(
    ended: Path, measured: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    results = codec.RESULTS.read(ended / RESULTS).of_first(3)
    trials = tuple(replace(trial, duration_s=10.0) for trial in results.trials)
    short = replace(results, trials=trials, looks=(3, 8), pairs_asked=8, budget_s=35.0)
    codec.RESULTS.write(ended / RESULTS, short)
    assert main.main(["run", "--resume", str(ended)]) == Exit.NO_REGRESSION
    assert measured == []
    assert "the budget ends the run after 3 pairs" in capsys.readouterr().err
    assert main.main(["run", "--resume", str(ended), "--pairs", "2"]) == Exit.NO_REGRESSION
    assert measured == [4, 5, 6, 7, 8]
    after = codec.RESULTS.read(ended / RESULTS)
    assert (after.looks, after.added, after.budget_s) == ((3, 8), 0, None)


def test_a_run_with_too_many_invalid_pairs_is_not_resumed(
    ended: Path, measured: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    results = codec.RESULTS.read(ended / RESULTS).of_first(3)
    trials = [replace(one, invalid=("late",) if one.pair else ()) for one in results.trials]
    samples = {
        arm: tuple(replace(one, values=(one.values[0], None, None)) for one in of_arm)
        for arm, of_arm in results.samples.items()
    }
    codec.RESULTS.write(ended / RESULTS, replace(results, trials=tuple(trials), samples=samples))
    for more in ([], ["--pairs", "2"]):
        assert main.main(["run", "--resume", str(ended), *more]) == Exit.WRONG_LOAD
        said = capsys.readouterr().err
        assert "2 pairs were invalid, and the suite allows 1; the last, pair 2: late" in said
    assert measured == []


@pytest.mark.parametrize("error", [LoadError("no"), InvalidPairsError("no")])
def test_nobody_is_told_to_resume_what_cannot_be_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: LoadError
) -> None:
    with pytest.raises(LoadError), RunFolder(tmp_path, "run").resumable(lambda: ("3 pairs",)):
        raise error
    is_told = "resume with" in caplog.text
    assert is_told is not isinstance(error, InvalidPairsError)


def test_a_folder_in_which_another_command_began_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Both were empty when asked for; a build takes minutes, and a whole run may fit in."""
    first, second = (RunFolder(tmp_path / "out", "run") for _ in range(2))
    for folder in (first, second):
        folder.require_new()
    first.create("first\n")
    with pytest.raises(ConfigError, match="is not empty"):
        second.create("second\n")
    assert first.request.read_text() == "first\n"
