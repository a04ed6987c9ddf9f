"""Read what a site shows: files of nightly records, results of runs and of releases.

Everything in these places is untrusted: links are not followed, and every file is read strictly.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.model.nights import Night, NightHistory, NightValue
from pipeline.model.releases import ReleaseSeries
from pipeline.model.results import ResultSet
from pipeline.runs.history import branch, nightly_records
from pipeline.runs.history.nightly_records import NightlyRecord
from pipeline.storage import artifact, codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError, LoadError
from pipeline.system.log import log

MAX_REPORTS = 10
"""Newest nights of a history that have a full report; each takes 0.4 MB and 0.1 s."""

_MAX_FOLDERS = 1_000  # of runs in one place
_RESULTS = re.compile(r"[^/]+/\d{4}-[^/]+\.json")


@dataclass(frozen=True, slots=True)
class PlaceContents:
    """What the places of a site hold.

    Attributes:
        records: Records of each history, in the order of time.
        notes: Remarks about each history, each a sentence.
        results: File with the results of each run, by the run's identity.
        releases: Folders of measured releases.
    """

    records: dict[str, list[NightlyRecord]]
    notes: dict[str, list[str]]
    results: dict[str, Path]
    releases: list[Path]


@contextmanager
def open_place(place: str, remote: str) -> Iterator[Path]:
    """Yield the folder of a place: a folder of this machine, or files of a branch.

    Args:
        place: Folder, or name of a branch.
        remote: Repository of the branch.

    Raises:
        BaselineError: The branch is missing, was rewritten or has lost records.
        NetworkError: The repository does not answer.
    """
    if Path(place).is_dir():
        yield Path(place)
        return
    if "/" in place and (place.startswith((".", "/", "~")) or Path(place).exists()):
        raise BaselineError(f"{place}: no such folder", hint="name a folder, or a branch of git")
    with branch.checked_out_files(remote, place, _chosen) as folder:
        yield folder


def contents(folders: Sequence[tuple[str, Path]]) -> PlaceContents:
    """Return what all places hold; each has the name that the user gave it.

    Raises:
        BaselineError: A file of records cannot be read, or a place has nothing to show.
        ConfigError: Two places have a history of the same name.
    """
    found = PlaceContents({}, {}, {}, [])
    for name, folder in folders:
        before = len(found.records), len(found.releases)
        _add_files(found, folder)
        _add_runs(found, folder)
        found.releases.extend(one.parent for one in _files(folder, paths.RELEASES))
        if (len(found.records), len(found.releases)) == before:
            raise BaselineError(
                f"{name}: there is no history in it: no file of nightly records (.jsonl), and no"
                " folder of a run",
                hint="`milo-perf history FILE.jsonl --append DIR` adds a run to a history",
            )
    return found


def night_history(
    name: str, records: Sequence[NightlyRecord], notes: Sequence[str], results: dict[str, Path]
) -> NightHistory:
    """Return the nights of a history for the site's pages."""
    nights = tuple(_night(record) for record in records)
    newest = (night for night in reversed(nights) if night.run in results)
    reports = frozenset(night.name for night, _ in zip(newest, range(MAX_REPORTS), strict=False))
    return NightHistory(name, nights, tuple(notes), reports)


def _night(record: NightlyRecord) -> Night:
    return Night(
        name=nightly_records.night_name(record),
        run=record.run,
        time=record.time,
        commit=record.commit,
        reference=record.reference,
        reference_commit=record.reference_commit or "",
        suite=record.suite,
        profile=record.profile,
        machine=record.machine,
        values={
            key: NightValue(
                value.value,
                value.scale,
                value.better,
                value.unit,
                value.pairs,
                value.variance,
                value.freedom,
            )
            for key, value in record.metrics.items()
        },
        verdict=record.verdict,
        answer=record.answer or "",
    )


def _add_files(found: PlaceContents, folder: Path) -> None:
    for path in sorted(folder.glob("*.jsonl")):
        if not _is_inside(path, folder):
            continue
        if path.stem in found.records:
            raise ConfigError(
                f"two places have a history `{path.stem}`", hint="rename one of the files"
            )
        lines = nightly_records.load(path)
        distinct = sorted(nightly_records.without_duplicates(lines), key=lambda one: one.time)
        past = [record for record in distinct if not record.is_in_future]
        notes = []
        if len(past) < len(distinct):
            notes.append(f"{len(distinct) - len(past)} records from the future are left out")
        if not past:
            notes.append("there is no record in this history yet")
        found.records[path.stem], found.notes[path.stem] = past, notes
        kept = {nightly_records.night_name(record): record.run for record in past}
        for file in sorted((folder / path.stem).glob("*.json")):
            if file.stem in kept and _is_inside(file, folder):
                found.results[kept[file.stem]] = file


def _add_runs(found: PlaceContents, folder: Path) -> None:
    """Add the folders of runs; runs that no file has become a history named by their suite."""
    known = {record.run for records in found.records.values() for record in records}
    added: dict[str, list[NightlyRecord]] = {}
    for file in _files(folder, paths.RESULTS):
        try:
            record = nightly_records.nightly_record(artifact.results_in(file.parent))
        except (BaselineError, LoadError) as error:
            log.warning("%s: left out: %s", file.parent, error)
            continue
        found.results[record.run] = file
        if record.run not in known and not record.is_in_future:
            added.setdefault(record.suite, []).append(record)
    for suite, records in added.items():
        distinct = nightly_records.without_duplicates([*found.records.get(suite, ()), *records])
        found.records[suite] = sorted(distinct, key=lambda record: record.time)
        found.notes.setdefault(suite, [])


def results_of(file: Path) -> ResultSet | None:
    """Return the results in a file; None, with a warning, if they cannot be read."""
    try:
        return artifact.results_in(file.parent, name=file.name)
    except BaselineError as error:
        log.warning("no report of this run: %s", error)
        return None


def read_releases(folder: Path) -> tuple[ReleaseSeries, dict[str, ResultSet]]:
    """Return the measured releases in a folder, and the results of their steps by its folder.

    Raises:
        BaselineError: The file cannot be read.
    """
    data = artifact.file_in(paths.result_file(folder, paths.RELEASES).parent, paths.RELEASES) or b""
    try:
        series = codec.RELEASES.parse(data)
    except ValueError as error:
        raise BaselineError(f"{folder / paths.RELEASES}: {error}") from error
    reports: dict[str, ResultSet] = {}
    for step in series.measured:
        file = folder / step.folder / paths.RESULTS
        is_own = file.parent.parent == folder and _is_inside(file, folder)
        results = results_of(file) if is_own else None
        if results is not None:
            reports[step.folder] = results
    return series, reports


def _files(folder: Path, name: str) -> list[Path]:
    """Return the files of a name in a folder and in the folders in it; links are left out."""
    found = (folder / name, *sorted(folder.glob(f"*/{name}")))
    return [path for path in found if _is_inside(path, folder)][:_MAX_FOLDERS]


def _is_inside(path: Path, folder: Path) -> bool:
    """Return True for a file to which neither a link nor `..` leads from a folder."""
    parts = path.relative_to(folder).parts
    return path.is_file() and path.resolve() == folder.resolve().joinpath(*parts)


def _chosen(files: Sequence[str]) -> list[str]:
    """Return the files of a branch that a site reads: records first, then the newest results."""
    records = [file for file in files if "/" not in file and file.endswith(".jsonl")]
    releases = [file for file in files if PurePosixPath(file).name == paths.RELEASES]
    folders = {str(PurePosixPath(file).parent) for file in releases}
    steps = [
        file
        for file in files
        if PurePosixPath(file).name == paths.RESULTS
        and str(PurePosixPath(file).parent.parent) in folders
    ]
    kept: list[str] = []
    for history in records:
        stem = history.removesuffix(".jsonl")
        results = [f for f in files if f.startswith(f"{stem}/") and _RESULTS.fullmatch(f)]
        kept += results[-MAX_REPORTS:]
    return [*records, *releases, *kept, *steps]
