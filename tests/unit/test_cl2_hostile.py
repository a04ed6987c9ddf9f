"""A report may be damaged, forged or no report: each fault is one sentence that names the file."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.drivers.clusterloader2 import report
from pipeline.drivers.clusterloader2.readings import readings, warnings
from pipeline.drivers.clusterloader2.report import read_report
from pipeline.system.errors import LoadError
from tests import cl2
from tests.cl2 import case, junit, named

TIMER = json.dumps(cl2.TIMED)


def changed(old: str, new: str) -> str:
    assert old in TIMER
    return TIMER.replace(old, new)


@pytest.mark.parametrize(
    ("summary", "text", "said"),
    [
        pytest.param("Timer", "", "not JSON", id="nothing"),
        pytest.param("Timer", TIMER[:-9], "not JSON", id="cut off"),
        pytest.param("Timer", TIMER + TIMER, "not JSON", id="twice"),
        pytest.param("Timer", changed("7.5", "NaN"), "NaN is not a number", id="NaN"),
        pytest.param("Timer", changed("7.5", "-Infinity"), "-Infinity is not", id="infinity"),
        pytest.param("Timer", changed("7.5", "1e999"), "too large a number", id="1e999"),
        pytest.param("Timer", changed("7.5", "9" * 400), "too large a number", id="huge"),
        pytest.param("Timer", changed("7.5", "9" * 5000), "too large a number", id="5,000 digits"),
        pytest.param("Timer", changed("7.5", '"7"'), "dataItems.0.data.total", id="text"),
        pytest.param("Timer", changed("7.5", "true"), "dataItems.0.data.total", id="truth"),
        pytest.param("Timer", changed("7.5", "null"), "dataItems.0.data.total", id="null"),
        pytest.param("Timer", changed('"v1"', '"v2"'), "version is `v2`", id="version"),
        pytest.param("Timer", changed('"v1"', "1"), "version", id="version as a number"),
        pytest.param("Timer", changed('"unit": "s", ', ""), "dataItems.0.unit", id="no unit"),
        pytest.param("Timer", changed('"phases"', "{}"), "dataItems.0.labels.test", id="label"),
        pytest.param(
            "Timer", changed('"total"', '"total": 1, "total"'), "`total` is there twice", id="keys"
        ),
        pytest.param("Timer", changed("phases", "\\ud800"), "is not Unicode", id="surrogate"),
        pytest.param("Timer", "[" * 100_000, "nested more than", id="deep"),
        pytest.param("Timer", "[]", "a valid dictionary", id="list"),
        pytest.param("Timer", "\ufeff" + TIMER, "not JSON", id="byte order mark"),
        pytest.param("APIAvailability", "{}", "clusterMetrics", id="no availability"),
        pytest.param(
            "APIAvailability",
            json.dumps(cl2.AVAILABLE).replace("99.5", "101"),
            "availabilityPercentage",
            id="101 %",
        ),
        pytest.param(
            "APIAvailability",
            json.dumps(cl2.AVAILABLE).replace("1m2.5s", "soon"),
            "`soon` is not a duration",
            id="duration",
        ),
    ],
)
def test_a_summary_that_is_wrong_is_refused_with_its_file_and_the_fault(
    tmp_path: Path, summary: str, text: str, said: str
) -> None:
    folder = cl2.report(tmp_path / "report", {summary: text})
    with pytest.raises(LoadError, match="report/") as refused:
        read_report(folder, ())
    assert f"{folder / named(summary)}: " in f"{refused.value}"
    assert said in f"{refused.value}"
    assert len(f"{refused.value}") < 400 + len(f"{folder}")


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    '<testsuite><testcase name="x overall (y)" time="1">&b;</testcase></testsuite>'
)
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite></testsuite>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "not XML", id="nothing"),
        pytest.param(junit()[:200], "not XML", id="cut off"),
        pytest.param(junit() + junit(), "not XML", id="twice"),
        pytest.param("<html></html>", "begins with <html>", id="a page"),
        pytest.param(BOMB, "declares a document type", id="entities"),
        pytest.param(OUTSIDE, "declares a document type", id="outside"),
        pytest.param(junit(case("x overall (y)") + "&a;"), "not XML", id="entity"),
        pytest.param(junit(case("x overall (y)") + "\x00"), "not XML", id="NUL"),
        pytest.param(junit("").replace("<testcase", ""), "there is no config", id="empty"),
        pytest.param(junit(case("create objects")), "neither a step nor a config", id="name"),
        pytest.param(junit(case("x overall (y)", "soon")), "no number of seconds", id="time"),
        pytest.param(junit(case("x overall (y)", "nan")), "no number of seconds", id="NaN"),
        pytest.param(junit(case("x overall (y)", "-1")), "no number of seconds", id="negative"),
        pytest.param(junit(case("x overall (y)", "")), "no number of seconds", id="no time"),
        pytest.param("<a>" * 100_000, "begins with <a>", id="deep"),
        pytest.param(
            junit(
                '<testcase name="a" time="1"><failure>'
                '<testcase name="b" time="1"/>x</failure></testcase>'
            ),
            "a case is in a case",
            id="nested",
        ),
    ],
)
def test_a_junit_file_that_is_wrong_is_refused(tmp_path: Path, text: str, said: str) -> None:
    folder = cl2.report(tmp_path / "report")
    (folder / "junit.xml").write_text(text, encoding="utf-8")
    with pytest.raises(LoadError) as refused:
        read_report(folder, ())
    assert f"{folder / 'junit.xml'}: " in f"{refused.value}"
    assert said in f"{refused.value}"


def _remove(path: Path) -> None:
    path.unlink()


def _link(path: Path) -> None:
    kept = path.rename(path.parent.parent / path.name)
    path.symlink_to(kept)


def _dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nonexistent")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _large(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(report.MAX_FILE_BYTES + 1)


def _latin(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\xe9")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(_link, "a link, and a report has none", id="link"),
        pytest.param(_dangle, "a link, and a report has none", id="dangling link"),
        pytest.param(_pipe, "not a regular file", id="pipe"),
        pytest.param(_folder, "not a regular file", id="folder"),
        pytest.param(_large, "larger than 8 MiB", id="large"),
        pytest.param(_latin, "not ", id="not UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["junit.xml", named("Timer")])
def test_what_is_no_file_of_a_usual_size_is_refused_at_once(
    tmp_path: Path, name: str, spoil: Callable[[Path], None], said: str
) -> None:
    folder = cl2.report(tmp_path / "report")
    spoil(folder / name)
    with pytest.raises(LoadError) as refused:
        read_report(folder, ())
    assert f"{folder / name}: " in f"{refused.value}"
    assert said in f"{refused.value}"


def test_a_run_that_left_no_junit_file_did_not_come_to_its_end(tmp_path: Path) -> None:
    folder = cl2.report(tmp_path / "report")
    _remove(folder / "junit.xml")
    with pytest.raises(LoadError, match="did not finish") as refused:
        read_report(folder, ())
    assert "clusterloader2.log" in refused.value.hint


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_REPORT_BYTES"])
def test_a_folder_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    folder = cl2.report(tmp_path / "report")
    monkeypatch.setattr(report, limit, 2)
    with pytest.raises(LoadError, match="no report has so many"):
        read_report(folder, ())


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(["junit.xml", *map(named, ("Timer", "APIAvailability"))]),
    at=st.integers(0, 2_000),
    put=st.binary(max_size=8),
    cut=st.integers(0, 40),
)
def test_damage_anywhere_is_read_or_refused_and_never_a_crash(
    tmp_path: Path, name: str, at: int, put: bytes, cut: int
) -> None:
    folder = cl2.report(tmp_path / "report")
    whole = (folder / name).read_bytes()
    start = at % len(whole)
    (folder / name).write_bytes(whole[:start] + put + whole[start + cut :])
    said = ""
    try:
        found = read_report(folder, ())
        readings(found)
        warnings(found)
    except LoadError as error:
        said = f"{error}"
    assert said == "" or f"{folder / name}: " in said
