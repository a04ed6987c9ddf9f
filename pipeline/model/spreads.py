"""The variances of pairs in earlier runs, which are stored for the priors of later runs."""

import math
from dataclasses import dataclass
from datetime import datetime

from pipeline.model.results import Interleave
from pipeline.model.subject import Product

MAX_VARIANCE = 2.0**63
"""Limit of a stored variance: weighted sums stay finite, and every file can be read again."""

MAX_DEGREES_OF_FREEDOM = 10_000
"""Largest degrees of freedom of one run; a run has at most 1,000 pairs."""


@dataclass(frozen=True, slots=True)
class PairSpread:
    """The variance of the pairs of one metric in one run.

    Attributes:
        variance: Sample variance of a pair's difference on the test scale: of the logarithm of a
            ratio, or of an amount in the metric's unit; at least 0 and below `MAX_VARIANCE`.
        degrees_of_freedom: Degrees of freedom of the variance: the number of pairs minus 1.
    """

    variance: float
    degrees_of_freedom: int

    def __post_init__(self) -> None:
        if not 0 <= self.variance < MAX_VARIANCE:
            raise ValueError("variance must be at least 0 and below 2^63")
        if not 1 <= self.degrees_of_freedom <= MAX_DEGREES_OF_FREEDOM:
            raise ValueError(f"freedom must be between 1 and {MAX_DEGREES_OF_FREEDOM}")


@dataclass(frozen=True, slots=True)
class RunSpreads:
    """The variances of the pairs of one run.

    Attributes:
        run: Id of the run; see `judge.spreads.run_id`.
        time: Start time of the run, with a time zone.
        machine: Fingerprint of the machine; see `Machine`.
        metrics: Spreads by sample key.
        pair_s: Mean seconds of a pair with all workloads; 0 if unknown.
    """

    run: str
    time: datetime
    machine: dict[str, str]
    metrics: dict[str, PairSpread]
    pair_s: float = 0.0

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("time: a time zone is needed")
        if not 0 <= self.pair_s < math.inf:
            raise ValueError("pair_s must be finite and at least 0")


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions under which the pairs of two runs vary alike, apart from the machine.

    Attributes:
        suite: Name of the suite.
        product: Product that was measured.
        environment: Kind of the environment, such as `local`.
        interleave: Order of the trials of a pair.
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
        conditions: Conditions of all runs.
        runs: Runs in the order of time, each once.
    """

    conditions: Conditions
    runs: tuple[RunSpreads, ...] = ()

    def __post_init__(self) -> None:
        if len({run.run for run in self.runs}) < len(self.runs):
            raise ValueError("runs: a run is listed twice")
