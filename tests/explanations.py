"""Make profiles of a small server with known differences, for tests of `explain`."""

from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.judge.causes import Series, SeriesEvidence
from pipeline.judge.functions import StackEvidence
from pipeline.model.explanation import (
    Cause,
    CauseScope,
    Explanation,
    FlameFrame,
    FlameGraph,
    WorkloadExplanation,
)
from pipeline.model.metric import Better, Metric
from pipeline.model.profiles import EvidenceKind, Stack
from pipeline.model.report import Change
from pipeline.model.results import ResultSet
from pipeline.runs.explain.explanation_file import run_digest
from tests.builders import NOW

CREATE = Metric("create_p50", "s", Better.LOWER, margin=0.05, gate=True)
READING = "http_req_duration{op=create}/p50"
ROOT: Stack = ("k8s.io/apiserver/server.(*Handler).ServeHTTP", "net/http.(*conn).serve")


def server_stacks(number: int, seed: int = 1) -> dict[Stack, float]:
    """Return random stacks of a server with their expected values, most of them small."""
    random = np.random.default_rng(seed)
    values = random.pareto(1.2, number) + 0.05
    stacks = {}
    for at in range(number):
        depth = int(random.integers(1, 12))
        calls = tuple(f"example.com/p{(at * 7 + n) % 97}.F{(at + n) % 211}" for n in range(depth))
        stacks[(*calls, *ROOT)] = float(values[at])
    return stacks


@dataclass(frozen=True, slots=True)
class FakeServer:
    """Profiles of both arms: Poisson counts of events around expected values.

    Attributes:
        added: Expected value of stacks that only the candidate has.
        event: Value of one event.
        noise: Relative standard deviation of the whole profile of an arm in a pair, and of each
            tenth of its stacks.
    """

    kind: EvidenceKind = EvidenceKind.CPU
    unit: str = "s"
    stacks: dict[Stack, float] = field(default_factory=lambda: server_stacks(400))
    added: dict[Stack, float] = field(default_factory=dict)
    event: float = 0.01
    noise: float = 0.02
    least: float = 0.03
    component: str = "server"

    def evidence(self, pairs: int = 4, seed: int = 0) -> StackEvidence:
        """Return the profiles of some pairs."""
        random = np.random.default_rng(seed)
        made = []
        for _ in range(pairs):
            arms = []
            for is_candidate in (False, True):
                expected = dict(self.stacks)
                if is_candidate:
                    for stack, value in self.added.items():
                        expected[stack] = max(0.0, expected.get(stack, 0.0) + value)
                whole = random.normal(0, self.noise)
                parts = np.exp(whole + random.normal(0, self.noise, 10))
                means = [v * parts[n % 10] for n, v in enumerate(expected.values())]
                counts = random.poisson(np.array(means) / self.event)
                arms.append(
                    {s: self.event * float(n) for s, n in zip(expected, counts, strict=True) if n}
                )
            made.append((arms[0], arms[1]))
        operations = tuple((1000.0, 1000.0) for _ in range(pairs))
        return StackEvidence(
            *(self.component, self.kind, self.unit, self.event, self.least),
            tuple(made),
            operations,
        )


def metric_evidence(
    names: dict[str, tuple[float, float]],
    pairs: int = 4,
    seed: int = 0,
    groups: str = "etcd requests",
) -> SeriesEvidence:
    """Return Poisson counts around the expected values of both arms, by the name of the metric."""
    random = np.random.default_rng(seed)
    series = tuple(
        Series(
            name=name,
            group=groups,
            unit="1",
            event=1.0,
            may_cause=True,
            values=tuple(
                (float(random.poisson(before)), float(random.poisson(after))) for _ in range(pairs)
            ),
        )
        for name, (before, after) in names.items()
    )
    return SeriesEvidence("server", series, tuple((1000.0, 1000.0) for _ in range(pairs)))


def explanation(
    results: ResultSet, name: str = "example.org/faults.(*Injector).Wait"
) -> Explanation:
    """Return an explanation of results, in which every foreign text is a name."""
    cause = Cause(
        component="server",
        kind=EvidenceKind.BLOCK,
        scope=CauseScope.SITE,
        name=name,
        unit="s",
        baseline=0.0,
        candidate=9e-4,
        low=8e-4,
        high=1e-3,
        p=1e-5,
        pairs=4,
        agreeing=4,
        attributed=9e-4,
        callers=(name, *ROOT),
    )
    requests = replace(
        cause,
        kind=EvidenceKind.METRIC,
        scope=CauseScope.SERIES,
        name=f'etcd_requests_total{{operation="{name}"}}',
        unit="1",
        baseline=1.0,
        candidate=2.0,
        low=0.9,
        high=1.1,
        group=name,
        callers=(),
    )
    frames = (
        FlameFrame(ROOT[0], 0, 0.0, 1.0, 1e-3, 1.9e-3, 0.47, has_moved=True),
        FlameFrame(name, 1, 0.1, 0.5, 0.0, 9e-4, 1.0, has_moved=True),
        FlameFrame("runtime.idle", 1, 0.7, 0.1, 2e-4, 2e-4, 0.0, has_moved=False),
    )
    workload = WorkloadExplanation(
        workload="object-crud",
        metric=CREATE,
        change=Change(0.29, 0.31, 0.33),
        per="create",
        pairs=4,
        tests=1234,
        causes=(cause, requests),
        metrics=(requests,),
        flames=(FlameGraph("server", EvidenceKind.BLOCK, "s", frames, 0.1),),
        gaps=(f"mutex of server: {name}",),
    )
    return Explanation(run_digest(results), NOW, 0.01, (workload,))
