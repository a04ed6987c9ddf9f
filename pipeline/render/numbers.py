"""Numbers as people read them: three digits that matter, a unit that fits, a sign on a change."""

import math

from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound, Change

MINUS = "\N{MINUS SIGN}"
"""Before a number in a line of text; `output` prints a hyphen where an encoding lacks it."""

_STEPS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    "1/s": ((1.0, "/s"),),
    "1": ((1.0, ""),),
    "cores": ((1.0, "cores"),),
}
_MOST_PERCENT = 1000.0
_MOST_PLACES = {Scale.RATIO: 2, Scale.DIFFERENCE: 9}  # decimals of a number in a line of text


def quantity(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Return a value with its unit: `5.21 ms`, `1.50 GiB`, `12.3 /s`; `-` when there is none.

    Args:
        value: In the base unit.
        unit: A base unit.
        signed: Whether to write the plus too.
    """
    if value is None:
        return "-"
    factor, shown = _step(abs(value), unit)
    return f"{_digits(value / factor, whole=unit == '1', signed=signed)} {shown}".rstrip()


def percent(ratio: float) -> str:
    """Return a change with its sign: 0.034 gives `+3.4 %`."""
    return f"{_percent(ratio, _places(ratio))} %"


def share(ratio: float) -> str:
    """Return a share without a sign: 0.9 gives `90 %`."""
    return f"{100 * ratio:.3g} %"


def amount(metric: Metric, change: float | None) -> str:
    """Return a change of a metric on its own scale: `+3.4 %` or `+0.20`; `-` when there is none."""
    if change is None:
        return "-"
    if metric.scale is Scale.RATIO:
        return percent(change)
    return quantity(change, metric.unit, signed=True)


def interval(metric: Metric, change: Change | None) -> str:
    """Return an estimate and its interval: `+3.4 % [+2.1, +4.7]`; `-` when there is none.

    Where a deadline cut values off, one side is open: `at least +340 % [+310, ...]`.  A percentage
    is not told beyond a thousand: `>+1000 %`, and `at least +1000 %`.
    """
    if change is None:
        return "-"
    three = (change.low, change.estimate, change.high)
    largest = max(map(abs, three))
    if metric.scale is Scale.RATIO:
        places, shown = _places(largest), "%"
        low, middle, high = (_percent(value, places) for value in three)
    else:
        factor, shown = _step(largest, metric.unit)
        low, middle, high = (
            _digits(value / factor, whole=metric.unit == "1", signed=True) for value in three
        )
    match change.bound:
        case Bound.NONE:
            return f"{middle} {shown}".rstrip() + f" [{low}, {high}]"
        case Bound.AT_LEAST:
            middle, low = middle.removeprefix(">"), low.removeprefix(">")
            return f"at least {middle} {shown}".rstrip() + f" [{low}, ...]"
        case Bound.AT_MOST:
            return f"at most {middle} {shown}".rstrip() + f" [..., {high}]"


def allowed(metric: Metric) -> str:
    """Return the margin of a metric, without a sign: `5 %`, `0.2`, `50 MiB`."""
    if metric.scale is Scale.RATIO:
        return share(metric.margin)
    factor, shown = _step(metric.margin, metric.unit)
    return f"{metric.margin / factor:.3g} {shown}".rstrip()


def brief(metric: Metric, change: float, *, is_limit: bool = False) -> str:
    """Return a change for a line of text, with two digits that matter: `+31 %`, `+4.3 ms`.

    Args:
        metric: Of the change.
        change: On the metric's own scale.
        is_limit: Whether it is a limit towards worse, which rounding must not make look better.
    """
    if metric.scale is Scale.RATIO and abs(change) >= _MOST_PERCENT / 100:
        return f"{_percent(change, 0).replace('-', MINUS)} %"
    factor, shown = _unit_of(metric, abs(change))
    value = change / factor
    places = _places_of_two(metric, abs(value))
    rounded = _limit(metric, value, places) if is_limit else round(value, places)
    if float(rounded).is_integer():
        places = 0
    return f"{_signed(rounded, places)} {shown}".rstrip()


def brief_interval(metric: Metric, change: Change) -> str:
    """Return an estimate and its interval for a line of text: `+31 % (29 to 33 %)`.

    Where a deadline cut values off: `at least +340 % (310 % or more)`.  An interval that looks like
    the estimate is left out.
    """
    is_open = change.bound is not Bound.NONE
    ends = {Bound.AT_LEAST: (change.low,), Bound.AT_MOST: (change.high,)}.get(
        change.bound, (change.low, change.high)
    )
    bound = f"{change.bound.value} " if is_open else ""
    if metric.scale is Scale.RATIO and abs(change.estimate) >= _MOST_PERCENT / 100:
        most = brief(metric, change.estimate)
        return f"{bound}{most.removeprefix('>')}" if change.bound is Bound.AT_LEAST else most
    numbers = (change.estimate, *ends)
    factor, shown = _unit_of(metric, max(map(abs, numbers)))
    places = _places_of_two(metric, max(abs(value / factor) for value in numbers))
    if metric.unit == "1" and all(float(value).is_integer() for value in numbers):
        places = 0
    middle, *said = (_signed(value / factor, places) for value in numbers)
    estimate = f"{bound}{middle} {shown}".rstrip()
    if set(said) == {middle}:
        return estimate
    said = [end.removeprefix("+") for end in said]
    if is_open:
        more = "or more" if change.bound is Bound.AT_LEAST else "or less"
        return f"{estimate} ({' '.join([*said, shown, more]).replace('  ', ' ')})"
    return f"{estimate} ({f'{said[0]} to {said[1]} {shown}'.rstrip()})"


def scaled(size: float, unit: str) -> tuple[float, str]:
    """Return the factor and the name of the unit in which an axis up to a size is labelled."""
    return _step(abs(size), unit)


def minutes(seconds: float) -> str:
    """Return a duration: `45 s`, `4 min 10 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02} s"


def _unit_of(metric: Metric, size: float) -> tuple[float, str]:
    """Return the factor and the name of the unit in which a change of this size is shown."""
    return (0.01, "%") if metric.scale is Scale.RATIO else _step(size, metric.unit)


def _limit(metric: Metric, value: float, places: int) -> float:
    """Return a value rounded towards worse."""
    shifted = value * 10.0**places
    near = round(shifted)
    if not math.isclose(near, shifted, rel_tol=1e-9, abs_tol=1e-9):  # not the rounding of doubles
        near = math.ceil(shifted) if metric.better is Better.LOWER else math.floor(shifted)
    return near / 10.0**places


def _places_of_two(metric: Metric, size: float) -> int:
    """Return the decimals that show two digits of a value of this size, or all of a larger one."""
    if size == 0 or size >= 9.95:
        return 0
    return min(_MOST_PLACES[metric.scale], max(0, 1 - math.floor(math.log10(size))))


def _signed(value: float, places: int) -> str:
    """Return a value with its sign, a true minus; nothing before a zero."""
    shown = f"{value:+.{places}f}"
    return "0" if float(shown) == 0 else shown.replace("-", MINUS)


def _step(size: float, unit: str) -> tuple[float, str]:
    """Return the factor and name of the largest unit that a size reaches, rounding included."""
    steps = _STEPS.get(unit, ((1.0, unit),))
    if size == 0:
        return steps[0] if unit == "s" else steps[-1]
    return next((step for step in steps if _rounded(size / step[0]) >= 1), steps[-1])


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _digits(value: float, *, whole: bool, signed: bool) -> str:
    """Return three digits or more; a count that is whole has no decimals."""
    value = _rounded(value) if abs(value) < 1000 else round(value)
    sign = "+" if signed else ""
    if value == 0:
        return "0"
    if whole and float(value).is_integer():
        places = 0
    else:
        places = min(9, max(0, 2 - math.floor(math.log10(abs(value)))))
    plain = f"{value:{sign}.{places}f}"
    return f"{value:{sign}.2e}" if len(plain) > 10 else plain


def _places(ratio: float) -> int:
    """Return how many decimals a percentage of this size deserves."""
    size = abs(100 * ratio)
    return 2 if size < 0.995 else 1 if size < 99.95 else 0


def _percent(ratio: float, places: int) -> str:
    value = 100 * ratio
    if abs(value) >= _MOST_PERCENT:
        return f"{'>+' if value > 0 else '<-'}{_MOST_PERCENT:.0f}"
    shown = f"{value:+.{places}f}"
    return "0" if float(shown) == 0 else shown
