"""Where priors come from: runs on this machine feed them, files of others are read, or refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import toolchain
from pipeline.commands import main
from pipeline.judge import policy
from pipeline.judge.constants import MIN_PRIOR_RUNS
from pipeline.judge.spreads import PriorRequest, SpreadOrigin, conditions_of, prior_from
from pipeline.model.ports import Artifact
from pipeline.model.report import Report
from pipeline.model.request import RunRequest
from pipeline.model.results import Failure, Interleave, Machine, ResultSet
from pipeline.model.spreads import Conditions, PairSpread, RunSpreads, SpreadHistory
from pipeline.model.subject import Arm, Product
from pipeline.runs import baselines, preflight, priors, reports, run, suite_file, trust
from pipeline.runs.folder import RunFolder
from pipeline.runs.history import nightly_records
from pipeline.runs.history.spreads_file import named_spreads, newest_spreads
from pipeline.runs.priors import NO_PRIOR, NamedSpreads
from pipeline.runs.request import resolve_plan
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError, Exit
from tests.builders import LATENCY, results

KEY = "object-crud/create_p50"
MACHINE = {"cpu": "a cpu", "logical cpus": "2", "memory": "8 GiB", "os": "debian 12"}
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a folder of its own for what is kept on this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "milo-perf"


@pytest.fixture
def no_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in the place of the shipped spreads, with none in it."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(
        priors, "shipped_path", lambda _, of: folder / f"{of.suite}-{of.product}.json"
    )
    return folder


def measured(number: int = 0, ratio: float = 1.0, load: str = "sha256:load") -> ResultSet:
    """Return one of many runs of equal builds, an hour apart, the newest an hour ago."""
    before = [1.0, 1.01 + number / 1e4, 0.99]
    after = [ratio * value for value in (1.0, 1.02, 0.985)]
    found = results((LATENCY, before, after), specs=("binary:./a", "binary:./b"))
    return replace(
        found,
        taken_at=NOW - timedelta(hours=1 + number),
        machine=Machine(MACHINE, {}),
        load_digest=load,
    )


def fed(*runs: ResultSet) -> list[bool]:
    return [priors.feed_history(policy.report(run)) for run in runs]


def asking(run: ResultSet | None = None) -> PriorRequest:
    of = conditions_of(run or measured())
    assert of is not None
    return PriorRequest(of, (KEY,), NOW, MACHINE)


def kept(state: Path) -> list[SpreadHistory]:
    return [codec.SPREADS.read(path) for path in sorted((state / "spreads").glob("*.json"))]


def test_runs_on_this_machine_feed_the_prior_of_the_next(state: Path, no_shipped: Path) -> None:
    assert no_shipped.is_dir()
    for number in range(MIN_PRIOR_RUNS):
        assert priors.choose_prior(asking(), None) is None
        fed(measured(number))
    found = priors.choose_prior(asking(), None)
    assert found is not None
    assert found.source.startswith(f"{MIN_PRIOR_RUNS} runs on this machine until ")
    assert found.degrees_of_freedom == 8
    assert 0 < found.spreads[KEY].variance < 1e-3
    (history,) = kept(state)
    assert history.conditions == asking().conditions


def test_a_run_feeds_once_however_often_it_is_resumed(state: Path) -> None:
    run = measured()
    longer = results(
        (LATENCY, [1.0] * 5, [1.0, 1.02, 0.985, 1.0, 1.1]), specs=("binary:./a", "binary:./b")
    )
    longer = replace(run, trials=longer.trials, samples=longer.samples, pairs_asked=5)
    assert fed(run, run, longer, longer) == [True] * 4
    (history,) = kept(state)
    assert [one.metrics[KEY].degrees_of_freedom for one in history.runs] == [4]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(measured(ratio=2.0), id="regressed"),
        pytest.param(replace(measured(), pairs_asked=8), id="not finished"),
        pytest.param(measured(load=""), id="of an unknown load"),
        pytest.param(
            replace(
                measured(),
                trials=tuple(
                    replace(trial, failures=(Failure("it died"),)) for trial in measured().trials
                ),
            ),
            id="failed",
        ),
    ],
)
def test_what_says_too_little_is_never_kept(run: ResultSet, state: Path) -> None:
    assert fed(run) == [False]
    assert not (state / "spreads").exists()


def test_other_conditions_have_a_file_of_their_own(state: Path) -> None:
    alternating = replace(measured(2), interleave=Interleave.TRIAL)
    fed(measured(0), measured(1, load="sha256:another"), alternating)
    assert len(kept(state)) == 3
    assert all(len(history.runs) == 1 for history in kept(state))


def test_a_suite_of_any_name_stays_in_the_folder(state: Path) -> None:
    assert fed(replace(measured(), suite="../../../etc/passwd")) == [True]
    assert len(kept(state)) == 1


def test_a_file_that_cannot_be_read_is_said_and_never_replaced(
    state: Path, no_shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert no_shipped.is_dir()
    fed(measured())
    (path,) = (state / "spreads").glob("*.json")
    path.write_text("{}")
    assert fed(measured(1)) == [False]
    assert priors.choose_prior(asking(), None) is None
    assert path.read_text() == "{}"
    assert caplog.text.count(f"{path}: its schema is None") == 2
    assert "remove the file to begin a new one" in caplog.text


def test_a_file_of_other_runs_is_not_taken_for_ours(state: Path, no_shipped: Path) -> None:
    assert no_shipped.is_dir()
    fed(*map(measured, range(MIN_PRIOR_RUNS)))
    (path,) = (state / "spreads").glob("*.json")
    other = codec.SPREADS.read(path)
    codec.SPREADS.write(path, replace(other, conditions=replace(other.conditions, suite="another")))
    assert priors.choose_prior(asking(), None) is None
    assert fed(measured(20)) == [False]


@pytest.mark.parametrize("place", ["milo-perf", "milo-perf/spreads"])
def test_a_folder_that_cannot_be_made_is_only_a_warning(
    place: str, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = state.parent / place
    path.parent.mkdir(parents=True)
    path.write_text("a file in the way")
    assert fed(measured()) == [False]
    assert "could not be stored for later runs" in caplog.text
    assert path.read_text() == "a file in the way"


_FEEDER = """
import sys
from tests.unit.test_priors import fed, measured
assert all(fed(*(measured(int(at)) for at in sys.argv[1:])))
"""


def test_two_processes_that_feed_at_once_lose_nothing(state: Path) -> None:
    numbers = [[str(at) for at in range(first, 24, 2)] for first in (0, 1)]
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", _FEEDER, *some], cwd=root) for some in numbers
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    (history,) = kept(state)
    assert len(history.runs) == 24
    assert [one.time for one in history.runs] == sorted(one.time for one in history.runs)
    assert not list((state / "spreads").glob("*.partial"))


def history_of(number: int = MIN_PRIOR_RUNS, value: float = 0.25, **more: Any) -> SpreadHistory:  # noqa: ANN401 - any field of the conditions
    """Return spreads of another machine of the same class."""
    runs = tuple(
        RunSpreads(
            f"other-{at}",
            NOW - timedelta(hours=100 - at),
            {**MACHINE, "cpu": "another"},
            {KEY: PairSpread(value, 2)},
        )
        for at in range(number)
    )
    return SpreadHistory(replace(asking().conditions, **more), runs)


def test_a_named_file_comes_before_this_machine_and_that_before_what_is_shipped(
    no_shipped: Path,
) -> None:
    codec.SPREADS.write(no_shipped / "pr-milo.json", history_of(value=0.5))
    named = NamedSpreads("nights.jsonl", (history_of(suite="other"), history_of(value=0.25)))

    def source(given: NamedSpreads | None) -> str:
        found = priors.choose_prior(asking(), given)
        return found.source if found else "none"

    assert source(None).startswith("10 runs that the suite ships, on debian ")
    assert source(named).startswith("10 runs of nights.jsonl on machines of this class ")
    fed(*map(measured, range(MIN_PRIOR_RUNS)))
    assert source(None).startswith("10 runs on this machine")
    assert source(named).startswith("10 runs of nights.jsonl ")
    assert source(NO_PRIOR) == "none"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (NamedSpreads("x.json", (history_of(suite="other"),)), "x.json has no earlier runs"),
        (NamedSpreads("x.json", (history_of(4),)), "x.json has 4 earlier runs"),
        (NamedSpreads("x.jsonl"), "x.jsonl has no earlier runs"),
    ],
    ids=["another suite", "too few", "nothing in it"],
)
def test_a_named_file_without_use_is_said_and_the_next_is_taken(
    named: NamedSpreads, said: str, no_shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codec.SPREADS.write(no_shipped / "pr-milo.json", history_of())
    found = priors.choose_prior(asking(), named)
    assert found is not None
    assert "that the suite ships" in found.source
    assert said in caplog.text


def test_what_is_written_is_read_back_the_same_and_is_what_its_schema_says(tmp_path: Path) -> None:
    history = history_of()
    path = tmp_path / "spreads.json"
    codec.SPREADS.write(path, history)
    assert codec.SPREADS.read(path) == history
    assert named_spreads(str(path)) == NamedSpreads("spreads.json", (history,))
    jsonschema.validate(json.loads(path.read_text()), codec.schemas()["spreads-1.schema.json"])


def test_a_plan_needs_no_folder_for_earlier_runs(
    no_shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert no_shipped.is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", f"{tmp_path / 'file' / 'below'}")
    request = RunRequest("pr", candidate="binary:./a", against="binary:./b")
    assert resolve_plan(request)[1].pace == 1.0


def test_a_pair_takes_as_long_as_in_earlier_runs(state: Path, no_shipped: Path) -> None:
    request = RunRequest("pr", candidate="binary:./a", against="binary:./b")
    _, plan = resolve_plan(request)
    conditions = priors.prior_request(plan.suite, Product.MILO, Interleave.REQUEST).conditions
    assert plan.pace == 1.0

    shipped = history_of(1)
    shipped = replace(shipped, runs=(replace(shipped.runs[0], pair_s=170.0),))
    codec.SPREADS.write(no_shipped / "pr-milo.json", replace(shipped, conditions=conditions))
    assert resolve_plan(request)[1].pair_s == pytest.approx(170)
    assert resolve_plan(request)[1].summary().fits == 5  # of 900 s

    here = measured(load=conditions.load_digest)
    lasted = tuple(replace(trial, duration_s=50.0) for trial in here.trials)
    assert fed(replace(here, trials=lasted)) == [True]
    assert resolve_plan(request)[1].pair_s == pytest.approx(50)

    (path,) = (state / "spreads").glob("*.json")
    path.write_text("{")
    assert resolve_plan(request)[1].pair_s == pytest.approx(170)


def test_nights_are_spreads_too(tmp_path: Path, no_shipped: Path) -> None:
    assert no_shipped.is_dir()
    path = tmp_path / "nights.txt"  # its schema says what it is, and no name
    for number in range(MIN_PRIOR_RUNS):
        nightly_records.append(path, nightly_records.nightly_record(measured(number)))
    nightly_records.append(
        path, nightly_records.nightly_record(measured(20, load="sha256:another"))
    )
    by_nights = priors.choose_prior(asking(), named_spreads(str(path)))
    fed(*map(measured, range(MIN_PRIOR_RUNS)))
    by_runs = priors.choose_prior(asking(), None)
    assert by_nights is not None
    assert by_runs is not None
    assert by_nights.spreads == by_runs.spreads
    assert by_nights.degrees_of_freedom == 8
    assert by_nights.source.startswith("10 runs of nights.txt on this machine until ")


def test_an_empty_file_of_nights_has_nothing_yet(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    path.write_text("")
    assert named_spreads(str(path)) == NamedSpreads("nights.jsonl")


def _with(edit: Callable[[dict[str, Any]], object]) -> bytes:
    body = json.loads(codec.SPREADS.dumps(history_of()))
    edit(body)
    return json.dumps(body).encode()


HOSTILE = {
    "not JSON": (b"\xff\xfe{}", "not UTF-8"),
    "another schema": (_with(lambda b: b.update(schema="milo-perf.results/1")), "its schema is"),
    "a newer schema": (_with(lambda b: b.update(schema="milo-perf.spreads/2")), "a newer"),
    "an unknown key": (_with(lambda b: b.update(gate=True)), "does not know the key"),
    "an unknown key within": (
        _with(lambda b: b["runs"][0]["metrics"][KEY].update(sd=1)),
        "does not know the key",
    ),
    "a negative variance": (
        _with(lambda b: b["runs"][0]["metrics"][KEY].update(variance=-1.0)),
        "variance must be",
    ),
    "a huge variance": (
        _with(lambda b: b["runs"][0]["metrics"][KEY].update(variance=1e300)),
        "too large a number",
    ),
    "no freedom": (
        _with(lambda b: b["runs"][0]["metrics"][KEY].update(freedom=0)),
        "freedom must be",
    ),
    "half a degree": (
        _with(lambda b: b["runs"][0]["metrics"][KEY].update(freedom=1.5)),
        "integer",
    ),
    "a run twice": (_with(lambda b: b["runs"].append(b["runs"][0])), "a run is listed twice"),
    "no load": (_with(lambda b: b["conditions"].update(load_digest="")), "must not be empty"),
    "another product": (_with(lambda b: b["conditions"].update(product="x")), "'milo'"),
    "no time zone": (
        _with(lambda b: b["runs"][0].update(time="2026-01-01T00:00:00")),
        "a time zone is needed",
    ),
    "3 MiB": (b" " * 3 * 2**20 + b"{}", "larger than 2 MiB"),
    "deep": (b"[" * 10_000 + b"]" * 10_000, "nested"),
    "nothing": (b"", "not JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_from_elsewhere_is_refused_in_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, said = HOSTILE[name]
    path = tmp_path / "spreads.json"
    path.write_bytes(data)
    code = main.main(["run", "--suite", "smoke", "--candidate", "reference", "--prior", str(path)])
    found = capsys.readouterr().err
    assert code == Exit.NO_BASELINE
    assert said in found
    assert "Traceback" not in found
    assert found.startswith(f"error: {path}: ")


def test_a_file_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.main(["run", "--candidate", "reference", "--prior", "no/such.json"])
    assert code == Exit.NO_BASELINE
    assert "error: no/such.json: cannot be read: No such file" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_prior(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main.main(["run", "--resume", str(tmp_path), "--prior", "none"]) == Exit.BAD_ARGUMENTS
    assert "--prior cannot be changed by --resume" in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


@given(st.data())
def test_any_change_of_a_file_is_understood_or_refused_and_a_prior_of_it_can_be_read_again(
    data: st.DataObject,
) -> None:
    body = json.loads(codec.SPREADS.dumps(history_of()))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = body
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
                place[key] = data.draw(JSON | st.floats(0, 2.0**62))
                break
            place = place[key]
    with suppress(ValueError):
        history = codec.SPREADS.parse(json.dumps(body).encode())
        found = prior_from(history, asking(), SpreadOrigin.NAMED, "x")
        run = replace(measured(), prior=found)
        assert codec.RESULTS.parse(codec.RESULTS.dumps(run).encode()) == run


def stored(folder: Path, run: ResultSet) -> Path:
    """Write a run's folder, as it was begun here."""
    folder.mkdir()
    codec.RESULTS.write(folder / "results.json", run)
    return folder


def test_runs_are_put_together_for_a_suite_to_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "baselines", lambda: tmp_path / "baselines")
    folders = [str(stored(tmp_path / f"{at}", measured(at))) for at in range(11)]
    folders.append(str(stored(tmp_path / "red", measured(20, ratio=2.0))))
    assert main.main(["baseline", "spreads", *folders, "--save"]) == 0
    said = capsys.readouterr()
    path = tmp_path / "baselines" / "spreads" / "pr-milo.json"
    assert codec.SPREADS.read(path) == baselines.spreads_of(list(map(Path, folders)))
    assert len(codec.SPREADS.read(path).runs) == 11
    assert "red is left out: a gating metric regressed" in said.err
    assert said.out.startswith("11 runs of the suite pr with milo\n")
    assert KEY in said.out
    assert main.main(["baseline", "spreads", *folders, "--json"]) == 0
    assert capsys.readouterr().out == path.read_text()


def test_nights_and_runs_are_put_together_and_each_run_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nights.jsonl"
    nightly_records.append(
        path, nightly_records.nightly_record(measured(99, load="sha256:of before"))
    )
    for number in range(MIN_PRIOR_RUNS):
        nightly_records.append(path, nightly_records.nightly_record(measured(number)))
    folders = [stored(tmp_path / f"{at}", measured(at)) for at in (3, 30)]
    assert main.main(["baseline", "spreads", "--json", str(path), *map(str, folders)]) == 0
    found = codec.SPREADS.parse(capsys.readouterr().out.encode())
    assert len(found.runs) == MIN_PRIOR_RUNS + 1
    all_runs = baselines.spreads_of(
        [stored(tmp_path / f"x{n}", measured(n)) for n in (*range(MIN_PRIOR_RUNS), 30)]
    )
    assert [replace(run, pair_s=0.0) for run in found.runs] == [
        replace(run, pair_s=0.0)
        for run in all_runs.runs  # a night does not know it
    ]
    (tmp_path / "spreads.json").write_text(codec.SPREADS.dumps(found))
    assert newest_spreads(tmp_path / "spreads.json") == found


def test_nights_of_before_are_no_spreads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nights.jsonl"
    nightly_records.append(path, nightly_records.nightly_record(measured(load="")))
    assert main.main(["baseline", "spreads", str(path)]) == Exit.NO_BASELINE
    assert "no run in it says how much its pairs varied" in capsys.readouterr().err


def test_runs_that_do_not_belong_together_are_not_put_together(tmp_path: Path) -> None:
    folders = [
        stored(tmp_path / "a", measured(0)),
        stored(tmp_path / "b", measured(1, load="sha256:another")),
    ]
    with pytest.raises(ConfigError, match="b: its suite, product, environment or load differs"):
        baselines.spreads_of(folders)
    with pytest.raises(BaselineError, match="no run is left"):
        baselines.spreads_of([stored(tmp_path / "c", measured(2, ratio=2.0))])


def test_results_of_before_are_of_the_load_that_their_folder_tells(tmp_path: Path) -> None:
    loaded = suite_file.load(suite_file.path_of("smoke"))
    run = replace(measured(load=""), suite="smoke", suite_digest=loaded.digest)
    folder = stored(tmp_path / "a", run)
    suite_file.keep(loaded, folder)
    found = baselines.spreads_of([folder]).conditions
    assert found == priors.prior_request(loaded.suite, Product.MILO, Interleave.REQUEST).conditions
    codec.RESULTS.write(folder / "results.json", replace(run, suite_digest="sha256:0"))
    with pytest.raises(ConfigError, match="changed since the run"):
        baselines.spreads_of([folder])


def stale(path: Path) -> str:
    """Return what is wrong with a spread file that is shipped; empty where it can be used."""
    history = codec.SPREADS.read(path)
    of = history.conditions
    if path.name != f"{of.suite}-{of.product}.json":
        return "it has another name than its suite and product"
    suite = suite_file.load(suite_file.path_of(of.suite)).suite
    asked = priors.prior_request(suite, of.product, of.interleave)
    if asked.conditions != of:
        return "the load of the suite has changed: record it again"
    return "" if prior_from(history, asked, SpreadOrigin.SHIPPED) else "too few runs"


def test_shipped_spreads_are_of_the_suites_as_they_are(tmp_path: Path) -> None:
    for path in paths.project_path("baselines", "spreads").glob("*.json"):
        assert stale(path) == "", path
    smoke = suite_file.load(suite_file.path_of("smoke")).suite
    of = priors.prior_request(smoke, Product.MILO, Interleave.REQUEST).conditions
    good = tmp_path / "smoke-milo.json"
    codec.SPREADS.write(good, replace(history_of(), conditions=of))
    assert stale(good) == ""
    codec.SPREADS.write(good, replace(history_of(9), conditions=of))
    assert stale(good) == "too few runs"
    codec.SPREADS.write(good, replace(history_of(), conditions=replace(of, load_digest="x")))
    assert "has changed" in stale(good)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[RunRequest], ResultSet]:
    """Return what begins a run whose builds, programs and machine are made up."""
    monkeypatch.setattr(
        toolchain, "artifact", lambda spec, _: Artifact(measured_subject(spec), Path("x"))
    )
    monkeypatch.setattr(toolchain, "programs_of", lambda _: {})
    monkeypatch.setattr(toolchain, "machine_with", lambda *_: Machine(MACHINE, {}))
    monkeypatch.setattr(preflight, "require", lambda *_: None)
    monkeypatch.setattr(preflight, "require_programs", lambda _: None)
    monkeypatch.setattr(run, "_measure", lambda ready, **_: policy.report(ready.results))

    def begin(request: RunRequest) -> ResultSet:
        report: Report = run.run(request, tmp_path / "run")
        assert codec.RESULTS.read(tmp_path / "run" / "results.json") == report.results
        return report.results

    return begin


def measured_subject(spec: object) -> Any:  # noqa: ANN401 - a subject
    return replace(measured().subjects[Arm.CANDIDATE], spec=f"{spec}")


def fed_smoke() -> Conditions:
    """Feed runs of the suite smoke, and return what they share."""
    smoke = suite_file.load(suite_file.path_of("smoke")).suite
    of = priors.prior_request(smoke, Product.REFERENCE, Interleave.REQUEST).conditions
    runs = (
        replace(
            measured(at, load=of.load_digest),
            suite="smoke",
            subjects=dict.fromkeys(Arm, measured_subject("reference")),
        )
        for at in range(MIN_PRIOR_RUNS)
    )
    assert all(fed(*runs))
    return of


def test_a_new_run_has_the_prior_and_names_its_load(
    begun: Callable[[RunRequest], ResultSet], tmp_path: Path
) -> None:
    of = fed_smoke()
    found = begun(RunRequest("smoke", "reference", "reference"))
    assert conditions_of(found) == of
    assert found.prior is not None
    assert found.prior.source.startswith("10 runs on this machine")
    assert set(found.prior.spreads) == {KEY}
    assert reports.compare(tmp_path / "run").results.prior == found.prior


def test_a_run_without_a_prior_has_none(begun: Callable[[RunRequest], ResultSet]) -> None:
    fed_smoke()
    assert begun(RunRequest("smoke", "reference", "reference", prior="none")).prior is None


def test_a_run_elsewhere_is_not_of_the_same_load(begun: Callable[[RunRequest], ResultSet]) -> None:
    of = fed_smoke()
    found = begun(RunRequest("smoke", "reference", "reference", environment="kind"))
    assert found.prior is None
    assert found.load_digest != of.load_digest


def test_only_what_was_begun_here_feeds(
    begun: Callable[[RunRequest], ResultSet], tmp_path: Path, state: Path
) -> None:
    """A folder of a stranger feeds nothing, trusted or not, nor does one that was changed."""
    results = begun(RunRequest("smoke", "reference", "reference"))
    changed = replace(
        results, trials=measured().trials, samples=measured().samples, pairs_asked=3, looks=()
    )
    report, out = policy.report(changed), tmp_path / "run"

    run.feed(report, out)
    assert len(kept(state)) == 1
    for path in (state / "spreads").glob("*.json"):
        path.unlink()

    run.feed(policy.report(replace(changed, seed=changed.seed + 1)), out)
    assert not kept(state)
    (state / "begun.txt").unlink()
    run.feed(report, out)
    assert not kept(state)
    suite = suite_file.load(out / suite_file.SUITE).suite
    there = run.origin(RunFolder(out, "run"), changed, suite)
    trust.require(there, out, is_trusted=True)
    trust.require(there, out, is_trusted=False)
    run.feed(report, out)
    assert not kept(state)


def test_runs_that_calibrate_feed_where_they_were_begun_here(
    begun: Callable[[RunRequest], ResultSet],
    tmp_path: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paths, "baselines", lambda: tmp_path / "baselines")
    before = begun(RunRequest("smoke", "reference", "reference"))
    ten = results(
        (LATENCY, [1.0] * 6, [1.0, 1.01, 0.99, 1.0, 1.02, 0.98]), specs=("reference", "reference")
    )
    run = replace(before, trials=ten.trials, samples=ten.samples, pairs_asked=6, looks=())
    codec.RESULTS.write(tmp_path / "run" / "results.json", run)
    other = stored(tmp_path / "stranger", replace(run, seed=run.seed + 1))
    found, _ = baselines.run_calibration(
        RunRequest("smoke", "reference", "reference", pairs=20),
        [tmp_path / "run", other],
        tmp_path / "calibrations",
    )
    assert found.pairs == 12
    (history,) = kept(state)
    assert len(history.runs) == 1


def test_reading_an_artifact_feeds_nothing(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stored(tmp_path / "artifact", measured())
    for command in (["compare"], ["render"]):
        assert main.main([*command, str(folder)]) == 0
    assert main.main(["baseline", "spreads", str(folder)]) == 0
    nights_file = str(tmp_path / "nights.jsonl")
    assert main.main(["history", nights_file, "--append", str(folder)]) == 0
    assert capsys.readouterr().out
    assert not kept(state)


def test_conditions_are_told_apart_by_their_file_name() -> None:
    """A file of one machine holds one load: all that differs is in the name."""
    of = asking().conditions
    others = [
        replace(of, suite="smoke"),
        replace(of, product=Product.REFERENCE),
        replace(of, environment="kind"),
        replace(of, interleave=Interleave.TRIAL),
        replace(of, load_digest="sha256:another"),
    ]
    assert len({priors._path(one) for one in (of, *others)}) == 6  # noqa: SLF001
    assert set(asdict(of)) == {"suite", "product", "environment", "interleave", "load_digest"}
