"""Render the Go benchmark format, which `benchstat -col arm FILE` reads.

Each valid pair is one iteration of both arms, so the two are interleaved as they were measured.
Times are `sec/op` and amounts `B/op`, where one operation is one trial.  Lines with `#` are
comments to every reader of the format.

Source:
    https://golang.org/design/14313-benchmark-format; golang.org/x/perf/benchfmt for `Unit` lines.
"""

import re
from collections.abc import Iterator

from pipeline.model.report import Report
from pipeline.model.subject import Arm
from pipeline.render.exports import ExportData, distinct, encode, unit_name
from pipeline.render.numbers import count
from pipeline.system.sanitize import truncate

_UNITS = {"s": "sec/op", "B": "B/op", "1/s": "op/s", "1": "value", "x": "ratio"}
_MAX_TEXT = 300  # characters of a comment or a value
_OWN = "/_.,:+-()[]{}@"  # safe in a name beside letters and digits


def benchfmt(data: ExportData) -> str:
    """Render every value of both arms; the same data give the same bytes."""
    names = distinct(_name(one.name) for one in data.metrics)
    units = [encode(unit_name(one.metric, _UNITS), _is_name) for one in data.metrics]
    better = {unit: m.metric.better.value for unit, m in zip(units, data.metrics, strict=True)}
    lines = [*_head(data), *(f"Unit {unit} better={way}" for unit, way in sorted(better.items()))]
    iterations = max((len(v) for one in data.metrics for v in one.values.values()), default=0)
    for iteration in range(iterations):
        for arm in Arm:
            lines += ["", f"arm: {arm.value}"]
            for one, name, unit in zip(data.metrics, names, units, strict=True):
                value = next(iter(one.values[arm][iteration : iteration + 1]), None)
                if value is not None:
                    lines.append(f"Benchmark{name} 1 {value!r} {unit}")
    return "\n".join([*lines, ""])


def _head(data: ExportData) -> Iterator[str]:
    if data.run is not None:
        yield from _run(data.run)
    for one in data.metrics:
        for arm, bounds in one.bounds.items():
            if bounds:
                values = count(bounds, "lower bound")
                yield f"# {encode(one.name)}: {values} of the {arm}, cut off by a deadline"


def _run(report: Report) -> Iterator[str]:
    """Yield what both arms share as configuration, and what differs as comments.

    benchstat makes a table of its own for each value of a configuration.
    """
    results = report.results
    yield f"# {report.verdict}, measured at {results.taken_at.isoformat(timespec='seconds')}"
    for arm in Arm:
        yield f"# {arm}: {truncate(results.subjects[arm].spec, _MAX_TEXT)}"
    facts = {"suite": results.suite, "environment": results.environment}
    if cpu := results.machine.fingerprint.get("cpu"):
        facts["cpu"] = cpu
    for key, value in facts.items():
        yield f"{key}: {truncate(value, _MAX_TEXT)}"


def _name(text: str) -> str:
    """Return the name of a benchmark after `Benchmark`: no space, no small first letter.

    A name that ends with a hyphen and digits would be taken for one with its GOMAXPROCS.
    """
    name = encode(text, _is_name)
    name = f"%{ord(name[0]):02X}{name[1:]}" if "A" <= name[0] <= "Z" else name
    return re.sub(r"-(?=\d+$)", "%2D", f"{name[0].upper()}{name[1:]}")


def _is_name(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in _OWN)
