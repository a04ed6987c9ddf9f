"""Read junit.xml of ClusterLoader2: how long each step took, and what failed.

Its counts are not read: `tests` is 0, whatever ran.  The parser is expat itself, told to refuse a
document type, because entities that are declared there are all that can make a small file large or
reach for another; what is left is bounded by the size of the file, so no other library is needed.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from pipeline.drivers.clusterloader2.files import HINT, read_bytes
from pipeline.drivers.clusterloader2.reported import Overall, Step
from pipeline.system.errors import LoadError
from pipeline.system.sanitize import clipped

NAME = "junit.xml"

_STEP = re.compile(
    r"(?P<config>.*?): \[step: (?P<number>\d{1,6})\] (?P<name>.*?)"
    r"(?: \[\d{2,6}\] - (?P<measurement>.*))?",
    re.DOTALL,
)
_OVERALL = re.compile(r"(?P<config>.*?) overall \(.*\)", re.DOTALL)


@dataclass(slots=True)
class _Case:
    name: str
    duration_s: float
    failures: list[str] = field(default_factory=list)


def read_junit(folder: Path) -> tuple[tuple[Overall, ...], tuple[Step, ...]]:
    """Return the configs and the steps that a report tells of.

    Raises:
        LoadError: The file is missing, or not what ClusterLoader2 writes.
    """
    path = folder / NAME
    if not path.exists() and not path.is_symlink():
        raise LoadError(
            f"{path}: there is none, so ClusterLoader2 did not come to its end", hint=HINT
        )
    overall, steps = [], []
    for case in _cases(path):
        failure = "\n".join(case.failures)
        if found := _STEP.fullmatch(case.name):
            measurement = found["measurement"] or ""
            number = int(found["number"])
            steps.append(
                Step(
                    *(found["config"], number, found["name"], measurement),
                    *(case.duration_s, failure),
                )
            )
        elif found := _OVERALL.fullmatch(case.name):
            overall.append(Overall(found["config"], case.duration_s, failure))
        else:
            raise LoadError(
                f"{path}: `{clipped(case.name, 80)}` is neither a step nor a config", hint=HINT
            )
    if not overall:
        raise LoadError(f"{path}: there is no config in it", hint=HINT)
    return tuple(overall), tuple(steps)


def _cases(path: Path) -> list[_Case]:
    cases = _Cases(path)
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = cases.refuse
    parser.StartElementHandler = cases.start
    parser.CharacterDataHandler = cases.text
    parser.EndElementHandler = cases.end
    try:
        parser.Parse(read_bytes(path), True)  # noqa: FBT003  # expat has no name for it
    except expat.ExpatError as error:
        raise LoadError(f"{path}: not XML: {error}", hint=HINT) from error
    return cases.found


@dataclass(slots=True)
class _Cases:
    """What expat calls."""

    path: Path
    found: list[_Case] = field(default_factory=list)
    within: list[str] = field(default_factory=list)

    def refuse(self, *_: object) -> NoReturn:
        raise LoadError(
            f"{self.path}: it declares a document type, and a report has none", hint=HINT
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.within and tag not in ("testsuite", "testsuites"):
            raise LoadError(
                f"{self.path}: not JUnit: it begins with <{clipped(tag, 40)}>", hint=HINT
            )
        if tag == "testcase" and tag in self.within:
            raise LoadError(f"{self.path}: not JUnit: a case is in a case", hint=HINT)
        self.within.append(tag)
        if tag == "testcase":
            name = attributes.get("name", "")
            self.found.append(_Case(name, _seconds(self.path, attributes)))
        elif self._fails():
            self.found[-1].failures.append("")

    def text(self, said: str) -> None:
        if self._fails():
            self.found[-1].failures[-1] += said

    def end(self, _tag: str) -> None:
        if self._fails():
            self.found[-1].failures[-1] = _said(self.found[-1].failures[-1])
        self.within.pop()

    def _fails(self) -> bool:
        return self.within[-2:] in (["testcase", "failure"], ["testcase", "error"])


def _seconds(path: Path, attributes: dict[str, str]) -> float:
    said = attributes.get("time", "")
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise LoadError(
            f"{path}: the time of `{clipped(attributes.get('name', ''), 80)}` is"
            f" `{clipped(said, 40)}`,"
            " and no number of seconds",
            hint=HINT,
        )
    return value


def _said(text: str) -> str:
    """Return a failure without the places in code that it is framed by, which are always empty."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line not in ("", ":0")) or "it failed"
