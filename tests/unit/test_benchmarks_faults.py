"""The table of faults says what was seen, and counts nothing as caught that was not."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dev.benchmarks import faults, runs
from dev.benchmarks.faults_text import Fault, Row, document, line
from pipeline import toolchain
from pipeline.judge import policy
from pipeline.model.metric import Better, Metric
from pipeline.model.results import ResultSet
from pipeline.model.subject import parse_spec
from pipeline.runs import suite_file
from pipeline.storage import codec, verdict_file
from pipeline.system.errors import Exit
from pipeline.toolchain import reference
from tests.builders import COUNT, LATENCY, results

SHOWN = Metric("get_p99", "s", Better.LOWER, margin=0.05)
SLOW = Fault("slow-create", "500us", ("object-crud/create_*",))
SAME = (0.100, 0.101, 0.099, 0.100, 0.1005)
WORSE = (0.120, 0.121, 0.119, 0.120, 0.1205)


def measured(
    *worse: Metric, candidate: str = SLOW.candidate, metrics: Sequence[Metric] = (LATENCY, SHOWN)
) -> ResultSet:
    """Return five pairs in which some metrics are 20 % worse."""
    rows = [(metric, SAME, WORSE if metric in worse else SAME) for metric in metrics]
    return results(*rows, specs=("reference", candidate))


def ended(found: ResultSet, seconds: float | None = 283.0) -> runs.Run:
    report = policy.report(found)
    code = policy.exit_code(report, strict=False)
    facts = {"memory": "24 GiB", "cpu": "a cpu", "logical cpus": "2", "os": "debian 12"}
    return runs.Run(
        code, seconds, "0123456789ab", verdict_file.verdict_body(report, code, "x", ""), facts
    )


def failed(code: int) -> runs.Run:
    return runs.Run(code, 61.0, "0123456789ab", None, {})


def unchanged(*worse: Metric) -> Row:
    return Row(faults.EQUAL, ended(measured(*worse, candidate="reference")))


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        pytest.param(Row(SLOW, ended(measured(LATENCY))), "caught", id="red where expected"),
        pytest.param(Row(SLOW, ended(measured())), "missed", id="nothing red"),
        pytest.param(
            Row(Fault("cpu", "1ms", ("*/server_cpu_*",)), ended(measured(LATENCY))),
            "missed",
            id="red elsewhere only",
        ),
        pytest.param(
            Row(Fault("x", "1", ("*/get_*",)), ended(measured(SHOWN))),
            "missed",
            id="red where it does not gate",
        ),
        pytest.param(Row(SLOW, failed(6)), "error 6", id="failed"),
        pytest.param(Row(SLOW, failed(-9)), "error -9", id="killed"),
        pytest.param(
            Row(faults.SLOW_BOTH, ended(measured())), "quiet", id="the same fault in both builds"
        ),
        pytest.param(
            Row(faults.SLOW_BOTH, ended(measured(LATENCY))),
            "false alarm",
            id="the same fault in both builds, and red",
        ),
        pytest.param(unchanged(), "quiet", id="nothing changed"),
        pytest.param(unchanged(SHOWN), "quiet", id="nothing changed, red where it does not gate"),
        pytest.param(unchanged(LATENCY), "false alarm", id="nothing changed, and red"),
        pytest.param(Row(faults.EQUAL, failed(5)), "error 5", id="nothing changed, and failed"),
    ],
)
def test_a_row_is_worth_what_was_seen(row: Row, outcome: str) -> None:
    assert row.outcome == outcome
    assert outcome in line(row)
    assert f" {outcome} |" in document([row], "nox -s faults")


def test_the_document_says_what_was_seen_where_and_how_to_repeat_it(
    golden: Callable[[str, str], None],
) -> None:
    rows = [
        Row(SLOW, ended(measured(LATENCY))),
        Row(SLOW, ended(measured(LATENCY, SHOWN, metrics=(LATENCY, SHOWN, COUNT)), seconds=None)),
        Row(Fault("cpu", "100us", ("*/server_cpu_*",)), ended(measured())),
        Row(Fault("never-ready", "10%", ("*/*ready*",)), failed(6)),
        unchanged(),
        unchanged(LATENCY),
    ]

    golden("report/faults.md", document(rows, "nox -s faults -- --equal 2"))


def test_a_table_of_several_days_commits_and_machines_says_so() -> None:
    one, other = ended(measured()), failed(6)
    other = runs.Run(0, 1.0, "ba9876543210", one.verdict, {"cpu": "another", "memory": "1 GiB"})
    said = document([Row(SLOW, one), Row(SLOW, other)], "nox -s faults")

    assert "on 2026-01-02; a cpu, 2 cores, 24 GiB, os debian 12 and another, 1 GiB;" in said
    assert "commit `0123456789ab` and `ba9876543210`." in said


def test_a_table_in_which_everything_failed_can_be_written() -> None:
    rows = [Row(SLOW, runs.Run(5, None, "", None, {}))]

    assert "Of 1: 1 error 5." in document(rows, "nox -s faults")


def test_every_fault_is_one_of_the_reference_and_has_a_metric_in_the_suite() -> None:
    keys = {
        suite: [
            (workload.name, metric.name)
            for workload in suite_file.load(suite_file.path_of(suite)).suite.workloads
            for metric in workload.metrics
        ]
        + [("launch", "failed_trials")]  # of every suite
        for suite in ("pr", *faults.SUITES.values())
    }
    assert {fault.name for fault in faults.FAULTS} == set(reference.FAULTS) - {"leak-goroutines"}
    found = ended(measured()).verdict
    assert found is not None
    for fault in faults.FAULTS:
        toolchain.check_settings(parse_spec(fault.candidate))
        assert any(
            fault.expects(found.findings[0].model_copy(update={"workload": w, "metric": m}))
            for w, m in keys[faults.SUITES.get(fault.name, "pr")]
        ), fault


def test_each_row_has_a_folder_of_its_own() -> None:
    rows = faults.rows(20)

    assert len(rows) == len(faults.FAULTS) + 21
    assert {row.candidate for row in rows.values() if row.baseline == "reference"} >= {
        "reference?slow-gc=100ms",
        "reference?slow-gc=120s",
        "reference?errors=20%",
        "reference?slow-tail=5%:20ms",
    }
    assert rows["slow-create"].candidate == "reference?slow-create=500us"
    assert rows["nothing-20"].candidate == "reference"


def kept_in(out: Path, found: ResultSet) -> Path:
    """Leave in a folder what the pipeline leaves there."""
    out.mkdir(parents=True, exist_ok=True)
    report = policy.report(found)
    codec.RESULTS.write(out / "results.json", found)
    code = policy.exit_code(report, strict=False)
    codec.write_text(out / "verdict.json", codec.verdict_json(report, code, "x"))
    return out


def test_a_row_that_has_a_verdict_is_not_run_again(tmp_path: Path) -> None:
    out = kept_in(tmp_path / "slow-create", measured(LATENCY))
    (out / "run.json").write_text(json.dumps({"code": 3, "seconds": 9.5, "commit": "abc"}))
    run = runs.measure_run(out, "no-such-suite", SLOW.candidate)

    assert (run.code, run.seconds, run.commit) == (Exit.REGRESSION, 9.5, "abc")
    assert [runs.key(metric) for metric in run.red] == ["object-crud/create_p50"]
    assert run.machine == {"cpu": "a cpu", "logical cpus": "4"}


def test_a_verdict_without_notes_counts(tmp_path: Path) -> None:
    run = runs.read_finished(kept_in(tmp_path / "x", measured()))

    assert run is not None
    assert (run.code, run.seconds, run.commit) == (Exit.NO_REGRESSION, None, "")


@pytest.mark.parametrize("left", ["unfinished", "of another size", "failed"])
def test_what_has_no_verdict_of_the_row_is_moved_aside_and_run_again(
    tmp_path: Path, left: str
) -> None:
    out = tmp_path / "slow-create"
    match left:
        case "of another size":
            kept_in(out, measured(candidate="reference?slow-create=1ms"))
        case "failed":
            out.mkdir()
            (out / "run.json").write_text(json.dumps({"code": 6, "seconds": 1, "commit": ""}))
        case _:
            out.mkdir()
            (out / "suite.toml").write_text("")
    before = {path.name for path in out.iterdir()}
    run = runs.measure_run(out, "no-such-suite", SLOW.candidate)

    assert run.answer == "error 2"
    assert {path.name for path in (tmp_path / "slow-create.unfinished-1").iterdir()} == before
    assert "no suite `no-such-suite`" in (tmp_path / "slow-create.log").read_text()
    again = runs.read_finished(out)
    assert again is not None
    assert again.code == Exit.BAD_ARGUMENTS


def test_a_folder_in_which_nothing_ended_has_no_run(tmp_path: Path) -> None:
    assert runs.read_finished(tmp_path / "nothing") is None
    (tmp_path / "results.json").write_text("{}")
    assert runs.read_finished(tmp_path) is None


def test_the_document_is_written_once_every_row_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, fault in faults.rows(1).items():
        if name != "cpu":
            kept_in(tmp_path / "out" / name, measured(candidate=fault.candidate))
    arguments = ["--out", str(tmp_path / "out"), "--equal", "1"]
    arguments += ["--document", str(tmp_path / "faults.md")]

    faults.main([*arguments, "--only", "orphans", "--only", "nothing"])
    partial = (tmp_path / "out" / "faults.md").read_text()
    assert f"Of {len(faults.FAULTS)}" not in partial
    assert "`orphans=1`" in partial
    assert not (tmp_path / "faults.md").exists()
    assert "go on with" in capsys.readouterr().out

    cpu = next(fault for fault in faults.FAULTS if fault.name == "cpu")
    kept_in(tmp_path / "out" / "cpu", measured(candidate=cpu.candidate))
    faults.main(arguments)
    said = (tmp_path / "faults.md").read_text()
    number = len(faults.FAULTS)
    assert f"Of {number}: {number} missed." in said
    assert "Of 2: 2 quiet." in said
    assert "| `slow-gc=120s` in both |" in said
    assert "Repeat: `nox -s faults -- --equal 1`" in said
