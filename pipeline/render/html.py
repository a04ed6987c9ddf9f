"""A report as one HTML page, which needs nothing beside it and no script to be read.

Names come from builds and suites that we do not know: everything is escaped by the template, what
cannot be printed is replaced, and the page's own policy lets it load nothing and run only the
script whose digest it names.
"""

import base64
import hashlib
import re
from functools import lru_cache
from itertools import groupby
from typing import Any

from pipeline.judge import scale
from pipeline.model.metric import Better, Scale
from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.subject import Arm
from pipeline.model.traces import Distribution, Traces, TrackPair
from pipeline.render import forest, order, page, pictures, words
from pipeline.render.care import cautions
from pipeline.render.names import described
from pipeline.render.numbers import amount, interval, quantity, share
from pipeline.system.sanitize import printable

MARKS = {
    Verdict.REGRESSED: "▶",
    Verdict.IMPROVED: "◀",
    Verdict.UNCHANGED: "●",
    Verdict.INCONCLUSIVE: "◆",
}
"""The shape of each verdict, the same as in the drawings."""

_CHANGED = 10  # rows in the first table
_LIST = 200  # notes, warnings and reasons each
_COMMAND = 20_000
_SCRIPTS = ("sortable.min.js", "sortable.a11y.min.js")
_QUANTILE = re.compile(r"/p(\d\d)$")
_TRACKED = {"memory_mean": "memory", "memory_max": "memory", "memory_added": "memory"}
_SCALES = {
    Scale.RATIO: ("Compared as ratios", "the axis is the change itself"),
    Scale.DIFFERENCE: (
        "Compared as amounts",
        "they have no common unit, so each is drawn in margins of its own",
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
) -> str:
    """Render the page; the same report and traces give the same bytes.

    Args:
        report: What was found.
        traces: What the run's folder keeps beside it.
        results_json: The text of results.json, which the page carries along.
        next_step: Command that would settle an inconclusive run; empty where there is none.
        answer: The answer in one line; None for that of the report alone.
        command: Command that measures the same again; empty for none, None for the one that the
            report itself names.
    """
    again = words.reproduce(report) if command is None else command
    return page.rendered(
        "report.html.j2",
        **_answer(report, next_step, answer or words.answer(report)),
        **_grouped(report),
        command=_raw_text(again, _COMMAND),
        **_script(),
        tables=[_table(report, of) for of in Scale],
        tally=[(v, MARKS[v], sum(f.verdict is v for f in report.findings)) for v in Verdict],
        workloads=_workloads(report, traces),
        download=_data(results_json),
        files=_files(traces),
        unread=traces.unread,
        axis=page.raw(forest.axis(Scale.RATIO)),
    )


def _answer(report: Report, next_step: str, answer: str) -> dict[str, Any]:
    """Return what a reader sees first, and what it rests on."""
    measured = words.is_measured(report)
    changed = order.changed(report.findings)
    notes = words.notes(report.findings)
    has_tolerance = any(f.comparison.metric.tolerance is not None for f in report.findings)
    said, _, rest = answer.partition(": ")
    return {
        "word": said,
        "answer": rest,
        "next_step": _raw_text(printable(next_step), _COMMAND) if next_step else "",
        "verdict": report.verdict.value if measured else "invalid",
        "mark": MARKS[report.verdict] if measured else "!",
        "suite": report.results.suite,
        "counts": words.counts(report),
        "identity": words.identity(report),
        "detectable": words.detectable(report),
        "confidence": share(report.rule.confidence),
        "margin": "margin (tolerance)" if has_tolerance else "margin",
        "has_tolerance": has_tolerance,
        "changed": [_row(f, among_ratios=True) for f in changed[:_CHANGED]],
        "more": max(0, len(changed) - _CHANGED),
        "method": words.method(report),
        "cautions": [str(caution) for caution in cautions(report)],
        "warnings": report.warning_texts[:_LIST],
        "notes": notes[:_LIST],
        "unsaid": max(0, len(report.warnings) - _LIST) + max(0, len(notes) - _LIST),
        "invalid": [
            (t.pair, t.arm.value, "; ".join(t.invalid)) for t in report.results.trials if t.invalid
        ][:_LIST],
        "metrics": len(report.findings),
        "gating": len(report.gating),
        "has_stored": any(f.comparison.stored is not None for f in report.findings),
    }


def _grouped(report: Report) -> dict[str, Any]:
    """Return what did not change, by operation and resource, and what could not be decided."""
    groups = order.unchanged(report.findings)
    return {
        "unchanged": [(group.title, [_row(f) for f in group.findings]) for group in groups],
        "inconclusive": [_row(f) for f in order.inconclusive(report.findings)],
    }


def _table(report: Report, of: Scale) -> dict[str, Any]:
    title, about = _SCALES[of]
    rows = [_row(f) for f in report.findings if f.comparison.metric.scale is of]
    return {"title": title, "about": about, "axis": page.raw(forest.axis(of)), "rows": rows}


def _row(finding: Finding, *, among_ratios: bool = False) -> dict[str, Any]:
    """Return one row of a table: what is shown, and the numbers that it is sorted by."""
    comparison = finding.comparison
    metric, change = comparison.metric, comparison.change
    worse = 0.0 if change is None else scale.worse(metric, change.estimate) / scale.margin(metric)
    return {
        "id": _id(words.key(finding)),
        "workload": comparison.workload,
        "name": metric.name,
        "gate": metric.gate,
        "more_is_better": metric.better is Better.HIGHER,
        "verdict": finding.verdict.value,
        "mark": MARKS[finding.verdict],
        "rank": (
            Verdict.REGRESSED,
            Verdict.IMPROVED,
            Verdict.INCONCLUSIVE,
            Verdict.UNCHANGED,
        ).index(finding.verdict),
        "baseline": words.measured(finding, Arm.BASELINE),
        "candidate": words.measured(finding, Arm.CANDIDATE),
        "stored": quantity(comparison.stored, metric.unit),
        "change": interval(metric, change),
        "estimate": amount(metric, change.estimate if change else None),
        "worse": f"{worse:.4f}",
        "about": described(metric),
        "at_worst": words.at_worst(finding),
        "margin": words.margins(metric),
        "detectable": amount(metric, comparison.detectable_change),
        "kept": words.kept(finding),
        "advice": "; ".join((*words.advised(finding), *finding.comparison.warnings)),
        "plot": page.raw(forest.row(finding, among_ratios=among_ratios)),
    }


def _workloads(report: Report, traces: Traces) -> list[dict[str, Any]]:
    """Return the traces of each workload: its metrics, then what else was looked at."""
    found = []
    for name, group in groupby(report.findings, key=lambda f: f.comparison.workload):
        tracked = {t.name: t for t in traces.tracked if t.workload == name}
        metrics = [_metric(report, finding, traces, tracked) for finding in group]
        tracks = [(_over_time(t), page.raw(pictures.over_time(t))) for t in tracked.values()]
        found.append({"name": name, "metrics": metrics, "tracks": tracks})
    return found


def _metric(
    report: Report, finding: Finding, traces: Traces, tracked: dict[str, TrackPair]
) -> dict[str, Any]:
    comparison, key = finding.comparison, words.key(finding)
    values = {
        arm: next((s.values for s in report.results.samples.get(arm, ()) if s.key == key), ())
        for arm in Arm
    }
    valid = set(report.results.valid_pairs)
    invalid = [pair for pair in range(report.results.pairs) if pair not in valid]
    drawn = [("pair by pair", pictures.pair_by_pair(comparison.metric, values, invalid))]
    reading = traces.reads.get(key, "")
    if arms := traces.distributions.get((comparison.workload, reading.rpartition("/")[0])):
        quantile = _QUANTILE.search(reading)
        q = int(quantile[1]) / 100 if quantile else None
        drawn.append((_counted(arms), pictures.cumulative(arms, q)))
    if found := tracked.get(_track_of(reading)):
        drawn.append((_over_time(found), pictures.over_time(found)))
    return {
        **_row(finding),
        "pairs": comparison.pairs,
        "p_worse": _p(comparison.p_worse),
        "p_better": _p(comparison.p_better),
        "notes": (
            *filter(None, (words.kept(finding),)),
            *words.advised(finding),
            *words.all_warnings(finding),
        ),
        "reading": reading,
        "drawn": [(caption, page.raw(picture)) for caption, picture in drawn if picture],
    }


def _counted(arms: dict[Arm, Distribution]) -> str:
    counts = " and ".join(f"{found.count:,}" for _, found in sorted(arms.items()))
    return f"all raw times, {counts} of them, valid pairs together"


def _over_time(tracked: TrackPair) -> str:
    most = max(len(track.times_s) for track in tracked.tracks.values())
    few = ", before the load and after it" if most <= pictures.FEW_LOOKS else ""
    return f"{tracked.name} over time{few}"


def _track_of(reading: str) -> str:
    """Return what was looked at over time, of a reading such as `server.memory_mean`."""
    component, _, what = reading.partition(".")
    return f"{component}.{_TRACKED.get(what, what.removesuffix('_added'))}"


def _files(traces: Traces) -> list[tuple[str, list[str]]]:
    """Return links to the files beside the page, by the pair that they are of."""

    def folder(path: str) -> str:
        return "/".join(path.split("/")[:2]) if "/" in path else ""

    paths = map(printable, traces.files)  # a link of what cannot be written would be none
    return [(name, list(group)) for name, group in groupby(paths, key=folder)]


def _p(value: float | None) -> str:
    return "-" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _id(key: str) -> str:
    """Return a name for a link within the page, of any text."""
    return f"m-{hashlib.sha256(key.encode(errors='backslashreplace')).hexdigest()[:12]}"


def _data(text: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    encoded = base64.b64encode(text.encode()).decode()
    return page.raw(f"data:application/json;base64,{encoded}")


def _raw_text(text: str, most: int) -> Any:  # noqa: ANN401 (markupsafe loads late)
    from markupsafe import escape

    return escape(text if len(text) <= most else f"{text[:most]}…")


@lru_cache(maxsize=1)
def _script() -> dict[str, Any]:
    """Return the script, and the digest by which the page's policy allows it."""
    script = "\n".join(page.source(f"assets/{name}") for name in _SCRIPTS)
    return {"script": page.raw(script), "script_digest": page.digest(script)}
