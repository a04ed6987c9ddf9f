"""Format numbers: three significant digits, a unit that fits, and a sign on a change."""

import math
from datetime import UTC, datetime

from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound, Change

MINUS = "\N{MINUS SIGN}"
"""Minus sign in a line of text; `output` prints a hyphen if the encoding lacks it."""

_STEPS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    "1/s": ((1.0, "/s"),),
    "1": ((1.0, ""),),
    "cores": ((1.0, "cores"),),
}
_MAX_PERCENT = 1000.0
_MAX_PLACES = {Scale.RATIO: 2, Scale.DIFFERENCE: 9}  # decimals of a number in a line of text


def quantity(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Return a value in a base unit as text: `5.21 ms`, `1.50 GiB`, `12.3 /s`; `-` for None."""
    if value is None:
        return "-"
    factor, name = unit_for(value, unit)
    return f"{_digits(value / factor, whole=unit == '1', signed=signed)} {name}".rstrip()


def percent(ratio: float) -> str:
    """Return a change with its sign: 0.034 gives `+3.4 %`."""
    return f"{_percent(ratio, _places(ratio))} %"


def share(ratio: float) -> str:
    """Return a share without a sign: 0.9 gives `90 %`."""
    return f"{100 * ratio:.3g} %"


def amount(metric: Metric, change: float | None) -> str:
    """Return a change of a metric on its own scale: `+3.4 %` or `+0.20`; `-` for None."""
    if change is None:
        return "-"
    if metric.scale is Scale.RATIO:
        return percent(change)
    return quantity(change, metric.unit, signed=True)


def interval(metric: Metric, change: Change | None) -> str:
    """Return an estimate and its interval: `+3.4 % [+2.1, +4.7]`; `-` for None.

    If a deadline cut values off, one side is open: `at least +340 % [+310, ...]`.  A percentage
    above a thousand is only bounded: `>+1000 %`, and `at least +1000 %`.
    """
    if change is None:
        return "-"
    three = (change.low, change.estimate, change.high)
    largest = max(map(abs, three))
    if metric.scale is Scale.RATIO:
        places, name = _places(largest), "%"
        low, middle, high = (_percent(value, places) for value in three)
    else:
        factor, name = unit_for(largest, metric.unit)
        low, middle, high = (
            _digits(value / factor, whole=metric.unit == "1", signed=True) for value in three
        )
    match change.bound:
        case Bound.NONE:
            return f"{middle} {name}".rstrip() + f" [{low}, {high}]"
        case Bound.AT_LEAST:
            middle, low = middle.removeprefix(">"), low.removeprefix(">")
            return f"at least {middle} {name}".rstrip() + f" [{low}, ...]"
        case Bound.AT_MOST:
            return f"at most {middle} {name}".rstrip() + f" [..., {high}]"


def margin_text(metric: Metric) -> str:
    """Return the margin of a metric without a sign: `5 %`, `0.2`, `50 MiB`."""
    if metric.scale is Scale.RATIO:
        return share(metric.margin)
    factor, name = unit_for(metric.margin, metric.unit)
    return f"{metric.margin / factor:.3g} {name}".rstrip()


def brief_change(metric: Metric, change: float, *, is_limit: bool = False) -> str:
    """Return a change for a line of text with two significant digits: `+31 %`, `+4.3 ms`.

    A limit is rounded towards worse.
    """
    if metric.scale is Scale.RATIO and abs(change) >= _MAX_PERCENT / 100:
        return f"{_percent(change, 0).replace('-', MINUS)} %"
    factor, name = _change_unit(metric, abs(change))
    value = change / factor
    places = _places_of_two(metric, abs(value))
    rounded = _limit(metric, value, places) if is_limit else round(value, places)
    if float(rounded).is_integer():
        places = 0
    return f"{_signed(rounded, places)} {name}".rstrip()


def brief_interval(metric: Metric, change: Change) -> str:
    """Return an estimate and its interval for a line of text: `+31 % (29 to 33 %)`.

    If a deadline cut values off: `at least +340 % (310 % or more)`.  An interval that rounds to the
    estimate is omitted.
    """
    is_open = change.bound is not Bound.NONE
    ends = {Bound.AT_LEAST: (change.low,), Bound.AT_MOST: (change.high,)}.get(
        change.bound, (change.low, change.high)
    )
    bound = f"{change.bound.value} " if is_open else ""
    if metric.scale is Scale.RATIO and abs(change.estimate) >= _MAX_PERCENT / 100:
        most = brief_change(metric, change.estimate)
        return f"{bound}{most.removeprefix('>')}" if change.bound is Bound.AT_LEAST else most
    numbers = (change.estimate, *ends)
    factor, name = _change_unit(metric, max(map(abs, numbers)))
    places = _places_of_two(metric, max(abs(value / factor) for value in numbers))
    if metric.unit == "1" and all(float(value).is_integer() for value in numbers):
        places = 0
    middle, *texts = (_signed(value / factor, places) for value in numbers)
    estimate = f"{bound}{middle} {name}".rstrip()
    if set(texts) == {middle}:
        return estimate
    texts = [end.removeprefix("+") for end in texts]
    if is_open:
        more = "or more" if change.bound is Bound.AT_LEAST else "or less"
        return f"{estimate} ({' '.join([*texts, name, more]).replace('  ', ' ')})"
    return f"{estimate} ({f'{texts[0]} to {texts[1]} {name}'.rstrip()})"


def duration(seconds: float) -> str:
    """Return a duration: `45 s`, `4 min 10 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02} s"


def moment(time: datetime) -> str:
    """Return a time in UTC: `2026-01-31 14:05 UTC`; the time zone of a file may be another one."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 metric`, `2 metrics`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _change_unit(metric: Metric, size: float) -> tuple[float, str]:
    """Return the factor and the name of the unit that shows a change of this size."""
    return (0.01, "%") if metric.scale is Scale.RATIO else unit_for(size, metric.unit)


def _limit(metric: Metric, value: float, places: int) -> float:
    """Return a value rounded towards worse."""
    shifted = value * 10.0**places
    near = round(shifted)
    if not math.isclose(near, shifted, rel_tol=1e-9, abs_tol=1e-9):  # not the rounding of doubles
        near = math.ceil(shifted) if metric.better is Better.LOWER else math.floor(shifted)
    return near / 10.0**places


def _places_of_two(metric: Metric, size: float) -> int:
    """Return the number of decimals that shows two significant digits."""
    if size == 0 or size >= 9.95:
        return 0
    return min(_MAX_PLACES[metric.scale], max(0, 1 - math.floor(math.log10(size))))


def _signed(value: float, places: int) -> str:
    """Return a value with its sign; zero has none."""
    text = f"{value:+.{places}f}"
    return "0" if float(text) == 0 else text.replace("-", MINUS)


def unit_for(size: float, unit: str) -> tuple[float, str]:
    """Return the factor and name of the largest unit that the rounded size reaches."""
    size = abs(size)
    steps = _STEPS.get(unit, ((1.0, unit),))
    if size == 0:
        return steps[0] if unit == "s" else steps[-1]
    return next((step for step in steps if _rounded(size / step[0]) >= 1), steps[-1])


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _digits(value: float, *, whole: bool, signed: bool) -> str:
    """Return at least three digits; a whole count has no decimals."""
    value = _rounded(value) if abs(value) < 1000 else round(value)
    sign = "+" if signed else ""
    if value == 0:
        return "0"
    if whole and float(value).is_integer():
        places = 0
    else:
        places = min(9, max(0, 2 - math.floor(math.log10(abs(value)))))
    text = f"{value:{sign}.{places}f}"
    return f"{value:{sign}.2e}" if len(text) > 10 else text


def _places(ratio: float) -> int:
    """Return the number of decimals of a percentage."""
    size = abs(100 * ratio)
    return 2 if size < 0.995 else 1 if size < 99.95 else 0


def _percent(ratio: float, places: int) -> str:
    value = 100 * ratio
    if abs(value) >= _MAX_PERCENT:
        return f"{'>+' if value > 0 else '<-'}{_MAX_PERCENT:.0f}"
    text = f"{value:+.{places}f}"
    return "0" if float(text) == 0 else text
