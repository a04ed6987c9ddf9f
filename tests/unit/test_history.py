"""`history`: files in, steps out, and every fault of a file with its line."""

import argparse
import dataclasses
import json
import random
from collections.abc import Sequence
from csv import QUOTE_ALL
from csv import writer as csv_writer
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.commands import history
from pipeline.commands.main import main
from pipeline.judge.history import MIN_POINTS, HistoryRule, acknowledge, analyze_series
from pipeline.model.history import (
    Acknowledgement,
    ChangePoint,
    HistorySeries,
    JudgedSeries,
    is_same_commit,
)
from pipeline.model.metric import Better
from pipeline.runs.history import points_csv
from pipeline.runs.history.source import Meaning
from pipeline.storage import acknowledged
from pipeline.system.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.strip)


def noisy(*levels: tuple[int, float], seed: int = 1, sd: float = 0.02) -> list[float]:
    """Return values about levels, each given as (points, level)."""
    draw = np.random.default_rng(seed)
    return [level * float(np.exp(draw.normal(0, sd))) for n, level in levels for _ in range(n)]


def csv(
    path: Path, values: Sequence[float], *, series: str = "", commits: bool | Sequence[str] = False
) -> Path:
    """Write a file with one point a day."""
    ids = [f"c{n}" for n in range(len(values))] if isinstance(commits, bool) else commits
    header = "time,value" + (",series" if series else "") + (",commit" if commits else "")
    days = np.datetime64("2025-01-01") + np.arange(len(values))
    rows = [
        f"{day},{value!r}" + (f",{series}" if series else "") + (f",{ids[n]}" if commits else "")
        for n, (day, value) in enumerate(zip(days, values, strict=True))
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def shown(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, Any]]:
    """Return what `--json` says."""
    assert main(["history", str(path), "--json", *more]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["series"]
    return found


def test_a_step_is_told_with_place_size_and_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "x.csv", noisy((60, 5.0), (40, 5.5)), series="get", commits=True)
    (found,) = shown(path, capsys)
    assert found["series"] == "get"
    (change,) = found["changes"]
    assert (change["index"], change["time"]) == (60, "2025-03-02")
    assert (change["commit_before"], change["commit"]) == ("c59", "c60")
    assert change["low"] < 0.1 < change["high"]
    assert change["high"] - change["low"] < 0.03
    assert change["worse"] is True


def test_lines_in_any_order_are_put_in_the_order_of_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "x.csv", noisy((30, 5.0), (30, 6.0)), commits=True)
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(lines)]))
    (found,) = shown(path, capsys)
    assert [c["commit"] for c in found["changes"]] == ["c30"]
    assert "sorted" in str(found["notes"])


def test_series_of_one_file_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = csv(tmp_path / "a.csv", noisy((30, 5.0), (30, 6.0)), series="one").read_text()
    two = csv(tmp_path / "b.csv", noisy((60, 900.0)), series="two").read_text()
    path = tmp_path / "both.csv"
    path.write_text(one + two.partition("\n")[2])
    found = shown(path, capsys)
    assert [(s["series"], len(s["changes"])) for s in found] == [("one", 1), ("two", 0)]


def _series(path: Path, size: int = 1_000_000) -> list[tuple[JudgedSeries, list[str], list[str]]]:
    """Return each series of a file, with the time and the commit of each of its points."""
    source = points_csv.read(path, Meaning(), size)
    found = []
    for one in sorted(source.series, key=lambda one: one.series.name):
        places = source.find_refs(set(one.rows.tolist()), set())
        there = [places[row] for row in one.rows.tolist()]
        judged = dataclasses.replace(analyze_series(one.series, HistoryRule()), notes=())
        series = dataclasses.replace(judged.series, notes=())
        times, commits = ([getattr(p, name) for p in there] for name in ("time", "commit"))
        found.append((dataclasses.replace(judged, series=series), times, commits))
    return found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4, unique_by=lambda one: one[0]),
    order=st.randoms(),
    size=st.integers(1, 400),
)
def test_neither_names_nor_order_nor_blocks_change_a_history(
    names: list[tuple[str, str]], order: random.Random, size: int, tmp_path: Path
) -> None:
    lines = [
        [f"2025-03-{day:02}", name, repr(1 + day / 1000 + (day > number + 8)), f"{commit}{day}"]
        for number, (name, commit) in enumerate(names)
        for day in range(1, 17)
    ]

    def written(lines: list[list[str]]) -> Path:
        path = tmp_path / "x.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv_writer(file, quoting=QUOTE_ALL)
            rows.writerows([["time", "series", "value", "commit"], *lines])
        return path

    whole = _series(written(lines))
    assert [judged.series.name for judged, _, _ in whole] == sorted(name for name, _ in names)
    for judged, times, commits in whole:
        ((number, commit),) = [(n, c) for n, (s, c) in enumerate(names) if s == judged.series.name]
        assert [step.index for step in judged.steps] == [number + 8]
        assert times == [f"2025-03-{day:02}" for day in range(1, 17)]
        assert commits == [f"{commit}{day}" for day in range(1, 17)]
    assert _series(written(order.sample(lines, len(lines))), size) == whole


@pytest.mark.parametrize("power", [-30, -9, 3, 12, 30])
def test_the_unit_of_values_does_not_change_their_steps(power: int, tmp_path: Path) -> None:
    values = [round(value, 6) for value in noisy((30, 5.0), (30, 5.6), sd=0.03)]
    path = tmp_path / "x.csv"

    def places(power: int) -> list[tuple[int, float]]:
        rows = "".join(f"{n},{value}e{power}\n" for n, value in enumerate(values))
        path.write_text(f"time,value\n{rows}")
        ((judged, _, _),) = _series(path)
        return [(step.index, round(step.change, 9)) for step in judged.steps]

    assert places(power) == places(0)
    assert places(0)


def test_what_a_series_means_may_be_said_in_any_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,value,scale,better\n1,-2,,\n2,3,difference,\n3,0, , higher\n")
    ((judged, _, _),) = _series(path)
    assert (judged.series.scale, judged.series.better) == ("difference", "higher")


def test_a_smallest_step_of_several_hundred_percent_is_questioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "x.csv", noisy((30, 5.0), (30, 6.0)))
    assert main(["history", str(path), "--least", "5"]) == 2
    error = capsys.readouterr().err
    assert "--least: `5` is 500 %" in error
    assert "Write `5%`" in error
    assert main(["history", str(path), "--least", "5", "--scale", "difference"]) == 0


@pytest.mark.parametrize("scale", ["ratio", "difference"])
def test_values_beyond_what_squares_hold_are_refused(
    scale: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"time,value,scale\n1,2,{scale}\n2,1e308,{scale}\n")
    assert main(["history", str(path)]) == 2
    assert ":3: value: `1e+308` is not between" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("time,value\n", "no line but the first", id="no points"),
        pytest.param(
            "when,value\n1,2\n",
            ":1: the column `time` is missing; there are: when, value",
            id="column missing",
        ),
        pytest.param("time,value\n1,2\n2,fast\n", ":3: value: `fast` is not a number", id="text"),
        pytest.param("time,value\n1,2\n2,nan\n", ":3: value: `nan` is not a finite", id="NaN"),
        pytest.param("time,value\n1,2\n2,\n", ":3: value: `` is not a number", id="no value"),
        pytest.param("time,value\n1,2\n2,inf\n", ":3: value: `inf` is not a finite", id="infinite"),
        pytest.param("time,value\n1,2\n2,0\n", ":3: value: `0` is not above 0", id="zero"),
        pytest.param("time,value\n1,2\n2,-3\n", ":3: value: `-3` is not above 0", id="negative"),
        pytest.param(
            "time,value\n2025-01-01,2\nsoon,3\n",
            ":3: time: `soon` is not a date, as the",
            id="no time",
        ),
        pytest.param(
            "time,value\n1,2\n2,3\n1.0,4\n",
            ":4: time: `1.0` is not later or earlier than that of line 2",
            id="same time twice",
        ),
        pytest.param(
            "time,value,scale\n1,2,ratio\n2,3,log\n",
            ":3: scale: `log` is not `ratio` or",
            id="unknown scale",
        ),
        pytest.param(
            "time,value,better\n1,2,lower\n2,3,higher\n",
            ":3: better: `higher` is not `lower`, as earlier",
            id="two directions",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert main(["history", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_another_encoding_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,value,series\n1,2,größe\n", encoding="latin-1")
    assert main(["history", str(path)]) == 2
    assert "x.csv:2: not UTF-8" in capsys.readouterr().err


def test_times_may_be_written_in_other_ways(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,value\n2024.01.02 3:00:00 +0100,2\n2024.01.01 3:00:00 +0100,1\n")
    (series,) = points_csv.read(path, Meaning()).series
    assert tuple(series.series.values) == (1.0, 2.0)


def test_values_below_zero_have_steps_as_amounts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(1).normal([0.0] * 40 + [3.0] * 40, 0.5).tolist()
    (found,) = shown(csv(tmp_path / "x.csv", values), capsys, "--scale", "difference")
    (change,) = found["changes"]
    assert change["low"] < 3.0 < change["high"]


def test_constant_values_have_no_step_and_no_interval_is_divided_by_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (flat,) = shown(csv(tmp_path / "x.csv", [2.0] * 50), capsys)
    assert flat["changes"] == []
    (stepped,) = shown(csv(tmp_path / "y.csv", [2.0] * 25 + [3.0] * 25), capsys)
    (change,) = stepped["changes"]
    assert change["change"] == pytest.approx(0.5)
    assert change["low"] == change["high"] == change["change"]


def test_a_series_too_short_has_no_step_and_says_so() -> None:
    judged = analyze_series(HistorySeries("x", (1.0, 9.0, 9.0)), HistoryRule())
    assert judged.steps == ()
    assert judged.needed == MIN_POINTS


def test_the_oldest_points_of_a_long_series_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = noisy((100, 1.0), (1900, 5.0), (100, 6.0))
    (found,) = shown(csv(tmp_path / "x.csv", values), capsys)
    assert [c["index"] for c in found["changes"]] == [2000]
    assert "100 oldest points" in str(found["notes"])


def test_a_step_too_small_to_matter_is_left_out_unless_asked_for() -> None:
    line = HistorySeries("x", noisy((100, 1.0), (100, 1.015), sd=0.002))
    assert analyze_series(line, HistoryRule()).steps == ()
    (step,) = analyze_series(line, HistoryRule(least=0.01)).steps
    assert step.index == 100


@pytest.mark.parametrize(
    ("better", "change", "worse"),
    [(Better.LOWER, 1.2, True), (Better.LOWER, 0.8, False), (Better.HIGHER, 0.8, True)],
)
def test_worse_is_away_from_better(better: Better, change: float, worse: bool) -> None:  # noqa: FBT001 (of a table)
    (step,) = analyze_series(
        HistorySeries("x", noisy((40, 1.0), (40, change)), better=better), HistoryRule()
    ).steps
    assert step.is_worse is worse
    assert step.alarms is worse


def test_a_ratio_of_a_value_that_is_not_above_zero_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="above 0"):
        HistorySeries("x", (1.0, 0.0))


def judged_at(*indexes: int) -> JudgedSeries:
    """Return a history with steps for the worse at these places."""
    steps = tuple(ChangePoint(index, 0.1, 0.05, 0.15, is_worse=True) for index in indexes)
    return JudgedSeries(HistorySeries("get", tuple([1.0] * 50)), steps)


def test_an_acknowledged_step_does_not_alarm_and_is_still_there() -> None:
    said = [Acknowledgement("get", "audit log", commit="abc")]
    found = acknowledge(judged_at(10, 30), said, {"abc": [31]})
    assert [step.acknowledged for step in found.steps] == ["", "audit log"]
    assert [step.alarms for step in found.steps] == [True, False]


def test_an_acknowledgement_of_nothing_is_said() -> None:
    said = [
        Acknowledgement("get", "why", index=20),
        Acknowledgement("get", "why", commit="gone"),
        Acknowledgement("another", "why", index=10),
    ]
    found = acknowledge(judged_at(10), said, {})
    assert found.steps[0].alarms
    assert [note.split(",")[0] for note in found.notes] == [
        "acknowledged at index 20",
        "acknowledged at commit gone",
    ]


def test_the_file_of_acknowledgements_silences_the_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "x.csv", noisy((30, 5.0), (30, 6.0)), series="get", commits=True)
    assert main(["history", str(path), "--alarm"]) == 3
    known = tmp_path / "known.toml"
    known.write_text('[[acknowledged]]\nseries = "get"\ncommit = "c30"\nreason = "audit log"\n')
    capsys.readouterr()
    assert main(["history", str(path), "--alarm", "--acknowledged", str(known)]) == 0
    out = capsys.readouterr().out
    assert "△ 30  2025-01-31  c29..c30" in out
    assert "acknowledged: audit log" in out


def test_acknowledgements_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text('{"acknowledged": [{"series": "get", "index": 3, "reason": "why"}]}')
    assert acknowledged.steps(path) == (Acknowledgement("get", "why", index=3),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[[acknowledged]\n", "not TOML", id="no TOML"),
        pytest.param("[[acknowledged]]\nseries='a'\n", "reason: Field required", id="no reason"),
        pytest.param(
            "[[acknowledged]]\nseries='a'\nreason='r'\n", "by its `commit` or", id="no place"
        ),
        pytest.param(
            "[[acknowledged]]\nseries='a'\nreason='r'\nindex=1\nwhy='x'\n",
            "why: this version does not know the key",
            id="key",
        ),
        pytest.param(
            "[[acknowledged]]\nseries='a'\nreason=' '\nindex=1\n", "say why", id="empty reason"
        ),
    ],
)
def test_acknowledgements_that_cannot_be_used_are_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        acknowledged.steps(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        acknowledged.steps(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("least", "scale", "code"),
    [("1", "ratio", 2), ("100%", "ratio", 0), ("1", "difference", 0), ("5%", "difference", 2)],
)
def test_a_smallest_step_says_whether_it_is_a_share_or_an_amount(
    least: str, scale: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "x.csv", noisy((30, 5.0), (30, 6.0)))
    assert main(["history", str(path), "--least", least, "--scale", scale]) == code
    assert ("--least" in capsys.readouterr().err) is (code == 2)


COMMITS = [f"{number:02x}7d0e3a51c9{number:028x}" for number in range(60)]


@pytest.mark.parametrize(
    ("named", "note"),
    [
        (COMMITS[30], ""),
        (COMMITS[30][:12], ""),
        (COMMITS[30][:7].upper(), ""),
        (COMMITS[55][:12], "but there is no step (any more)"),
        ("0123456789ab", "which no point of it has"),
    ],
)
def test_a_step_is_acknowledged_by_the_commit_that_is_printed(
    named: str, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = noisy((30, 5.0), (30, 6.0))
    path = csv(tmp_path / "x.csv", values, commits=COMMITS)
    known = tmp_path / "known.toml"
    known.write_text(f'[[acknowledged]]\nseries = "value"\ncommit = "{named}"\nreason = "audit"\n')
    code = main(["history", str(path), "--alarm", "--acknowledged", str(known)])
    said = " ".join(capsys.readouterr().out.split())
    assert code == (3 if note else 0)
    assert note in said
    assert f"..{COMMITS[30][:12]} " in said


def test_a_beginning_of_several_commits_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = [f"1077d0e{number:033x}" for number in range(60)]
    path = csv(tmp_path / "x.csv", noisy((30, 5.0), (30, 6.0)), commits=commits)
    known = tmp_path / "known.toml"
    known.write_text('[[acknowledged]]\nseries = "value"\ncommit = "1077d0e"\nreason = "audit"\n')
    assert main(["history", str(path), "--acknowledged", str(known)]) == 2
    assert "begins several" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("v0.32.1", "v0.32.10", False),
        ("2025030", "20250301", False),
        ("00048", "00048123", False),
        ("ABCDEF1", "abcdef1", True),
        ("sha256:" + "a" * 12, "sha256:" + "a" * 64, True),
        ("1234567", "1234567" + "8" * 33, True),
    ],
)
def test_only_commit_ids_are_abbreviated(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert is_same_commit(one, other) is is_same_commit(other, one) is same


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_compact_dates_have_days(form: str, tmp_path: Path) -> None:
    begin = datetime(2025, 1, 6, 3, 0, 30, tzinfo=UTC)
    nights = [begin + timedelta(days=n) for n in range(84)]
    path = tmp_path / "x.csv"
    lines = [f"{night.strftime(form)},{1.5 + n}" for n, night in enumerate(nights)]
    path.write_text("\n".join(["time,value", *lines]))
    ((judged, _, _),) = _series(path)
    first = (begin - datetime(1970, 1, 1, tzinfo=UTC)).days
    assert list(judged.series.days) == list(range(first, first + 84))


@pytest.mark.parametrize("first", [1, 20251340, 20250199, 1_735_700_000, 2_025_019_999])
def test_numbers_that_are_no_dates_have_other_days(first: int, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = [f"{first + n},{1.5 + n}" for n in range(12)]
    path.write_text("\n".join(["time,value", *lines]))
    ((judged, _, _),) = _series(path)
    day = first // 86_400
    assert list(judged.series.days) == ([day] * 12 if first >= 10**8 else [])


def test_versions_of_a_changed_worktree_follow_their_commit(tmp_path: Path) -> None:
    versions = [f"v0.32.0-{n}-g000000{n}" for n in range(1, 9)]
    versions[1:1], versions[5:5] = [f"{versions[0]}-dirty"], [f"{versions[3]}-dirty"]
    versions = ["v0.32.0", "v0.32.0-dirty", *versions]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time,value", *(f"{v},{n + 1}" for n, v in enumerate(versions))]))
    ((judged, _, _),) = _series(path)
    assert list(judged.series.values) == list(range(1, len(versions) + 1))
    assert not judged.notes


def test_sizes_are_read_as_shares_or_numbers() -> None:
    assert history.least_rule("2%") == HistoryRule(0.02, is_percent=True)
    assert history.least_rule("0.05") == HistoryRule(0.05)
    for wrong in ("-1", "nan", "much"):
        with pytest.raises(argparse.ArgumentTypeError, match="not a size"):
            history.least_rule(wrong)
