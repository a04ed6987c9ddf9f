"""Calibration: what equal builds show, and margins that are below it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge import calibrate, constants, policy
from pipeline.judge.interim import looks_up_to
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.prior import Prior, Spread
from pipeline.model.report import Verdict
from pipeline.model.request import RunRequest
from pipeline.model.results import Interleave, Machine, ResultSet, Sample
from pipeline.model.subject import Arm, Product
from pipeline.render.baseline import calibration_text
from pipeline.runs import baselines, calibration_gate, suite_file
from pipeline.runs.plan import Plan
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from tests.builders import COUNT, LATENCY, results

EQUAL = ("reference", "reference")


def equal(spread: float, pairs: int = 20, seed: int = 3) -> ResultSet:
    """Return a run of equal builds whose latencies have a spread, and whose counts have none."""
    random = np.random.default_rng(seed)
    after = [float(v) for v in np.exp(random.normal(0, spread, pairs))]
    rows = ((LATENCY, [1.0] * pairs, after), (COUNT, [7.0] * pairs, [7.0] * pairs))
    run = results(*rows, specs=EQUAL)
    same = run.subjects[next(iter(run.subjects))]
    return replace(run, subjects=dict.fromkeys(run.subjects, same))


def test_the_spread_is_that_of_a_pair_and_equal_builds_are_seldom_red() -> None:
    found = calibrate.calibration([equal(0.03)], 8)
    latency, count = found.metrics["object-crud/create_p50"], found.metrics["object-crud/files"]
    assert latency.spread == pytest.approx(0.03, rel=0.35)
    assert latency.false_alarms <= 0.03
    assert found.false_alarms <= 0.05
    assert (count.spread, count.min_tolerance, count.false_alarms) == (0, 0, 0)
    assert (found.pairs, found.max_pairs) == (20, 8)


def test_runs_are_taken_together() -> None:
    found = calibrate.calibration([equal(0.02, 5, seed) for seed in range(4)], 8)
    assert found.pairs == 20
    assert found.metrics["object-crud/create_p50"].spread == pytest.approx(0.02, rel=0.4)


@pytest.mark.parametrize("pairs", [5, 8, 20])
def test_a_margin_of_the_floor_lets_equal_builds_pass_as_often_as_promised(pairs: int) -> None:
    random = np.random.default_rng(pairs)
    spread = 0.03
    least = calibrate.min_tolerance(LATENCY, spread, pairs, constants.RULE)
    metric = replace(LATENCY, margin=least)
    passed = 0
    for _ in range(400):
        after = [float(v) for v in np.exp(random.normal(0, spread, pairs))]
        report = policy.report(results((metric, [1.0] * pairs, after)))
        passed += report.verdict == "unchanged"
    assert passed / 400 == pytest.approx(constants.POWER, abs=0.08)


@pytest.mark.parametrize("known", [4, 9, 19])
@pytest.mark.parametrize("pairs", [3, 5, 8, 20])
@pytest.mark.parametrize("pass_alpha", [0.025, 0.025 / 3])
def test_so_does_one_from_a_spread_that_is_estimated(
    known: int, pairs: int, pass_alpha: float
) -> None:
    random, draws = np.random.default_rng(pairs), 20_000
    rule = replace(constants.RULE, pass_alpha=pass_alpha)
    unit = math.log1p(calibrate.min_tolerance(LATENCY, 1e-3, pairs, rule, known=known)) / 1e-3
    limits = unit * np.sqrt(random.chisquare(known, draws) / known)
    d = random.normal(size=(draws, pairs))
    half = stats.t.isf(pass_alpha, pairs - 1) * d.std(axis=1, ddof=1) / math.sqrt(pairs)
    assert (d.mean(axis=1) + half < limits).mean() == pytest.approx(constants.POWER, abs=0.02)


def test_the_rate_of_false_alarms_is_the_one_that_is_stated() -> None:
    """A metric alone is red in 1 of 100 reports of equal builds; drawing pairs twice read 1.6."""
    random, metric = np.random.default_rng(6), replace(LATENCY, margin=1e-6)
    found = []
    for _ in range(40):
        after = np.exp(random.normal(0, 0.03, 10))
        run = results((metric, [1.0] * 10, list(map(float, after))))
        found.append(calibrate.calibration([run], 5).metrics["object-crud/create_p50"].false_alarms)
    assert np.mean(found) == pytest.approx(0.01, abs=0.004)


METRIC = replace(LATENCY, margin=0.05, tolerance=0.1)


@given(
    st.floats(0.001, 0.5),
    st.integers(2, 20),
    st.sampled_from([0.0, 4.0, 8.0]),
    st.floats(1.01, 3.0),
)
def test_more_pairs_more_knowledge_or_a_wider_tolerance_never_take_a_gate_away(
    spread: float, pairs: int, freedom: float, factor: float
) -> None:
    def reach(spread: float, metric: Metric, pairs: int, freedom: float) -> bool:
        metrics = {"w/m": metric}
        return not calibrate.out_of_reach({"w/m": spread}, metrics, pairs, (), freedom)

    if reach(spread, METRIC, pairs, freedom):
        assert reach(spread, METRIC, pairs + 1, freedom)
        assert reach(spread, METRIC, pairs, freedom + 1)
        assert reach(spread / factor, METRIC, pairs, freedom)
        assert reach(spread, replace(METRIC, tolerance=0.1 * factor), pairs, freedom)


@pytest.mark.parametrize("pairs", [3, 5, 8])
def test_what_is_out_of_reach_passes_by_luck_only(pairs: int) -> None:
    """Where the gate is just lost, about half of equal builds pass: those whose spread is small."""
    metrics = {"object-crud/create_p50": METRIC}
    spread = next(
        step / 1000
        for step in range(1, 1000)
        if calibrate.out_of_reach({"object-crud/create_p50": step / 1000}, metrics, pairs, ())
    )
    random = np.random.default_rng(pairs)
    passed = {3.0: 0, 1.0: 0, 0.25: 0}
    for factor in passed:
        for _ in range(200):
            after = np.exp(random.normal(0, factor * spread, pairs))
            report = policy.report(results((METRIC, [1.0] * pairs, list(map(float, after)))))
            passed[factor] += report.verdict is Verdict.UNCHANGED
    assert passed[3.0] <= 0.2 * 200
    assert passed[1.0] <= 0.65 * 200
    assert passed[0.25] >= 0.9 * 200


def test_only_what_gates_and_is_known_can_be_out_of_reach() -> None:
    spreads = {"a/m": 1.0, "b/m": 1.0}
    metrics = {"a/m": METRIC, "b/m": replace(METRIC, gate=False), "c/m": METRIC}
    assert calibrate.out_of_reach(spreads, metrics, 8, looks_up_to(8)) == ("a/m",)


def plan_of(suite: str) -> tuple[Plan, str]:
    loaded = suite_file.load(suite_file.path_of(suite))
    plan = Plan(
        loaded.suite.of(Product.REFERENCE),
        pairs=8,
        interleave=Interleave.REQUEST,
        seed=1,
        looks=looks_up_to(8),
        product=Product.REFERENCE,
    )
    return plan, loaded.digest


def test_a_calibrated_machine_takes_the_gate_from_what_it_cannot_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(paths, "baselines", lambda: tmp_path)
    plan, digest = plan_of("pr")
    run = replace(equal(0.2), suite="pr", suite_digest=digest)
    path = calibration_gate.save(
        calibrate.calibration([run], 8), Product.REFERENCE, Interleave.REQUEST
    )
    assert calibration_gate.undecidable_metrics(plan, digest, run.machine) == (
        "object-crud/create_p50",
    )
    assert "8 pairs cannot decide it on this machine: object-crud/create_p50 (source" in caplog.text
    assert str(path) in caplog.text
    many = replace(plan, pairs=200, looks=())
    assert not calibration_gate.undecidable_metrics(many, digest, run.machine)
    assert not calibration_gate.undecidable_metrics(plan, "sha256:another suite", run.machine)
    for other in (
        replace(plan, product=Product.MILO),
        replace(plan, interleave=Interleave.TRIAL),
    ):
        assert not calibration_gate.undecidable_metrics(other, digest, run.machine)
    elsewhere = replace(run.machine, fingerprint={"cpu": "another"})
    assert not calibration_gate.undecidable_metrics(plan, digest, elsewhere)
    assert codec.CALIBRATION.read(path).pairs == 20


def test_a_prior_is_believed_before_a_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "baselines", lambda: tmp_path)
    plan, digest = plan_of("pr")
    run = replace(equal(0.2), suite="pr", suite_digest=digest)
    calibration_gate.save(calibrate.calibration([run], 8), Product.REFERENCE, Interleave.REQUEST)
    spreads = {"object-crud/create_p50": Spread(0.01**2, 12), "object-crud/get_p50": Spread(1, 12)}
    prior = Prior("12 runs on this machine", 4.0, spreads)
    assert calibration_gate.undecidable_metrics(plan, digest, run.machine, prior) == (
        "object-crud/get_p50",
    )


def test_what_does_not_gate_on_this_machine_is_shown_and_told_once() -> None:
    noisy = [1.0, 1.5, 0.7, 1.3, 0.8]
    rows = ((METRIC, [1.0] * 5, noisy), (COUNT, [7.0] * 5, [7.0] * 5))
    found = replace(results(*rows), ungated=("object-crud/create_p50",))
    report = policy.report(found)
    assert report.verdict is Verdict.UNCHANGED
    assert [f.comparison.metric.name for f in report.gating] == [COUNT.name]
    (shown,) = [f for f in report.findings if f.comparison.metric.name == METRIC.name]
    assert shown.verdict is Verdict.INCONCLUSIVE
    told = [said for said in report.warning_texts if "cannot exclude their tolerance" in said]
    assert len(told) == 1
    assert "object-crud/create_p50" in told[0]
    assert not any("deadline" in said for said in report.warning_texts)
    assert codec.RESULTS.parse(codec.RESULTS.dumps(found).encode()) == found


REQUEST = RunRequest("pr", candidate="reference", against="reference", pairs=20)


def kept(tmp_path: Path, name: str, run: ResultSet) -> Path:
    (tmp_path / name).mkdir()
    codec.RESULTS.write(tmp_path / name / "results.json", run)
    return tmp_path / name


@pytest.mark.parametrize(
    ("other", "said"),
    [
        pytest.param(replace(equal(0.02), suite_digest="sha256:0"), "another suite", id="suite"),
        pytest.param(
            replace(equal(0.02), subjects=results(specs=("reference", "reference?cpu=1")).subjects),
            "not the same build",
            id="builds",
        ),
        pytest.param(
            replace(equal(0.02), machine=Machine({}, {})), "another machine", id="machine"
        ),
        pytest.param(
            replace(
                equal(0.02),
                subjects={
                    arm: replace(one, spec="binary:milo")
                    for arm, one in equal(0.02).subjects.items()
                },
            ),
            "its product, environment or order of trials differs",
            id="product",
        ),
        pytest.param(
            replace(equal(0.02), interleave=Interleave.TRIAL),
            "its product, environment or order of trials differs",
            id="interleave",
        ),
        pytest.param(
            replace(equal(0.02), environment="kind"),
            "its product, environment or order of trials differs",
            id="environment",
        ),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    other: ResultSet, said: str, tmp_path: Path
) -> None:
    runs = [kept(tmp_path, name, run) for name, run in {"a": equal(0.02), "b": other}.items()]
    with pytest.raises(ConfigError, match=said):
        baselines.run_calibration(REQUEST, runs, tmp_path)


def test_runs_of_another_suite_than_the_one_that_is_asked_for_are_refused(tmp_path: Path) -> None:
    """Tolerances would be stated for the number of pairs of that suite."""
    run = kept(tmp_path, "a", replace(equal(0.02), suite="smoke"))
    with pytest.raises(ConfigError, match="measured by another suite than pr") as caught:
        baselines.run_calibration(REQUEST, [run], tmp_path)
    assert "--suite smoke" in (caught.value.hint or "")


def test_the_order_of_the_runs_leaves_no_metric_out() -> None:
    both, one = equal(0.02, 6), results((LATENCY, [1.0] * 6, [1.0] * 5 + [1.01]), specs=EQUAL)
    found = [calibrate.calibration(runs, 8).metrics for runs in ((both, one), (one, both))]
    assert found[0].keys() == found[1].keys() == {"object-crud/create_p50", "object-crud/files"}


def test_one_run_is_not_counted_twice(tmp_path: Path) -> None:
    runs = [kept(tmp_path, name, equal(0.02)) for name in ("a", "b")]
    with pytest.raises(ConfigError, match="is the same run as"):
        baselines.run_calibration(REQUEST, runs, tmp_path)


def test_too_few_pairs_are_refused(tmp_path: Path) -> None:
    run = kept(tmp_path, "a", equal(0.02, 4))
    with pytest.raises(ConfigError, match="4 valid pairs of equal builds are too few"):
        baselines.run_calibration(REQUEST, [run], tmp_path)


def test_a_narrow_terminal_keeps_the_names() -> None:
    found = calibrate.calibration([equal(0.1)], 8)
    lines = calibration_text(found, width=40).splitlines()
    for key, metric in found.metrics.items():
        name = next(number for number, line in enumerate(lines) if key[-8:] in line)
        assert f"margin {metric.margin:.3g}" in " ".join(lines[name + 1 : name + 3])


def test_a_person_reads_the_worst_first() -> None:
    shown = calibration_text(calibrate.calibration([equal(0.1)], 8)).splitlines()
    assert "1 of 2 tolerances are below" in " ".join(shown[:2])
    assert shown.index(next(x for x in shown if "create_p50" in x)) < shown.index(
        next(x for x in shown if "/files" in x)
    )


def test_shares_of_events_are_left_out_because_runs_judge_them_otherwise() -> None:
    errors = Metric("errors_share", "1", Better.LOWER, margin=0.02, scale=Scale.DIFFERENCE)
    run = results((errors, [0.01] * 20, [0.02] * 20), (COUNT, [7.0] * 20, [7.0] * 20), specs=EQUAL)
    samples: dict[Arm, tuple[Sample, ...]] = {
        arm: (replace(share, denominators=(100.0,) * 20), count)
        for arm, (share, count) in run.samples.items()
    }
    found = calibrate.calibration([replace(run, samples=samples)], 8)
    assert list(found.metrics) == ["object-crud/files"]
