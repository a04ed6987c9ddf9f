"""Texts of results.json that are no JSON of ours, or say what no run can have found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.storage import codec
from tests import pages
from tests.hostile.case import Case, body, edited, sample, text

_GOOD = codec.RESULTS.dumps(pages.measured())
_TEXT, _KEYS, _MEANING = "the strict JSON reader", "the schema", "what a result set means"
_NAMES = "the names of suites"


def _with(before: str, after: str) -> str:
    changed = _GOOD.replace(before, after, 1)
    assert changed != _GOOD
    return changed


def _many_metrics(found: dict[str, Any]) -> None:
    one = sample(found)
    for arm in ("baseline", "candidate"):
        found["samples"][arm] = [
            {"workload": "w", "metric": {**one["metric"], "name": f"m{n}"}, "values": one["values"]}
            for n in range(1001)
        ]


def _million() -> str:
    found = body()
    found["samples"]["candidate"] = []
    return json.dumps(found).replace('"candidate": []', f'"candidate": [{"{}," * 10**6}{{}}]')


def _value(value: object) -> Callable[[Path], Path]:
    return edited(lambda found: sample(found)["values"].__setitem__(0, value))


def _metric(**changes: object) -> Callable[[Path], Path]:
    return edited(lambda found: sample(found)["metric"].update(changes))


def _taken_at(time: str) -> Callable[[Path], Path]:
    return edited(lambda found: found.update(taken_at=time))


def _repeat(found: dict[str, Any]) -> None:
    found["samples"]["candidate"].append(sample(found))


def _too_many(found: dict[str, Any]) -> None:
    errors = sample(found, -1)
    errors.update(of=[10] * 5, values=[5] * 5)


JSON = [
    Case("empty", _TEXT, text(""), "not JSON"),
    Case("cut off", _TEXT, text(_GOOD[:-40]), "not JSON"),
    Case("3 MiB of spaces", _TEXT, text(_GOOD + " " * 3 * 2**20), "larger than 2 MiB"),
    Case("a million metrics", _TEXT, text(_million()), "larger than 2 MiB"),
    Case("half a million lists", _TEXT, text(f"[{'[],' * 500_000}[]]"), "more than 50000 values"),
    Case("bytes that are not UTF-8", _TEXT, text(_GOOD.encode() + b"\xff\xfe"), "not UTF-8"),
    Case("UTF-16", _TEXT, text(_GOOD.encode("utf-16")), "not UTF-8"),
    Case("half a surrogate", _TEXT, text(_with('"pr"', r'"\ud800"')), "not Unicode"),
    Case("100,000 brackets", _TEXT, text("[" * 100_000), "nested more than 16 deep"),
    Case("100 brackets", _TEXT, text("[" * 100 + "]" * 100), "nested more than 16 deep"),
    Case("NaN", _TEXT, text(_with("40.0", "NaN")), "NaN is not a number"),
    Case("-Infinity", _TEXT, text(_with("40.0", "-Infinity")), "Infinity is not a number"),
    Case("1e400", _TEXT, text(_with("40.0", "1e400")), "too large a number"),
    Case("1e308", _TEXT, text(_with("40.0", "1e308")), "too large a number"),
    Case("a number of 100 digits", _TEXT, text(_with("40.0", "9" * 100)), "too large a number"),
    Case("a number of 5,000 digits", _TEXT, text(_with("40.0", "9" * 5000)), "too large a number"),
    Case("a key twice", _TEXT, text(_with("{", '{"suite": "other",')), "`suite` is there twice"),
    Case("a margin twice", _TEXT, text(_with('"margin"', '"margin": 9, "margin"')), "twice"),
    Case("a text of 30 kB", _TEXT, edited(lambda b: b.update(suite="x" * 30_000)), "20000 charac"),
]

VALUES = [
    Case("a list", _KEYS, text("[1, 2]"), "its schema is None"),
    Case("the schema of a baseline", _KEYS, text(_with("results/1", "baseline/1")), "its schema"),
    Case("a newer schema", _KEYS, text(_with("results/1", "results/2")), "its schema is"),
    Case("no schema", _KEYS, edited(lambda b: b.pop("schema")), "its schema is None"),
    Case("a key that is not ours", _KEYS, edited(lambda b: b.update(pr=7)), "pr: "),
    Case(
        "a verdict in a sample",
        _KEYS,
        edited(lambda b: sample(b).update(verdict="unchanged")),
        "verdict: ",
    ),
    Case("a number as a text", _KEYS, _value("0.01"), "values"),
    Case("a third arm", _KEYS, edited(lambda b: b["samples"].update(third=[])), "third"),
    Case("an arm is gone", _MEANING, edited(lambda b: b["subjects"].pop("baseline")), "each arm"),
    Case("a value below zero", _MEANING, _value(-1), "not below zero"),
    Case("fewer than no pairs", _MEANING, edited(lambda b: b.update(pairs_asked=-5)), "at least"),
    Case("a share of 500 %", _MEANING, edited(_too_many), "between 0 and 1"),
    Case("a trial is gone", _MEANING, edited(lambda b: b["trials"].pop()), "in order"),
    Case("a pair below 0", _MEANING, edited(lambda b: b["trials"][0].update(pair=-1)), "range"),
    Case(
        "a value is gone", _MEANING, edited(lambda b: sample(b)["values"].pop()), "4 values for 5"
    ),
    Case(
        "a metric twice",
        _MEANING,
        edited(lambda b: b["samples"]["candidate"].append(sample(b))),
        "twice",
    ),
    Case(
        "a margin of 0", _MEANING, edited(lambda b: sample(b)["metric"].update(margin=0)), "margin"
    ),
    Case(
        "no time zone", _MEANING, edited(lambda b: b.update(taken_at="2026-01-02T03:04:05")), "zone"
    ),
    Case(
        "the year 10000",
        _KEYS,
        edited(lambda b: b.update(taken_at="10000-01-01T00:00:00Z")),
        "taken_at",
    ),
    Case("1,001 metrics", _NAMES, edited(_many_metrics), "more than 1000 metrics"),
    Case("10^9 pairs asked", _NAMES, edited(lambda b: b.update(pairs_asked=10**9)), "1000 pairs"),
    Case(
        "a unit of its own",
        _NAMES,
        edited(lambda b: sample(b)["metric"].update(unit="EUR")),
        "the unit",
    ),
]


NAMES = [
    Case("a metric of 10 kB", _NAMES, _metric(name="x" * 10_240), "cannot be the name of a metric"),
    Case("HTML as a metric", _NAMES, _metric(name="<img src=x onerror=y>"), "cannot be the name"),
    Case("a cell's end in a metric", _NAMES, _metric(name="a | b"), "cannot be the name"),
    Case("a mention as a metric", _NAMES, _metric(name="@org/team"), "cannot be the name"),
    Case(
        "our marker as a metric", _NAMES, _metric(name="<!-- milo-perf:report v=1 -->"), "cannot be"
    ),
    Case(
        "a terminal's escape in a metric", _NAMES, _metric(name="\x1b[31mred"), "cannot be the name"
    ),
    Case(
        "text that turns round in a metric", _NAMES, _metric(name="evil\u202egnp"), "cannot be the"
    ),
    Case("a line break in a metric", _NAMES, _metric(name="a\n::error::b"), "cannot be the name"),
    Case(
        "a letter of no width", _NAMES, _metric(name="p5\u200b0"), "cannot be the name of a metric"
    ),
    Case(
        "a suite that is a path",
        _NAMES,
        edited(lambda found: found.update(suite="../../etc/passwd")),
        "cannot be the name of a suite",
    ),
    Case(
        "a workload with a template",
        _NAMES,
        edited(lambda found: sample(found).update(workload="{{ 7*7 }}")),
        "cannot be the name of a workload",
    ),
]
