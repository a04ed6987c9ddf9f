"""Render a search for a commit as one HTML page that needs no other file and has no script.

Subjects of commits, names of files and the output of builds are foreign: the template escapes
everything, and the page's policy lets it load and run nothing.
"""

from pipeline.judge import bisect as judge
from pipeline.judge.bisect import BisectState
from pipeline.model.bisect import Bisection
from pipeline.model.report import Verdict
from pipeline.render import bisect as words
from pipeline.render import svg
from pipeline.render.names import describe_metric
from pipeline.render.numbers import brief_interval
from pipeline.render.svg import Frame
from pipeline.render.templates import raw, render_html

FRAME = Frame(960.0, 260.0, left=70.0, top=20.0)

_MAX_TICKS = 8
_SHAPES = {Verdict.REGRESSED: "▶", Verdict.IMPROVED: "◀", Verdict.INCONCLUSIVE: "◆"}


def bisect_html(bisection: Bisection) -> str:
    """Render the page; the same search gives the same bytes."""
    verdict = tone(bisection)
    return render_html(
        "bisect.html.j2",
        verdict=verdict.value,
        shape=_SHAPES.get(verdict, "●"),
        headline=words.headline(bisection),
        identity=words.identity(bisection),
        notes=words.notes(bisection),
        causes=words.causes(bisection),
        rows=words.evidence_rows(bisection),
        key=bisection.key,
        about=describe_metric(bisection.metric),
        plot=raw(plot(bisection)),
        method=words.method(bisection),
    )


def tone(bisection: Bisection) -> Verdict:
    """Return the verdict whose color the page has."""
    if bisection.found:
        size = judge.size_of(bisection, bisection.position_of(bisection.found[0].commit))
        worse = size.change.estimate * (1 if bisection.metric.better == "lower" else -1)
        return Verdict.REGRESSED if worse > 0 else Verdict.IMPROVED
    is_same = judge.decide(bisection).state is BisectState.SAME_ENDS
    return Verdict.UNCHANGED if is_same else Verdict.INCONCLUSIVE


def plot(bisection: Bisection) -> str:
    """Return a drawing of the change against the good end, by position, with intervals."""
    levels = judge.levels(bisection)
    ends = [end for one in levels for end in (one.change.low, one.change.high)]
    y = FRAME.padded_y_axis([0.0, *ends, *([] if ends else [1.0])])
    x = FRAME.x_axis(0, bisection.last_position)
    unit = "%" if bisection.metric.scale == "ratio" else bisection.metric.unit
    step = max(1, -(-bisection.last_position // _MAX_TICKS))
    places = [(x.at(at), f"{at}") for at in range(0, bisection.last_position + 1, step)]
    parts = [*FRAME.x_ticks(places), *_y_ticks(bisection, y, unit)]
    found = {bisection.position_of(one.commit) for one in bisection.found}
    for position in bisection.skipped:
        foot = FRAME.height - FRAME.bottom - 6
        d = svg.cross(x.at(position), foot, 3.5)
        title = f"{bisection.commit_at(position).id[:12]}: skipped"
        parts.append(svg.tag("path", svg.tooltip(title), d=d, class_="zero"))
    good = svg.tooltip("the good end")
    parts.append(svg.tag("circle", good, cx=x.at(0), cy=y.at(0.0), r=4.0, class_="dot baseline"))
    for one in levels:
        at, low, high = x.at(one.position), y.at(one.change.low), y.at(one.change.high)
        commit = bisection.commit_at(one.position)
        change = brief_interval(bisection.metric, one.change)
        text = f"{one.position}: {commit.id[:12]} {change} {commit.subject}"
        bar = f"M{svg.number(at)} {svg.number(low)}V{svg.number(high)}"
        class_ = f"is-{tone(bisection).value}" if one.position in found else "is-unchanged"
        radius = 6.0 if one.position in found else 4.0
        dot = svg.diamond(at, y.at(one.change.estimate), radius)
        parts.append(
            svg.tag(
                "g",
                svg.tooltip(text),
                svg.tag("path", d=bar, class_="interval"),
                svg.tag("path", d=dot, class_="estimate"),
                class_=class_,
            )
        )
    label = f"Change of {bisection.key} against the good end by position in the history"
    return svg.drawing(FRAME.width, FRAME.height, label, *parts)


def _y_ticks(bisection: Bisection, y: svg.Axis, unit: str) -> list[str]:
    """Return the ticks of the changes: percentages of ratios, or amounts in their unit."""
    if bisection.metric.scale == "difference":
        return FRAME.y_ticks(y, unit)
    values = svg.ticks(100 * y.low, 100 * y.high, 5)
    parts = [FRAME.baseline()]
    for value in values:
        parts += FRAME.y_tick(y.at(value / 100), f"{value:+.6g} %" if value else "0")
    return parts
