"""Read the folder that a run of ClusterLoader2 leaves: its steps, its summaries, what is missing.

A run writes `junit.xml` and, for each measurement that was gathered, `SUMMARY_CONFIG_TIME.json`; a
run that crashed writes neither.  A measurement without a Prometheus writes no file and reports no
failure, so the summaries that a config asks for are compared with the files.  The files may be
damaged, endless, or not regular files.
"""

import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from pipeline.drivers.clusterloader2.wire import (
    HINT,
    LATENCY,
    METHODS,
    QUERY,
    ClusterLoader2Report,
    ExpectedSummary,
    ReportedConfig,
    ReportedStep,
    ReportSummary,
    parse_summary,
)
from pipeline.storage import strict_json
from pipeline.system.errors import LoadError, StorageError
from pipeline.system.sanitize import truncate

JUNIT = "junit.xml"

MAX_FILE_BYTES = 8 * 2**20
"""Size limit of one file; latencies of 1,000 kinds of requests have 0.3 MiB."""

MAX_FILES = 1_000
MAX_REPORT_BYTES = 64 * 2**20
"""Limits of a whole report."""

# The time has `:` as ClusterLoader2 writes it, and `-` after `make_portable`.
_SUMMARY_FILE = re.compile(
    r"(?P<name>.+)_(?P<day>\d{4}-\d\d-\d\d)T(?P<time>\d\d[:-]\d\d[:-]\d\d)"
    r"(?P<zone>Z|[+-]\d\d[:-]\d\d)\.json",
    re.ASCII | re.DOTALL,
)
_UNPORTABLE = re.compile(r'[":<>|*?\r\n]')
_STEP_CASE = re.compile(
    r"(?P<config>.*?): \[step: (?P<number>\d{1,6})\] (?P<name>.*?)"
    r"(?: \[\d{2,6}\] - (?P<measurement>.*))?",
    re.DOTALL,
)
_CONFIG_CASE = re.compile(r"(?P<config>.*?) overall \(.*\)", re.DOTALL)


def read_report(folder: Path, expected: Sequence[ExpectedSummary]) -> ClusterLoader2Report:
    """Return the content of a report; files of unknown measurements are ignored.

    Two expected summaries with the same name need two files.

    Raises:
        LoadError: A file that every run leaves is missing, or a file is not what ClusterLoader2
            writes: cut off, of another version, not a number, a link, too large.
    """
    configs, steps = read_junit(folder)
    config_names = [one.config for one in configs]
    methods = {one.name: one.method for one in expected}
    summaries = []
    for path in _list_files(folder):
        if (parts := _parse_file_name(path, config_names)) is None:
            continue
        name, at = parts
        if method := _method_of(name, methods):
            content = parse_summary(path, method, read_json(path))
            summaries.append(ReportSummary(name, method, at, content))
    summaries.sort(key=lambda summary: (summary.at, summary.name))
    missing, empty, left = [], [], list(summaries)
    for one in expected:
        summary = next((s for s in left if (s.name, s.method) == (one.name, one.method)), None)
        if summary is None:
            missing.append(one)
            continue
        left.remove(summary)
        if summary.is_empty:
            empty.append(one)
    return ClusterLoader2Report(configs, steps, tuple(summaries), tuple(missing), tuple(empty))


def make_portable(folder: Path) -> None:
    """Rename the files of a report so that every file system and GitHub accept them.

    A name with `:` makes GitHub refuse the whole artifact.  `read_report` reads both forms.
    """
    for path in sorted(folder.iterdir()):
        portable = path.with_name(_UNPORTABLE.sub("-", path.name))
        if portable == path:
            continue
        try:
            path.rename(portable)
        except OSError as error:
            raise StorageError(f"{path}: cannot be renamed: {error.strerror}") from error


def _list_files(folder: Path) -> Iterator[Path]:
    size = 0
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries, start=1):
            size += entry.stat(follow_symlinks=False).st_size
            if number > MAX_FILES or size > MAX_REPORT_BYTES:
                raise LoadError(
                    f"{folder}: more than {MAX_FILES} files or {MAX_REPORT_BYTES >> 20} MiB, and no"
                    " report has so many",
                    hint=HINT,
                )
            if entry.name.endswith(".json"):
                yield Path(entry.path)


def _parse_file_name(path: Path, configs: Sequence[str]) -> tuple[str, datetime] | None:
    """Return the name and the time of a summary, or None if the file is not a summary.

    Both the name of a summary and that of a config may contain `_`, which also separates the two.
    """
    if (match := _SUMMARY_FILE.fullmatch(path.name)) is None:
        return None
    try:
        zone = match["zone"]
        zone = zone[0] + zone[1:].replace("-", ":")
        at = datetime.fromisoformat(f"{match['day']}T{match['time'].replace('-', ':')}{zone}")
    except ValueError:
        return None
    rest = match["name"]
    for config in sorted(configs, key=len, reverse=True):
        if parts := re.fullmatch(rf"(.+)_{re.escape(config)}(?:_[^_]+)?", rest, re.DOTALL):
            return parts[1], at
    return rest.partition("_")[0], at


def _method_of(name: str, expected: dict[str, str]) -> str:
    """Return the measurement whose summaries have this name; empty if it is unknown."""
    if name in expected:
        return expected[name]
    if name.startswith(f"{QUERY} "):
        return QUERY
    if name.startswith(f"{LATENCY}_"):  # upstream's own configs use it for a simple query
        return LATENCY
    return name if name in METHODS else ""


def _read_bytes(path: Path) -> bytes:
    """Return the content of a regular file of limited size; links are not followed."""
    try:
        # O_NONBLOCK: a pipe would wait for a writer.  O_NOFOLLOW: a link may leave the report.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_regular = stat.S_ISREG(os.fstat(number).st_mode)
            content = b""
            if is_regular:
                with os.fdopen(number, "rb", closefd=False) as file:
                    content = file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(number)
    except OSError as error:
        why = "a link, and a report has none" if path.is_symlink() else error.strerror
        raise LoadError(f"{path}: cannot be read: {why}", hint=HINT) from error
    if not is_regular:
        raise LoadError(f"{path}: not a regular file", hint=HINT)
    if len(content) > MAX_FILE_BYTES:
        raise LoadError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB", hint=HINT)
    return content


def read_json(path: Path) -> Any:  # noqa: ANN401  # the caller checks the type
    """Return the JSON value of a file of limited size, with finite numbers and unique keys."""
    try:
        return strict_json.loads(_read_bytes(path))
    except ValueError as error:
        raise LoadError(f"{path}: {error}", hint=HINT) from error


def read_junit(folder: Path) -> tuple[tuple[ReportedConfig, ...], tuple[ReportedStep, ...]]:
    """Return the configs and the steps in junit.xml, whose count `tests` is always 0."""
    path = folder / JUNIT
    if not path.exists() and not path.is_symlink():
        raise LoadError(f"{path}: the file is missing, so ClusterLoader2 did not finish", hint=HINT)
    configs, steps = [], []
    for case in _parse_cases(path):
        failure = "\n".join(case.failures)
        if match := _STEP_CASE.fullmatch(case.name):
            steps.append(
                ReportedStep(
                    config=match["config"],
                    number=int(match["number"]),
                    name=match["name"],
                    measurement=match["measurement"] or "",
                    duration_s=case.duration_s,
                    failure=failure,
                )
            )
        elif match := _CONFIG_CASE.fullmatch(case.name):
            configs.append(ReportedConfig(match["config"], failure))
        else:
            raise LoadError(
                f"{path}: `{truncate(case.name, 80)}` is neither a step nor a config", hint=HINT
            )
    if not configs:
        raise LoadError(f"{path}: there is no config in it", hint=HINT)
    return tuple(configs), tuple(steps)


@dataclass(slots=True)
class _JunitCase:
    name: str
    duration_s: float
    failures: list[str] = field(default_factory=list)


def _parse_cases(path: Path) -> list[_JunitCase]:
    """Return the test cases of junit.xml.

    expat refuses a document type here.  Entities that it declares are the only way in which a small
    file grows or reads another file, so no hardened XML library is needed.
    """
    handler = _JunitHandler(path)
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = handler.refuse_doctype
    parser.StartElementHandler = handler.start
    parser.CharacterDataHandler = handler.text
    parser.EndElementHandler = handler.end
    try:
        parser.Parse(_read_bytes(path), True)  # noqa: FBT003  # expat has no name for it
    except expat.ExpatError as error:
        raise LoadError(f"{path}: not XML: {error}", hint=HINT) from error
    return handler.cases


@dataclass(slots=True)
class _JunitHandler:
    """Callbacks of expat."""

    path: Path
    cases: list[_JunitCase] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)

    def refuse_doctype(self, *_: object) -> NoReturn:
        raise LoadError(
            f"{self.path}: it declares a document type, and a report has none", hint=HINT
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.open_tags and tag not in ("testsuite", "testsuites"):
            raise LoadError(
                f"{self.path}: not JUnit: it begins with <{truncate(tag, 40)}>", hint=HINT
            )
        if tag == "testcase" and tag in self.open_tags:
            raise LoadError(f"{self.path}: not JUnit: a case is in a case", hint=HINT)
        self.open_tags.append(tag)
        if tag == "testcase":
            name = attributes.get("name", "")
            self.cases.append(_JunitCase(name, _parse_seconds(self.path, attributes)))
        elif self._is_in_failure():
            self.cases[-1].failures.append("")

    def text(self, text: str) -> None:
        if self._is_in_failure():
            self.cases[-1].failures[-1] += text

    def end(self, _tag: str) -> None:
        if self._is_in_failure():
            self.cases[-1].failures[-1] = _clean_failure(self.cases[-1].failures[-1])
        self.open_tags.pop()

    def _is_in_failure(self) -> bool:
        return self.open_tags[-2:] in (["testcase", "failure"], ["testcase", "error"])


def _parse_seconds(path: Path, attributes: dict[str, str]) -> float:
    text = attributes.get("time", "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise LoadError(
            f"{path}: the time of `{truncate(attributes.get('name', ''), 80)}` is"
            f" `{truncate(text, 40)}`,"
            " and no number of seconds",
            hint=HINT,
        )
    return value


def _clean_failure(text: str) -> str:
    """Return a failure without the code locations around it, which are always empty."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line not in ("", ":0")) or "it failed"
