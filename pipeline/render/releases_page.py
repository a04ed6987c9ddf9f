"""Render the changes between releases as one HTML page that needs no other file and has no script.

Names of tags and metrics, and the output of builds, are foreign: the template escapes everything,
and the page's policy lets it load and run nothing.
"""

from itertools import groupby
from typing import Any

from pipeline.model.metric import Better
from pipeline.model.releases import ReleaseOutcome, ReleaseSeries
from pipeline.model.report import Verdict
from pipeline.render import releases
from pipeline.render.names import describe_metric
from pipeline.render.numbers import duration, share
from pipeline.render.releases import ChangeCell, ReleaseRow
from pipeline.render.templates import render_html

_SHAPES = {Verdict.REGRESSED: "▶", Verdict.IMPROVED: "◀", Verdict.INCONCLUSIVE: "◆"}


def releases_html(series: ReleaseSeries) -> str:
    """Render the page; the same series gives the same bytes."""
    rows = releases.release_rows(series)
    verdict = series_verdict(series)
    by_workload = groupby(rows, key=lambda row: row.metric.workload)
    return render_html(
        "releases.html.j2",
        verdict=verdict.value,
        shape=_SHAPES.get(verdict, "●"),
        headline=releases.headline(series),
        identity=releases.identity(series),
        gaps=releases.gaps(series),
        ends=releases.span(series),
        confidence=share(series.confidence),
        columns=[_column(series, index) for index in range(len(series.releases))],
        changed=[_row(row) for row in rows if row.is_marked],
        workloads=[(name, [_row(row) for row in group]) for name, group in by_workload],
        method=releases.method(series),
    )


def series_verdict(series: ReleaseSeries) -> Verdict:
    """Return the verdict whose color the page has: the worst of the steps."""
    verdicts = {step.verdict for step in series.measured}
    order = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.INCONCLUSIVE)


def _column(series: ReleaseSeries, index: int) -> dict[str, Any]:
    """Return one release: its heading in the table of metrics, and its row in that of steps."""
    release = series.releases[index]
    step = series.steps[index] if index < len(series.steps) else None
    is_measured = step is not None and step.outcome is ReleaseOutcome.MEASURED
    before = series.releases[index - 1].name if index else ""
    ends = releases.span(series)
    return {
        "name": release.name,
        "commit": release.commit[:12],
        "state": releases.state_of(series, index),
        "tone": step.verdict.value if step and step.verdict else "",
        "shape": _SHAPES.get(step.verdict, "●") if step and step.verdict else "",
        "is_measured": is_measured,
        "is_first": ends is not None and release.name == ends[0],
        "against": step.against if step else "",
        "skips": bool(step and is_measured and step.against != before),
        "answer": (step.answer or step.reason) if step else "",
        "pairs": step.pairs if step and step.pairs else "",
        "time": duration(step.spent_s) if step and step.spent_s else "",
        "link": f"{step.folder}/{releases.REPORT}" if step and is_measured and step.folder else "",
    }


def _row(row: ReleaseRow) -> dict[str, Any]:
    metric = row.metric.metric
    return {
        "workload": row.metric.workload,
        "name": metric.name,
        "about": describe_metric(metric),
        "gate": metric.gate,
        "more_is_better": metric.better is Better.HIGHER,
        "level": row.level,
        "cells": [_cell(cell) for cell in row.cells],
        "total": _cell(row.total),
    }


def _cell(cell: ChangeCell) -> dict[str, str]:
    verdict = cell.verdict.value if cell.verdict else ""
    return {
        "estimate": cell.estimate,
        "interval": cell.interval,
        "verdict": verdict,
        "mark": cell.mark,
        "link": cell.link,
    }
