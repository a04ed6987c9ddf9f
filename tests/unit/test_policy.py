"""Verdicts, what is said of a run as a whole, and how a process ends."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.judge import constants, interim, policy
from pipeline.judge.compare import compare
from pipeline.judge.rows import rows_of_results
from pipeline.judge.run_warnings import facts
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Change, Comparison, Finding, Report, Verdict
from pipeline.model.results import BaselineRef, ResultSet
from pipeline.model.subject import Arm
from pipeline.render import words
from pipeline.system.errors import Exit
from tests.builders import COUNT, LATENCY, NOW, results

STEADY = [1.00, 1.02, 0.98, 1.01, 0.99]
SAME = [1.001, 1.019, 0.981, 1.009, 0.991]
WORSE = [1.20, 1.23, 1.17, 1.22, 1.18]
NOISY = [1.30, 0.80, 1.25, 0.85, 1.05]


def found(
    change: tuple[float, float, float],
    *,
    p_worse: float = 1.0,
    p_better: float = 1.0,
    better: Better = Better.LOWER,
    scale: Scale = Scale.RATIO,
) -> Comparison:
    metric = Metric("m", "1", better, margin=0.05, gate=True, scale=scale)
    return Comparison("w", metric, 1.0, 1.0, Change(*change), p_worse, p_better, 0.1, 5)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        pytest.param(found((0.06, 0.10, 0.14), p_worse=0.01), Verdict.REGRESSED, id="worse"),
        pytest.param(
            found((0.06, 0.10, 0.14), p_worse=0.06), Verdict.INCONCLUSIVE, id="Holm says no"
        ),
        pytest.param(
            found((0.01, 0.04, 0.07), p_worse=0.01),
            Verdict.INCONCLUSIVE,
            id="sure, but within margin",
        ),
        pytest.param(
            found((0.01, 0.02, 0.03), p_worse=0.01), Verdict.UNCHANGED, id="sure, and small"
        ),
        pytest.param(found((-0.14, -0.10, -0.06), p_better=0.01), Verdict.IMPROVED, id="better"),
        pytest.param(
            found((-0.14, -0.10, -0.06), p_better=0.06), Verdict.UNCHANGED, id="perhaps better"
        ),
        pytest.param(
            found((-0.049, -0.0485, -0.048), p_better=0.01),
            Verdict.IMPROVED,
            id="a margin is as far down as up, on logarithms",
        ),
        pytest.param(
            found((-0.047, -0.047, -0.047), p_better=0.0), Verdict.UNCHANGED, id="just short of it"
        ),
        pytest.param(found((-0.04, 0.0, 0.04)), Verdict.UNCHANGED, id="nothing, and sure"),
        pytest.param(found((-0.06, 0.0, 0.06)), Verdict.INCONCLUSIVE, id="nothing, and noisy"),
        pytest.param(
            found((-0.30, -0.13, 0.04)), Verdict.INCONCLUSIVE, id="below the margin, and too wide"
        ),
        pytest.param(
            replace(found((-0.04, 0.0, 0.04)), at_worst=0.06),
            Verdict.INCONCLUSIVE,
            id="a look of many is stricter than the interval shown",
        ),
        pytest.param(
            found((-0.14, -0.10, -0.06), p_worse=0.01, better=Better.HIGHER),
            Verdict.REGRESSED,
            id="less of what should be more",
        ),
        pytest.param(
            found((0.04, 0.06, 0.08), p_worse=0.01, scale=Scale.DIFFERENCE),
            Verdict.REGRESSED,
            id="a difference in the unit",
        ),
        pytest.param(
            replace(found((0, 0, 0)), change=None, p_worse=None, p_better=None),
            Verdict.INCONCLUSIVE,
            id="no evidence",
        ),
    ],
)
def test_a_verdict(comparison: Comparison, expected: Verdict) -> None:
    assert policy.decide(comparison) is expected


def judged(*afters: list[float] | list[float | None] | None, gate: bool = True) -> Report:
    return policy.report(
        results(
            *(
                (replace(LATENCY, name=f"m{i}", gate=gate), STEADY, after)
                for i, after in enumerate(afters)
            )
        )
    )


@pytest.mark.parametrize(
    ("report", "verdict", "code", "strict"),
    [
        pytest.param(
            judged(SAME, WORSE, NOISY),
            Verdict.REGRESSED,
            Exit.REGRESSION,
            Exit.REGRESSION,
            id="one regression is a regression",
        ),
        pytest.param(
            judged(SAME, NOISY),
            Verdict.INCONCLUSIVE,
            Exit.NO_REGRESSION,
            Exit.INCONCLUSIVE,
            id="one doubt is a doubt",
        ),
        pytest.param(
            judged(SAME, SAME),
            Verdict.UNCHANGED,
            Exit.NO_REGRESSION,
            Exit.NO_REGRESSION,
            id="unchanged",
        ),
        pytest.param(
            judged(SAME, [v / 1.3 for v in SAME]),
            Verdict.IMPROVED,
            Exit.NO_REGRESSION,
            Exit.NO_REGRESSION,
            id="improved",
        ),
        pytest.param(
            judged(WORSE, gate=False),
            Verdict.INCONCLUSIVE,
            Exit.NO_REGRESSION,
            Exit.INCONCLUSIVE,
            id="nothing gates",
        ),
        pytest.param(
            judged(SAME, None),
            Verdict.INCONCLUSIVE,
            Exit.NO_REGRESSION,
            Exit.INCONCLUSIVE,
            id="a metric that vanished is never a pass",
        ),
        pytest.param(
            policy.report(results((LATENCY, STEADY, WORSE), invalid=dict.fromkeys(range(4), "x"))),
            Verdict.INCONCLUSIVE,
            Exit.WRONG_LOAD,
            Exit.WRONG_LOAD,
            id="one valid pair",
        ),
        pytest.param(
            policy.report(results()),
            Verdict.INCONCLUSIVE,
            Exit.WRONG_LOAD,
            Exit.WRONG_LOAD,
            id="nothing was run",
        ),
    ],
)
def test_a_run(report: Report, verdict: Verdict, code: Exit, strict: Exit) -> None:
    assert report.verdict is verdict
    assert policy.exit_code(report, strict=False) is code
    assert policy.exit_code(report, strict=True) is strict


def stored(*differences: str, digest: str = "sha256:" + "b" * 64) -> BaselineRef:
    return BaselineRef("reference-pr", NOW, not differences, differences, digest, {})


ROW = (LATENCY, STEADY, SAME)
SAME_BINARY = dict.fromkeys(Arm, "b" * 64)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        pytest.param(
            results(ROW, invalid={1: "k6 dropped 3 iterations"}),
            "pair 1 (baseline and candidate) is invalid and not counted: k6 dropped 3 iterations",
            id="invalid",
        ),
        pytest.param(
            results(ROW, pairs_asked=7), "5 of the 7 pairs asked for are valid", id="fewer pairs"
        ),
        pytest.param(
            results(ROW, stored=stored(digest="sha256:00")),
            "is not the one that reference-pr was stored from",
            id="another binary",
        ),
        pytest.param(
            results((LATENCY, STEADY, None)),
            "gating metrics without an interval: object-crud/create_p50",
            id="absent",
        ),
        pytest.param(
            results(ROW, facts={Arm.CANDIDATE: {"modified": "yes"}}),
            "the candidate was built from source that is not committed",
            id="modified",
        ),
        pytest.param(
            results(ROW, facts={Arm.CANDIDATE: {"go": "go1.27"}}),
            "different Go versions: go1.26.8 and go1.27",
            id="Go",
        ),
        pytest.param(
            results(ROW, warnings=("etcd: slow",)), "etcd: slow (every trial)", id="trial"
        ),
        pytest.param(
            results((replace(LATENCY, gate=False), STEADY, SAME)), "no metric", id="no gate"
        ),
    ],
)
def test_a_doubt_about_the_run_is_said(run: ResultSet, said: str) -> None:
    assert any(said in warning for warning in policy.report(run).warning_texts)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        pytest.param(results(ROW, specs=("reference", "reference")), "not Milo", id="reference"),
        pytest.param(
            results(ROW, specs=("reference", "milo@2")), "as the baseline, not Milo", id="one arm"
        ),
        pytest.param(
            results(ROW, specs=("reference?a=1&b=2", "reference?b=2&a=1"), digests=SAME_BINARY),
            "nothing can have changed",
            id="same binary and settings",
        ),
        pytest.param(
            results(ROW, stored=stored()), "machine like this one; its subject", id="same machine"
        ),
        pytest.param(
            results(ROW, stored=stored("cpu: x there, y here")),
            "another machine (cpu: x there, y here): its numbers are shown only",
            id="another machine",
        ),
    ],
)
def test_a_fact_is_no_doubt(run: ResultSet, said: str) -> None:
    assert any(said in fact for fact in facts(run))
    assert policy.report(run).warning_texts == ()
    assert any(said in sentence for _, sentence in words.method(policy.report(run)))


def test_warnings_of_a_kind_are_one() -> None:
    many = replace(
        results(ROW, (COUNT, STEADY, SAME)),
        trials=tuple(
            replace(
                t, warnings=("object-crud: create_p50: too short", "object-crud: files: too short")
            )
            for t in results(ROW).trials
        ),
    )
    assert policy.report(many).warning_texts == (
        "object-crud/create_p50, object-crud/files: too short (every trial)",
    )
    invalid = results(ROW, invalid={1: "slow", 3: "slow", 4: "dead"})
    assert policy.report(invalid).warning_texts[-2:] == (
        "pairs 1, 3 (baseline and candidate) are invalid and not counted: slow",
        "pair 4 (baseline and candidate) is invalid and not counted: dead",
    )


def test_a_warning_of_some_trials_names_them() -> None:
    run = results(ROW)
    trials = [replace(t, warnings=("slow",)) if t.pair in {1, 3} else t for t in run.trials[:-1]]
    said = policy.report(replace(run, trials=(*trials, run.trials[-1]))).warning_texts
    assert said == ("slow (baseline of pair 1, 3; candidate of pair 1, 3)",)


def test_different_settings_of_one_binary_are_not_the_same() -> None:
    run = results(ROW, specs=("reference", "reference?cpu=1ms"), digests=SAME_BINARY)
    assert not any("nothing can have changed" in fact for fact in facts(run))


def test_a_quiet_run_of_milo_has_no_warnings() -> None:
    assert policy.report(results(ROW)).warning_texts == ()


@pytest.mark.parametrize(
    ("after", "shows", "more"),
    [
        pytest.param([1.08, 0.98, 0.97, 1.05, 0.98], "too noisy", range(1, 40), id="noise"),
        pytest.param(NOISY, "too noisy", None, id="much noise"),
        pytest.param(
            [1.12, 1.04, 1.15, 1.12, 1.04], "not certain enough", range(1, 10), id="suggestive"
        ),
        pytest.param([1.05 * v for v in STEADY], "the margin itself", None, id="tie"),
    ],
)
def test_an_inconclusive_metric_says_what_would_settle_it(
    after: list[float], shows: str, more: range | None
) -> None:
    (first, *_) = judged(after, *[SAME] * 8).findings
    assert first.verdict is Verdict.INCONCLUSIVE
    assert first.advice is not None
    assert shows in first.advice.shows
    if more is None:
        assert first.advice.more_pairs is None
    else:
        assert first.advice.more_pairs in more


def test_a_decided_metric_says_nothing_more() -> None:
    findings = judged(SAME, WORSE).findings
    assert all(not f.comparison.warnings and f.advice is None for f in findings)


def test_equal_builds_are_seldom_red_and_a_detectable_change_often_is() -> None:
    # All of compare and decide, on whole runs, rather than their formulas.
    random = np.random.default_rng(1)
    metrics = [replace(LATENCY, name=f"m{i}", margin=0.001) for i in range(4)]
    runs, reds, seen = 250, 0, 0
    for _ in range(runs):
        base = [1.0] * 5
        rows = [(m, base, list(np.exp(random.normal(0, 0.03, 5)))) for m in metrics]
        findings = [
            Finding(c, policy.decide(c))
            for c in compare(rows_of_results(results(*rows)), constants.RULE)
        ]
        reds += any(f.verdict is Verdict.REGRESSED for f in findings)
        shifted = [(m, base, list(np.exp(random.normal(0.0927, 0.03, 5)))) for m in metrics]
        (first, *_) = compare(rows_of_results(results(*shifted)), constants.RULE)
        seen += policy.decide(first) is Verdict.REGRESSED
    assert reds / runs <= constants.FAMILY_ALPHA + 3 * (constants.FAMILY_ALPHA / runs) ** 0.5
    assert seen / runs > 0.9  # Holm is less strict once the others are found


def test_the_rule_in_a_report_is_the_rule_that_decided() -> None:
    run = results((LATENCY, STEADY, SAME))
    assert policy.report(run).rule == interim.rule_for(run, 5)
    assert pytest.approx(1 - 2 * constants.RULE.pass_alpha) == constants.RULE.confidence
    run = replace(results(ROW, pairs_asked=8), looks=(3, 5, 8))
    assert policy.report(run).rule == interim.rule_for(run, 5)
