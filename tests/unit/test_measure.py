"""Pairs are measured, invalid ones are replaced, and nothing measured is lost."""

import dataclasses
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.judge import policy
from pipeline.model.ports import Load, Span, Target
from pipeline.model.results import Interleave, Reading, ResultSet
from pipeline.model.subject import Arm
from pipeline.render import answer_line
from pipeline.runs import measure
from pipeline.runs.plan import Plan
from pipeline.runs.suite_file import Suite, load
from pipeline.system.errors import InvalidPairsError, LaunchError, LoadError, StorageError
from tests.fakes import (
    SUITE,
    Bench,
    FakeDriver,
    FakeEnvironment,
    FakeProbe,
    Told,
    applied,
    empty,
    tiny,
)

ERRORS = """
[[workload.metric]]
name = "errors"
select = "errors_share"
unit = "1"
scale = "difference"
margin = 0.1
"""


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


@pytest.mark.parametrize("error", [LoadError("k6 was too late"), LaunchError("no answer"), None])
def test_a_machine_that_stands_still_makes_the_pair_invalid_and_ends_nothing(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    real, still_s = {"monotonic": time.monotonic, "time": time.time}, [0.0]
    for name, clock in real.items():
        monkeypatch.setattr(time, name, lambda clock=clock: clock() + still_s[0])

    class Still(FakeDriver):
        def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
            if self.calls == 1 and not still_s[0]:
                still_s[0] += 61.0
            return super().measure(targets, out, seed)

    bench = Bench(suite, tmp_path, Still([applied(), error or applied(), applied()]))
    *_, results = bench.run()

    assert results.valid_pairs == (0, 2, 3)
    reasons = {trial.invalid for trial in results.trials if trial.pair == 1}
    assert len(reasons) == 1
    assert [reason for reason in reasons.pop() if "stood still for 61 s" in reason]
    assert bench.environment.running == 0


def test_more_invalid_pairs_than_the_suite_allows_end_the_run(suite: Suite, tmp_path: Path) -> None:
    bench = Bench(suite, tmp_path, FakeDriver([applied("k6 dropped 3 iterations")]))
    kept: list[ResultSet] = []
    with pytest.raises(LoadError, match="2 pairs were invalid, and the suite allows 1"):
        kept.extend(bench.run())

    assert len(kept) == 2


@pytest.mark.parametrize("cut", range(5))  # at 4, the run has too many already
def test_a_run_that_is_resumed_may_have_no_more_invalid_pairs_than_one_that_is_not(
    suite: Suite, tmp_path: Path, cut: int
) -> None:
    says = [applied(), applied("first"), applied(), applied("second"), applied()]
    kept = [empty(suite)]
    kept += itertools.islice(Bench(suite, tmp_path, FakeDriver(says)).run(kept[-1]), cut)
    assert kept[-1].pairs == cut
    bench = Bench(suite, tmp_path, FakeDriver(says[kept[-1].pairs :]))
    said = "2 pairs were invalid, and the suite allows 1; the last, pair 3: crud: second"
    with pytest.raises(InvalidPairsError, match=said):
        kept.extend(bench.run(kept[-1]))

    assert kept[-1].pairs == 4


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


@dataclasses.dataclass
class DyingDriver(FakeDriver):
    """Ends as k6 does when a server is gone, in the launches that are named."""

    environment: FakeEnvironment = dataclasses.field(default_factory=FakeEnvironment)
    deaths: Mapping[int, tuple[Arm, ...]] = dataclasses.field(default_factory=dict)

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        number = len(self.environment.launched) - 1
        self.environment.dead = self.deaths.get(number, ())
        for target in targets.values():
            target.check()
        return super().measure(targets, out, seed)


def dying(suite: Suite, out: Path, deaths: Mapping[int, tuple[Arm, ...]]) -> Bench:
    environment = FakeEnvironment()
    driver = DyingDriver([applied()], environment=environment, deaths=deaths)
    return Bench(suite, out, driver, environment=environment)


def test_a_build_that_dies_in_one_arm_has_failed_and_the_pair_counts(
    suite: Suite, tmp_path: Path
) -> None:
    *_, results = dying(suite, tmp_path, {1: (Arm.CANDIDATE,)}).run()

    assert results.valid_pairs == (0, 1, 2)
    (failure,) = [t for t in results.trials if t.failures]
    assert (failure.pair, failure.arm) == (1, Arm.CANDIDATE)
    assert failure.failures[0].what == "crud: server of the candidate exited with 2"
    assert failure.failures[0].log == "panic: no"
    assert results.samples[Arm.BASELINE][0].values == (0.01, None, 0.01)


def test_builds_that_die_at_once_in_both_arms_end_the_run(suite: Suite, tmp_path: Path) -> None:
    bench = dying(suite, tmp_path, dict.fromkeys(range(9), tuple(Arm)))
    with pytest.raises(LoadError, match=r"pair 0, crud: server of the .* exited with 2"):
        list(bench.run())


def test_a_build_that_dies_on_a_full_disk_has_not_failed(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(total=2**30, used=2**30, free=2**20)
    monkeypatch.setattr("pipeline.runs.measure.shutil.disk_usage", lambda _: full)
    bench = dying(suite, tmp_path, {0: (Arm.CANDIDATE,)})
    with pytest.raises(StorageError, match=r"the disk is full.*server of the candidate exited"):
        list(bench.run())


def test_builds_that_die_one_after_the_other_make_their_pair_invalid(
    suite: Suite, tmp_path: Path
) -> None:
    environment = FakeEnvironment()
    driver = DyingDriver(
        [applied()], environment=environment, deaths=dict.fromkeys(range(9), tuple(Arm))
    )
    bench = Bench(suite, tmp_path, driver, environment=environment, interleave=Interleave.TRIAL)
    with pytest.raises(LoadError, match=r"2 pairs were invalid.*server of the candidate exited"):
        list(bench.run())


WORSE = {0: (Arm.CANDIDATE,), 2: (Arm.CANDIDATE,)}


@pytest.mark.parametrize("interleave", list(Interleave))
def test_a_build_that_dies_before_the_load_has_failed_the_trial(
    suite: Suite, tmp_path: Path, interleave: Interleave
) -> None:
    launches = (
        WORSE if interleave is Interleave.REQUEST else dict.fromkeys(range(9), (Arm.CANDIDATE,))
    )
    environment = FakeEnvironment(deaths_in_setup=launches)
    bench = Bench(
        suite, tmp_path, FakeDriver([applied()]), environment=environment, interleave=interleave
    )
    *_, results = bench.run()

    failed = [t for t in results.trials if t.failures]
    assert {t.arm for t in failed} == {Arm.CANDIDATE}
    assert failed[0].failures[0].what == "before the load: server of the candidate exited with 2"
    assert results.samples[Arm.BASELINE][0].values[0] is None
    report = policy.report(results)
    assert report.findings[0].comparison.metric.name == "failed_trials"
    assert policy.exit_code(report, strict=False) == 3
    assert environment.running == 0


def test_builds_that_die_at_once_before_the_load_end_the_run(suite: Suite, tmp_path: Path) -> None:
    environment = FakeEnvironment(deaths_in_setup={1: tuple(Arm)})
    bench = Bench(suite, tmp_path, FakeDriver([applied()]), environment=environment)
    with pytest.raises(LaunchError, match="the first Project was not Ready"):
        list(bench.run())


@pytest.mark.parametrize(
    ("deaths", "verdict", "code"),
    [
        pytest.param(WORSE, "regressed", 3, id="worse"),
        pytest.param({0: (Arm.BASELINE,), 1: (Arm.BASELINE,)}, "improved", 0, id="better"),
        pytest.param({0: (Arm.CANDIDATE,)}, "inconclusive", 0, id="once may be chance"),
        pytest.param(
            {0: (Arm.BASELINE,), 1: (Arm.CANDIDATE,), 2: (Arm.CANDIDATE,)},
            "inconclusive",
            0,
            id="both die now and then",
        ),
    ],
)
def test_a_build_that_dies_is_a_result(
    suite: Suite, tmp_path: Path, deaths: Mapping[int, tuple[Arm, ...]], verdict: str, code: int
) -> None:
    *_, results = dying(suite, tmp_path, deaths).run()
    report = policy.report(results)
    finding = report.findings[0]
    assert (finding.comparison.metric.name, finding.verdict) == ("failed_trials", verdict)
    assert policy.exit_code(report, strict=False) == code
    assert "panic: no" in "".join(report.warning_texts)


def test_an_arm_that_cannot_be_prepared_has_failed_the_workload(
    suite: Suite, tmp_path: Path
) -> None:
    span = Span(0, 0)
    late = Load(
        dict.fromkeys(Arm, ()),
        dict.fromkeys(Arm, span),
        failed={Arm.CANDIDATE: "setup was not done within 90 s"},
    )
    *_, results = Bench(suite, tmp_path, FakeDriver([late])).run()
    report = policy.report(results)
    assert report.findings[0].verdict == "regressed"
    assert "crud: setup was not done within 90 s" in " ".join(report.warning_texts)


@pytest.mark.parametrize("interleave", list(Interleave))
def test_a_build_whose_requests_fail_is_measured_unless_those_of_the_other_fail_too(
    suite: Suite, tmp_path: Path, interleave: Interleave
) -> None:
    def failing(*arms: Arm) -> Load:
        return dataclasses.replace(applied(), failing=dict.fromkeys(arms, "most failed"))

    one = FakeDriver([failing(Arm.CANDIDATE)])
    *_, results = Bench(suite, tmp_path / "one", one, interleave=Interleave.REQUEST).run()
    assert len(results.valid_pairs) == 3
    both = FakeDriver([failing(*Arm)])
    with pytest.raises(LoadError, match="crud: most failed"):
        list(Bench(suite, tmp_path / "both", both, interleave=interleave).run())


@pytest.mark.parametrize("interleave", list(Interleave))
@pytest.mark.parametrize(
    ("slow", "refusing", "counts"),
    [((0,), (), True), ((), (0,), False), ((0, 1), (), False), ((0,), (1,), False)],
)
def test_two_builds_too_slow_for_one_workload_are_compared_by_its_errors_and_the_others(
    tmp_path: Path,
    *,
    interleave: Interleave,
    slow: tuple[int, ...],
    refusing: tuple[int, ...],
    counts: bool,
) -> None:
    text = SUITE + ERRORS + SUITE[SUITE.index("[[workload]]") :].replace('"crud"', '"burst"')
    path = tmp_path / "two.toml"
    path.write_text(text)
    fine = applied()
    loads = []
    for number in range(2):
        failing = dict.fromkeys(Arm, "most failed") if number in (*slow, *refusing) else {}
        errors = {
            arm: (*of, Reading("errors_share", 0.6, "1")) for arm, of in fine.readings.items()
        }
        overloaded = frozenset(Arm) if number in slow else frozenset()
        load_ = dataclasses.replace(fine, readings=errors, failing=failing, overloaded=overloaded)
        loads.append(load_)
    driver = FakeDriver(loads * 99)
    bench = Bench(load(path).suite, tmp_path, driver, interleave=interleave)
    if not counts:
        with pytest.raises(LoadError, match="most failed"):
            list(bench.run())
        return
    *_, results = bench.run()
    values = {sample.key: set(sample.values) for sample in results.samples[Arm.CANDIDATE]}
    assert values["crud/errors"] == {0.6}
    assert values["crud/create_p50"] == values["crud/cpu"] == {None}
    assert values["burst/create_p50"] == {0.01}
    report = policy.report(results)
    assert report.verdict == "inconclusive"
    said = "crud: both builds answered most requests too late, so only their errors are compared"
    assert f"{said} (every trial)" in " ".join(report.warning_texts)
    assert answer_line.more_pairs(report) is None


def test_a_budget_never_ends_a_run_before_its_first_look(suite: Suite, tmp_path: Path) -> None:
    class Slow(FakeDriver):
        def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
            time.sleep(0.01)
            return super().measure(targets, out, seed)

    bench = Bench(suite, tmp_path, Slow([applied()]))
    plan = Plan(suite, 5, Interleave.REQUEST, seed=1, looks=(3, 5), budget_s=0.001)
    results = dataclasses.replace(empty(suite), pairs_asked=5, looks=(3, 5))
    *_, last = measure.run_pairs(
        plan, bench.harness(), results, tmp_path, Told(), is_enough=lambda _: False
    )
    assert len(last.valid_pairs) == 3
