"""Pairs are measured, invalid ones are replaced, and nothing measured is lost."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import measure
from pipeline.config import Suite, load
from pipeline.errors import LaunchError, LoadError
from pipeline.model.results import Interleave, Machine, Reading, ResultSet
from pipeline.model.subject import Arm, Subject
from pipeline.plan import Plan
from pipeline.ports import Artifact, Load, Span, Target

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


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    return load(path).suite


def target() -> Target:
    nowhere = Path("/nonexistent")
    return Target("https://x", nowhere, nowhere, nowhere, {}, {}, "", lambda: None)


@dataclass
class FakeEnvironment:
    launched: list[tuple[Arm, ...]] = field(default_factory=list)
    running: int = 0

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        self.launched.append(tuple(artifacts))
        self.running += 1
        try:
            yield {arm: target() for arm in artifacts}
        finally:
            self.running -= 1


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

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["FakeProbe"]:
        yield self

    def readings(self, span: Span) -> tuple[Reading, ...]:
        if self.error:
            raise LoadError(self.error)
        return (Reading("server.cpu", self.cpu_s, "s"),)


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

    def run(self, results: ResultSet | None = None) -> Iterator[ResultSet]:
        rig = measure.Rig(
            self.environment,
            {"crud": self.driver},
            (self.probe,),
            {},
            {arm: Artifact(Subject("reference", "sha256:00"), Path("x")) for arm in Arm},
        )
        plan = Plan(self.suite, 3, self.interleave, seed=1)
        start = results or empty(self.suite, self.interleave)
        return measure.run_pairs(plan, rig, start, self.out, Told())


def test_a_duet_launches_both_arms_once_for_each_pair(suite: Suite, tmp_path: Path) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied()]))
    *_, results = bench.run()

    assert [set(arms) for arms in bench.environment.launched] == [set(Arm)] * 3
    assert results.valid_pairs == (0, 1, 2)
    assert results.samples[Arm.CANDIDATE][0].values == (0.01, 0.01, 0.01)


def test_alternating_launches_one_arm_at_a_time(suite: Suite, tmp_path: Path) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied()]), interleave=Interleave.TRIAL)
    *_, results = bench.run()

    assert sorted(bench.environment.launched) == sorted([(arm,) for arm in Arm] * 3)
    assert {(t.pair, t.position) for t in results.trials} == {
        (pair, position) for pair in range(3) for position in (0, 1)
    }


def test_each_arm_starts_first_equally_often(suite: Suite) -> None:
    plan = Plan(suite, 3, Interleave.REQUEST, seed=5)
    order = plan.order()
    first = [next(order).order[0] for _ in range(10)]

    assert first.count(Arm.BASELINE) == 5


def test_the_same_seed_gives_the_same_order_and_loads(suite: Suite, tmp_path: Path) -> None:
    one, two = (Bench(suite, tmp_path, FakeDriver([applied()])) for _ in range(2))
    list(one.run())
    list(two.run())

    assert one.driver.seeds == two.driver.seeds
    assert len(set(one.driver.seeds)) == 3
    assert one.environment.launched == two.environment.launched


def test_a_reading_is_divided_by_another_where_the_metric_says_so(
    suite: Suite, tmp_path: Path
) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied(requests=50)]), FakeProbe(cpu_s=2.0))
    *_, results = bench.run()

    assert results.samples[Arm.BASELINE][1].values == (0.04, 0.04, 0.04)


def test_an_invalid_pair_is_replaced_and_never_becomes_a_number(
    suite: Suite, tmp_path: Path
) -> None:
    says = [applied(), applied("k6 dropped 3 iterations", p50_ms=999), applied()]
    *_, results = Bench(suite, tmp_path, FakeDriver(says)).run()

    assert results.pairs == 4
    assert results.valid_pairs == (0, 2, 3)
    assert results.samples[Arm.CANDIDATE][0].values == (0.01, None, 0.01, 0.01)
    assert [t.invalid for t in results.trials if t.pair == 1] == [
        ("crud: k6 dropped 3 iterations",)
    ] * 2


def test_more_invalid_pairs_than_the_suite_allows_end_the_run(suite: Suite, tmp_path: Path) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied("k6 dropped 3 iterations")]))
    kept: list[ResultSet] = []
    with pytest.raises(LoadError, match="2 pairs were invalid, and the suite allows 1"):
        kept.extend(bench.run())

    assert len(kept) == 2


@pytest.mark.parametrize("error", [LoadError("etcd exited with 1"), LaunchError("no")])
def test_an_error_in_a_pair_keeps_the_pairs_before_and_stops_the_servers(
    suite: Suite, tmp_path: Path, error: Exception
) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied(), applied(), error]))
    kept: list[ResultSet] = []
    with pytest.raises(type(error)):
        kept.extend(bench.run())

    assert kept[-1].valid_pairs == (0, 1)
    assert bench.environment.running == 0


def test_an_error_of_the_load_names_the_pair_and_the_workload(suite: Suite, tmp_path: Path) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied(), LoadError("etcd exited with 1")]))
    with pytest.raises(LoadError, match="pair 1, crud: etcd exited with 1"):
        list(bench.run())


@pytest.mark.parametrize("crash", [KeyboardInterrupt(), RuntimeError("a bug in a probe")])
def test_whatever_happens_the_servers_are_stopped(
    suite: Suite, tmp_path: Path, crash: BaseException
) -> None:
    class Crashing(FakeDriver):
        def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
            raise crash

    bench = Bench(suite, tmp_path, Crashing([]))
    with pytest.raises(type(crash)):
        list(bench.run())

    assert bench.environment.launched
    assert bench.environment.running == 0


def test_a_resumed_run_measures_only_what_is_missing(suite: Suite, tmp_path: Path) -> None:
    whole = Bench(suite, tmp_path, FakeDriver([applied()]))
    first = next(whole.run())
    rest = Bench(suite, tmp_path, FakeDriver([applied(p50_ms=20)]))
    *_, results = rest.run(first)

    assert rest.driver.calls == 2
    assert results.samples[Arm.BASELINE][0].values == (0.01, 0.02, 0.02)
    assert rest.driver.seeds == FakeSeeds.of(suite, tmp_path)[1:]


class FakeSeeds:
    @staticmethod
    def of(suite: Suite, out: Path) -> list[int]:
        bench = Bench(suite, out, FakeDriver([applied()]))
        list(bench.run())
        return bench.driver.seeds


def test_a_probe_that_fails_is_a_warning_and_a_missing_metric(suite: Suite, tmp_path: Path) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied()]), FakeProbe(error="no answer"))
    *_, results = bench.run()

    assert results.samples[Arm.BASELINE][0].values == (0.01,) * 3
    assert results.samples[Arm.BASELINE][1].values == (None,) * 3
    assert "crud: no answer" in results.trials[0].warnings
    assert any("nothing reported `server.cpu`" in said for said in results.trials[0].warnings)


def test_a_divisor_of_zero_is_a_missing_metric_not_a_crash(suite: Suite, tmp_path: Path) -> None:
    *_, results = Bench(suite, tmp_path, FakeDriver([applied(requests=0)])).run()

    assert results.samples[Arm.BASELINE][1].values == (None,) * 3
    assert "crud: cpu: `requests` was 0" in results.trials[0].warnings
