"""Numbers as people read them: three digits that matter, a unit that fits, a sign on a change."""

import math

from pipeline.model.metric import Metric, Scale
from pipeline.model.report import Bound, Change

_STEPS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    "1/s": ((1.0, "/s"),),
    "1": ((1.0, ""),),
    "cores": ((1.0, "cores"),),
}
_MOST_PERCENT = 1000.0


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

    Where a deadline cut values off, one side is open: `at least +340 % [+310, ...]`.
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
            return f"at least {middle} {shown}".rstrip() + f" [{low}, ...]"
        case Bound.AT_MOST:
            return f"at most {middle} {shown}".rstrip() + f" [..., {high}]"


def allowed(metric: Metric) -> str:
    """Return the margin of a metric, without a sign: `5 %`, `0.2`, `50 MiB`."""
    if metric.scale is Scale.RATIO:
        return share(metric.margin)
    factor, shown = _step(metric.margin, metric.unit)
    return f"{metric.margin / factor:.3g} {shown}".rstrip()


def scaled(size: float, unit: str) -> tuple[float, str]:
    """Return the factor and the name of the unit in which an axis up to a size is labelled."""
    return _step(abs(size), unit)


def minutes(seconds: float) -> str:
    """Return a duration: `45 s`, `4 min 10 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02} s"


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
