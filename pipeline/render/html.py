"""Render a report as one HTML page that needs no other file, and no script to be read.

Names come from builds and suites that we do not know: the template escapes everything, and the
page's policy lets it load nothing and run only the script whose digest it names.
"""

import base64
import re
from itertools import groupby
from typing import Any

from pipeline.model.explanation import Explanation
from pipeline.model.metric import Better, Scale
from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.subject import Arm
from pipeline.model.traces import Traces, TrackPair
from pipeline.render import explanation as explanations
from pipeline.render import plots, rows, words
from pipeline.render.answer_line import answer as answer_line
from pipeline.render.answer_line import change_in_margins, is_measured
from pipeline.render.flame import flame_svg, flame_title
from pipeline.render.names import metric_anchor
from pipeline.render.numbers import amount, share
from pipeline.render.templates import asset, raw, render_html, sha256_base64
from pipeline.system.sanitize import printable

VERDICT_SHAPES = {
    Verdict.REGRESSED: "▶",
    Verdict.IMPROVED: "◀",
    Verdict.UNCHANGED: "●",
    Verdict.INCONCLUSIVE: "◆",
}
"""The shape of each verdict, the same as in the plots."""

_SORT_ORDER = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED)
_MAX_CHANGED = 10  # rows in the first table
_MAX_LIST = 200  # notes, warnings and reasons each
_MAX_COMMAND = 20_000
_SCRIPTS = ("sortable.min.js", "sortable.a11y.min.js")
_QUANTILE = re.compile(r"/p(\d\d)$")
_TRACKS = {"memory_mean": "memory", "memory_max": "memory", "memory_added": "memory"}
_SCALES = {
    Scale.RATIO: ("Compared as ratios", "the axis is the change itself"),
    Scale.DIFFERENCE: (
        "Compared as amounts",
        "amounts have no common unit, so the axis is in margins of each metric",
    ),
}


def html(
    report: Report,
    traces: Traces,
    results_json: str,
    *,
    next_step: str = "",
    answer: str | None = None,
    command: str | None = None,
    explanation: Explanation | None = None,
) -> str:
    """Render the page; the same report and traces give the same bytes.

    The page contains the text of results.json.  `next_step` is the command that leads to an
    answer.  `answer` and `command`, if given, replace those of the report; an empty
    command is not shown.  `explanation` says what changed inside the builds.
    """
    command = words.reproduce_command(report) if command is None else command
    script = "\n".join(asset(f"assets/{name}") for name in _SCRIPTS)
    groups = rows.unchanged_groups(report.findings)
    data = base64.b64encode(results_json.encode()).decode()
    return render_html(
        "report.html.j2",
        **_answer_section(report, next_step, answer or answer_line(report)),
        unchanged=[(group.title, [_row(f) for f in group.findings]) for group in groups],
        inconclusive=[_row(f) for f in rows.inconclusive_findings(report.findings)],
        command=_escape_long(command),
        script=raw(script),
        script_digest=sha256_base64(script),
        tables=[
            {
                "title": title,
                "about": about,
                "axis": raw(plots.interval_axis(of)),
                "rows": [_row(f) for f in report.findings if f.comparison.metric.scale is of],
            }
            for of, (title, about) in _SCALES.items()
        ],
        tally=[
            (verdict, shape, sum(f.verdict is verdict for f in report.findings))
            for verdict, shape in VERDICT_SHAPES.items()
        ],
        workloads=_workloads(report, traces),
        download=raw(f"data:application/json;base64,{data}"),
        files=_files(traces),
        unread=traces.unread,
        axis=raw(plots.interval_axis(Scale.RATIO)),
        inside=_inside(explanation) if explanation else [],
        inside_method=explanations.method(explanation) if explanation else "",
    )


def _inside(explanation: Explanation) -> list[dict[str, Any]]:
    """Return what `explain` says of each workload: causes, metrics and flame graphs."""
    return [
        {
            "sentence": explanations.sentence(one),
            "per": one.per,
            "causes": explanations.cause_rows(one.causes, _MAX_CHANGED),
            "first": explanations.MAX_ROWS,
            "groups": explanations.metric_groups(one),
            "flames": [
                (flame_title(graph, one.per), raw(flame_svg(graph, one.per)))
                for graph in one.flames
            ],
            "gaps": one.gaps,
        }
        for one in explanation.workloads
    ]


def _answer_section(report: Report, next_step: str, answer: str) -> dict[str, Any]:
    results = report.results
    is_judged = is_measured(report)
    changed = rows.changed_findings(report.findings)
    notes = words.metric_notes(report.findings)
    has_tolerance = any(f.comparison.metric.tolerance is not None for f in report.findings)
    word, _, rest = answer.partition(": ")
    return {
        "word": word,
        "answer": rest,
        "next_step": _escape_long(printable(next_step)) if next_step else "",
        "verdict": report.verdict.value if is_judged else "invalid",
        "mark": VERDICT_SHAPES[report.verdict] if is_judged else "!",
        "suite": results.suite,
        "counts": words.verdict_counts(report),
        "identity": words.identity(report),
        "sensitivity": words.sensitivity(report),
        "confidence": share(report.rule.confidence),
        "margin": "margin (tolerance)" if has_tolerance else "margin",
        "has_tolerance": has_tolerance,
        "changed": [_row(f, among_ratios=True) for f in changed[:_MAX_CHANGED]],
        "more": max(0, len(changed) - _MAX_CHANGED),
        "ratios_title": words.ratios_title(report),
        "ratios": words.ratios_within_builds(report),
        "method": words.method(report),
        "warning_groups": [str(group) for group in words.warning_groups(report)],
        "warnings": report.warning_texts[:_MAX_LIST],
        "notes": notes[:_MAX_LIST],
        "omitted": max(0, len(report.warnings) - _MAX_LIST) + max(0, len(notes) - _MAX_LIST),
        "invalid": [
            (t.pair, t.arm.value, "; ".join(t.invalid)) for t in results.trials if t.invalid
        ][:_MAX_LIST],
        "metrics": len(report.findings),
        "gating": len(report.gating),
        "has_stored": any(f.comparison.stored is not None for f in report.findings),
    }


def _row(finding: Finding, *, among_ratios: bool = False) -> dict[str, Any]:
    """Return one row of a table: what is shown, and the numbers that it is sorted by."""
    comparison = finding.comparison
    metric, change = comparison.metric, comparison.change
    return {
        **rows.cells(finding),
        "id": metric_anchor(words.finding_name(finding)),
        "workload": comparison.workload,
        "metric": metric.name,
        "gate": metric.gate,
        "more_is_better": metric.better is Better.HIGHER,
        "mark": VERDICT_SHAPES[finding.verdict],
        "rank": _SORT_ORDER.index(finding.verdict),
        "estimate": amount(metric, change.estimate if change else None),
        "worse": f"{change_in_margins(comparison):.4f}",
        "plot": raw(plots.interval_plot(finding, among_ratios=among_ratios)),
    }


def _workloads(report: Report, traces: Traces) -> list[dict[str, Any]]:
    """Return the evidence of each workload: its metrics, then its resources over time."""
    workloads = []
    for name, group in groupby(report.findings, key=lambda f: f.comparison.workload):
        tracked = {t.name: t for t in traces.tracked if t.workload == name}
        metrics = [_metric(report, finding, traces, tracked) for finding in group]
        tracks = [(_track_caption(t), raw(plots.over_time(t))) for t in tracked.values()]
        workloads.append({"name": name, "metrics": metrics, "tracks": tracks})
    return workloads


def _metric(
    report: Report, finding: Finding, traces: Traces, tracked: dict[str, TrackPair]
) -> dict[str, Any]:
    comparison, results = finding.comparison, report.results
    key = words.finding_name(finding)
    values = {
        arm: next((s.values for s in results.samples.get(arm, ()) if s.key == key), ())
        for arm in Arm
    }
    valid = set(results.valid_pairs)
    invalid = [pair for pair in range(results.pairs) if pair not in valid]
    pictures = [("pair by pair", plots.pair_by_pair(comparison.metric, values, invalid))]
    reading = traces.reads.get(key, "")
    if arms := traces.distributions.get((comparison.workload, reading.rpartition("/")[0])):
        match = _QUANTILE.search(reading)
        q = int(match[1]) / 100 if match else None
        counts = " and ".join(f"{one.count:,}" for _, one in sorted(arms.items()))
        caption = f"{counts} raw times, all valid pairs together"
        pictures.append((caption, plots.cumulative(arms, q)))
    if track := tracked.get(_track_name(reading)):
        pictures.append((_track_caption(track), plots.over_time(track)))
    return {
        **_row(finding),
        "pairs": comparison.pairs,
        "p_worse": _p_value(comparison.p_worse),
        "p_better": _p_value(comparison.p_better),
        "notes": words.explanations(finding),
        "reading": reading,
        "pictures": [(caption, raw(picture)) for caption, picture in pictures if picture],
    }


def _track_caption(tracked: TrackPair) -> str:
    most = max(len(track.times_s) for track in tracked.tracks.values())
    few = ", before the load and after it" if most <= plots.MAX_MARKED_POINTS else ""
    return f"{tracked.name} over time{few}"


def _track_name(reading: str) -> str:
    """Return the track over time that belongs to a reading such as `server.memory_mean`."""
    component, _, name = reading.partition(".")
    return f"{component}.{_TRACKS.get(name, name.removesuffix('_added'))}"


def _files(traces: Traces) -> list[tuple[str, list[str]]]:
    """Return links to the files beside the page, by the folder of their pair."""

    def folder(path: str) -> str:
        return "/".join(path.split("/")[:2]) if "/" in path else ""

    paths = map(printable, traces.files)  # a link to an unprintable name would be broken
    return [(name, list(group)) for name, group in groupby(paths, key=folder)]


def _p_value(value: float | None) -> str:
    return "-" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _escape_long(text: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return escaped text that may be longer than a cell."""
    from markupsafe import escape

    return escape(text if len(text) <= _MAX_COMMAND else f"{text[:_MAX_COMMAND]}…")
