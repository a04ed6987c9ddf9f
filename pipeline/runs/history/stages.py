"""The verb `history`: from a file of points to its steps."""

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.judge.history import HistoryRule, acknowledge, judge
from pipeline.model.calibration import Calibration
from pipeline.model.history import Acknowledgement, Judged, Place
from pipeline.model.metric import Better, Scale
from pipeline.model.results import ResultSet
from pipeline.model.subject import Product
from pipeline.runs import priors, suite_file
from pipeline.runs.history import branch, nights, points_csv
from pipeline.runs.history.source import Dated, Meaning, Source
from pipeline.runs.suite_file import Suite
from pipeline.runs.verified import by_suite
from pipeline.storage import acknowledged, artifact, codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError, Exit
from pipeline.system.log import log

CALIBRATION = "calibration.json"
"""What `baseline calibrate --json` prints, where that is kept in the folder of its run."""


def judged(args: argparse.Namespace) -> list[Judged]:
    """Return every series of a file with its steps.

    Where asked, a run is added to the file first.

    Raises:
        PipelineError: The file, the run or the acknowledgements cannot be used.
    """
    if args.html is not None:
        _apart(args.html, (args.file, args.acknowledged))
    if args.branch is None:
        if args.remote is not None:
            raise ConfigError("--remote is that of --branch, which is not given")
        if args.append is not None:
            new = _night(args)
            _say(args.file, is_new=nights.append(args.file, new))
        return _judged(args, args.file)
    place = branch.Branch(args.remote or "origin", args.branch, os.fspath(args.file))
    if args.append is not None:
        new = _night(args)
        _say(args.file, is_new=branch.append(place, new))
    with branch.checked_out(place) as copy:
        return _judged(args, copy)


def _judged(args: argparse.Namespace, path: Path) -> list[Judged]:
    if args.fresh is not None:
        nights.require_fresh(path, args.fresh)
    said = acknowledged.steps(args.acknowledged) if args.acknowledged else ()
    rule = HistoryRule(args.least)
    source = _source(path, Meaning(Scale(args.scale), Better(args.better)))
    if (args.least or 0) > 1 and any(one.line.scale is Scale.RATIO for one in source.series):
        raise ConfigError(
            f"--least {args.least:g} is {100 * args.least:g} % of a ratio, and no step would show",
            hint=f"write {args.least:g}%, if that is meant",
        )
    pairs = [(dated, judge(dated.line, rule)) for dated in source.series]
    return _placed(source, pairs, said, ends=args.html is not None)


def write_page(histories: Sequence[Judged], args: argparse.Namespace) -> bool:
    """Write the page of histories, and return whether that was possible; otherwise say why not."""
    from pipeline.render.history_page import history_html

    page: Path = args.html
    text = history_html(histories, HistoryRule(args.least))
    is_written = codec.write_reports(page.parent, {page.name: text})
    if is_written:
        log.info("%s: written", page)
    return is_written


def exit_code(histories: Sequence[Judged], *, alarm: bool) -> Exit:
    """Return how a process that looked should end."""
    alarms = any(step.alarms for judged in histories for step in judged.steps)
    return Exit.REGRESSION if alarm and alarms else Exit.NO_REGRESSION


def _night(args: argparse.Namespace) -> nights.Night:
    """Return what is kept of a run that is to be added, whose files anybody may have made.

    Raises:
        PipelineError: The file is of another kind, or the run cannot be used.
    """
    folder: Path = args.append
    if not nights.is_nights(args.file):
        raise ConfigError(f"{args.file}: a run is added to a .jsonl file only")
    results = artifact.results_in(paths.measured(folder, paths.RESULTS).parent)
    if args.suite is not None:
        suite = suite_file.load(suite_file.path_of(args.suite)).suite
        product = Product(args.product)
        try:
            results = _of_load(by_suite(results, suite, product, None).only(), suite, product)
        except BaselineError as error:
            raise BaselineError(f"{folder}: {error}", hint=error.hint) from error
    return nights.night(results, _calibration(folder))


def _of_load(results: ResultSet, suite: Suite, product: Product) -> ResultSet:
    """Return results that name their load only where it is that of our suite, as far as known.

    Metrics are read by our suite, so the spreads of another version of it are of no use.
    """
    ours = priors.request(suite, product, results.interleave).conditions
    if results.environment != ours.environment or results.load_digest == ours.load_digest:
        return results
    return dataclasses.replace(results, load_digest="")


def _calibration(folder: Path) -> Calibration | None:
    data = artifact.file_in(folder, CALIBRATION)
    try:
        return codec.parse_calibration(data) if data is not None else None
    except ValueError as error:
        raise BaselineError(f"{folder / CALIBRATION}: {error}") from error


def _say(path: Path, *, is_new: bool) -> None:
    log.info("%s: %s", path, "added" if is_new else "was there already")


def _apart(page: Path, read: Sequence[Path | None]) -> None:
    for path in read:
        if path is not None and path.resolve() == page.resolve():
            raise ConfigError(f"--html {page}: this file is read; name another one for the page")


def _source(path: Path, default: Meaning) -> Source:
    return nights.read(path) if nights.is_nights(path) else points_csv.read(path, default)


def _placed(
    source: Source,
    pairs: Sequence[tuple[Dated, Judged]],
    said: Sequence[Acknowledgement],
    *,
    ends: bool,
) -> list[Judged]:
    """Return histories with the places of their steps, and with what is acknowledged.

    Args:
        source: Where places are looked up.
        pairs: Every series, with at least one point.
        said: What is acknowledged.
        ends: Whether to look up the first and the last point of each series too.
    """
    rows = {
        int(dated.rows[index - dated.line.left_out])
        for dated, judged in pairs
        for step in judged.steps
        for index in (step.first - 1, step.index, step.last)
    }
    if ends:
        rows |= {int(dated.rows[at]) for dated, _ in pairs for at in (0, -1)}
    commits = {one.commit for one in said if one.commit}
    places = source.look(rows, commits) if rows or commits else {}
    named = {row: place.commit for row, place in places.items() if place.commit in commits}
    names = {dated.line.name for dated, _ in pairs}
    for one in said:
        if one.series not in names:
            log.warning("acknowledged in `%s`: there is no such series", one.series)
    return [_with_places(dated, judged, places, named, said) for dated, judged in pairs]


def _with_places(
    dated: Dated,
    judged: Judged,
    places: Mapping[int, Place],
    named: Mapping[int, str],
    said: Sequence[Acknowledgement],
) -> Judged:
    first = dated.line.left_out

    def place(index: int) -> Place:
        return places[int(dated.rows[index - first])]

    def end(at: int) -> Place:
        return places.get(int(dated.rows[at]), Place(""))

    steps = tuple(
        dataclasses.replace(
            step, after=place(step.index), before=place(step.first - 1), until=place(step.last)
        )
        for step in judged.steps
    )
    at: dict[str, list[int]] = {}
    if named:
        for number, row in enumerate(dated.rows.tolist()):
            if row in named:
                at.setdefault(named[row], []).append(first + number)
    placed = dataclasses.replace(judged, steps=steps, first=end(0), last=end(-1))
    return acknowledge(placed, said, at)
