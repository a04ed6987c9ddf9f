"""Names of readings that are known before a run, to refuse a metric that nothing can report."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadingNames:
    """Names of the readings that a driver or some probes may report.

    Attributes:
        units: Unit of each name that is known.
        others: Regular expressions of further names, whose units are not known.
    """

    units: Mapping[str, str]
    others: tuple[str, ...] = ()

    def __add__(self, more: "ReadingNames") -> "ReadingNames":
        """Return the names of both."""
        return ReadingNames({**self.units, **more.units}, (*self.others, *more.others))

    def allow(self, name: str) -> bool:
        """Return True if a reading may have this name."""
        return name in self.units or any(re.fullmatch(other, name) for other in self.others)

    def nearest(self, name: str) -> str:
        """Return the known name that is most like another; empty if none is."""
        return next(iter(difflib.get_close_matches(name, self.units, n=1)), "")


def with_unit(unit: str, names: Iterable[str]) -> dict[str, str]:
    """Return names that have the same unit."""
    return dict.fromkeys(names, unit)
