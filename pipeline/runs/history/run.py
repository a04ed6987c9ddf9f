"""`history`: append a run to a file of points, and find the change points of every series in it."""

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.judge.history import HistoryRule, acknowledge, analyze_series
from pipeline.model.history import Acknowledgement, CommitRef, JudgedSeries, is_same_commit
from pipeline.model.metric import Scale, percent_question
from pipeline.model.results import ResultSet
from pipeline.model.subject import Product
from pipeline.runs import priors, suite_file
from pipeline.runs.history import branch, nightly_records, points_csv
from pipeline.runs.history.source import Meaning, SeriesPoints, Source
from pipeline.runs.verified import list_names, verify
from pipeline.storage import acknowledged, artifact, codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError, Exit
from pipeline.system.log import log

CALIBRATION = "calibration.json"
"""Output of `baseline calibrate --json`, if it is kept in the folder of its run."""


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Arguments of `history`; `meaning` is for series that do not state theirs."""

    file: Path
    meaning: Meaning
    append: Path | None = None
    suite: str | None = None
    product: Product = Product.MILO
    branch: str | None = None
    remote: str | None = None
    fresh_hours: float | None = None
    acknowledged: Path | None = None
    rule: HistoryRule = field(default_factory=HistoryRule)
    html: Path | None = None
    keep_results: bool = False
    keep_search: Path | None = None

    def __post_init__(self) -> None:
        if self.branch is None and self.remote is not None:
            raise ConfigError("--remote needs --branch")
        if self.keep_results and (self.branch is None or self.append is None):
            raise ConfigError("--keep-results needs --append and --branch")
        if self.keep_search is not None and self.branch is None:
            raise ConfigError("--keep-search needs --branch")
        if self.html and self.html.resolve() in {
            path.resolve() for path in (self.file, self.acknowledged) if path
        }:
            raise ConfigError(f"--html {self.html}: this file is read; name another one")


def read_history(request: HistoryRequest) -> list[JudgedSeries]:
    """Return every series of a file with its change points; append a run first, if requested."""
    place = None
    if request.branch is not None:
        place = branch.Branch(request.remote or "origin", request.branch, os.fspath(request.file))
    if request.append is not None:
        results = _results(request, request.append)
        new = _new_record(request.append, results)
        if place is None:
            is_new = nightly_records.append(request.file, new)
        else:
            kept = codec.RESULTS.dumps(results) if request.keep_results else None
            is_new = branch.append(place, new, results=kept)
        log.info("%s: %s", request.file, "added" if is_new else "was there already")
    if request.keep_search is not None and place is not None:
        _keep_search(request.keep_search, place)
    with branch.checked_out(place) if place else nullcontext(request.file) as copy:
        return _judge_file(request, copy)


def write_page(histories: Sequence[JudgedSeries], page: Path, rule: HistoryRule) -> bool:
    """Write the HTML page; if that is not possible, log the reason and return False."""
    from pipeline.render.history_page import history_html

    is_written = codec.write_reports(page.parent, {page.name: history_html(histories, rule)})
    if is_written:
        log.info("%s: written", page)
    return is_written


def exit_code(histories: Sequence[JudgedSeries], *, alarm: bool) -> Exit:
    """Return the exit code: a regression only with `--alarm`."""
    alarms = any(step.alarms for judged in histories for step in judged.steps)
    return Exit.REGRESSION if alarm and alarms else Exit.NO_REGRESSION


def _results(request: HistoryRequest, folder: Path) -> ResultSet:
    """Return the results of a run to append; its files are untrusted."""
    if not nightly_records.is_nightly_file(request.file):
        raise ConfigError(f"{request.file}: a run can be appended to a .jsonl file only")
    results = artifact.results_in(paths.result_file(folder, paths.RESULTS).parent)
    if request.suite is not None:
        suite = suite_file.load(suite_file.path_of(request.suite)).suite
        try:
            results = verify(results, suite, request.product, None).without_unknown()
        except BaselineError as error:
            raise BaselineError(f"{folder}: {error}", hint=error.hint) from error
        ours = priors.prior_request(suite, request.product, results.interleave).conditions
        if results.environment == ours.environment and results.load_digest != ours.load_digest:
            # Our suite defines the metrics, so the spreads of another version cannot be used.
            results = replace(results, load_digest="")
    return results


def _keep_search(folder: Path, place: branch.Branch) -> None:
    """Keep the search of a night on the branch, if it found a commit; its file is untrusted.

    The night counts more: a file that cannot be read is a warning.
    """
    data = artifact.file_in(folder, paths.BISECT)
    try:
        search = codec.BISECT.parse(data) if data is not None else None
    except ValueError as error:
        log.warning("%s: the search is not kept: %s", folder, error)
        return
    if search is not None and search.found:
        is_new = branch.keep_search(place, search)
        log.info("%s: the search is %s", search.key, "kept" if is_new else "there already")


def _new_record(folder: Path, results: ResultSet) -> nightly_records.NightlyRecord:
    """Return the record of a run to append; its files are untrusted."""
    data = artifact.file_in(folder, CALIBRATION)
    try:
        calibration = codec.CALIBRATION.parse(data) if data is not None else None
    except ValueError as error:
        raise BaselineError(f"{folder / CALIBRATION}: {error}") from error
    return nightly_records.nightly_record(results, calibration)


def _judge_file(request: HistoryRequest, path: Path) -> list[JudgedSeries]:
    if request.fresh_hours is not None:
        if not nightly_records.is_nightly_file(request.file):
            raise ConfigError(f"{request.file}: --fresh needs a .jsonl file of nightly records")
        nightly_records.require_fresh(path, request.fresh_hours)
    acknowledgements = acknowledged.steps(request.acknowledged) if request.acknowledged else ()
    if nightly_records.is_nightly_file(path):
        source = nightly_records.read(path)
    else:
        source = points_csv.read(path, request.meaning)
    _require_size(request.rule, {points.series.scale for points in source.series})
    names = {points.series.name for points in source.series}
    for one in acknowledgements:
        if one.series not in names:
            log.warning("acknowledged in `%s`: there is no such series", one.series)
    with_ends = request.html is not None
    return judge_source(source, request.rule, acknowledgements, with_ends=with_ends)


def _require_size(rule: HistoryRule, scales: AbstractSet[Scale]) -> None:
    """Refuse an amount that was meant in per cent, and per cent of amounts."""
    if rule.is_percent and Scale.RATIO not in scales:
        raise ConfigError(
            "--least in per cent, and every series is on the scale `difference`",
            hint="write an amount, in the unit of the values",
        )
    doubt = percent_question(rule.least or 0)
    if doubt and Scale.RATIO in scales and not rule.is_percent:
        raise ConfigError(f"--least: {doubt}")


def judge_source(
    source: Source,
    rule: HistoryRule,
    acknowledgements: Sequence[Acknowledgement],
    *,
    with_ends: bool,
) -> list[JudgedSeries]:
    """Return every series with its change points, their times and commits, and acknowledgements.

    Args:
        source: Series of a file.
        rule: Parameters of the search.
        acknowledgements: Acknowledgements of any series.
        with_ends: Whether the first and last point get their times and commits, too.
    """
    judged = [(points, analyze_series(points.series, rule)) for points in source.series]
    rows = {
        int(points.rows[index - points.series.left_out])
        for points, series in judged
        for step in series.steps
        for index in (step.first - 1, step.index, step.last)
    }
    if with_ends:
        rows |= {int(points.rows[at]) for points, _ in judged for at in (0, -1)}
    commits = {one.commit for one in acknowledgements if one.commit}
    refs = source.find_refs(rows, commits) if rows or commits else {}
    rows_of_commits = _rows_of_commits(refs, commits)
    return [
        acknowledge(
            _series_with_refs(points, series, refs),
            acknowledgements,
            _indexes_of_commits(points, rows_of_commits),
        )
        for points, series in judged
    ]


def _series_with_refs(
    points: SeriesPoints, judged: JudgedSeries, refs: Mapping[int, CommitRef]
) -> JudgedSeries:
    def ref(index: int) -> CommitRef:
        return refs[int(points.rows[index - points.series.left_out])]

    def end(at: int) -> CommitRef:
        return refs.get(int(points.rows[at]), CommitRef(""))

    steps = tuple(
        replace(step, after=ref(step.index), before=ref(step.first - 1), until=ref(step.last))
        for step in judged.steps
    )
    return replace(judged, steps=steps, first=end(0), last=end(-1))


def _rows_of_commits(
    refs: Mapping[int, CommitRef], commits: AbstractSet[str]
) -> dict[str, frozenset[int]]:
    """Return the rows of each acknowledged commit, in all series.

    Raises:
        ConfigError: An abbreviation fits several commits.
    """
    rows = {}
    for asked in commits:
        fitting = {ref.commit for ref in refs.values() if is_same_commit(ref.commit, asked)}
        if asked not in fitting and len({one.lower() for one in fitting}) > 1:
            several = list_names(sorted(fitting))
            raise ConfigError(
                f"acknowledged at commit {asked}, which begins several: {several}",
                hint="write more of its digits",
            )
        named = {asked} & fitting or fitting
        rows[asked] = frozenset(row for row, ref in refs.items() if ref.commit in named)
    return rows


def _indexes_of_commits(
    points: SeriesPoints, rows_of_commits: Mapping[str, AbstractSet[int]]
) -> dict[str, list[int]]:
    """Return the indexes of the points of each acknowledged commit that the series has."""
    indexes: dict[str, list[int]] = {}
    for commit, rows in rows_of_commits.items():
        for index, row in enumerate(points.rows.tolist(), points.series.left_out):
            if row in rows:
                indexes.setdefault(commit, []).append(index)
    return indexes
