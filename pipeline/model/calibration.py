"""How far equal builds differ on a machine: what a suite can see there, and how often it errs."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.model.results import Machine


@dataclass(frozen=True, slots=True)
class Noise:
    """One metric of equal builds.

    Attributes:
        spread: Standard deviation of a pair's difference on the test's scale: of the logarithm of
            a ratio, or in the unit.
        false_alarms: Share of reports that called it regressed, of reports drawn from the pairs.
        margin: What the suite has.
        floor: The smallest tolerance with which equal builds pass, at the power of the rule.
        tolerance: What the suite has; None for the margin.
    """

    spread: float
    false_alarms: float
    margin: float
    floor: float
    tolerance: float | None = None

    @property
    def tolerated(self) -> float:
        """What the suite tolerates: the tolerance, or else the margin."""
        return self.margin if self.tolerance is None else self.tolerance


@dataclass(frozen=True, slots=True)
class Calibration:
    """What equal builds were measured to do.

    Attributes:
        suite: Name of the suite.
        suite_digest: See `ResultSet`.
        machine: Where it was measured; only there it holds.
        taken_at: UTC, of the last run.
        pairs: Number of valid pairs that it rests on.
        most: Number of pairs that a report may have, for which margins and alarms are stated.
        false_alarms: Share of drawn reports that were red.
        metrics: By sample key.
    """

    suite: str
    suite_digest: str
    machine: Machine
    taken_at: datetime
    pairs: int
    most: int
    false_alarms: float
    metrics: dict[str, Noise]
