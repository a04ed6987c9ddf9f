"""What a run would do, for people."""

from dataclasses import dataclass

from pipeline.model.results import Interleave


@dataclass(frozen=True, slots=True)
class WorkloadSummary:
    """One workload of a plan.

    Attributes:
        name: Of the workload.
        driver: What applies it.
        rate: Iterations or objects started per second, for each arm, of an open load.
        counted: What the rate is of: `iterations`, `objects`.
        iterations: How many each arm ends in one launch, of fixed work.
        load_s: Seconds of one launch.
        most_s: Seconds of one launch with a build that meets every deadline of the workload.
        requests: Expected number, over all pairs and both arms.
        gating: Names of the metrics that can turn the run red.
        metrics: Number of all its metrics.
    """

    name: str
    driver: str
    rate: float | None
    counted: str
    iterations: int | None
    load_s: float
    most_s: float
    requests: int
    gating: tuple[str, ...]
    metrics: int


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan, in numbers: durations in s, sizes in B; and what it asks of a cluster.

    `pair_s` is how long one pair takes, and `most_pair_s` one with a build that meets every
    deadline.  `least` pairs are measured whatever the budget is.
    """

    suite: str
    description: str
    environment: str
    pairs: int
    looks: tuple[int, ...]
    interleave: Interleave
    seed: int
    launches: int
    duration_s: float
    pair_s: float
    most_pair_s: float
    least: int
    budget_s: float | None
    workloads: tuple[WorkloadSummary, ...]
    kept_bytes: float
    peak_bytes: float
    asks: str = ""
    asks_for_load: str = ""
    load_pods: int = 0
    on_gke: str = ""

    @property
    def fits(self) -> int:
        """Number of pairs that the budget has time for, at most as many as the run may have."""
        if self.budget_s is None:
            return self.pairs
        return min(self.pairs, int(self.budget_s // self.pair_s))

    @property
    def ends(self) -> tuple[int, ...]:
        """Numbers of pairs at which the run may end, rising: its looks, and where time is up."""
        last = max(self.fits, self.least)
        return (*(look for look in self.looks if look < last), last)
