"""Stored numbers: when they gate, when they only advise, and what sets two of them apart."""

from dataclasses import replace

import pytest

from pipeline.judge import constants, policy
from pipeline.judge.stored import against_stored, stored_pair
from pipeline.model.report import Report, Verdict
from pipeline.model.results import Baseline, Machine, ResultSet
from tests.builders import LATENCY, kept, results

STEADY = [1.00, 1.02, 0.98, 1.01, 0.99]
SLOW = [1.5 * value for value in STEADY]
DRIFTED = [1.3 * value for value in STEADY]


STORED = kept(results((LATENCY, STEADY, STEADY)))


def judged(run: ResultSet, stored: Baseline = STORED) -> Report:
    rows, warning = against_stored(run, stored, constants.BETWEEN_RUN_SD)
    return Report(run, policy.findings(rows, constants.RULE), constants.RULE, (warning,))


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
