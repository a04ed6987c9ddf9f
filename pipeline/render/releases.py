"""Render the changes between releases: words and cells for all formats, Markdown, CSV and text."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.judge.releases import cumulative_change
from pipeline.model.metric import Metric
from pipeline.model.releases import (
    ReleaseMetric,
    ReleaseOutcome,
    ReleaseSeries,
    ReleaseStep,
    StepChange,
)
from pipeline.model.report import Bound, Change, Verdict
from pipeline.model.results import ETCD_MEMBERS, PROFILE, REPLICAS
from pipeline.render.names import metric_anchor
from pipeline.render.numbers import (
    MINUS,
    brief_interval,
    count,
    duration,
    interval,
    moment,
    quantity,
    share,
)
from pipeline.render.templates import raw, render_markdown
from pipeline.system.sanitize import printable

REPORT = "report.html"
"""File name of the report in the folder of each step."""

MARKS = {Verdict.REGRESSED: "▶", Verdict.IMPROVED: "◀"}
"""Marks of the changes that a run judged; the shapes are those of report.html."""

_OUTCOMES = {
    ReleaseOutcome.FIRST: "the first",
    ReleaseOutcome.MEASURED: "measured",
    ReleaseOutcome.SAME_COMMIT: "same commit",
    ReleaseOutcome.SAME_BUILD: "same build",
    ReleaseOutcome.NOT_BUILT: "not built",
    ReleaseOutcome.FAILED: "no numbers",
}
NOT_REACHED = "not reached"
"""State of a release that the budget, or an interruption, left unmeasured."""

_CSV_COLUMNS = (
    *("kind", "release", "against", "workload", "metric", "unit", "scale", "better", "gate"),
    *("verdict", "baseline", "candidate", "change", "low", "high", "bound", "pairs"),
)


@dataclass(frozen=True, slots=True)
class ChangeCell:
    """One change in a table.

    Attributes:
        estimate: Change with its unit; empty if there is none.
        interval: Interval of the change; empty if there is none.
        verdict: Verdict of the run; None for a change over several steps.
        link: Relative link to the metric in the report of the step; empty without a report.
    """

    estimate: str = ""
    interval: str = ""
    verdict: Verdict | None = None
    link: str = ""

    @property
    def mark(self) -> str:
        """The mark of a regression or an improvement; otherwise empty."""
        return MARKS.get(self.verdict, "") if self.verdict else ""


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One metric in a table.

    Attributes:
        metric: Metric of the row.
        level: Mean of the first release that was measured, with its unit; empty if unknown.
        cells: One cell for each release, in order; those without numbers are empty.
        total: Change from the first measured release to the last.
    """

    metric: ReleaseMetric
    level: str
    cells: tuple[ChangeCell, ...]
    total: ChangeCell

    @property
    def is_marked(self) -> bool:
        """True if a step regressed or improved."""
        return any(cell.mark for cell in self.cells)


def release_rows(series: ReleaseSeries) -> tuple[ReleaseRow, ...]:
    """Return a row for each metric, in the suite's order."""
    return tuple(_row(series, metric) for metric in series.metrics)


def span(series: ReleaseSeries) -> tuple[str, str] | None:
    """Return the names of the first and last release with numbers; None without a step."""
    measured = series.measured
    return (measured[0].against, measured[-1].release) if measured else None


def state_of(series: ReleaseSeries, index: int) -> str:
    """Return what became of a release, in a few words."""
    if index >= len(series.steps):
        return NOT_REACHED
    step = series.steps[index]
    if step.outcome is ReleaseOutcome.MEASURED and step.verdict:
        return step.verdict.value
    if step.outcome in (ReleaseOutcome.SAME_COMMIT, ReleaseOutcome.SAME_BUILD):
        return f"{_OUTCOMES[step.outcome]} as {step.against}"
    return _OUTCOMES[step.outcome]


def headline(series: ReleaseSeries) -> str:
    """Return the answer in one sentence."""
    measured = series.measured
    if not measured:
        return "no step between two releases has numbers"
    ends = f"{measured[0].against} to {measured[-1].release}"
    parts = [
        f"{len(names)} {verdict.value} ({', '.join(names)})"
        for verdict in (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE)
        if (names := [step.release for step in measured if step.verdict is verdict])
    ]
    return f"{ends}: of {count(len(measured), 'step')}, {', '.join(parts) or 'none changed'}"


def gaps(series: ReleaseSeries) -> list[str]:
    """Return a sentence for each release without numbers of its own."""
    sentences = []
    failed = {step.release for step in series.steps if step.exit_code}
    for step in series.steps:
        match step.outcome:
            case ReleaseOutcome.NOT_BUILT:
                sentences.append(f"{step.release} does not build and is skipped: {step.reason}")
            case ReleaseOutcome.FAILED:
                sentences.append(
                    f"{step.release} against {step.against} has no numbers: {step.reason}"
                )
            case ReleaseOutcome.SAME_COMMIT:
                again = "not tried again" if step.against in failed else "measured once"
                sentences.append(
                    f"{step.release} is the same commit as {step.against}, and was {again}"
                )
            case ReleaseOutcome.SAME_BUILD:
                sentences.append(
                    f"{step.release} is the same build as {step.against}, byte for byte, and was"
                    " not measured"
                )
            case ReleaseOutcome.FIRST | ReleaseOutcome.MEASURED:
                pass
    if missing := [release.name for release in series.missing]:
        sentences.append(
            f"{', '.join(missing)}: not reached; `milo-perf releases --resume DIR` goes on"
        )
    return sentences


def method(series: ReleaseSeries) -> list[tuple[str, str]]:
    """Return how the numbers came about, each with its name."""
    regressed, improved = MARKS[Verdict.REGRESSED], MARKS[Verdict.IMPROVED]
    texts = {
        "step": "an ordinary run of pairs: a release, and the last one before it with numbers",
        "change": f"its {share(series.confidence)} interval is that of the run; {regressed} and"
        f" {improved} are verdicts of the run, adjusted for its number of metrics and not for the"
        " number of releases",
        "total": "the product of the steps' ratios, or the sum of their amounts. Steps are"
        " independent runs, so the variances of logarithms (or amounts) add, with Satterthwaite's"
        " degrees of freedom. It has no verdict",
        "empty": "no number: the release was not measured, or a build does not report the metric;"
        " a total is empty if one of its steps is",
        "first": "the mean of the first release, as the first step measured it",
        "seed": f"{series.seed}",
    }
    return list(texts.items())


def identity(series: ReleaseSeries) -> str:
    """Return suite, environment, machine and time in one line."""
    machine = series.machine
    others = {PROFILE, REPLICAS, ETCD_MEMBERS, "environment", *series.tools}
    facts = [f"{k} {fact}" for k, fact in sorted(machine.fingerprint.items()) if k not in others]
    tools = [f"{name} {tool.version}" for name, tool in sorted(series.tools.items())]
    return printable(
        f"suite {series.suite}, environment {series.environment}, profile {machine.profile};"
        f" {moment(series.taken_at)}, {duration(series.spent_s)} with builds;"
        f" {', '.join([*facts, *tools])}"
    )


def releases_markdown(series: ReleaseSeries) -> str:
    """Return the tables as Markdown: the steps, and every metric that changed.

    It is short enough for a document: a change without a verdict has no interval.
    """
    ends = span(series)
    chosen = [row for row in release_rows(series) if row.is_marked]
    named = [release.name for release in series.releases]
    first = named.index(ends[0]) if ends else 0
    return render_markdown(
        "releases.md.j2",
        headline=headline(series),
        identity=identity(series),
        gaps=gaps(series),
        steps=[
            (
                release.name,
                release.commit[:12],
                state_of(series, index),
                series.steps[index].against if index < len(series.steps) else "",
                series.steps[index].answer if index < len(series.steps) else "",
            )
            for index, release in enumerate(series.releases)
        ],
        names=named[first + 1 :],
        first=named[first],
        ends=ends or ("", ""),
        rows=[
            {
                "name": row.metric.key,
                "level": row.level,
                "cells": [raw(_markdown_cell(cell)) for cell in row.cells[first + 1 :]],
                "total": raw(_markdown_cell(row.total, has_interval=True)),
            }
            for row in chosen
        ],
        confidence=share(series.confidence),
    )


def releases_csv(series: ReleaseSeries) -> str:
    """Return every change as a row: `step` for two releases, `total` for the first and the last.

    Values are in the metric's unit; changes are ratios (0.1 is +10 %) or amounts, as `scale` says.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for step in series.measured:
        by_key = {change.key: change for change in step.changes}
        for metric in series.metrics:
            if change := by_key.get(metric.key):
                names = ("step", step.release, step.against)
                values = (change.verdict.value, change.baseline, change.candidate)
                writer.writerow(_csv_row(names, metric, values, change.change, change.pairs))
    if ends := span(series):
        for metric in series.metrics:
            changes = series.changes_of(metric.key)
            if total := cumulative_change(metric.metric, changes, series.confidence):
                names = ("total", ends[1], ends[0])
                writer.writerow(_csv_row(names, metric, ("", None, None), total, None))
    return file.getvalue()


def releases_text(series: ReleaseSeries) -> str:
    """Return the answer for a terminal: a line for each release, and one for each gap."""
    width = max(len(release.name) for release in series.releases)
    lines = [headline(series), ""]
    for index, release in enumerate(series.releases):
        step = series.steps[index] if index < len(series.steps) else None
        text = state_of(series, index)
        if step and step.answer:
            text = f"against {step.against}: {step.answer}"
        lines.append(f"  {release.name:{width}}  {text}")
    lines += ["", *gaps(series)] if gaps(series) else []
    return "\n".join(map(printable, lines)) + "\n"


def _row(series: ReleaseSeries, metric: ReleaseMetric) -> ReleaseRow:
    changes = series.changes_of(metric.key)
    by_step = dict(zip((step.release for step in series.measured), changes, strict=True))
    steps = {step.release: step for step in series.measured}
    total = cumulative_change(metric.metric, changes, series.confidence)
    first = changes[0] if changes else None
    return ReleaseRow(
        metric,
        quantity(first.baseline, metric.metric.unit)
        if first and first.baseline is not None
        else "",
        tuple(
            _cell(metric, steps[release.name], change)
            if (change := by_step.get(release.name))
            else ChangeCell()
            for release in series.releases
        ),
        ChangeCell(*_texts(metric.metric, total)),
    )


def _cell(metric: ReleaseMetric, step: ReleaseStep, change: StepChange) -> ChangeCell:
    if change.change is None:
        return ChangeCell()
    anchor = metric_anchor(metric.key.removeprefix("/"))
    link = f"{step.folder}/{REPORT}#{anchor}" if step.folder else ""
    return ChangeCell(*_texts(metric.metric, change.change), change.verdict, link)


def _texts(metric: Metric, change: Change | None) -> tuple[str, str]:
    """Return a change and its interval as two texts, with more digits if these are needed."""
    if change is None:
        return "", ""
    estimate, _, ends = brief_interval(metric, change).partition(" (")
    if not ends and change.bound is Bound.NONE and change.low < change.high:
        estimate, _, ends = interval(metric, change).replace("-", MINUS).partition(" [")
        unit = estimate.partition(" ")[2]
        return estimate, f"{ends.removesuffix(']').replace(', ', ' to ')} {unit}".rstrip()
    return estimate, ends.removesuffix(")")


def _markdown_cell(cell: ChangeCell, *, has_interval: bool = False) -> str:
    ends = f" ({cell.interval})" if cell.interval else ""
    if cell.mark:
        return f"**{cell.mark} {cell.estimate}**{ends}"
    return f"{cell.estimate}{ends}" if has_interval else cell.estimate


def _csv_row(
    names: tuple[str, str, str],
    metric: ReleaseMetric,
    values: tuple[object, object, object],
    change: Change | None,
    pairs: int | None,
) -> Sequence[object]:
    one = metric.metric
    parts = (
        (change.estimate, change.low, change.high, change.bound.value)
        if change
        else (None, None, None, None)
    )
    texts = map(_spreadsheet_text, (*names, metric.workload, one.name))
    facts = (one.unit, one.scale.value, one.better.value, str(one.gate).lower())
    numbers = map(_csv_number, (*values, *parts))
    return (*texts, *facts, *numbers, pairs)


def _csv_number(value: object) -> object:
    """Return a number with six digits; releases.json has them all."""
    return f"{value:.6g}" if isinstance(value, float) else value


def _spreadsheet_text(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown
