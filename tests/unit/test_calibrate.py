"""Calibration: what equal builds show, and margins that are below it."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import baselines, codec, config, files, noise
from pipeline.errors import ConfigError
from pipeline.judge import calibrate, policy
from pipeline.judge.looks import looks_up_to
from pipeline.model.metric import Metric
from pipeline.model.results import Interleave, Machine, ResultSet
from pipeline.model.subject import Product
from pipeline.plan import Plan
from pipeline.render.calibration import calibration_text
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
    assert (count.spread, count.floor, count.false_alarms) == (0, 0, 0)
    assert (found.pairs, found.most) == (20, 8)


def test_runs_are_taken_together() -> None:
    found = calibrate.calibration([equal(0.02, 5, seed) for seed in range(4)], 8)
    assert found.pairs == 20
    assert found.metrics["object-crud/create_p50"].spread == pytest.approx(0.02, rel=0.4)


@pytest.mark.parametrize("pairs", [5, 8, 20])
def test_a_margin_of_the_floor_lets_equal_builds_pass_as_often_as_promised(pairs: int) -> None:
    random = np.random.default_rng(pairs)
    spread = 0.03
    least = calibrate.floor(LATENCY, spread, pairs, policy.RULE)
    metric = replace(LATENCY, margin=least)
    passed = 0
    for _ in range(400):
        after = [float(v) for v in np.exp(random.normal(0, spread, pairs))]
        report = policy.report(results((metric, [1.0] * pairs, after)))
        passed += report.verdict == "unchanged"
    assert passed / 400 == pytest.approx(policy.POWER, abs=0.08)


def test_margins_below_the_noise_are_named_with_what_would_work() -> None:
    found = calibrate.calibration([equal(0.1)], 8)
    metrics: dict[str, Metric] = {"object-crud/create_p50": LATENCY, "object-crud/files": COUNT}
    ((key, least),) = calibrate.too_tight(found, metrics, 8, looks_up_to(8))
    assert key == "object-crud/create_p50"
    assert least > LATENCY.margin
    enough = {key: replace(LATENCY, margin=1.01 * least)}
    assert not list(calibrate.too_tight(found, enough, 8, looks_up_to(8)))
    others = {key: replace(LATENCY, gate=False)}
    assert not list(calibrate.too_tight(found, others, 8, looks_up_to(8)))


def test_a_run_is_refused_where_its_margins_are_known_to_be_below_the_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "baselines", lambda: tmp_path)
    loaded = config.load(config.path_of("pr"))
    plan = Plan(loaded.suite.of(Product.REFERENCE), 8, Interleave.REQUEST, 1, looks_up_to(8))
    run = replace(equal(0.1), suite="pr", suite_digest=loaded.digest)
    path = noise.keep(calibrate.calibration([run], 8))
    with pytest.raises(ConfigError, match=r"create_p50 has 0\.035, and 0\.\d+ would work") as error:
        noise.require(plan, loaded.digest, run.machine)
    assert str(path) in error.value.hint
    noise.require(replace(plan, pairs=200, looks=()), loaded.digest, run.machine)
    noise.require(plan, "sha256:another suite", run.machine)
    noise.require(plan, loaded.digest, replace(run.machine, fingerprint={"cpu": "another"}))
    assert codec.read_calibration(path).pairs == 20


def arguments(*runs: Path) -> argparse.Namespace:
    return argparse.Namespace(suite="pr", subject="reference", pairs=20, runs=runs)


def kept(tmp_path: Path, name: str, run: ResultSet) -> Path:
    (tmp_path / name).mkdir()
    codec.write_results(tmp_path / name / "results.json", run)
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
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    other: ResultSet, said: str, tmp_path: Path
) -> None:
    runs = [kept(tmp_path, name, run) for name, run in {"a": equal(0.02), "b": other}.items()]
    with pytest.raises(ConfigError, match=said):
        baselines.calibrated(arguments(*runs), tmp_path)


def test_too_few_pairs_are_refused(tmp_path: Path) -> None:
    run = kept(tmp_path, "a", equal(0.02, 4))
    with pytest.raises(ConfigError, match="4 valid pairs of equal builds are too few"):
        baselines.calibrated(arguments(run), tmp_path)


def test_a_narrow_terminal_keeps_the_names() -> None:
    found = calibrate.calibration([equal(0.1)], 8)
    lines = calibration_text(found, width=40).splitlines()
    for key, metric in found.metrics.items():
        name = next(number for number, line in enumerate(lines) if key[-8:] in line)
        assert f"margin {metric.margin:.3g}" in " ".join(lines[name + 1 : name + 3])


def test_a_person_reads_the_worst_first() -> None:
    shown = calibration_text(calibrate.calibration([equal(0.1)], 8)).splitlines()
    assert "1 of 2 margins below" in " ".join(shown[:2])
    assert shown.index(next(x for x in shown if "create_p50" in x)) < shown.index(
        next(x for x in shown if "/files" in x)
    )
