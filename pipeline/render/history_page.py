"""Histories as one HTML page, which needs nothing beside it and has no script.

Names and commits come from files that we do not know: everything is escaped, and the page's own
policy lets it load and run nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.judge.history import (
    ACKNOWLEDGE_REACH,
    BUMP_ALPHA,
    CONFIDENCE,
    MAX_POINTS,
    MIN_POINTS,
    MIN_SEGMENT,
    STEP_ALPHA,
    HistoryRule,
)
from pipeline.model.history import ChangePoint, JudgedSeries
from pipeline.model.metric import Scale
from pipeline.render import levels, page
from pipeline.render.history import commits, direction, mark, remarks, size
from pipeline.render.numbers import share
from pipeline.render.words import count

_FIRST = 20  # rows in the first table
_ROWS = 40  # of one series
_NOTES = 20  # of one series
_DOTS = 800  # of one series
_FEWEST = 100  # the same where there are many series
_ALL_DOTS = 24_000


def history_html(histories: Sequence[JudgedSeries], rule: HistoryRule) -> str:
    """Render the page; the same histories give the same bytes.

    Args:
        histories: To render, with places and acknowledgements.
        rule: By which they were judged.
    """
    alarms = [
        _row(number, judged, at)
        for number, judged in enumerate(histories)
        for at, step in enumerate(judged.steps)
        if step.alarms
    ]
    most = max(_FEWEST, min(_DOTS, _ALL_DOTS // max(1, len(histories))))
    return page.rendered(
        "history.html.j2",
        **_answer(histories),
        alarms=alarms[:_FIRST],
        more=max(0, len(alarms) - _FIRST),
        series=[_series(number, judged, most) for number, judged in enumerate(histories)],
        confidence=share(CONFIDENCE),
        method=method(rule),
    )


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer: what was found, and what to do about it."""

    found: str
    advice: str


def headline(histories: Sequence[JudgedSeries]) -> Headline:
    """Return the answer in words, derived from the steps that the page shows."""
    alarms = [[step for step in judged.steps if step.alarms] for judged in histories]
    if steps := sum(map(len, alarms)):
        among = f"{sum(map(bool, alarms))} of {len(histories)} series"
        return Headline(
            f"{count(steps, 'unexplained step')} for the worse in {among}",
            "look at what changed between the two commits of each",
        )
    if all(map(_is_short, histories)):
        return Headline(
            f"cannot tell: none of {len(histories)} series has {MIN_POINTS} points",
            "not a pass: measure more often",
        )
    if drifts := sum(judged.drift is not None and judged.drift.is_worse for judged in histories):
        return Headline(
            f"no unexplained step for the worse in {len(histories)} series, but"
            f" {count(drifts, 'drift')}",
            "a drift does not alarm: look at where it comes from",
        )
    return Headline(
        f"no unexplained step for the worse in {len(histories)} series", "no action needed"
    )


def counts(histories: Sequence[JudgedSeries]) -> str:
    """Return how many steps there are of each kind, and how many series show none."""
    steps = [step for judged in histories for step in judged.steps]
    worse = [step for step in steps if step.is_worse]
    known = sum(bool(step.acknowledged) for step in worse)
    short = sum(map(_is_short, histories))
    none = sum(not judged.steps for judged in histories) - short
    parts = [f"{count(len(worse), 'step')} for the worse"]
    parts[0] += f", {known} acknowledged" if known else ""
    parts += [f"{len(steps) - len(worse)} for the better", f"{none} series without a step"]
    drifts = [judged.drift.is_worse for judged in histories if judged.drift]
    if drifts:
        parts.append(f"{len(drifts)} series with a drift, {sum(drifts)} of them for the worse")
    return "; ".join([*parts, *([f"{short} too short to tell"] if short else [])])


def method(rule: HistoryRule) -> list[tuple[str, str]]:
    """Return everything that decided, each with its name."""
    ratio, amount = (rule.min_change(scale) for scale in (Scale.RATIO, Scale.DIFFERENCE))
    return [
        (
            "false steps",
            (
                f"of series in which nothing happens, {share(STEP_ALPHA + BUMP_ALPHA)} show a step:"
                f" {share(STEP_ALPHA)} for steps, {share(BUMP_ALPHA)} for a step and its step back"
            ),
        ),
        (
            "smallest",
            (
                f"ratios below {share(ratio)} do not matter,"
                f" {f'nor amounts below {amount:g}' if amount else 'amounts of any size do'}"
            ),
        ),
        (
            "level",
            (
                f"the median of its points; to be seen it takes {MIN_SEGMENT} points, and a series"
                f" takes {MIN_POINTS}"
            ),
        ),
        (
            "drift",
            (
                "a slow change that explains the points better than steps do; it is taken away"
                " before steps are looked for, and does not alarm. So is a weekly rhythm"
            ),
        ),
        (
            "range",
            (
                "the points at which a step may have begun, and the commits that it lies between,"
                f" hold {share(CONFIDENCE)}"
            ),
        ),
        (
            "interval",
            (
                f"holds {share(CONFIDENCE)}, around a difference of means without spikes, so the"
                " size may differ a little from that between two medians"
            ),
        ),
        ("looked at", f"the {MAX_POINTS:,} newest points of a series"),
        (
            "acknowledged",
            (
                f"a step at most {ACKNOWLEDGE_REACH} points from the place that somebody named, or"
                " whose range contains it"
            ),
        ),
        (
            "drawn",
            (
                "where points are many, the smallest and the largest of each group of neighbours;"
                " levels are those of all points"
            ),
        ),
    ]


def _answer(histories: Sequence[JudgedSeries]) -> dict[str, Any]:
    verdict, word, shape = "unchanged", "no alarm", "●"
    if any(step.alarms for judged in histories for step in judged.steps):
        verdict, word, shape = "regressed", "worse", "▲"
    elif all(map(_is_short, histories)):
        verdict, word, shape = "inconclusive", "cannot tell", "◆"
    return {
        "headline": headline(histories),
        "counts": counts(histories),
        "verdict": verdict,
        "word": word,
        "shape": shape,
    }


def _series(number: int, judged: JudgedSeries, most: int) -> dict[str, Any]:
    line = judged.series
    shown = judged.steps[-_ROWS:]
    older = len(judged.steps) - len(shown)
    said = remarks(judged)
    span = [place.time for place in (judged.first, judged.last) if place.time]
    return {
        "id": f"s-{number}",
        "name": line.name,
        "points": line.left_out + len(line.values),
        "span": f"from {span[0]} to {span[-1]}" if span else "",
        "meaning": f"{line.better.value} is better, steps are {_KINDS[line.scale]}",
        "steps": _many(judged),
        "worst": max((_RANKS[levels.tone(s)] for s in judged.steps), default=(0, "unchanged"))[1],
        "picture": page.raw(levels.series(judged, most, shown)),
        "rows": [_row(number, judged, at) for at in range(older, len(judged.steps))],
        "older": older,
        "notes": said[:_NOTES],
        "unsaid": max(0, len(said) - _NOTES),
    }


def _many(judged: JudgedSeries) -> str:
    if judged.needed is not None:
        return "too short to tell"
    steps = count(len(judged.steps), "step") if judged.steps else "no step"
    return f"{steps}, a drift" if judged.drift else steps


def _row(number: int, judged: JudgedSeries, at: int) -> dict[str, Any]:
    step: ChangePoint = judged.steps[at]
    latest = step.until.commit or step.after.commit
    (_, before), (after, _) = levels.levels(judged)[at : at + 2]
    return {
        "id": f"s-{number}",
        "name": judged.series.name,
        "mark": mark(step),
        "tone": levels.tone(step),
        "index": step.index,
        "range": f"({step.first} to {step.last})" if step.first < step.last else "",
        "time": step.after.time or "-",
        "commits": commits(step) or "-",
        "full": f"{step.before.commit}..{latest}" if latest else "",
        "size": size(judged.series, step),
        "before": f"{before:.4g}",
        "after": f"{after:.4g}",
        "direction": direction(step),
        "reason": step.acknowledged,
    }


def _is_short(judged: JudgedSeries) -> bool:
    return judged.needed is not None


_KINDS = {Scale.RATIO: "ratios", Scale.DIFFERENCE: "amounts"}
_RANKS = {
    "is-regressed": (2, "regressed"),
    "is-improved": (1, "improved"),
    "is-unchanged": (0, "unchanged"),
}
