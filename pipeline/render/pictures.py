"""What one metric looks like in both arms: pair by pair, as a distribution, over time.

The baseline is hollow and dashed, the candidate filled and solid, in every picture.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

from pipeline.model.metric import Metric
from pipeline.model.subject import Arm
from pipeline.model.traces import Distribution, TrackPair
from pipeline.render import svg
from pipeline.render.frame import Frame
from pipeline.render.numbers import quantity

FRAME = Frame(400.0, 200.0)
FEW_LOOKS = 2
"""Looks that a line between them would say too much of; they are drawn as marks."""

_TAIL = 0.9  # a quantile from here on is shown with only the upper part of the curve
_TAIL_FROM = 0.8

Values = Sequence[float | None]


def pair_by_pair(metric: Metric, values: Mapping[Arm, Values], invalid: Sequence[int]) -> str:
    """Return both arms of every pair; one line ties what was measured at the same time.

    Args:
        metric: Of the values.
        values: By arm, shape (pairs,).
        invalid: Numbers of the pairs that do not count.
    """
    known = [v for arm in Arm for v in values[arm] if v is not None]
    if not known:
        return ""
    pairs = max(len(values[arm]) for arm in Arm)
    x = FRAME.across(-0.5, pairs - 0.5)
    y = FRAME.upright(known)
    shift = min(6.0, (FRAME.width - FRAME.left - FRAME.right) / pairs / 4)
    parts = [*FRAME.values(y, metric.unit), *_pair_numbers(x, pairs)]
    for pair in range(pairs):
        before, after = (values[arm][pair] if pair < len(values[arm]) else None for arm in Arm)
        at = x.at(pair)
        if pair in invalid:
            parts.append(svg.label(at, FRAME.height - FRAME.bottom - 5, "✕", "invalid", "middle"))
            continue
        shown = []
        if before is not None and after is not None:
            ends = ((at - shift, y.at(before)), (at + shift, y.at(after)))
            shown.append(svg.tag("path", d=svg.path(ends), class_="tie"))
        if before is not None:
            shown.append(_dot(Arm.BASELINE, at - shift, y.at(before)))
        if after is not None:
            shown.append(_dot(Arm.CANDIDATE, at + shift, y.at(after)))
        said = f"pair {pair}: {quantity(before, metric.unit)}, {quantity(after, metric.unit)}"
        parts.append(svg.tag("g", svg.hover(said), *shown))
    return svg.drawing(FRAME.width, FRAME.height, f"{pairs} pairs, both arms of each", *parts)


def cumulative(arms: Mapping[Arm, Distribution], q: float | None) -> str:
    """Return the share of requests that took at most so long, with time in ratios.

    Args:
        arms: Distributions in s.
        q: The quantile that a metric reads, marked in the curve; None marks nothing.
    """
    from_share = _TAIL_FROM if q is not None and q >= _TAIL else 0.0
    shown = {
        arm: [
            (value, share)
            for value, share in zip(found.values, found.shares, strict=True)
            if share >= from_share and value > 0
        ]
        for arm, found in arms.items()
    }
    times = [value for points in shown.values() for value, _ in points]
    if not times:
        return ""
    low, high = min(times), max(times)
    x = FRAME.across(low / 1.05, high * 1.05, is_log=True)
    y = FRAME.up(from_share, 1.0)
    parts = [FRAME.floor()]
    for share in svg.ticks(from_share, 1.0, 5):
        parts += FRAME.level(y.at(share), f"{100 * share:.0f} %")
    parts += FRAME.along(
        [(x.at(t), quantity(t, "s").replace(".00", "")) for t in svg.log_ticks(x.low, x.high, 6)]
    )
    if q is not None:
        line = f"M{FRAME.left:g} {svg.number(y.at(q))}H{FRAME.width - FRAME.right:g}"
        parts.append(svg.tag("path", svg.hover(f"p{100 * q:g}"), d=line, class_="marked"))
    for arm, points in shown.items():
        line = svg.steps([(x.at(value), y.at(share)) for value, share in points])
        said = svg.hover(f"{arm}: {arms[arm].count} requests")
        parts.append(svg.tag("path", said, d=line, class_=f"line {arm}"))
    label = f"share of requests that took at most so long, {' and '.join(shown)}"
    return svg.drawing(FRAME.width, FRAME.height, label, *parts)


def over_time(tracked: TrackPair) -> str:
    """Return the median of the pairs over time, in a band from the smallest to the largest."""
    tracks = tracked.tracks
    spread = [v for t in tracks.values() for v in chain(t.low, t.high)]
    times = [v for t in tracks.values() for v in t.times_s]
    if not times:
        return ""
    few = max(len(track.times_s) for track in tracks.values()) <= FEW_LOOKS
    end, air = max(*times, 1e-9), 0.06 if few else 0.0
    x = FRAME.across(-air * end, (1 + air) * end)
    y = FRAME.upright([0.0, *spread] if tracked.unit == "cores" else spread)
    parts = [*FRAME.values(y, tracked.unit)]
    parts += FRAME.along([(x.at(t), f"{t:g} s") for t in svg.ticks(0.0, end, 6)])
    for arm, track in tracks.items():
        shift = 0 if not few else -5 if arm is Arm.BASELINE else 5
        at = [x.at(time_s) + shift for time_s in track.times_s]
        low, middle, high = (
            [(px, y.at(v)) for px, v in zip(at, values, strict=True)]
            for values in (track.low, track.middle, track.high)
        )
        said = svg.hover(f"{arm}: median of the pairs")
        if few:  # nobody looked in between
            reach = (svg.path(ends) for ends in zip(low, high, strict=True))
            ties = [svg.tag("path", d=d, class_="tie") for d in (svg.path(middle), *reach)]
            parts.append(svg.tag("g", said, *ties, *(_dot(arm, *place) for place in middle)))
        else:
            band = f"{svg.path([*high, *low[::-1]])}z"
            parts.insert(0, svg.tag("path", d=band, class_=f"band {arm}"))
            parts.append(svg.tag("path", said, d=svg.path(middle), class_=f"line {arm}"))
    label = f"{tracked.name} over time, {' and '.join(tracks)}"
    return svg.drawing(FRAME.width, FRAME.height, label, *parts)


def _dot(arm: Arm, x: float, y: float) -> str:
    """Return the mark of an arm."""
    if arm is Arm.BASELINE:
        return svg.tag("circle", cx=x, cy=y, r=4.0, class_="dot baseline")
    return svg.tag("path", d=svg.diamond(x, y, 5), class_="dot candidate")


def _pair_numbers(x: svg.Axis, pairs: int) -> list[str]:
    every = 1 + pairs // 24
    return [FRAME.below(x.at(pair), f"{pair}") for pair in range(0, pairs, every)]
