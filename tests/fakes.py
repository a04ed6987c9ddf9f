"""A measurement with nothing real in it: ports that do as they are told."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pipeline.environments import bootstrap
from pipeline.judge.policy import is_enough
from pipeline.model.ports import Artifact, Load, Span, Target
from pipeline.model.results import Interleave, Machine, Reading, ResultSet
from pipeline.model.subject import Arm, Subject
from pipeline.runs import measure
from pipeline.runs.plan import Plan
from pipeline.runs.suite_file import Suite, load
from pipeline.system.errors import LaunchError, LoadError, SubjectDiedError

SUITE = """
name = "tiny"
description = "one workload"
pairs = 3
max_invalid = 1
[environment]
kind = "local"
[[workload]]
name = "crud"
[workload.driver]
kind = "k6"
script = "object_crud.js"
rate = 10.0
duration_s = 5
warmup_s = 1
requests_per_iteration = 4.0
[[workload.metric]]
name = "create_p50"
select = "create/p50"
unit = "s"
better = "lower"
margin = 0.05
[[workload.metric]]
name = "cpu"
select = "server.cpu"
per = "requests"
unit = "s"
better = "lower"
margin = 0.05
"""


def tiny(folder: Path) -> Suite:
    """Return a suite of one workload, read from a file."""
    path = folder / "tiny.toml"
    path.write_text(SUITE)
    return load(path).suite


def target() -> Target:
    nowhere = Path("/nonexistent")
    return Target("https://x", nowhere, nowhere, nowhere, {}, {}, "", lambda: None)


@dataclass
class FakeEnvironment:
    launched: list[tuple[Arm, ...]] = field(default_factory=list)
    running: int = 0
    dead: tuple[Arm, ...] = ()
    deaths_in_setup: Mapping[int, tuple[Arm, ...]] = field(default_factory=dict)

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        self.launched.append(tuple(artifacts))
        self.running += 1
        self.dead = ()
        targets = {arm: replace(target(), check=partial(self._check, arm)) for arm in artifacts}
        try:
            with bootstrap.blame_dead_build(targets):
                self.dead = self.deaths_in_setup.get(len(self.launched) - 1, ())
                if set(self.dead) & set(artifacts):
                    raise LaunchError("the first Project was not Ready")
            yield targets
        finally:
            self.running -= 1

    def _check(self, arm: Arm) -> None:
        if arm in self.dead:
            raise SubjectDiedError(f"server of the {arm} exited with 2", hint="panic: no")


@dataclass
class FakeDriver:
    """Says what it is told to, one script entry per call; the last one again and again."""

    says: Sequence[Load | Exception]
    calls: int = 0
    seeds: list[int] = field(default_factory=list)

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        said = self.says[min(self.calls, len(self.says) - 1)]
        self.calls += 1
        self.seeds.append(seed)
        if isinstance(said, Exception):
            raise said
        return said


@dataclass(frozen=True)
class FakeProbe:
    cpu_s: float = 2.0
    error: str = ""
    fails_at_once: bool = False
    restarts: float = 0.0

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["FakeProbe"]:
        if self.fails_at_once:
            raise LoadError(self.error)
        yield self

    def readings(self, span: Span) -> tuple[Reading, ...]:
        if self.error:
            raise LoadError(self.error)
        restarts = Reading("server.restarts", self.restarts, "1")
        return (Reading("server.cpu", self.cpu_s, "s"), restarts)


@dataclass
class Told:
    stages: list[str] = field(default_factory=list)

    def stage(self, title: str, left_s: float) -> None:
        self.stages.append(title)


def applied(*invalid: str, p50_ms: float = 10.0, requests: float = 100) -> Load:
    readings = (Reading("create/p50", p50_ms, "ms"), Reading("requests", requests, "1"))
    return Load(dict.fromkeys(Arm, readings), dict.fromkeys(Arm, Span(0, 5)), invalid)


def empty(suite: Suite, interleave: Interleave = Interleave.REQUEST) -> ResultSet:
    return ResultSet(
        suite=suite.name,
        suite_digest="sha256:00",
        environment="local",
        interleave=interleave,
        pairs_asked=3,
        seed=1,
        subjects={arm: Subject("reference", "sha256:00") for arm in Arm},
        machine=Machine({}, {}),
        tools={},
        taken_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


@dataclass
class Bench:
    """A run with fakes."""

    suite: Suite
    out: Path
    driver: FakeDriver
    probe: FakeProbe = FakeProbe()
    interleave: Interleave = Interleave.REQUEST
    environment: FakeEnvironment = field(default_factory=FakeEnvironment)

    def harness(self) -> measure.Harness:
        return measure.Harness(
            self.environment,
            {workload.name: self.driver for workload in self.suite.workloads},
            (self.probe,),
            {},
            {arm: Artifact(Subject("reference", "sha256:00"), Path("x")) for arm in Arm},
        )

    def run(self, results: ResultSet | None = None) -> Iterator[ResultSet]:
        plan = Plan(self.suite, 3, self.interleave, seed=1)
        start = results or empty(self.suite, self.interleave)
        return measure.run_pairs(plan, self.harness(), start, self.out, Told(), is_enough=is_enough)
