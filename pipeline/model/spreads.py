"""How much pairs varied in earlier runs, kept so that later runs can have a prior."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.model.results import Interleave
from pipeline.model.subject import Product

MOST_VARIANCE = 2.0**63
"""A variance from here on is not kept: weighted sums of what is kept stay finite, and every file
that it is written to can be read again."""

MOST_FREEDOM = 10_000
"""Degrees of freedom that one run can have; a run has at most 1,000 pairs."""


@dataclass(frozen=True, slots=True)
class PairSpread:
    """How much the pairs of one metric varied in one run.

    Attributes:
        variance: Sample variance of a pair's difference on the test's scale: of the logarithm of a
            ratio, or of an amount in the metric's unit; at least 0 and below `MOST_VARIANCE`.
        degrees_of_freedom: Degrees of freedom of the variance: the number of pairs minus 1.
    """

    variance: float
    degrees_of_freedom: int

    def __post_init__(self) -> None:
        if not 0 <= self.variance < MOST_VARIANCE:
            raise ValueError("variance must be at least 0 and below 2^63")
        if not 1 <= self.degrees_of_freedom <= MOST_FREEDOM:
            raise ValueError(f"freedom must be between 1 and {MOST_FREEDOM}")


@dataclass(frozen=True, slots=True)
class RunSpreads:
    """How much the pairs of one run varied.

    Attributes:
        run: Identifies the run; see `judge.spreads.run_id`.
        time: When the run began, with a time zone.
        machine: Fingerprint of the machine; see `Machine`.
        metrics: Spreads by sample key.
    """

    run: str
    time: datetime
    machine: dict[str, str]
    metrics: dict[str, PairSpread]

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("time: a time zone is needed")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be equal for the pairs of two runs to vary alike, apart from the machine.

    Attributes:
        suite: Name of the suite.
        product: Product that was measured.
        environment: Kind of the environment, such as `local`.
        interleave: How the trials of a pair shared the machine.
        load_digest: Digest of the load and of the reading of each metric; see
            `config.load_digest`.
    """

    suite: str
    product: Product
    environment: str
    interleave: Interleave
    load_digest: str

    def __post_init__(self) -> None:
        if not self.load_digest:
            raise ValueError("load_digest must not be empty")


@dataclass(frozen=True, slots=True)
class SpreadHistory:
    """The spreads of several runs under the same conditions: the content of a spread file.

    Attributes:
        conditions: Shared by all runs.
        runs: In the order of time; no run twice.
    """

    conditions: Conditions
    runs: tuple[RunSpreads, ...] = ()

    def __post_init__(self) -> None:
        if len({run.run for run in self.runs}) < len(self.runs):
            raise ValueError("runs: a run is listed twice")
