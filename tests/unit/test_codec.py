"""Stored files are versioned, validated, and replaced whole."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.judge import policy
from pipeline.model.metric import Better, Metric
from pipeline.model.report import Verdict
from pipeline.model.results import Interleave, Machine, ResultSet, Sample, Tool, Trial
from pipeline.model.subject import Arm, Subject
from pipeline.storage import codec, verdict_file
from pipeline.system.errors import BaselineError, Exit, StorageError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATENCY = Metric("create_p50", "s", Better.LOWER, margin=0.05, gate=True)


def results(pairs: int = 3) -> ResultSet:
    return ResultSet(
        suite="pr",
        suite_digest="sha256:aa",
        environment="local",
        interleave=Interleave.REQUEST,
        pairs_asked=3,
        seed=7,
        subjects={arm: Subject("reference", f"sha256:{arm}", {"go": "go1.26.8"}) for arm in Arm},
        machine=Machine({"cpu": "a cpu"}, {"load": "0.1"}),
        tools={"k6": Tool("1.1.0", "sha256:bb")},
        taken_at=NOW,
        trials=tuple(
            Trial(pair, arm, position, NOW, 40.0)
            for pair in range(pairs)
            for position, arm in enumerate(Arm)
        ),
        samples={
            arm: (
                Sample("object-crud", LATENCY, tuple(0.01 + pair / 1000 for pair in range(pairs))),
            )
            for arm in Arm
        },
    )


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Write results, then change the file as a hand would."""
    codec.RESULTS.write(path, results())
    body = json.loads(path.read_text())
    edit(body)
    path.write_text(json.dumps(body))
    return path


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    codec.RESULTS.write(tmp_path / "results.json", results())

    assert codec.RESULTS.read(tmp_path / "results.json") == results()


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    codec.RESULTS.write(tmp_path / "one", results())
    codec.RESULTS.write(tmp_path / "two", results())

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"results\.json: no such file"):
        codec.RESULTS.read(tmp_path / "results.json")


@pytest.mark.parametrize("keep", [0, 1, 100, -3])
def test_a_truncated_file_is_an_error_not_an_empty_one(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "results.json"
    codec.RESULTS.write(path, results())
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(BaselineError, match="not JSON"):
        codec.RESULTS.read(path)


def _sample(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["samples"]["baseline"][0]
    return found


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param(lambda b: b.update(schema="other/1"), "its schema is 'other/1'", id="schema"),
        pytest.param(lambda b: b.pop("schema"), "its schema is None", id="no schema"),
        pytest.param(lambda b: b.update(pairs_asked=-5), "pairs_asked", id="negative count"),
        pytest.param(lambda b: b["trials"].pop(), "trials", id="a trial is gone"),
        pytest.param(lambda b: b["trials"][0].update(pair=-1), "pair", id="negative pair"),
        pytest.param(lambda b: b["trials"][0].update(duration_s=-1), "duration_s", id="duration"),
        pytest.param(lambda b: _sample(b)["values"].pop(), "has 2 values for 3 pairs", id="length"),
        pytest.param(lambda b: _sample(b)["values"].__setitem__(0, -1), "below zero", id="below 0"),
        pytest.param(lambda b: _sample(b)["values"].__setitem__(0, "x"), "values", id="text"),
        pytest.param(lambda b: _sample(b)["metric"].update(margin=0), "margin", id="margin"),
        pytest.param(lambda b: b["subjects"].pop("baseline"), "one for each arm", id="subject"),
        pytest.param(lambda b: b.pop("machine"), "machine", id="no machine"),
        pytest.param(lambda b: b["samples"]["baseline"].append(_sample(b)), "twice", id="twice"),
    ],
)
def test_nonsense_is_refused_and_the_place_is_named(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = edited(tmp_path / "results.json", edit)

    with pytest.raises(BaselineError, match=said) as caught:
        codec.RESULTS.read(path)

    assert caught.value.exit_code == Exit.NO_BASELINE


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, constant: str) -> None:
    path = tmp_path / "results.json"
    codec.RESULTS.write(path, results())
    path.write_text(path.read_text().replace("0.011", constant))

    with pytest.raises(BaselineError):
        codec.RESULTS.read(path)


def test_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[1, 2]")

    with pytest.raises(BaselineError, match="its schema is None"):
        codec.RESULTS.read(tmp_path / "results.json")


def test_a_write_that_fails_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    codec.RESULTS.write(path, results(2))

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        codec.RESULTS.write(path, results(3))

    assert codec.RESULTS.read(path) == results(2)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", sorted(codec.schemas()))
def test_the_committed_schemas_are_those_of_the_models(
    name: str, golden: Callable[[str, str], None]
) -> None:
    golden(
        f"../../docs/schemas/{name}",
        json.dumps(codec.schemas()[name], indent=1, sort_keys=True) + "\n",
    )


def test_files_match_their_schemas(tmp_path: Path) -> None:
    codec.RESULTS.write(tmp_path / "results.json", results())
    report = policy.report(results())

    jsonschema.validate(
        json.loads((tmp_path / "results.json").read_text()),
        codec.schemas()["results-1.schema.json"],
    )
    jsonschema.validate(
        json.loads(codec.verdict_json(report, 0, "x")), codec.schemas()["verdict-2.schema.json"]
    )


def test_the_verdict_names_invalid_trials() -> None:
    trials = list(results().trials)
    trials[0] = dataclasses.replace(trials[0], invalid=("k6 dropped 3 iterations",))
    body = verdict_file.verdict_body(
        policy.report(dataclasses.replace(results(), trials=tuple(trials))), 0, "x", ""
    )

    assert body.invalid_trials[0].reasons == ("k6 dropped 3 iterations",)
    assert body.pairs_valid == 2


def test_a_value_below_zero_is_one_of_a_difference_only(tmp_path: Path) -> None:
    def fall(body: dict[str, Any]) -> None:
        _sample(body)["metric"].update(scale="difference")
        _sample(body)["values"][0] = -1.5

    read = codec.RESULTS.read(edited(tmp_path / "results.json", fall))

    assert read.samples[Arm.BASELINE][0].values[0] == -1.5
    with pytest.raises(ValueError, match="below zero"):
        Sample("object-crud", LATENCY, (-1.5,))


def test_results_from_before_there_were_looks_are_read_as_they_were() -> None:
    path = Path(__file__).parents[1] / "golden" / "results" / "1-before-looks.json"
    read = codec.RESULTS.read(path)

    assert read.looks == ()
    assert all(sample.denominators == () for samples in read.samples.values() for sample in samples)
    assert read.valid_pairs == (0, 1, 3)
    assert policy.report(read).verdict is Verdict.REGRESSED


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("milo-perf.results/2", "expected 'milo-perf.results/1': a newer milo-perf wrote it"),
        ("milo-perf.results/0", "expected 'milo-perf.results/1'$"),
        ("milo-perf.baseline/2", "expected 'milo-perf.results/1'$"),
    ],
)
def test_a_file_of_a_newer_version_says_who_can_read_it(
    tmp_path: Path, schema: str, said: str
) -> None:
    path = edited(tmp_path / "results.json", lambda body: body.update(schema=schema))

    with pytest.raises(BaselineError, match=said):
        codec.RESULTS.read(path)


def test_a_key_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = edited(tmp_path / "results.json", lambda body: _sample(body).update(weight=2))

    with pytest.raises(BaselineError, match=r"0\.weight: this version does not know the key"):
        codec.RESULTS.read(path)


def test_a_run_of_ours_is_read_again_however_much_it_measured(tmp_path: Path) -> None:
    pairs = 400
    run = results(pairs)
    many = tuple(
        Sample(f"workload-{number}", LATENCY, (1e150,) * pairs, ()) for number in range(80)
    )
    full = dataclasses.replace(run, pairs_asked=pairs, samples=dict.fromkeys(Arm, many))
    codec.RESULTS.write(tmp_path / "results.json", full)

    assert codec.RESULTS.read(tmp_path / "results.json") == full
    with pytest.raises(ValueError, match="more than 50000 values"):
        codec.RESULTS.parse((tmp_path / "results.json").read_bytes())


_WRITER = """
import sys
from pathlib import Path
from pipeline.storage import codec
for _ in range(60):
    codec.write_text(Path(sys.argv[1]), sys.argv[2] * 30_000)
"""


def test_a_file_that_two_processes_write_at_once_is_that_of_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), text]) for text in ("a", "bcd")
    ]
    while any(writer.poll() is None for writer in writers):
        assert not path.exists() or path.read_text() in ("a" * 30_000, "bcd" * 30_000)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]
