"""The file of our own nights: one line for each run, each against the reference of that run."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.commands.main import main
from pipeline.judge.calibrate import calibration
from pipeline.judge.spreads import conditions_of, pair_spreads, run_spreads
from pipeline.model.results import Failure, Interleave, ResultSet
from pipeline.model.subject import Arm, Product
from pipeline.runs import priors, suite_file
from pipeline.runs.history import nightly_records
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, LoadError
from tests.builders import COUNT, LATENCY, NOW, results


def run(number: int = 0, ratio: float = 1.1, *, machine: float = 1.0, **more: object) -> ResultSet:
    """Return the run of one night; `machine` is how slow everything was in it."""
    before = [machine * value for value in (0.100, 0.102, 0.098)]
    after = [ratio * value for value in before]
    found = results(
        (LATENCY, before, after),
        (COUNT, [5.0, 5.0, 5.0], [7.0, 7.0, 7.0]),
        facts={Arm.CANDIDATE: {"revision": f"commit-{number}"}},
        **more,  # type: ignore[arg-type]  # any field
    )
    return replace(found, taken_at=NOW + timedelta(days=number))


def folder(path: Path, found: ResultSet) -> Path:
    """Write a run's folder."""
    path.mkdir(parents=True, exist_ok=True)
    codec.RESULTS.write(path / "results.json", found)
    return path


def test_a_night_is_the_candidate_against_the_reference_of_the_same_run() -> None:
    kept = nightly_records.nightly_record(run(3))
    assert kept.commit == "commit-3"
    assert kept.metrics["object-crud/create_p50"].value == pytest.approx(1.1)
    assert kept.metrics["object-crud/files"].value == pytest.approx(2.0)
    assert kept.reference != kept.candidate


def test_a_slow_machine_is_no_step(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in range(20):
        slow = 1.0 if number < 10 else 3.0
        nightly_records.append(path, nightly_records.nightly_record(run(number, machine=slow)))
    for series in nightly_records.read(path).series:
        assert np.ptp(series.series.values) < 1e-9


def test_nights_of_another_profile_are_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in range(6):
        found = run(number, ratio=1.1 if number % 2 else 2.0)
        if number % 2 == 0:
            fingerprint = {**found.machine.fingerprint, "profile": "production"}
            found = replace(found, machine=replace(found.machine, fingerprint=fingerprint))
        nightly_records.append(path, nightly_records.nightly_record(found))
    for one in nightly_records.read(path).series:
        assert len(one.series.values) == 3
        assert np.ptp(one.series.values) < 1e-9
        assert "3 records of another start profile than minimal are left out" in str(one)


def test_an_invalid_pair_is_left_out_and_a_run_without_any_other_is_refused() -> None:
    kept = nightly_records.nightly_record(run(invalid={1: "too slow"}))
    assert kept.metrics["object-crud/create_p50"].pairs == 2
    with pytest.raises(LoadError, match="no valid pair"):
        nightly_records.nightly_record(run(invalid={0: "a", 1: "b", 2: "c"}))


def test_a_metric_that_is_missing_in_a_pair_is_the_mean_of_the_others() -> None:
    kept = nightly_records.nightly_record(
        results((LATENCY, [0.1, 0.1], [None, 0.2]), (COUNT, [None, None], [None, None]))
    )
    assert set(kept.metrics) == {"object-crud/create_p50"}
    assert kept.metrics["object-crud/create_p50"].pairs == 1


def test_the_same_run_twice_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "nights.jsonl"
    assert nightly_records.append(path, nightly_records.nightly_record(run(0)))
    assert nightly_records.append(path, nightly_records.nightly_record(run(1)))
    before = path.read_bytes()
    assert not nightly_records.append(path, nightly_records.nightly_record(run(0)))
    assert path.read_bytes() == before
    assert len(nightly_records.load(path)) == 2


def test_a_run_that_went_on_takes_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    nightly_records.append(path, nightly_records.nightly_record(run(0, invalid={1: "too slow"})))
    nightly_records.append(path, nightly_records.nightly_record(run(0)))
    (night,) = nightly_records.load(path)
    assert night.metrics["object-crud/create_p50"].pairs == 3


def test_nights_are_kept_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in (4, 2, 3):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    assert [night.commit for night in nightly_records.load(path)] == [
        "commit-2",
        "commit-3",
        "commit-4",
    ]


@pytest.mark.parametrize("left", [1, 40, 400])
def test_a_last_line_that_was_cut_off_is_dropped(left: int, tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in (0, 1):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{second[:left]}")
    assert [night.commit for night in nightly_records.load(path)] == ["commit-0"]
    assert nightly_records.append(path, nightly_records.nightly_record(run(1)))
    assert path.read_text() == f"{first}\n{second}\n"


def test_a_line_in_the_middle_that_cannot_be_read_is_an_error_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "nights.jsonl"
    nightly_records.append(path, nightly_records.nightly_record(run(0)))
    text = "{}\n" + path.read_text()
    path.write_text(text)
    with pytest.raises(BaselineError, match=r"nights.jsonl:1: run: Field required"):
        nightly_records.append(path, nightly_records.nightly_record(run(1)))
    assert path.read_text() == text


def test_a_complete_last_line_that_is_no_record_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in range(2):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    path.write_text(path.read_text().replace('"lower"', '"faster"').rstrip("\n"))
    with pytest.raises(BaselineError, match=":1: "):
        nightly_records.load(path)
    first, last = path.read_text().replace('"faster"', '"lower"', 2).split("\n")
    path.write_text(f"{first}\n{last}")
    with pytest.raises(BaselineError, match=":2: "):
        nightly_records.load(path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_of_other_systems_are_read(mark: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in range(3):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    before = nightly_records.load(path)
    path.write_text(mark + path.read_text().replace("\n", end), newline="")
    assert nightly_records.load(path) == before
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(BaselineError, match="is not UTF-8") as caught:
        nightly_records.load(path)
    assert "save it as UTF-8" in caught.value.hint


def test_records_in_another_unit_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in range(4):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first.replace('"unit": "1"', '"unit": "B"'), *others, ""]))
    (files,) = [s for s in nightly_records.read(path).series if s.series.name.endswith("files")]
    assert len(files.series.values) == 3
    assert "1 records on another scale or in another unit are left out" in str(files)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59+00:00"])
def test_a_run_of_a_time_that_cannot_be_is_refused_and_nothing_is_written(
    time: str, tmp_path: Path
) -> None:
    path = tmp_path / "nights.jsonl"
    found = replace(run(), taken_at=datetime.fromisoformat(time))
    with pytest.raises(BaselineError, match="before 1970"):
        nightly_records.nightly_record(found)
    nightly_records.append(path, nightly_records.nightly_record(run()))
    path.write_text(path.read_text().replace(NOW.isoformat().replace("+00:00", "Z"), time))
    with pytest.raises(BaselineError, match="before 1970"):
        nightly_records.load(path)


def test_a_file_of_the_future_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nights.jsonl"
    nightly_records.append(path, nightly_records.nightly_record(run()))
    year = f"{NOW.year}-"
    path.write_text(path.read_text().replace(f'"time": "{year}', f'"time": "{NOW.year + 50}-'))
    assert main(["history", str(path)]) == 7
    assert "its records are from the future: 1" in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "0"])
def test_freshness_is_a_number_of_hours(hours: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["history", "nights.jsonl", f"--fresh={hours}"])


def test_only_records_can_be_fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "n.csv"
    path.write_text("time,value\n1,1\n")
    assert main(["history", str(path), "--fresh", "48"]) == 2
    assert "--fresh needs a .jsonl file" in capsys.readouterr().err


def test_an_empty_file_has_no_history(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    path.write_text("")
    with pytest.raises(BaselineError, match="no record"):
        nightly_records.read(path)


def test_nights_against_another_reference_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    other = {Arm.BASELINE: "a" * 64, Arm.CANDIDATE: "c" * 64}
    nightly_records.append(path, nightly_records.nightly_record(run(0, ratio=3.0, digests=other)))
    for number in (1, 2):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    series = nightly_records.read(path).series[0]
    assert len(series.series.values) == 2
    assert "1 records against another reference" in series.series.notes[0]


def test_a_line_is_what_its_schema_says(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    nightly_records.append(path, nightly_records.nightly_record(run(0)))
    jsonschema.validate(json.loads(path.read_text()), nightly_records.schema())


def test_the_committed_schema_is_that_of_the_model(golden: Callable[[str, str], None]) -> None:
    text = json.dumps(nightly_records.schema(), indent=1, sort_keys=True) + "\n"
    golden("../../docs/schemas/night-1.schema.json", text)


def test_a_step_of_a_metric_is_found_in_the_file_and_names_its_commits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nights.jsonl"
    draw = np.random.default_rng(1)
    for number in range(30):
        ratio = (1.0 if number < 20 else 1.15) * float(np.exp(draw.normal(0, 0.01)))
        nightly_records.append(path, nightly_records.nightly_record(run(number, ratio=ratio)))
    added = folder(tmp_path / "run", run(30, ratio=1.15))
    assert main(["history", str(path), "--append", str(added), "--json", "--alarm"]) == 3
    series = {s["series"]: s for s in json.loads(capsys.readouterr().out)["series"]}
    latency = series["object-crud/create_p50"]
    assert latency["points"] == 31
    (change,) = latency["changes"]
    assert (change["index"], change["commit_before"], change["commit"]) == (
        20,
        "commit-19",
        "commit-20",
    )
    assert series["object-crud/files"]["changes"] == []


def test_a_run_is_added_to_nothing_but_a_file_of_nights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    added = folder(tmp_path / "run", run())
    assert main(["history", str(tmp_path / "x.csv"), "--append", str(added)]) == 2
    assert ".jsonl" in capsys.readouterr().err
    assert main(["history", str(tmp_path / "x.jsonl"), "--append", str(tmp_path / "none")]) == 7


def test_how_often_equal_builds_turn_red_is_a_series_too(tmp_path: Path) -> None:
    equal = run(ratio=1.0)
    found = calibration([equal, run(1, ratio=1.01)], 3)
    added = folder(tmp_path / "run", equal)
    codec.CALIBRATION.write(added / "calibration.json", found)
    path = tmp_path / "equal.jsonl"
    assert main(["history", str(path), "--append", str(added), "--json"]) == 0
    (kept,) = nightly_records.load(path)
    assert kept.metrics[nightly_records.FALSE_ALARMS].value == found.false_alarms
    assert nightly_records.FALSE_ALARMS in {
        dated.series.name for dated in nightly_records.read(path).series
    }


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(again=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 30)), max_size=6))
def test_a_night_that_is_there_twice_counts_once_and_it_is_said(
    again: list[tuple[int, int]], tmp_path: Path
) -> None:
    """As a merge by union leaves it: the same lines, in any order."""
    path = tmp_path / "nights.jsonl"
    path.unlink(missing_ok=True)
    for number in range(12):
        nightly_records.append(
            path, nightly_records.nightly_record(run(number, 1.1 + 0.01 * number))
        )
    once = nightly_records.read(path).series
    lines = path.read_text().splitlines(keepends=True)
    for which, where in again:
        lines.insert(where, lines[which])
    path.write_text("".join(lines))
    for one, other in zip(once, nightly_records.read(path).series, strict=True):
        assert other.series.values == one.series.values
        assert (f"{len(again)} line" in " ".join(other.series.notes)) is bool(again)


def test_of_a_night_that_was_made_longer_on_one_branch_the_longer_counts(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    short = nightly_records.nightly_record(run(0, 1.1, invalid={1: "too slow"}))
    whole = nightly_records.nightly_record(run(0, 1.1))
    for order in ([short, whole], [whole, short]):
        path.write_text("".join(one.model_dump_json(by_alias=True) + "\n" for one in order))
        assert [night.run for night in nightly_records.load(path)] == [short.run] * 2
        (pairs,) = {len(series.series.values) for series in nightly_records.read(path).series}
        assert pairs == 1
        assert nightly_records.without_duplicates(nightly_records.load(path)) == [whole]


def test_nights_of_one_run_at_other_times_are_other_nights(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    kept = [
        nightly_records.nightly_record(run(number)).model_copy(update={"run": "same"})
        for number in range(3)
    ]
    path.write_text("".join(one.model_dump_json(by_alias=True) + "\n" for one in kept))
    assert {len(series.series.values) for series in nightly_records.read(path).series} == {3}


def test_nights_know_the_day_of_their_week(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    for number in range(9):
        nightly_records.append(path, nightly_records.nightly_record(run(number)))
    for series in nightly_records.read(path).series:
        first = NOW.weekday()
        assert [(day + 3) % 7 for day in series.series.days] == [
            (first + number) % 7 for number in range(9)
        ]


def with_load(found: ResultSet) -> ResultSet:
    subjects = {arm: replace(one, spec=f"binary:./{arm}") for arm, one in found.subjects.items()}
    return replace(found, load_digest="sha256:load", subjects=subjects)


def test_a_night_keeps_how_much_its_pairs_varied_and_under_which_conditions() -> None:
    found = with_load(results((LATENCY, [1.0, 1.0, 1.0], [1.0, 1.1, 1.2])))
    kept = nightly_records.nightly_record(found)
    value = kept.metrics["object-crud/create_p50"]
    assert value.spread() == pair_spreads(found)["object-crud/create_p50"]
    assert value.freedom == 2
    assert kept.conditions == conditions_of(found)
    ((history,),) = (nightly_records.spread_histories([kept]),)
    assert history.runs == (replace(run_spreads(found), pair_s=0.0),)  # a night does not keep it


def test_a_night_that_does_not_say_its_load_or_in_which_a_build_failed_has_no_spread() -> None:
    first, *others = (found := with_load(run())).trials
    failed = replace(found, trials=(replace(first, failures=(Failure("died"),)), *others))
    for one in (run(), failed):
        kept = nightly_records.nightly_record(one)
        assert kept.conditions is None
        assert all(value.spread() is None for value in kept.metrics.values())
        assert nightly_records.spread_histories([kept]) == ()


def test_nights_of_before_are_read_and_their_lines_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    body = nightly_records.nightly_record(run(0)).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert not {"conditions", "variance", "freedom"} & {*body, *body["metrics"].popitem()[1]}
    line = json.dumps(body, sort_keys=True) + "\n"
    path.write_text(line)
    nightly_records.append(path, nightly_records.nightly_record(with_load(run(1))))
    assert path.read_text().startswith(line)
    old, new = nightly_records.load(path)
    assert old.conditions is None
    assert new.conditions is not None


def test_spreads_of_nights_are_apart_by_their_conditions_and_once_for_each_run() -> None:
    here, elsewhere = (
        [
            nightly_records.nightly_record(replace(with_load(run(first + at)), load_digest=load))
            for at in range(3)
        ]
        for first, load in ((0, "sha256:one"), (10, "sha256:two"))
    )
    found = nightly_records.spread_histories([*here, *elsewhere, *here])
    assert [history.conditions.load_digest for history in found] == ["sha256:one", "sha256:two"]
    assert [len(history.runs) for history in found] == [3, 3]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"variance": -1.0, "freedom": 2}, "variance must be"),
        ({"variance": 1.0, "freedom": 0}, "freedom must be"),
        ({"variance": 1.0}, "belong together"),
        ({"freedom": 2}, "belong together"),
    ],
)
def test_a_spread_that_cannot_be_is_refused(
    parts: dict[str, float], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "nights.jsonl"
    body = nightly_records.nightly_record(run(0)).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    body["metrics"]["object-crud/create_p50"].update(parts)
    path.write_text(json.dumps(body) + "\n")
    with pytest.raises(BaselineError, match=said):
        nightly_records.load(path)


def test_a_night_by_another_version_of_our_suite_is_no_part_of_a_prior(tmp_path: Path) -> None:
    suite = suite_file.load(suite_file.path_of("smoke")).suite
    ours = priors.prior_request(suite, Product.MILO, Interleave.REQUEST).conditions.load_digest
    path = tmp_path / "nights.jsonl"
    for number, (load, place) in enumerate(
        [(ours, "local"), ("sha256:another", "local"), ("sha256:of a cluster", "kind")]
    ):
        found = replace(
            with_load(run(number)),
            suite="smoke",
            load_digest=load,
            environment=place,
            pairs_asked=5,
            looks=(3, 5),
        )
        added = folder(tmp_path / f"run-{number}", found)
        command = ["history", str(path), "--append", str(added), "--suite", "smoke"]
        assert main(command) == 0
    kept = [
        night.conditions and night.conditions.load_digest for night in nightly_records.load(path)
    ]
    assert kept == [ours, None, "sha256:of a cluster"]
