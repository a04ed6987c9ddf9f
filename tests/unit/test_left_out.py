"""Pairs after a look leave out the workloads that are settled, and what is known of these stays."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.model.report import Finding, Verdict
from pipeline.model.results import Failure, ResultSet
from pipeline.model.subject import Arm, Product
from pipeline.render import words
from pipeline.runs import measure, suite_file
from pipeline.runs.plan import Plan
from pipeline.runs.suite_file import Suite
from pipeline.runs.verified import verify
from pipeline.storage import codec
from pipeline.system.errors import BaselineError
from tests.builders import LATENCY, results
from tests.fakes import SUITE, Bench, FakeDriver, Told, applied, empty
from tests.publishing import honest

FIRST = replace(LATENCY, name="first")
SECOND = replace(LATENCY, name="second")
CALM = (1.0, 1.001, 0.999, 1.0005, 0.9995, 1.0, 1.001, 0.999)
WILD = (0.8, 1.25, 0.9, 1.2, 0.85, 1.1, 0.95, 1.3)
LOOKS = (3, 5, 8)


def run_of(
    first: Sequence[float | None], second: Sequence[float | None], *, left_out: int = 0
) -> ResultSet:
    """Return a run of two workloads, the first of which the last pairs left out."""
    ones = [1.0] * len(second)
    before: list[float | None] = [None if value is None else 1.0 for value in first]
    run = results(
        (FIRST, before, list(first)),
        (SECOND, ones, list(second)),
        workloads={"first": "one", "second": "two"},
        pairs_asked=8,
    )
    whole = run.pairs - left_out
    trials = tuple(
        replace(trial, left_out=("one",)) if trial.pair >= whole else trial for trial in run.trials
    )
    return replace(run, looks=LOOKS, trials=trials)


def shortened(run: ResultSet, pairs: int) -> ResultSet:
    """Return a run the first workload of which was left out after so many pairs."""
    samples = {
        arm: tuple(
            replace(s, values=(*s.values[:pairs], *[None] * (run.pairs - pairs)))
            if s.workload == "one"
            else s
            for s in kept
        )
        for arm, kept in run.samples.items()
    }
    trials = tuple(
        replace(trial, left_out=("one",)) if trial.pair >= pairs else trial for trial in run.trials
    )
    return replace(run, samples=samples, trials=trials)


def of_first_workload(run: ResultSet) -> Finding:
    return next(f for f in policy.report(run).findings if f.comparison.workload == "one")


@pytest.mark.parametrize(
    ("first", "settled"),
    [
        pytest.param(CALM[:3], ("one",), id="unchanged"),
        pytest.param(WILD[:3], (), id="inconclusive"),
        pytest.param((1.5, 1.501, 1.502), (), id="regressed: it may leave other things behind"),
        pytest.param((0.5, 0.501, 0.502), (), id="improved: likewise"),
        pytest.param((1.033, 1.035, 1.037), (), id="suspect"),
        pytest.param(CALM[:2], (), id="before the first look"),
        pytest.param(CALM[:4], ("one",), id="after the look"),
    ],
)
def test_a_workload_without_a_change_is_settled(
    first: Sequence[float], settled: tuple[str, ...]
) -> None:
    run = run_of(first, WILD[: len(first)])
    assert policy.settled_workloads(run) == settled


def test_nothing_is_left_out_once_a_build_has_failed() -> None:
    run = run_of(CALM[:3], WILD[:3])
    failed = replace(run.trials[0], failures=(Failure("it died"),))
    assert policy.settled_workloads(replace(run, trials=(failed, *run.trials[1:]))) == ()


def test_what_was_left_out_stays_so() -> None:
    run = shortened(run_of((*CALM[:3], 9.0, 9.0), WILD[:5]), 3)
    assert policy.settled_workloads(run) == ("one",)


def test_a_run_of_a_fixed_number_of_pairs_leaves_nothing_out() -> None:
    run = replace(run_of(CALM[:3], WILD[:3]), looks=())
    assert policy.settled_workloads(run) == ()


VALUES = st.lists(st.floats(0.9, 1.1), min_size=8, max_size=8)


@settings(deadline=None)
@given(first=VALUES, second=VALUES, pairs=st.sampled_from([3, 5]))
def test_what_is_known_of_a_workload_is_what_its_last_look_found(
    first: list[float], second: list[float], pairs: int
) -> None:
    run = run_of(first, second)
    at_look = of_first_workload(run.of_first(pairs))
    short = shortened(run, pairs)
    for valid in range(pairs, 9):
        now = short.of_first(valid)
        found = of_first_workload(now)
        assert found.verdict == at_look.verdict
        assert found.comparison.change == at_look.comparison.change
        assert found.comparison.pairs == pairs
        assert not [said for said in found.comparison.warnings if "reported" in said]
        assert now.pairs_of("one") == tuple(range(pairs))
        assert now.pairs_of("two") == tuple(range(valid))
        assert now.left_out == (("one",) if valid > pairs else ())


@settings(deadline=None)
@given(first=st.lists(st.floats(0.995, 1.005), min_size=8, max_size=8), second=VALUES)
def test_workloads_do_not_become_red_by_being_left_out(
    first: list[float], second: list[float]
) -> None:
    run = run_of(first, second)
    if "one" in policy.settled_workloads(run.of_first(3)):
        assert of_first_workload(shortened(run, 3)).verdict is Verdict.UNCHANGED


def test_results_with_a_value_of_what_was_left_out_are_none() -> None:
    with pytest.raises(ValueError, match="one/first has a value in pair 4"):
        run_of(CALM[:5], WILD[:5], left_out=1)


def test_both_trials_of_a_pair_leave_out_the_same() -> None:
    run = shortened(run_of(CALM[:5], WILD[:5]), 4)
    with pytest.raises(ValueError, match="pair 4 left out different workloads"):
        replace(run, trials=(*run.trials[:-1], replace(run.trials[-1], left_out=())))


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    run = shortened(run_of(CALM[:5], WILD[:5]), 3)
    codec.RESULTS.write(tmp_path / "results.json", run)
    assert codec.RESULTS.read(tmp_path / "results.json") == run


def test_the_report_says_when_a_workload_was_settled() -> None:
    run = shortened(run_of(CALM[:5], WILD[:5]), 3)
    said = dict(words.method(policy.report(run)))["pairs"]
    assert said.endswith("; one was settled after 3 pairs and not run again")


TWO = SUITE + SUITE[SUITE.index("[[workload]]") :].replace('"crud"', '"again"').replace(
    "duration_s = 5", "duration_s = 50"
)


@pytest.fixture
def two(tmp_path: Path) -> Suite:
    path = tmp_path / "tiny.toml"
    path.write_text(TWO)
    return suite_file.load(path).suite


def test_pairs_are_measured_without_what_is_left_out(two: Suite, tmp_path: Path) -> None:
    driver, again = FakeDriver([applied()]), FakeDriver([applied()])
    bench = Bench(two, tmp_path, driver)
    harness = replace(bench.harness(), drivers={"crud": driver, "again": again})
    plan = Plan(two, 5, bench.interleave, seed=1, looks=(3, 5))
    *_, found = measure.run_pairs(
        plan,
        harness,
        replace(empty(two), pairs_asked=5, looks=(3, 5)),
        tmp_path,
        Told(),
        is_enough=lambda run: run.pairs == 5,
        settled_workloads=lambda run: ("again",) if run.pairs >= 3 else (),
    )
    assert (driver.calls, again.calls) == (5, 3)
    assert [trial.left_out for trial in found.trials] == [()] * 6 + [("again",)] * 4
    values = {s.key: s.values for s in found.samples[Arm.CANDIDATE]}
    assert values["crud/create_p50"] == (0.01,) * 5
    assert values["again/create_p50"] == (0.01,) * 3 + (None,) * 2


def test_pairs_that_leave_something_out_are_expected_to_take_less_time(two: Suite) -> None:
    plan = Plan(two, 8, empty(two).interleave, seed=1, looks=LOOKS)
    whole = plan.pair_s
    part = plan.without(("again",)).pair_s
    assert part < whole / 3
    run = run_of(CALM[:3], WILD[:3])
    trials = tuple(replace(t, duration_s=2 * whole) for t in run.trials)
    slow = replace(run, trials=trials)
    assert measure.expected_pair_s(plan, slow, ()) == pytest.approx(2 * whole)
    assert measure.expected_pair_s(plan, slow, ("again",)) == pytest.approx(2 * part)


def test_an_artifact_cannot_leave_a_workload_out_before_it_is_settled() -> None:
    suite = suite_file.load(suite_file.path_of("pr")).suite
    honest_run = honest()
    name = suite.workloads[0].name

    def without(pairs: range) -> ResultSet:
        samples = {
            arm: tuple(
                replace(s, values=tuple(None if p in pairs else v for p, v in enumerate(s.values)))
                if s.workload == name
                else s
                for s in kept
            )
            for arm, kept in honest_run.samples.items()
        }
        trials = tuple(
            replace(t, left_out=(name,)) if t.pair in pairs else t for t in honest_run.trials
        )
        return replace(honest_run, samples=samples, trials=trials)

    assert honest_run.pairs > 3
    judged = verify(without(range(3, honest_run.pairs)), suite, Product.MILO, None)
    assert not [key for key in judged.lacking if key.startswith(f"{name}/")]
    with pytest.raises(
        BaselineError, match="no run leaves one out before the first interim analysis, at 3"
    ):
        verify(without(range(2, honest_run.pairs)), suite, Product.MILO, None)
