"""The prior of a run: the variances of its metrics in earlier runs."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spread:
    """The variance of the pairs of one metric in earlier runs.

    Attributes:
        variance: Mean variance of a pair's difference on the test scale: of the logarithm of a
            ratio, or of an amount in the metric's unit; finite, at least 0.
        runs: Number of earlier runs.
    """

    variance: float
    runs: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.variance) and self.variance >= 0):
            raise ValueError("variance must be finite and not below zero")
        if self.runs < 1:
            raise ValueError("runs: at least one is needed")


@dataclass(frozen=True, slots=True)
class Prior:
    """The prior distribution of the variances of a run's metrics.

    Attributes:
        source: Description of its runs, such as `14 runs on this machine`.
        degrees_of_freedom: Weight of each variance, above 0.
        spreads: Spreads by sample key.

    Source:
        Smyth, Linear Models and Empirical Bayes Methods for Assessing Differential Expression in
        Microarray Experiments, Statist. Appl. Genet. Mol. Biol. 3 (2004); here the prior comes
        from earlier runs of the same metric, not from the other metrics of the run.
    """

    source: str
    degrees_of_freedom: float
    spreads: dict[str, Spread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.degrees_of_freedom) and self.degrees_of_freedom > 0):
            raise ValueError("freedom must be finite and above zero")
