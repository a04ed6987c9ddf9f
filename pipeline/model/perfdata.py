"""PerfData: the format of ClusterLoader2's numbers, which perfdash reads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = "v1"
"""Version of the format; there is only one."""


@dataclass(frozen=True, slots=True)
class Item:
    """Numbers of one unit that belong together.

    Attributes:
        data: Finite numbers in `unit` by statistic, such as `Perc99` or `median`.
        unit: Unit as the measuring tool writes it.
        labels: Labels, such as `Verb: POST`.
    """

    data: Mapping[str, float]
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.data.values())):
            raise ValueError("data: every number must be finite")
