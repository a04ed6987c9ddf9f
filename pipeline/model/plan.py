"""The summary of a plan that is shown to people."""

from dataclasses import dataclass

from pipeline.model.results import Interleave


@dataclass(frozen=True, slots=True)
class WorkloadSummary:
    """One workload of a plan.

    Attributes:
        driver: Title of its driver.
        rate: Iterations or objects per second and arm of an open load; None for fixed work.
        counted: Unit of the rate: `iterations` or `objects`.
        iterations: Iterations that each arm completes in one launch of fixed work.
        load_s: Seconds of one launch.
        most_s: Seconds of one launch with a build that reaches every deadline of the workload.
        requests: Expected number of requests, over all pairs and both arms.
        gating: Names of the metrics that can turn the run red.
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
    """A plan in numbers, durations in s and sizes in B, and what it requests from a cluster.

    Attributes:
        pair_s: Expected seconds of one pair.
        most_pair_s: Seconds of one pair with a build that reaches every deadline.
        least: Number of pairs that are measured whatever the budget is.
        load_path: Path of the requests, in words.
        asks: Resources that the Pods of each build request.
        asks_for_load: Resources that the load pods request.
        profile: Start profile of the builds, with their replicas.
        on_gke: Cost on a GKE cluster that is made for the run; empty if not on GKE.
    """

    suite: str
    description: str
    environment: str
    profile: str
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
    load_path: str = "loopback only"
    asks: str = ""
    asks_for_load: str = ""
    load_pods: int = 0
    on_gke: str = ""

    @property
    def fits(self) -> int:
        """Number of pairs that fit the budget, at most the maximum of the run."""
        if self.budget_s is None:
            return self.pairs
        return min(self.pairs, int(self.budget_s // self.pair_s))

    @property
    def ends(self) -> tuple[int, ...]:
        """Numbers of pairs at which the run may end, ascending: interim analyses, then the last."""
        last = max(self.fits, self.least)
        return (*(look for look in self.looks if look < last), last)
