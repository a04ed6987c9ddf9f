"""PerfData: the form in which ClusterLoader2 writes numbers and perfdash reads them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = "v1"
"""Of the form; the only one there has been."""


@dataclass(frozen=True, slots=True)
class Item:
    """Numbers of one unit that belong together.

    Attributes:
        data: By what each number is, such as `Perc99` or `median`; finite, in `unit`.
        unit: As whoever measured it writes it.
        labels: What it is of, such as `Verb: POST`.
    """

    data: Mapping[str, float]
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.data.values())):
            raise ValueError("data: every number must be finite")
