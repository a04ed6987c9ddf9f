"""`site`: render the nights of histories as static pages, and write those that changed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Final

from pipeline.judge import policy
from pipeline.judge.history import HistoryRule
from pipeline.judge.nights import NightTable
from pipeline.model.history import Acknowledgement
from pipeline.model.nights import DatedRelease, DatedSeries, NightHistory, ProductSource
from pipeline.model.results import ResultSet
from pipeline.model.traces import Traces
from pipeline.render import html, releases, site
from pipeline.render.releases_page import releases_html
from pipeline.runs.history import nightly_records
from pipeline.runs.history import run as history_run
from pipeline.runs.history.nightly_records import NightlyRecord
from pipeline.runs.site import document, places
from pipeline.runs.site.folder import SiteFile, WrittenSite, digest, require_site_folder, write_site
from pipeline.storage import acknowledged, artifact, codec
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.log import log
from pipeline.toolchain import git

_RULE: Final = HistoryRule()
_RESULTS_FILE: Final = ("docs", "results", "README.md")
_RESULTS_PATH: Final = "results/index.html"


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """Arguments of `site`.

    Attributes:
        histories: Folders, and names of branches.
        out: Folder of the site.
        remote: Repository of the branches.
        source: Clone of the product, for links to commits and releases; None for none.
        acknowledged: File of acknowledged change points; None for none.
    """

    histories: tuple[str, ...]
    out: Path
    remote: str = "origin"
    source: Path | None = None
    acknowledged: Path | None = None


@dataclass(frozen=True, slots=True)
class _Inputs:
    """A history as it was read, with the digests that its pages depend on."""

    history: NightHistory
    records: tuple[NightlyRecord, ...]
    digests: tuple[str, ...]
    judged: Callable[[], site.JudgedHistory]

    @property
    def whole(self) -> str:
        """Digest of all nights and notes."""
        reports = sorted(self.history.reports)
        return digest(self.history.name, *self.history.notes, *self.digests, *reports)


def build(request: SiteRequest) -> WrittenSite:
    """Build or update a site, and return what was done.

    Raises:
        BaselineError: A history cannot be read, or its branch was rewritten.
        ConfigError: The folder is not a site, or the product's clone is none.
        NetworkError: The repository of a branch does not answer.
        StorageError: A file cannot be written.
    """
    require_site_folder(request.out)
    source = _source(request.source)
    known = acknowledged.steps(request.acknowledged) if request.acknowledged else ()
    with ExitStack() as stack:
        folders = [
            (place, stack.enter_context(places.open_place(place, request.remote)))
            for place in request.histories
        ]
        found = places.contents(folders)
        log.info(
            "site: %d nights of %d histories",
            sum(map(len, found.records.values())),
            len(found.records),
        )
        inputs = [
            _inputs(name, records, found, known) for name, records in sorted(found.records.items())
        ]
        measured = [_releases(folder) for folder in found.releases]
        results = _results_document()
        others = [(title, files[0].path) for title, files in measured]
        if results is not None:
            others.append(("results", _RESULTS_PATH))
        links = site.SiteLinks(tuple(one.history.name for one in inputs), source, tuple(others))
        files = list(_files(links, inputs, found, known))
        files += [file for _, group in measured for file in group]
        files += _document_files(links, results) if results is not None else ()
        return write_site(request.out, files)


def _source(clone: Path | None) -> ProductSource:
    if clone is None:
        return ProductSource()
    dated = git.dated_tags(clone)
    if dated is None:
        raise ConfigError(
            f"{clone} is no clone of a git repository",
            hint="--source wants a clone of Milo: it knows commits and releases",
        )
    tags = [DatedRelease(name, commit, time) for name, (commit, time) in dated.items()]
    return ProductSource(
        git.origin_url(clone) or "", tuple(sorted(tags, key=lambda one: (one.time, one.name)))
    )


def _inputs(
    name: str,
    records: Sequence[NightlyRecord],
    found: places.PlaceContents,
    known: Sequence[Acknowledgement],
) -> _Inputs:
    history = places.night_history(name, records, found.notes[name], found.results)
    digests = tuple(digest(record.model_dump_json(by_alias=True)) for record in records)

    @cache
    def judge() -> site.JudgedHistory:
        return site.JudgedHistory(history, _judged(history, records, known))

    return _Inputs(history, tuple(records), digests, judge)


def _stretches(history: NightHistory) -> list[list[int]]:
    """Return the nights of each stretch, in the order of their newest nights."""
    found: dict[tuple[str, str], list[int]] = {}
    for at, night in enumerate(history.nights):
        found.setdefault(night.stretch, []).append(at)
    return sorted(found.values(), key=lambda nights: nights[-1])


def _judged(
    history: NightHistory, records: Sequence[NightlyRecord], known: Sequence[Acknowledgement]
) -> dict[str, list[DatedSeries]]:
    """Return the judged series of each metric, one for each stretch, metrics in order of name."""
    log.info("site: looking for change points in %s", history.name)
    series: dict[str, list[DatedSeries]] = {}
    for nights in _stretches(history):
        source = nightly_records.source_of([records[at] for at in nights], Path(history.name))
        judged = history_run.judge_source(source, _RULE, known, with_ends=True)
        for points, one in zip(source.series, judged, strict=True):
            rows = tuple(nights[row] for row in points.rows.tolist())
            series.setdefault(one.series.name, []).append(DatedSeries(one, rows))
    return dict(sorted(series.items()))


def _files(
    links: site.SiteLinks,
    inputs: Sequence[_Inputs],
    found: places.PlaceContents,
    known: Sequence[Acknowledgement],
) -> Iterator[SiteFile]:
    """Yield every file of the nights."""
    base = (repr(links), repr(known))
    wholes = tuple(one.whole for one in inputs)
    yield SiteFile(site.STYLE, (), site.style)
    yield SiteFile(
        "index.html",
        (*base, *wholes),
        lambda: site.index_html(links, [one.judged() for one in inputs]),
    )
    for one in inputs:
        name = one.history.name
        yield SiteFile(
            site.history_path(name), (*base, one.whole), partial(_history_page, links, one)
        )
        keys = sorted({key for night in one.history.nights for key in night.values})
        for key in keys:
            yield SiteFile(
                site.metric_path(name, key),
                (*base, key, one.whole),
                partial(_metric_page, links, one, key),
            )
        yield from _night_files(links, one)
        for night in one.history.nights:
            if night.name in one.history.reports:
                file = found.results[night.run]
                content = artifact.file_in(file.parent, file.name) or b""
                yield SiteFile(
                    site.report_path(name, night.name),
                    (content.decode(errors="replace"),),
                    partial(_report_page, file),
                )


def _night_files(links: site.SiteLinks, one: _Inputs) -> Iterator[SiteFile]:
    history = one.history
    for nights in _stretches(history):
        chain = ""
        table = _table(history, nights)
        for row, at in enumerate(nights):
            night = history.nights[at]
            chain = digest(chain, one.digests[at])
            # Of releases only those before the night count, so that a new one changes no old page.
            source = _until(links.source, night.time)
            around = [one.name for one in history.nights[max(0, at - 1) : at + 2]]
            own = replace(links, source=source)
            inputs = (repr(own), chain, *around, str(night.name in history.reports), history.name)
            yield SiteFile(
                site.night_path(history.name, night.name),
                inputs,
                partial(_night_page, own, history, at, table, nights[: row + 1]),
            )


def _table(history: NightHistory, nights: Sequence[int]) -> Callable[[], NightTable]:
    return cache(lambda: NightTable([history.nights[at] for at in nights]))


def _until(source: ProductSource, time: datetime) -> ProductSource:
    return replace(source, releases=tuple(one for one in source.releases if one.time <= time))


def _history_page(links: site.SiteLinks, one: _Inputs) -> str:
    return site.history_html(links, one.judged(), _RULE)


def _metric_page(links: site.SiteLinks, one: _Inputs, key: str) -> str:
    return site.metric_html(links, one.judged(), key)


def _night_page(
    links: site.SiteLinks,
    history: NightHistory,
    at: int,
    table: Callable[[], NightTable],
    rows: Sequence[int],
) -> str:
    return site.night_html(links, history, at, table(), rows)


def _report_page(file: Path) -> str:
    results = places.results_of(file)
    if results is None:
        links = site.SiteLinks((), ProductSource())
        text = "<p>The results of this night cannot be read any more.</p>"
        return site.document_html(links, "../../", "no report", text)
    return _report_html(results)


def _report_html(results: ResultSet) -> str:
    """Return the report of results, without raw points and without files beside it."""
    return html.html(policy.report(results), Traces(), codec.RESULTS.dumps(results))


def _releases(folder: Path) -> tuple[str, list[SiteFile]]:
    """Return the title and the files of measured releases, the page first.

    Raises:
        BaselineError: The file cannot be read.
    """
    series, results_by_folder = places.read_releases(folder)
    place = f"releases/{site.slug(folder.name)}"
    reports = {site.slug(name): results for name, results in results_by_folder.items()}
    shown = replace(
        series,
        steps=tuple(
            replace(step, folder=safe if (safe := site.slug(step.folder)) in reports else "")
            for step in series.steps
        ),
    )
    text = codec.RELEASES.dumps(series)
    files = [
        SiteFile(f"{place}/index.html", (text, *reports), partial(releases_html, shown)),
        SiteFile(f"{place}/releases.csv", (text,), partial(releases.releases_csv, series)),
        SiteFile(f"{place}/releases.json", (text,), lambda: text),
    ]
    files += [
        SiteFile(
            f"{place}/{name}/{releases.REPORT}",
            (codec.RESULTS.dumps(results),),
            partial(_report_html, results),
        )
        for name, results in reports.items()
    ]
    ends = releases.span(series)
    return f"{ends[0]} to {ends[1]}" if ends else "releases", files


def _results_document() -> document.MarkdownPage | None:
    """Return the results of real Milo; None if they are not installed."""
    path = paths.project_path(*_RESULTS_FILE)
    if not path.is_file():
        return None
    return document.read_document(path, paths.project_path("docs"))


def _document_files(links: site.SiteLinks, results: document.MarkdownPage) -> list[SiteFile]:
    page = partial(site.document_html, links, "../", results.title, results.body)
    files = [SiteFile(_RESULTS_PATH, (repr(links), results.title, results.body), page)]
    folder = _RESULTS_PATH.rpartition("/")[0]
    for place, path in sorted(results.files.items()):
        size = path.stat()
        files.append(
            SiteFile(
                f"{folder}/{place}",
                (str(path), str(size.st_size), str(size.st_mtime_ns)),
                path.read_bytes,
            )
        )
    return files
