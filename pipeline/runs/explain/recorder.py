"""Keep what a load did beside the profiles: how many operations, and when."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.ports import Driver, Load, Span, Target
from pipeline.model.subject import Arm
from pipeline.probes.sampling import write_csv
from pipeline.system.errors import ProbeError

LOAD = "load.csv"
"""Name of the file with the readings of a load, in the folder of a workload."""

_COLUMNS = ("arm", "reading", "value")
_START, _END = "span.start", "span.end"
_MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RecordedLoad:
    """The load of one arm: its readings by name, and its steady part."""

    readings: Mapping[str, float]
    span: Span


@dataclass(frozen=True, slots=True)
class RecordingDriver:
    """Implements `Driver` with another one, and writes its readings into the folder of the load."""

    driver: Driver

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """See `Driver.measure`."""
        load = self.driver.measure(targets, out, seed)
        rows: list[tuple[object, ...]] = []
        for arm, readings in load.readings.items():
            span = load.spans[arm]
            rows += [(arm.value, _START, span.start_s), (arm.value, _END, span.end_s)]
            rows += [(arm.value, one.name, one.value) for one in readings]
        write_csv(out / LOAD, _COLUMNS, rows)
        return load


def read_load(path: Path, arm: Arm) -> RecordedLoad:
    """Return the load of one arm.

    Raises:
        ProbeError: The file is missing, or not what `RecordingDriver` writes.
    """
    values: dict[str, float] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file.read(_MAX_BYTES).splitlines()):
                if row["arm"] == arm.value:
                    values[row["reading"]] = float(row["value"])
        span = Span(values.pop(_START), values.pop(_END))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ProbeError(f"{path.name}: what the load did is unknown: {error!r}"[:200]) from error
    return RecordedLoad({name: one for name, one in values.items() if math.isfinite(one)}, span)
