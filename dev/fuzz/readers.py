"""One harness for each reader of bytes that we did not write.

A harness takes any bytes. It returns where they were understood, and where they were refused by
one printable sentence; anything else that it raises is a finding.
"""

import gzip
import io
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from dev.fuzz.mutate import FILE
from pipeline.drivers.clusterloader2.readings import readings
from pipeline.drivers.clusterloader2.readings import warnings as cl2_warnings
from pipeline.drivers.clusterloader2.report import read_report
from pipeline.drivers.k6.summarize import read_points
from pipeline.environments.load_agent import LoadAgent
from pipeline.environments.registry import read_environment
from pipeline.judge import policy
from pipeline.judge.history import HistoryRule, analyze_series
from pipeline.judge.spreads import PriorRequest, SpreadOrigin, prior_from
from pipeline.model.metric import Better, Scale
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.probes import prometheus, scrape
from pipeline.render import answer_line
from pipeline.render.baseline import spreads_text
from pipeline.render.junit import junit
from pipeline.render.markdown import markdown
from pipeline.render.text import findings_text, text
from pipeline.runs import reports, suite_file
from pipeline.runs.history import nightly_records
from pipeline.runs.history import points_csv as history_table
from pipeline.runs.history.source import Meaning, Source
from pipeline.runs.history.spreads_file import named_spreads
from pipeline.runs.traces import TextBudget, read_tracks
from pipeline.storage import acknowledged, artifact, codec, measurements_csv
from pipeline.storage.verdict_file import verdict_body
from pipeline.system.errors import PipelineError

_FILES = 20
_MOST = 1_000  # characters of a refusal


def results(data: bytes) -> None:
    """Read results.json, judge it, and write every report of it."""
    with _refusing(ValueError):
        _render_report(codec.RESULTS.parse(data), len(data))


def open_zip(data: bytes) -> None:
    """Open an artifact that is a zip."""
    path = _file("artifact.zip", data)
    with _refusing():
        _render_report(artifact.open_artifact(path), len(data))


def points(data: bytes) -> None:
    """Read the raw points of k6: the CSV, or a gzip file where the bytes begin like one."""
    packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1)
    path = _file("points.csv.gz", packed)
    for is_open in (True, False):
        with _refusing():
            read_points(path, list(Arm), is_open=is_open)


def looks(data: bytes) -> None:
    """Read what a probe kept of its looks, and draw it."""
    for name in ("process.csv", "containers.csv", "series.csv", "goroutines.csv"):
        shutil.rmtree(_folder() / "looks", ignore_errors=True)
        (_folder() / "looks").mkdir()
        _file(f"looks/{name}", data)
        unread: list[str] = []
        read_tracks("crud", {arm: [_folder() / "looks"] for arm in Arm}, unread, TextBudget(2**24))
        for said in unread:
            _printable(said)


def agent(data: bytes) -> None:
    """Take the answer of a load agent for a state, for what a setup returned, and for a file."""
    agent = LoadAgent(_Answer(data), "n", "pod", "load pod 1 of 2", "token", 0.0)  # type: ignore[arg-type]  # all that is asked of it
    with _refusing():
        agent.run_setup()
    with _refusing():
        agent.download(agent.state().files, _folder())


def suite(data: bytes) -> None:
    """Read a suite, and the environment of a run."""
    path = _file("suite.toml", data)
    for read in (suite_file.load, lambda one: read_environment(str(one))):
        with _refusing():
            read(path)


def metrics(data: bytes) -> None:
    """Read Prometheus text as a probe does, before a load and after it."""
    said = data.decode("utf-8", "replace")
    first, _, second = said.partition("\n---\n")
    component = ("server", "etcd", "manager")[len(data) % 3]
    with _refusing():
        before = prometheus.select_lines(component, first)
        after = prometheus.select_lines(component, second or first)
        list(prometheus.readings(component, before, after))
    scrape.read_plain_value(data, "go_goroutines")


def judge_csv(data: bytes) -> None:
    """Judge a CSV of measurements, and write what was found."""
    path = _file("table.csv", data)
    with _refusing():
        found = policy.judge_table(measurements_csv.read(path), stops_early=len(data) % 2 == 0)
        codec.judged_json(found)
        findings_text(found, width=100)


def history(data: bytes) -> None:
    """Find the steps of a CSV of points."""
    with _refusing():
        _steps(history_table.read(_file("history.csv", data), Meaning(Scale.RATIO, Better.LOWER)))


def night_lines(data: bytes) -> None:
    """Find the steps of a history of nights."""
    with _refusing():
        _steps(nightly_records.read(_file("nights.jsonl", data)))


def spread_file(data: bytes) -> None:
    """Take a prior from a spread file, or from nights, that a person named."""
    with _refusing():
        for history in named_spreads(str(_file("spreads.json", data))).histories:
            keys = {key for run in history.runs for key in run.metrics}
            asked = PriorRequest(history.conditions, keys, datetime.max.replace(tzinfo=UTC))
            found = prior_from(history, asked, SpreadOrigin.NAMED, "a file")
            _printable(found.source if found else "")
            if history.runs:
                _printable(spreads_text(history))


def acknowledgements(data: bytes) -> None:
    """Read a file of acknowledged steps, as TOML and as JSON."""
    for name in ("acknowledged.toml", "acknowledged.json"):
        with _refusing():
            acknowledged.steps(_file(name, data))
            acknowledged.regressions(_file(name, data))


def cluster_loader(data: bytes) -> None:
    """Read the folder of a report of ClusterLoader2, whose files follow each other: see `seeds`."""
    folder = _folder() / "cl2"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, part in enumerate(data.split(FILE)[1:][:_FILES]):
        name, _, content = part.partition(b"\n")
        known = re.fullmatch(rb"[A-Za-z0-9 _.-]{1,80}", name)
        _file(f"cl2/{name.decode() if known else number}", content)
    with _refusing():
        report = read_report(folder, ())
        readings(report)
        _printable("\n".join(cl2_warnings(report)))


READERS: dict[str, Callable[[bytes], None]] = {
    "results": results,
    "artifact": open_zip,
    "points": points,
    "looks": looks,
    "agent": agent,
    "suite": suite,
    "prometheus": metrics,
    "judge": judge_csv,
    "history": history,
    "nights": night_lines,
    "spreads": spread_file,
    "acknowledged": acknowledgements,
    "clusterloader2": cluster_loader,
}


class _Answer:
    """An API server that passes an answer on."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def proxy(self, *_: object, **__: object) -> "_Answer":
        return self

    def read(self, size: int) -> bytes:
        return self._data[:size]

    def stream(self, _size: int) -> list[bytes]:
        return [self._data]

    def release_conn(self) -> None:
        """Do nothing: there is no connection."""

    close = release_conn


@contextmanager
def _refusing(expected: type[Exception] = PipelineError) -> Iterator[None]:
    """Take a refusal for an answer, as long as a person can read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except expected as error:
        said = f"{error}"
        if not said or len(said) > _MOST or not said.isprintable():
            raise AssertionError(f"not one printable sentence: {said!r:.2000}") from error


def _printable(said: str) -> None:
    assert [c for c in said if not c.isprintable() and c != "\n"] == [], said


def _render_report(found: ResultSet, choice: int) -> None:
    report = policy.report(found)
    verdict_body(report, policy.exit_code(report, strict=True), answer_line.answer(report), "")
    match choice % 4:
        case 0:
            said = markdown(report)
        case 1:
            said = text(report)
        case 2:
            said = junit(report)
        case _:
            said = reports.render(report, _folder(), "html")
    said.encode()


def _steps(source: Source) -> None:
    for points in source.series:
        analyze_series(points.series, HistoryRule())
    source.find_refs({0}, {"x"})


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    with io.FileIO(path, "w") as file:
        file.write(data)
    return path
