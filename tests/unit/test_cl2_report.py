"""What ClusterLoader2 left is read whole, and what a config asked for and is not there is named."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.drivers.clusterloader2.report import make_portable, read_report
from pipeline.drivers.clusterloader2.wire import (
    ApiAvailability,
    ClusterLoader2Report,
    ExpectedSummary,
    parse_duration,
)
from pipeline.system.errors import StorageError
from tests import cl2
from tests.cl2 import RECORDED, as_written, case, named, recorded

SMOKE = (
    ExpectedSummary("Timer", "Timer"),
    ExpectedSummary("APIAvailability", "Avail"),
    ExpectedSummary("APIResponsivenessPrometheus", "APIResp", "APIResponsivenessPrometheus_simple"),
    ExpectedSummary("GenericPrometheusQuery", "GQ", "GenericPrometheusQuery My Metric"),
)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_report_reads_the_same_with_the_names_that_it_had(
    name: str, tmp_path: Path
) -> None:
    written = as_written(name, tmp_path / "report")
    assert len([path for path in written.iterdir() if ":" in path.name]) >= 2
    assert read_report(written, ()) == read_report(recorded(name), ())


def test_the_cases_are_counted_as_the_counts_of_the_file_are_always_0() -> None:
    found = read_report(recorded("projects"), ())
    assert 'tests="0"' in (recorded("projects") / "junit.xml").read_text()
    assert [one.config for one in found.configs] == ["milo-projects"]
    assert len(found.steps) == 9
    waited = next(step for step in found.steps if step.measurement == "Ready")
    assert (waited.number, waited.name, waited.duration_s) == (4, "wait for projects", 1.102667717)
    assert [s.measurement for s in found.steps if s.name == "create projects"] == [""]
    assert not any(step.failure for step in found.steps)


def test_a_failed_measurement_is_named_with_what_it_said() -> None:
    found = read_report(recorded("violation"), SMOKE)
    failed = [step for step in found.steps if step.failure]
    assert [(step.name, step.measurement) for step in failed] == [("gather", "GQ")]
    assert failed[0].failure == found.configs[0].failure
    assert failed[0].failure.startswith("[measurement call GenericPrometheusQuery - GQ error: My")
    assert found.missing == ()


def test_every_summary_of_a_run_with_prometheus_is_there() -> None:
    found = read_report(recorded("prometheus"), SMOKE)
    assert (found.missing, found.empty) == ((), ())
    assert {(s.name, s.method) for s in found.summaries} == {(e.name, e.method) for e in SMOKE}
    assert found.summaries[0].at == datetime(2026, 11, 23, 17, 40, 37, tzinfo=UTC)


def test_a_summary_that_was_asked_for_and_is_not_there_is_missing() -> None:
    other = ExpectedSummary("GenericPrometheusQuery", "Other", "GenericPrometheusQuery Other")
    found = read_report(recorded("prometheus"), (*SMOKE, other))
    assert found.missing == (other,)
    assert f"{other}" == "GenericPrometheusQuery Other (measurement Other)"


def test_two_measurements_of_one_name_need_two_files(tmp_path: Path) -> None:
    folder = cl2.report(tmp_path / "report")
    two = (ExpectedSummary("Timer", "One"), ExpectedSummary("Timer", "Two"))
    assert read_report(folder, two).missing == (two[1],)
    (folder / named("Timer", at="2026-11-23T21:20:56Z")).write_text(json.dumps(cl2.TIMED))
    assert read_report(folder, two).missing == ()


@pytest.mark.parametrize(
    ("summary", "body", "method"),
    [
        pytest.param("Timer", {"version": "v1", "dataItems": None}, "Timer", id="no items"),
        pytest.param("GenericPrometheusQuery Q", cl2.perfdata(({}, "s", {})), "", id="no data"),
    ],
)
def test_a_summary_without_a_number_is_not_taken_for_an_answer(
    tmp_path: Path, summary: str, body: object, method: str
) -> None:
    asked = ExpectedSummary(method or "GenericPrometheusQuery", "it", summary)
    found = read_report(cl2.report(tmp_path / "report", {summary: body}), (asked,))
    assert (found.missing, found.empty) == ((), (asked,))


@pytest.mark.parametrize(
    ("config", "file", "name"),
    [
        pytest.param("a_b", "GenericPrometheusQuery Q_1_a_b", "GenericPrometheusQuery Q_1", id="_"),
        pytest.param("a", "GenericPrometheusQuery Q_a_suite", "GenericPrometheusQuery Q", id="id"),
        pytest.param("a", "GenericPrometheusQuery Q_else", "GenericPrometheusQuery Q", id="other"),
        pytest.param("a", "Latency of reads_a", "Latency of reads", id="summaryName"),
    ],
)
def test_the_name_of_a_summary_is_told_from_that_of_the_config(
    tmp_path: Path, config: str, file: str, name: str
) -> None:
    folder = cl2.report(tmp_path / "report", {}, [case(f"{config} overall (x.yaml)")])
    (folder / f"{file}_{cl2.AT}.json").write_text(json.dumps(cl2.perfdata()))
    method = "GenericPrometheusQuery" if name.startswith("Gen") else "APIResponsivenessPrometheus"
    asked = ExpectedSummary(method, "it", name)
    found = read_report(folder, (asked,))
    assert [(s.name, s.method) for s in found.summaries] == [(name, method)]
    assert found.missing == ()


def test_files_that_are_no_summaries_are_left_alone(tmp_path: Path) -> None:
    folder = cl2.report(tmp_path / "report")
    before = read_report(folder, ())
    for name in ("cl2-metadata.json", named("PodStartupLatency"), "Timer_x_2026-99-99T00:00:00Z"):
        (folder / name).write_text("not JSON")
    (folder / "Timer_milo-objects_2026-11-23T99:19:56Z.json").write_text("not JSON")
    assert read_report(folder, ()) == before


def test_a_config_that_failed_before_its_first_step_is_a_report(tmp_path: Path) -> None:
    said = ":0\n[config reading error: no such file]\n:0"
    folder = cl2.report(tmp_path / "r", {}, [case(" overall (x.yaml)", "0.1", said)])
    found = read_report(folder, cl2.ASKED)
    assert found.configs[0].failure == "[config reading error: no such file]"
    assert found.steps == ()
    assert found.missing == cl2.ASKED


def test_names_that_github_refuses_are_made_portable_and_read_the_same(tmp_path: Path) -> None:
    folder = cl2.report(
        tmp_path / "r", {"Timer": cl2.TIMED, 'GenericPrometheusQuery <"a|b?">': cl2.perfdata()}
    )
    before = read_report(folder, ())
    make_portable(folder)
    assert not any(set(path.name) & set('":<>|*?') for path in folder.iterdir())
    after = read_report(folder, ())
    assert [s.at for s in after.summaries] == [s.at for s in before.summaries]
    assert (after.configs, after.steps) == (before.configs, before.steps)
    assert [s.content for s in after.summaries] == [s.content for s in before.summaries]


def test_a_file_that_cannot_be_renamed_is_said(tmp_path: Path) -> None:
    folder = cl2.report(tmp_path / "r")
    (folder / named("Timer").replace(":", "-")).mkdir()
    with pytest.raises(StorageError, match=r"Timer_.*: cannot be renamed"):
        make_portable(folder)


def test_the_availability_is_a_share_and_the_gap_is_in_seconds(tmp_path: Path) -> None:
    found = read_report(cl2.report(tmp_path / "r"), ())
    assert [s.content for s in found.summaries if s.method == "APIAvailability"] == [
        ApiAvailability(0.995, 62.5)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0.0),
        ("1m2.5s", 62.5),
        ("1h0m0s", 3600.0),
        ("250ms", 0.25),
        ("1.5µs", 1.5e-6),
        ("100ns", 1e-7),
    ],
)
def test_durations_of_go_are_read(text: str, expected: float) -> None:
    assert parse_duration(text) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 59), st.integers(0, 59_999))
def test_any_duration_that_go_writes_is_read(hours: int, minutes: int, ms: int) -> None:
    text = f"{hours}h{minutes}m{ms / 1000:g}s" if hours else f"{minutes}m{ms / 1000:g}s"
    assert parse_duration(text) == pytest.approx(3600 * hours + 60 * minutes + ms / 1000)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1s ", "1.2.3s", "1d", "٣s", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_a_hundred_reports_are_read(tmp_path: Path) -> None:
    found: list[ClusterLoader2Report] = []
    for number in range(100):
        folder = as_written(RECORDED[number % len(RECORDED)], tmp_path / f"{number}")
        found.append(read_report(folder, SMOKE[:2]))
    assert sum(len(report.steps) for report in found) == 25 * (9 + 8 + 18 + 18)
    assert not any(report.missing or report.empty for report in found)
