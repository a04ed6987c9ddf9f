"""Stored numbers: when they gate, when they only advise, and what sets two of them apart."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.judge import constants, policy
from pipeline.judge.stored import report_against, stored_pair
from pipeline.model.report import Report, Verdict
from pipeline.model.results import Baseline, Failure, Machine, ResultSet
from pipeline.model.subject import Arm
from tests.builders import LATENCY, kept, results

STEADY = [1.00, 1.02, 0.98, 1.01, 0.99]
SLOW = [1.5 * value for value in STEADY]
DRIFTED = [1.3 * value for value in STEADY]


STORED = kept(results((LATENCY, STEADY, STEADY)))


def judged(run: ResultSet, stored: Baseline = STORED) -> Report:
    return report_against(run, stored)


def test_numbers_of_this_machine_gate_while_the_canary_holds() -> None:
    report = judged(results((LATENCY, STEADY, SLOW)))
    assert report.verdict is Verdict.REGRESSED
    assert "agrees with it" in report.warning_texts[0]
    assert judged(results((LATENCY, STEADY, STEADY))).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("run", "stored", "said"),
    [
        pytest.param(
            results((LATENCY, DRIFTED, SLOW)),
            STORED,
            "object-crud/create_p50 of the same build moved by +0.3",
            id="the canary moved",
        ),
        pytest.param(
            results((LATENCY, STEADY, SLOW)),
            replace(STORED, machine=Machine({"cpu": "another", "logical cpus": "4"}, {})),
            "cpu: another there, a cpu here",
            id="another machine",
        ),
        pytest.param(
            results((LATENCY, STEADY, SLOW)),
            replace(STORED, subject=replace(STORED.subject, digest="sha256:0")),
            "was not measured again",
            id="no canary",
        ),
    ],
)
def test_otherwise_they_advise_and_nothing_is_red(
    run: ResultSet, stored: Baseline, said: str
) -> None:
    report = judged(run, stored)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not report.gating
    assert said in report.warning_texts[0]
    assert report.findings[0].comparison.change is not None


def test_two_baselines_are_compared_as_groups_and_never_gate() -> None:
    other = kept(results((LATENCY, SLOW, SLOW)))
    (finding,) = policy.findings(
        stored_pair(STORED, other, constants.BETWEEN_RUN_SD), constants.RULE
    )
    assert finding.comparison.change is not None
    assert finding.comparison.change.estimate == pytest.approx(0.5)
    assert finding.verdict is Verdict.REGRESSED
    assert not finding.comparison.metric.gate


OTHER = replace(LATENCY, name="get_p50")
BOTH = results((LATENCY, STEADY, STEADY), (OTHER, STEADY, STEADY))
KEYS = ["object-crud/create_p50", "object-crud/get_p50"]
NOTHING = [None] * 5


@pytest.mark.parametrize("stored", [STORED, replace(STORED, machine=Machine({"cpu": "b"}, {}))])
@pytest.mark.parametrize("failed", range(6))
def test_builds_that_fail_count_as_in_pairs(failed: int, stored: Baseline) -> None:
    run = results((LATENCY, STEADY, STEADY))
    trials = tuple(
        replace(t, failures=(Failure("the server exited with 2"),))
        if t.arm is Arm.CANDIDATE and t.pair < failed
        else t
        for t in run.trials
    )
    run = replace(run, trials=trials)
    report, in_pairs = judged(run, stored), policy.report(run)
    assert report.findings[:-1] == in_pairs.findings[:-1]
    assert (report.verdict is Verdict.REGRESSED) == (failed >= 2)
    assert set(in_pairs.warning_texts) <= set(report.warning_texts)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([(LATENCY, STEADY, STEADY)], id="of a run that lacks it"),
        pytest.param([(LATENCY, STEADY, STEADY), (OTHER, STEADY, NOTHING)], id="without values"),
        pytest.param([(LATENCY, STEADY, STEADY), (OTHER, STEADY, None)], id="of one arm"),
        pytest.param([(LATENCY, STEADY, STEADY), (OTHER, NOTHING, STEADY)], id="no canary"),
        pytest.param(
            [(LATENCY, STEADY, STEADY), (OTHER, [1.0, *NOTHING[1:]], STEADY)], id="hardly a canary"
        ),
    ],
)
def test_a_gating_metric_without_numbers_is_no_pass(rows: list[Any]) -> None:
    report = judged(results(*rows), kept(BOTH))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert {f.comparison.key for f in report.findings} == {
        s.key for s in BOTH.samples[Arm.BASELINE]
    }


def test_a_metric_that_was_not_stored_is_no_pass() -> None:
    report = judged(BOTH, STORED)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert [f.comparison.key for f in report.findings] == [
        "object-crud/create_p50",
        "object-crud/get_p50",
    ]


def test_workloads_that_were_left_out_as_asked_are_said_and_not_missed() -> None:
    run = results((LATENCY, STEADY, STEADY))
    stored = kept(
        results((LATENCY, STEADY, STEADY), (OTHER, STEADY, STEADY), workloads={"get_p50": "noisy"})
    )
    report = judged(replace(run, driver="k6", omitted=("noisy",)), stored)
    assert report.verdict is Verdict.UNCHANGED
    assert any("nothing was measured of noisy" in text for text in report.warning_texts)


def test_what_does_not_gate_on_this_machine_does_not_gate_by_stored_numbers() -> None:
    report = judged(replace(BOTH, ungated=("object-crud/get_p50",)), kept(BOTH))
    assert [f.comparison.key for f in report.gating] == ["object-crud/create_p50"]
