"""Values that a deadline cut off: what can be concluded from a lower bound, and what cannot."""

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Bound, Finding, Verdict
from pipeline.model.results import Cutoff, Failure, ResultSet, Sample
from pipeline.model.subject import Arm
from pipeline.render.numbers import interval
from pipeline.render.text import interval_line, text
from pipeline.runs import suite_file
from pipeline.runs.history import nightly_records
from pipeline.storage import codec
from pipeline.system import paths
from tests.builders import results

GONE = Metric("gone_p50", "s", Better.LOWER, margin=0.3, gate=True)
SLOWER = Metric("rate", "1/s", Better.HIGHER, margin=0.3, gate=True)
LATE = Metric("gone_ms", "s", Better.LOWER, margin=0.03, gate=True, scale=Scale.DIFFERENCE)
DEADLINE_S = 60.0
QUICK = (10.0, 10.4, 9.8, 10.1, 10.2)
CUT = (DEADLINE_S,) * 5


def cut_off(
    found: ResultSet, *, baseline: Sequence[int] = (), candidate: Sequence[int] = ()
) -> ResultSet:
    """Return results in which the values of some pairs are lower bounds."""
    pairs = {Arm.BASELINE: baseline, Arm.CANDIDATE: candidate}

    def marked(sample: Sample, arm: Arm) -> Sample:
        cutoffs = tuple(
            Cutoff.AT_LEAST if pair in pairs[arm] else None for pair in range(found.pairs)
        )
        return dataclasses.replace(sample, cutoffs=cutoffs if any(cutoffs) else ())

    samples = {
        arm: tuple(marked(sample, arm) for sample in samples)
        for arm, samples in found.samples.items()
    }
    return dataclasses.replace(found, samples=samples)


def only(found: ResultSet) -> Finding:
    (finding,) = policy.report(found).findings
    return finding


@pytest.mark.parametrize("metric", [GONE, LATE], ids=["ratio", "difference"])
def test_a_candidate_that_was_cut_off_is_worse_by_at_least_so_much(metric: Metric) -> None:
    found = only(cut_off(results((metric, QUICK, CUT)), candidate=range(5)))
    change = found.comparison.change
    assert found.verdict is Verdict.REGRESSED
    assert change
    assert change.bound is Bound.AT_LEAST
    assert interval(metric, change).startswith("at least +")
    assert interval(metric, change).endswith("...]")
    assert interval_line(metric, change, 13).endswith("►")
    assert (
        policy.exit_code(policy.report(cut_off(results((metric, QUICK, CUT)))), strict=False) == 3
    )


def test_a_baseline_that_was_cut_off_is_improved_on_by_at_least_so_much() -> None:
    found = only(cut_off(results((GONE, CUT, QUICK)), baseline=range(5)))
    assert found.verdict is Verdict.IMPROVED
    assert found.comparison.change
    assert found.comparison.change.bound is Bound.AT_MOST
    assert interval(GONE, found.comparison.change).startswith("at most -")


def test_of_a_rate_a_lower_bound_of_the_candidate_is_the_better_side() -> None:
    found = only(cut_off(results((SLOWER, QUICK, CUT)), candidate=range(5)))
    assert found.verdict is Verdict.IMPROVED
    worse = only(cut_off(results((SLOWER, CUT, QUICK)), baseline=range(5)))
    assert worse.verdict is Verdict.REGRESSED


@pytest.mark.parametrize("pairs", [(range(5), range(5)), (range(5), [2]), ([0], [4])])
def test_a_metric_of_which_both_arms_were_cut_off_does_not_gate_and_the_run_says_so(
    pairs: tuple[Sequence[int], Sequence[int]],
) -> None:
    other = dataclasses.replace(GONE, name="other")
    found = cut_off(
        results((GONE, QUICK, CUT), (other, QUICK, QUICK)), baseline=pairs[0], candidate=pairs[1]
    )
    exact = dataclasses.replace(
        found,
        samples={
            arm: (samples[0], dataclasses.replace(samples[1], cutoffs=()))
            for arm, samples in found.samples.items()
        },
    )
    report = policy.report(exact)
    assert [f.verdict for f in report.gating] == [Verdict.UNCHANGED]
    assert report.verdict is Verdict.UNCHANGED
    assert "did not gate" in " ".join(report.warning_texts)
    assert "object-crud/gone_p50" in " ".join(report.warning_texts)
    assert "a deadline cut both builds off" in " ".join(report.findings[0].comparison.warnings)


@pytest.mark.parametrize("arm", list(Arm))
def test_a_metric_of_which_nothing_was_done_does_not_gate(arm: Arm) -> None:
    values = {Arm.BASELINE: QUICK, Arm.CANDIDATE: QUICK, arm: (None,) * 5}
    found = results((GONE, values[Arm.BASELINE], values[Arm.CANDIDATE]))
    (sample,) = found.samples[arm]
    nothing = dataclasses.replace(sample, cutoffs=(Cutoff.NOTHING_DONE,) * 5)
    report = policy.report(dataclasses.replace(found, samples={**found.samples, arm: (nothing,)}))
    assert report.gating == ()
    assert "too little of this was done before the deadline" in " ".join(
        report.findings[0].comparison.warnings
    )


def test_a_metric_that_is_missing_for_another_reason_still_gates() -> None:
    report = policy.report(results((GONE, QUICK, (None,) * 5)))
    assert [f.verdict for f in report.gating] == [Verdict.INCONCLUSIVE]


@given(
    st.lists(st.tuples(st.floats(1.0, 200.0), st.floats(1.0, 200.0)), min_size=2, max_size=8),
    st.sampled_from([GONE, LATE, SLOWER]),
)
def test_a_deadline_never_turns_what_it_hides_into_a_pass(
    pairs: list[tuple[float, float]], metric: Metric
) -> None:
    """Cut off the slow trials of one arm: no verdict may depend on what is beyond the deadline."""
    before, after = zip(*pairs, strict=True)
    for arm in Arm:
        true = after if arm is Arm.CANDIDATE else before
        cut = [pair for pair, value in enumerate(true) if value > DEADLINE_S]
        if not cut:
            continue
        seen = [min(value, DEADLINE_S) for value in true]
        rows = (metric, before, seen) if arm is Arm.CANDIDATE else (metric, seen, after)
        named = {arm.value: cut}
        found = only(cut_off(results(rows), **named))
        hides = (
            {Verdict.UNCHANGED, Verdict.IMPROVED}
            if ((arm is Arm.CANDIDATE) == (metric.better is Better.LOWER))
            else {Verdict.REGRESSED}
        )
        assert found.verdict not in hides


def test_equal_builds_that_are_cut_off_at_random_seldom_turn_red() -> None:
    """A trial is cut off or not with a chance of one half, in both arms: all 64 runs of 3 pairs."""
    reds = 0
    for slow in itertools.product([False, True], repeat=6):
        values = [DEADLINE_S if late else QUICK[n % 3] for n, late in enumerate(slow)]
        arms = values[:3], values[3:]
        marked = cut_off(
            results((GONE, *arms)),
            baseline=[n for n in range(3) if slow[n]],
            candidate=[n for n in range(3) if slow[3 + n]],
        )
        reds += policy.report(marked).verdict is Verdict.REGRESSED
    assert reds == 1  # only where all of one arm and none of the other was cut off


def test_the_rule_for_builds_that_die_is_red_as_often_as_the_docs_say() -> None:
    """Enumerate all runs of three valid pairs in which equal builds fail at random."""
    run = results((GONE, QUICK[:3], QUICK[:3]))

    def red(fails: float) -> float:
        one = fails * (1 - fails)
        chances = {None: (1 - fails) ** 2, Arm.BASELINE: one, Arm.CANDIDATE: one}
        share = 0.0
        for dead in itertools.product(chances, repeat=3):
            trials = [
                dataclasses.replace(
                    trial, failures=(Failure("died"),) if trial.arm is dead[trial.pair] else ()
                )
                for trial in run.trials
            ]
            found = policy.failed_trials(dataclasses.replace(run, trials=tuple(trials)))
            if any(finding.verdict is Verdict.REGRESSED for finding in found):
                share += math.prod(chances[arm] / sum(chances.values()) for arm in dead)
        return share

    assert red(0.5) == pytest.approx(0.15, abs=0.005)
    assert red(0.1) == pytest.approx(0.02, abs=0.005)


def test_lower_bounds_are_kept_and_shown() -> None:
    found = cut_off(results((GONE, QUICK, CUT)), candidate=[1, 3])
    again = codec.RESULTS.parse(codec.RESULTS.dumps(found).encode())
    assert again == found
    shown = text(policy.report(found), width=140)
    assert ">= 1 min" in shown or ">= 60.0 s" in shown
    body = json.loads(codec.verdict_json(policy.report(found), 3, "x"))
    assert body["metrics"][0]["change"]["bound"] == "at least"
    assert math.isfinite(body["metrics"][0]["change"]["high"])


def test_a_night_has_no_value_that_a_deadline_made() -> None:
    found = nightly_records.nightly_record(
        cut_off(results((GONE, QUICK, CUT)), candidate=[0, 2, 3])
    )
    assert found.metrics["object-crud/gone_p50"].pairs == 2
    nothing = nightly_records.nightly_record(
        cut_off(results((GONE, QUICK, CUT)), candidate=range(5))
    )
    assert nothing.metrics == {}


TIMES = ("http_req_duration", "projects.ready", "projects.gone", "project_ready", "project_gone")
PARTNERS = {
    "http_req_duration": {"errors_share"},
    "project": {
        *("projects_never_ready", "projects.never_ready", "projects.never_ready_share"),
        *("projects_never_gone", "projects.never_gone"),
    },
    "span": {"unfinished_share", "errors_share"},
    "first_touch": {"errors_share"},
}


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in paths.project_path("suites").glob("*.toml"))
)
def test_every_gating_time_has_a_gating_partner_that_counts_what_was_not_done(name: str) -> None:
    suite = suite_file.load(suite_file.path_of(name)).suite
    for workload in suite.workloads:
        gating = {metric.select for metric in workload.metrics if metric.gate}
        for select in gating:
            kind = next((k for k in PARTNERS if select.startswith(k)), None)
            if kind is None or select in PARTNERS[kind]:
                continue
            assert gating & PARTNERS[kind], f"{name}: {workload.name}: {select} has no partner"
