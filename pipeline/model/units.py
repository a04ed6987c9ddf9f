"""Units: one base unit per quantity, converted once, where a number enters."""

_BASE = {
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "ns": ("s", 1e-9),
    "B": ("B", 1.0),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", 2.0**30),
    "1/s": ("1/s", 1.0),
    "1": ("1", 1.0),
}

BASE_UNITS = tuple(sorted({base for base, _ in _BASE.values()}))


def convert(value: float, unit: str, to: str) -> float:
    """Return the value in another unit of the same quantity.

    Raises:
        ValueError: The units are of different quantities, or unknown.
    """
    if unit not in _BASE or to not in _BASE or _BASE[unit][0] != _BASE[to][0]:
        raise ValueError(f"cannot convert {unit} to {to}")
    return value * _BASE[unit][1] / _BASE[to][1]
