"""The calibration of a machine: how far equal builds differ there, and how often a suite errs."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.model.results import Machine


@dataclass(frozen=True, slots=True)
class MetricNoise:
    """The spread of one metric of equal builds.

    Attributes:
        spread: Standard deviation of a pair's difference on the test scale.
        false_alarms: Share of drawn reports that called it regressed.
        margin: Margin of the suite.
        min_tolerance: Smallest tolerance with which equal builds pass, at the power of the rule.
        tolerance: Tolerance of the suite; None for the margin.
    """

    spread: float
    false_alarms: float
    margin: float
    min_tolerance: float
    tolerance: float | None = None

    @property
    def tolerated(self) -> float:
        """The worsening that the suite tolerates: the tolerance, or else the margin."""
        return self.margin if self.tolerance is None else self.tolerance


@dataclass(frozen=True, slots=True)
class Calibration:
    """The noise of a suite on one machine.

    Attributes:
        suite: Name of the suite.
        suite_digest: Digest of the suite; see `ResultSet`.
        machine: Machine of the runs; it is valid only there.
        taken_at: Time of the last run, UTC.
        pairs: Number of valid pairs.
        max_pairs: Largest number of pairs of a report, for which tolerances and alarms are stated.
        false_alarms: Share of drawn reports that were red.
        metrics: Noise by sample key.
    """

    suite: str
    suite_digest: str
    machine: Machine
    taken_at: datetime
    pairs: int
    max_pairs: int
    false_alarms: float
    metrics: dict[str, MetricNoise]
