"""Pairs are measured, invalid ones are replaced, and nothing measured is lost."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.config import Suite
from pipeline.errors import LaunchError, LoadError
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm
from pipeline.plan import Plan
from pipeline.ports import Load, Target
from tests.fakes import Bench, FakeDriver, FakeProbe, applied, tiny


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return tiny(tmp_path)


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


@pytest.mark.parametrize(("by_s", "way"), [(3600.0, "forward"), (-3600.0, "back")])
def test_a_clock_that_is_set_during_a_trial_makes_it_invalid_by_name(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_s: float, way: str
) -> None:
    real, set_s = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + set_s[0])

    class Setting(FakeDriver):
        def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
            if self.calls == 1:
                set_s[0] += by_s
            return super().measure(targets, out, seed)

    *_, results = Bench(suite, tmp_path, Setting([applied()])).run()

    assert results.valid_pairs == (0, 2, 3)
    said = (f"the clock of this machine was set {way} by 3600.0 s",)
    assert [trial.invalid for trial in results.trials if trial.pair == 1] == [said] * 2


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


def test_a_divisor_of_zero_is_a_missing_metric_not_a_crash(suite: Suite, tmp_path: Path) -> None:
    *_, results = Bench(suite, tmp_path, FakeDriver([applied(requests=0)])).run()

    assert results.samples[Arm.BASELINE][1].values == (None,) * 3
    assert "crud: cpu: `requests` was 0" in results.trials[0].warnings
