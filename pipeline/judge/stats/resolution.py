"""The step in which values come, such as whole milliseconds, told from the values themselves."""

import math
from collections.abc import Sequence
from decimal import Decimal

_DIGITS = 12  # what is beyond is the rounding of doubles
_ROUNDING = 1e-9  # of the largest value
_OFF = 1e-3  # of a step, by which a value may be off a whole number of them


def step_of(values: Sequence[float], least: float) -> float | None:
    """Return the largest step of which all values are whole multiples; None if it is below `least`.

    Of only two different values the largest common step may be as large as their difference.  There
    the last significant digit is the step, if it is smaller: 1.0 and 1.5 come in steps of 0.1.

    Args:
        values: Any unit; the result has the same.
        least: Steps below this are of no interest, in the same unit, at least 0.

    Returns:
        None also where there are no two different values, which tell nothing of a step.
    """
    known = sorted({abs(value) for value in values} - {0.0})
    different = len(set(values))
    if different < 2 or not known:
        return None
    step = known[0]
    nothing = _ROUNDING * known[-1]
    for value in known[1:]:
        common = _common(step, value, nothing)
        if common <= nothing:
            return None
        step = value / round(value / common)  # without the rounding that Euclid gathers
        if step < least:
            return None
    if different == 2:
        step = min(step, *map(_last_decimal, known))
    if step <= 0:  # of numbers so small that their last digit is none
        return None
    is_whole = all(round(v / step) >= 1 and abs(v / step - round(v / step)) < _OFF for v in known)
    return step if is_whole and step >= least else None


def _common(one: float, other: float, nothing: float) -> float:
    """Return the largest common divisor of two numbers above 0, by Euclid."""
    while other > nothing:
        rest = math.fmod(one, other)
        one, other = other, 0.0 if other - rest <= nothing else rest
    return one


def _last_decimal(value: float) -> float:
    """Return the place value of the last significant digit: 10 of 120, 0.01 of 0.12."""
    exponent = Decimal(f"{value:.{_DIGITS}g}").normalize().as_tuple().exponent
    return float(Decimal(1).scaleb(int(exponent)))
