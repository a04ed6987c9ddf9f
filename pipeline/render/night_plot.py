"""Draw a metric over the nights: dates, levels, steps, releases and changes of the reference."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.model.history import ChangePoint
from pipeline.model.metric import Scale
from pipeline.model.nights import DatedRelease, DatedSeries, Night
from pipeline.render import svg
from pipeline.render.history import step_mark, step_text
from pipeline.render.history_page import levels, step_tone, thin_out

LARGE = svg.Frame(960.0, 280.0, top=34.0)
SMALL = svg.Frame(300.0, 92.0, left=48.0, right=6.0, top=8.0, bottom=22.0)

_MAX_DOTS = 120  # of a small drawing
_MAX_STEPS = 40  # newest, drawn with a mark
_MAX_TOOLTIP = 300  # characters
_MAX_TAG = 24  # characters of a release's name
_MARK_Y = 27.0  # pixels from the upper edge to the feet of the marks
_TAG_Y = 11.0  # pixels from the upper edge to the names of releases
_LETTER = 6.5  # pixels
_CAP = 5.0  # pixels, half the width of the ends of a bar
_PAD_S = 43_200.0  # half a day on both sides of the nights
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class NightPlot:
    """What is drawn of one metric.

    Attributes:
        key: `workload/metric`.
        nights: All nights of the history, in the order of time.
        series: Series of each stretch, in the order of time.
        releases: Releases of the product.
    """

    key: str
    nights: Sequence[Night]
    series: Sequence[DatedSeries]
    releases: Sequence[DatedRelease]

    @property
    def scale(self) -> Scale:
        """The scale of the newest stretch, which is the scale of the drawing."""
        return self._kind(self.series[-1])[0]

    @property
    def unit(self) -> str:
        """The unit of the newest stretch: that of amounts; ratios are in percent."""
        return self._kind(self.series[-1])[1]

    def visible_series(self) -> list[DatedSeries]:
        """Return the stretches on the scale and in the unit of the newest."""
        return [one for one in self.series if self._kind(one) == self._kind(self.series[-1])]

    def renewals(self) -> list[tuple[int, int]]:
        """Return each night that is drawn after one of another stretch: that one, then it."""
        stretches = {night: at for at, one in enumerate(self.series) for night in one.nights}
        drawn = sorted(night for one in self.visible_series() for night in one.nights)
        pairs = itertools.pairwise(drawn)
        return [(one, two) for one, two in pairs if stretches[one] != stretches[two]]

    def _kind(self, one: DatedSeries) -> tuple[Scale, str]:
        return self.nights[one.nights[-1]].values[self.key].kind

    def height(self, value: float) -> float:
        """Return a value of a series as the change that the axis shows: percent, or an amount."""
        return 100 * (value - 1) if self.scale is Scale.RATIO else value


def large_plot(plot: NightPlot, links: Sequence[str]) -> str:
    """Return the drawing of a metric; each dot links to the page of its night.

    Args:
        plot: Metric to draw.
        links: Address of the page of each night, shape (nights,).
    """
    parts, x, y = _axes(plot, LARGE)
    drawn = plot.visible_series()
    parts += _releases(plot, x)
    for before, after in plot.renewals():
        middle = (_time(plot, before) + _time(plot, after)) / 2
        parts.append(_vertical(LARGE, x.at(middle), "renewed", "another reference build"))
    for one in drawn:
        parts.append(_level_line(plot, one, x, y))
        for step in one.judged.steps[-_MAX_STEPS:]:
            parts.append(_step(plot, one, step, x, y))
    for one in drawn:
        for value, night in zip(one.judged.series.values, one.nights, strict=True):
            at = plot.nights[night]
            tip = f"{at.time.astimezone(UTC):%Y-%m-%d} {at.commit[:12]}"
            place = {"cx": x.at(_time(plot, night)), "cy": y.at(plot.height(value))}
            dot = svg.tag("circle", svg.tooltip(tip), **place)
            parts.append(svg.tag("a", dot, href=links[night], tabindex="-1"))
    steps = sum(len(one.judged.steps) for one in drawn)
    points = sum(len(one.nights) for one in drawn)
    name = f"{plot.key[:80]}: {points} nights, {steps} steps"
    size = {"width": LARGE.width, "height": LARGE.height}
    view = f"0 0 {LARGE.width:g} {LARGE.height:g}"
    return svg.tag("svg", *parts, viewBox=view, **size, role="group", aria_label=name)


def small_plot(plot: NightPlot) -> str:
    """Return a small drawing of a metric, without links."""
    parts, x, y = _axes(plot, SMALL)
    for one in plot.visible_series():
        dots = "".join(
            f"M{svg.number(x.at(_time(plot, one.nights[at])))}"
            f" {svg.number(y.at(plot.height(one.judged.series.values[at])))}h0"
            for at in thin_out(one.judged.series.values, _MAX_DOTS)
        )
        parts += [svg.tag("path", d=dots, class_="dots"), _level_line(plot, one, x, y)]
    name = f"{plot.key[:80]} over the nights"
    return svg.drawing(SMALL.width, SMALL.height, name, *parts)


def _axes(plot: NightPlot, frame: svg.Frame) -> tuple[list[str], svg.Axis, svg.Axis]:
    drawn = plot.visible_series()
    times = [_time(plot, night) for one in drawn for night in one.nights]
    heights = [plot.height(value) for one in drawn for value in one.judged.series.values]
    x = frame.x_axis(min(times) - _PAD_S, max(times) + _PAD_S)
    low, high = min(heights), max(heights)
    padding = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    y = frame.y_axis(low - padding, high + padding)
    parts = frame.y_ticks(y, "%" if plot.scale is Scale.RATIO else plot.unit)
    ticks = date_ticks(datetime.fromtimestamp(x.low, UTC), datetime.fromtimestamp(x.high, UTC))
    parts += frame.x_ticks([(x.at(one.timestamp()), text) for one, text in ticks])
    return parts, x, y


def date_ticks(first: datetime, last: datetime) -> list[tuple[datetime, str]]:
    """Return the dates to mark on an axis, each with its label: days, weeks, months or years."""
    days = (last - first).total_seconds() / _DAY_S
    start = first.replace(hour=0, minute=0, second=0, microsecond=0)
    if days <= 100:
        every = 1 if days <= 10 else 7 if days <= 60 else 14
        dates = [start + timedelta(days=n) for n in range(0, int(days) + 2, every)]
        return [(one, f"{one:%b} {one.day}") for one in dates if first <= one <= last]
    months = 1 if days <= 400 else 3 if days <= 1200 else 12
    number = start.year * 12 + start.month - 1
    ticks: list[tuple[datetime, str]] = []
    while (one := start.replace(year=number // 12, month=number % 12 + 1, day=1)) <= last:
        if one >= first and number % months == 0:
            ticks.append((one, f"{one:%Y}" if months == 12 else f"{one:%b %Y}"))
        number += 1
    return ticks


def _time(plot: NightPlot, night: int) -> float:
    return plot.nights[night].time.timestamp()


def _level_line(plot: NightPlot, one: DatedSeries, x: svg.Axis, y: svg.Axis) -> str:
    """Return the level of every part between two steps, from its first night to its last."""
    left_out = one.judged.series.left_out
    inner = [step.index - left_out for step in one.judged.steps]
    edges = itertools.pairwise([0, *inner, len(one.nights)])
    lines = "".join(
        svg.path(
            [
                (x.at(_time(plot, one.nights[start])), y.at(plot.height(before))),
                (x.at(_time(plot, one.nights[end - 1])), y.at(plot.height(after))),
            ]
        )
        for (start, end), (before, after) in zip(edges, levels(one.judged), strict=True)
    )
    return svg.tag("path", d=lines, class_="line candidate")


def _step(plot: NightPlot, one: DatedSeries, step: ChangePoint, x: svg.Axis, y: svg.Axis) -> str:
    line, at = one.judged.series, step.index - one.judged.series.left_out
    before = levels(one.judged)[one.judged.steps.index(step)][1]
    middle = x.at((_time(plot, one.nights[at - 1]) + _time(plot, one.nights[at])) / 2)
    low, high = (
        y.at(plot.height(before * (1 + one) if plot.scale is Scale.RATIO else before + one))
        for one in (step.low, step.high)
    )
    ends = [svg.path([(middle - _CAP, end), (middle + _CAP, end)]) for end in (low, high)]
    bottom = LARGE.height - LARGE.bottom
    bar = svg.path([(middle, low), (middle, high)]) + "".join(ends)
    return svg.tag(
        "g",
        svg.tooltip(step_text(line, step)[:_MAX_TOOLTIP]),
        svg.tag("path", d=svg.path([(middle, LARGE.top), (middle, bottom)]), class_="marked"),
        svg.tag("path", d=bar, class_="interval"),
        svg.label(middle, _MARK_Y, step_mark(step), "mark", "middle"),
        class_=f"is-{step_tone(step)}",
    )


def _releases(plot: NightPlot, x: svg.Axis) -> list[str]:
    """Return a line for each release, and the names of those that have room, the newest first."""
    parts: list[str] = []
    free = LARGE.width
    for one in sorted(plot.releases, key=lambda release: release.time, reverse=True):
        if not x.low <= one.time.timestamp() <= x.high:
            continue
        at, name = x.at(one.time.timestamp()), one.name[:_MAX_TAG]
        parts.append(
            _vertical(LARGE, at, "released", f"{name} {one.time.astimezone(UTC):%Y-%m-%d}")
        )
        half = _LETTER * len(name) / 2
        if at + half <= free and at - half >= 0:
            parts.append(svg.label(at, _TAG_Y, name, "tick", "middle"))
            free = at - half - _LETTER
    return parts


def _vertical(frame: svg.Frame, at: float, class_: str, tip: str) -> str:
    line = svg.path([(at, _MARK_Y), (at, frame.height - frame.bottom)])
    return svg.tag("path", svg.tooltip(tip), d=line, class_=class_)
