"""Series of releases with everything that a page can show, made of nothing but numbers."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.judge import policy
from pipeline.model.releases import (
    Release,
    ReleaseMetric,
    ReleaseOutcome,
    ReleaseSeries,
    ReleaseStep,
)
from pipeline.model.results import Machine, ResultSet, Sample, Tool
from pipeline.model.subject import Arm
from pipeline.render.answer_line import answer
from pipeline.runs.releases.run import step_change
from tests import pages
from tests.builders import NOW

NAMES = (
    *("v0.29.3", "v0.30.0", "v0.30.1", "v0.31.0", "v0.32.0-rc.1", "v0.32.2", "v0.32.3", "v0.32.4"),
    "v0.32.5",
)


def series(steps: Sequence[ReleaseStep], metrics: Sequence[ReleaseMetric] = ()) -> ReleaseSeries:
    """Return a series of the usual releases with these first steps."""
    return ReleaseSeries(
        suite="pr",
        suite_digest="sha256:" + "5" * 64,
        environment="local",
        releases=tuple(
            Release(name, f"source:../milo@{name}", f"{number:040x}")
            for number, name in enumerate(NAMES)
        ),
        seed=7,
        confidence=0.95,
        machine=Machine({"cpu": "a cpu", "logical cpus": "4", "k6": "1.1.0"}, {}),
        tools={"k6": Tool("1.1.0", "sha256:66"), "milo-perf": Tool("1.0", "sha256:ee")},
        taken_at=NOW,
        spent_s=4321.0,
        metrics=tuple(metrics),
        steps=tuple(steps),
    )


def measured(
    name: str, against: str, factor: float, results: ResultSet | None = None
) -> ReleaseStep:
    """Return a measured step; a factor of 1 is that of `pages.measured`, whose create is slower."""
    results = results or pages.measured()
    samples = {
        arm: tuple(_times(sample, factor if arm is Arm.CANDIDATE else 1.0) for sample in kept)
        for arm, kept in results.samples.items()
    }
    report = policy.report(replace(results, samples=samples))
    return ReleaseStep(
        name,
        ReleaseOutcome.MEASURED,
        against,
        f"0-{name}",
        spent_s=400.0,
        verdict=report.verdict,
        answer=answer(report),
        pairs=len(report.results.valid_pairs),
        changes=tuple(map(step_change, report.findings)),
    )


def of_every_kind() -> ReleaseSeries:
    """Return a series with every outcome; the fourth metric is missing in one step."""
    third = measured("v0.32.2", "v0.31.0", 0.5)
    steps = [
        ReleaseStep("v0.29.3", ReleaseOutcome.FIRST),
        measured("v0.30.0", "v0.29.3", 1.0),
        ReleaseStep("v0.30.1", ReleaseOutcome.NOT_BUILT, reason="no module <x>", exit_code=5),
        measured("v0.31.0", "v0.30.0", 1 / 1.31),
        ReleaseStep("v0.32.0-rc.1", ReleaseOutcome.SAME_COMMIT, "v0.31.0"),
        replace(third, changes=tuple(c for c in third.changes if not c.key.endswith("/rate"))),
        ReleaseStep(
            *("v0.32.3", ReleaseOutcome.FAILED, "v0.32.2", "6-v0.32.3"),
            reason="3 pairs were invalid",
            exit_code=6,
            spent_s=80.0,
        ),
    ]
    metrics = [ReleaseMetric("object-crud", metric) for metric, *_ in pages.METRICS]
    return series(steps, metrics)


def hostile() -> ReleaseSeries:
    """Return a series in which every name and reason is hostile."""
    one, bad = of_every_kind(), pages.HOSTILE
    steps = tuple(
        replace(
            step,
            release=f"{step.release}{bad}",
            against=step.against and f"{step.against}{bad}",
            reason=step.reason and bad,
            answer=step.answer and bad,
            changes=tuple(replace(c, key=f"{bad}{c.key}{bad}") for c in step.changes),
        )
        for step in one.steps
    )
    return replace(
        one,
        suite=bad,
        environment=bad,
        releases=tuple(replace(r, name=f"{r.name}{bad}", commit=bad) for r in one.releases),
        machine=Machine({bad: bad}, {}),
        tools={bad: Tool(bad, bad)},
        metrics=tuple(
            ReleaseMetric(f"{bad}{m.workload}", replace(m.metric, name=f"{m.metric.name}{bad}"))
            for m in one.metrics
        ),
        steps=steps,
    )


def _times(sample: Sample, factor: float) -> Sample:
    if sample.metric.name != "create_p50":
        return sample
    values = tuple(value if value is None else value * factor for value in sample.values)
    return replace(sample, values=values)
