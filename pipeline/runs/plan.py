"""The plan of a run: what it will do, how long it takes and how large its folder gets."""

import random
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from pipeline.judge.constants import LOOKS
from pipeline.model.plan import PlanSummary, WorkloadSummary
from pipeline.model.results import Interleave, profile_of
from pipeline.model.subject import Arm, Product
from pipeline.runs.suite_file import Suite, Workload

# Seconds for start and setup of k6, measured on two cores.  They feed only the estimates of `plan`
# and, until the first pair has ended, those of progress and of the budget.
_SETUP_S = {Product.MILO: 6.0, Product.REFERENCE: 1.2}

_LAUNCH_BYTES = 80e6
"""Peak size of the raw data of one launch: etcd's write-ahead logs, logs and scrapes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One trial of each arm, in the order in which they are started."""

    number: int
    order: tuple[Arm, Arm]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        suite: Suite to measure.
        pairs: Number of valid pairs; with several interim analyses, the maximum.
        interleave: How the trials of a pair share the machine.
        seed: Random seed of the run.
        looks: Numbers of valid pairs at which the run may end; empty for a fixed number.
        budget_s: Seconds from the first pair after which no pair may end.
        product: Product to measure; the estimates depend on it.
        pace: Duration of a pair in earlier runs, as a multiple of the estimate; 1 without any.
    """

    suite: Suite
    pairs: int
    interleave: Interleave
    seed: int
    looks: tuple[int, ...] = ()
    budget_s: float | None = None
    product: Product = Product.MILO
    pace: float = 1.0

    def without(self, names: Collection[str]) -> "Plan":
        """Return the plan of pairs that leave some workloads out."""
        workloads = tuple(w for w in self.suite.workloads if w.name not in names)
        return replace(self, suite=self.suite.model_copy(update={"workloads": workloads}))

    def order(self) -> Iterator[Pair]:
        """Yield pairs without end, so that an invalid one can be replaced.

        Which arm starts first is drawn at random for every two pairs, and swapped within the two:
        a slow drift of the machine affects both arms alike.
        """
        draw = random.Random(self.seed)  # noqa: S311 (an order, not a secret)
        number = 0
        while True:
            first, second = draw.sample(list(Arm), 2)
            yield Pair(number, (first, second))
            yield Pair(number + 1, (second, first))
            number += 2

    def summary(self) -> PlanSummary:
        """Return what `plan` prints."""
        requests = self.requests()
        environment = self.suite.environment
        return PlanSummary(
            suite=self.suite.name,
            description=self.suite.description,
            environment=environment.kind,
            profile=profile_of(environment.facts),
            pairs=self.pairs,
            looks=self.looks,
            interleave=self.interleave,
            seed=self.seed,
            launches=self.launches,
            duration_s=self.duration_s,
            pair_s=self.pair_s,
            most_pair_s=self.most_pair_s,
            least=self.min_pairs,
            budget_s=self.budget_s,
            workloads=tuple(
                WorkloadSummary(
                    name=w.name,
                    driver=w.driver.title,
                    rate=w.driver.rate,
                    counted=w.driver.counted,
                    iterations=w.driver.iterations,
                    load_s=w.driver.load_s,
                    most_s=w.driver.most_s,
                    requests=requests[w.name],
                    gating=tuple(m.name for m in w.metrics if m.gate),
                    metrics=len(w.metrics),
                )
                for w in self.suite.workloads
            ),
            kept_bytes=self.kept_bytes,
            peak_bytes=self.peak_bytes,
            load_path=environment.load_path,
            on_gke=environment.price(self.duration_s),
            asks=environment.asks,
            load_pods=environment.load_pods,
            asks_for_load=environment.asks_for_load,
        )

    @property
    def launches(self) -> int:
        """Number of times that servers are started."""
        return self.pairs * (1 if self.interleave is Interleave.REQUEST else 2)

    @property
    def duration_s(self) -> float:
        """Expected seconds, without builds."""
        return self.launches * self.launch_s * self.pace

    @property
    def pair_s(self) -> float:
        """Expected seconds of one pair."""
        return self.duration_s / self.pairs

    @property
    def min_pairs(self) -> int:
        """Number of valid pairs that are measured whatever the budget is."""
        return self.looks[0] if self.looks else min(self.pairs, LOOKS[0])

    @property
    def launch_s(self) -> float:
        """Expected seconds of one launch."""
        return self.start_s + sum(self.workload_s(w) for w in self.suite.workloads)

    @property
    def start_s(self) -> float:
        """Expected seconds until the servers are ready."""
        return self.suite.environment.start_s(self.product)

    def workload_s(self, workload: Workload) -> float:
        """Return the expected seconds of a workload, setup included."""
        return _SETUP_S[self.product] + workload.driver.load_s

    @property
    def most_pair_s(self) -> float:
        """Seconds of one pair with a build that reaches every deadline."""
        start_s = max(map(self.suite.environment.start_s, Product))
        loads_s = sum(_SETUP_S[self.product] + w.driver.most_s for w in self.suite.workloads)
        return (start_s + loads_s) * self.launches / self.pairs

    def requests(self) -> dict[str, int]:
        """Return the expected number of requests of each workload, over all pairs and both arms."""
        return {
            w.name: self.pairs * w.driver.requests_expected(len(Arm)) for w in self.suite.workloads
        }

    @property
    def kept_bytes(self) -> float:
        """Expected size of the run's folder at the end."""
        per_request = max(w.driver.raw_bytes_per_request for w in self.suite.workloads)
        return sum(self.requests().values()) * per_request + self.launches * 2e6

    @property
    def peak_bytes(self) -> float:
        """Expected size of the run's folder at its largest."""
        return self.kept_bytes + _LAUNCH_BYTES


def draw_seed(requested: int | None) -> int:
    """Return the requested random seed, or a new one if none was requested."""
    return random.SystemRandom().randrange(2**31) if requested is None else requested


def derive_seed(seed: int, *parts: object) -> int:
    """Return the random seed of one part of a run; equal parts have equal seeds."""
    return zlib.crc32("/".join(map(str, (seed, *parts))).encode())
