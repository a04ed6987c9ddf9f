"""Parse numbers and durations of the command line."""

import argparse
import math
import re

from pipeline.system.sanitize import truncate

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SHOWN = 40  # characters of a wrong argument in a message


def duration_s(text: str) -> float:
    """Return the seconds of `90s`, `30m` or `1.5h`.

    Raises:
        argparse.ArgumentTypeError: It is not a duration, or not finite and above zero.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(
            f"`{truncate(text, _SHOWN)}` is no time; write 90s, 30m or 1.5h"
        )
    return seconds


def positive_number(text: str) -> float:
    """Return a number that is finite and above zero.

    Raises:
        argparse.ArgumentTypeError: It is not.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(
            f"`{truncate(text, _SHOWN)}` is not a finite number above zero"
        )
    return number
