"""`explain`: extra pairs of a run that are not judged, with profiles, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from pipeline import toolchain
from pipeline.judge import causes, policy
from pipeline.judge.flames import flame_graphs
from pipeline.model.explanation import Explanation, WorkloadExplanation
from pipeline.model.report import Change, Finding, Report, Verdict
from pipeline.model.request import ExplainRequest
from pipeline.model.results import ResultSet
from pipeline.probes.profiles import ProfilesProbe
from pipeline.render.answer_line import change_in_margins
from pipeline.runs import measure, preflight
from pipeline.runs import run as single_run
from pipeline.runs.explain.evidence import read_evidence
from pipeline.runs.explain.explanation_file import EXPLANATION, FOLDER, run_digest
from pipeline.runs.explain.recorder import RecordingDriver
from pipeline.runs.folder import RunFolder
from pipeline.runs.plan import Plan, derive_seed
from pipeline.runs.suite_file import MetricSettings, Suite
from pipeline.storage import codec
from pipeline.system import progress, terminal
from pipeline.system.errors import ConfigError
from pipeline.system.log import log

DEFAULT_PAIRS = 4
"""Largest number of extra pairs, unless the user gives a number."""

DEFAULT_BUDGET_S = 180.0
"""Time in which more than the fewest pairs are measured, unless the user gives a number."""

_REQUEST = "request.json"
_PAIRS = "pairs.json"
_MAX_PAIRS = 40


@dataclass(frozen=True, slots=True)
class _ExplainedMetric:
    """The metric that stands for its workload: the one that moved most, or that was named."""

    workload: str
    settings: MetricSettings
    change: Change | None
    is_rise: bool


def explain(
    out: Path,
    *,
    metric: str = "",
    pairs: int | None = None,
    is_resumed: bool = False,
    is_trusted: bool = False,
) -> Explanation:
    """Measure the extra pairs of a run, and leave the explanation in its folder.

    Args:
        out: Folder of the run.
        metric: Metric to explain, as `WORKLOAD/METRIC`; empty for those that moved.
        pairs: Number of extra pairs; None for the earlier number, or for as many as fit into
            `DEFAULT_BUDGET_S`.
        is_resumed: True to keep the extra pairs that the folder has.
        is_trusted: True to execute what the folder says, even if somebody else started the run.

    Raises:
        BaselineError: The results of the run cannot be read.
        ConfigError: No metric moved, the suite does not have the metric, the number of pairs is
            not possible, or the folder is not trusted or already has extra pairs.
        PipelineError: Any error of `run`.
    """
    folder = RunFolder(out, "explain")
    stored = single_run.open_run(out, is_trusted=is_trusted)
    suite, results = stored.plan.suite, stored.results
    request = new_request(out, suite, results, (metric, pairs), is_resumed=is_resumed)
    report = policy.report(results)
    explained = [_explained(suite, report, key) for key in request.metrics]
    names = {one.workload for one in explained}
    others = [one.name for one in suite.workloads if one.name not in names]
    plan = replace(stored.plan, pairs=request.pairs, seed=request.seed, looks=(), budget_s=None)
    plan = plan.without(others)
    preflight.require(plan, list(stored.specs.values()), out)
    extra = _measured(folder, plan, results, request)
    return conclude(out, results, extra, explained)


def explain_within_budget(report: Report, out: Path) -> Explanation | None:
    """Explain a run that has just ended; None if nothing moved, or if its budget has no room.

    The run's time budget is that of its extra pairs, too.

    Raises:
        PipelineError: Any error of `explain`.
    """
    if not any(_is_explained(one) for one in report.findings):
        log.info("no metric regressed or improved, so there is nothing to explain")
        return None
    results = report.results
    pairs = DEFAULT_PAIRS
    if results.budget_s is not None:
        pair_s = results.measured_s / max(1, results.pairs)
        room = int((results.budget_s - results.measured_s) // pair_s)
        pairs = min(pairs, room)
        if pairs < causes.MIN_EXPLAIN_PAIRS:
            log.warning(
                "the budget has no room for %s extra pairs; later: %s",
                causes.MIN_EXPLAIN_PAIRS,
                terminal.command("explain", out),
            )
            return None
    return explain(out, pairs=None if pairs == DEFAULT_PAIRS else pairs)


def conclude(
    out: Path, results: ResultSet, extra: ResultSet, explained: Sequence[_ExplainedMetric]
) -> Explanation:
    """Compare the evidence of the extra pairs, and write the explanation."""
    workloads = tuple(
        _explanation_of(out / FOLDER, extra, one, len(explained)) for one in explained
    )
    found = Explanation(
        run=run_digest(results), taken_at=extra.taken_at, alpha=causes.ALPHA, workloads=workloads
    )
    codec.EXPLANATION.write(out / FOLDER / EXPLANATION, found)
    return found


def new_request(
    out: Path,
    suite: Suite,
    results: ResultSet,
    wanted: tuple[str, int | None],
    *,
    is_resumed: bool,
) -> ExplainRequest:
    """Return what is measured, and store it; with `is_resumed` the stored one, with more pairs."""
    metric, pairs = wanted
    path = out / FOLDER / _REQUEST
    if is_resumed:
        request = codec.EXPLAIN_REQUEST.read(path)
        if metric and metric not in request.metrics:
            raise ConfigError(
                f"--metric {metric} cannot be changed by --resume",
                hint=f"delete {path.parent} and start again",
            )
        request = replace(request, pairs=pairs, budget_s=None) if pairs else request
    else:
        if (out / FOLDER / _PAIRS).exists():
            raise ConfigError(
                f"{path.parent} has the extra pairs of an earlier explanation",
                hint=f"`{terminal.command('explain', '--resume', out)}` keeps them; or delete the"
                " folder",
            )
        keys = (_known(suite, metric),) if metric else _moved(policy.report(results))
        seed = derive_seed(results.seed, "explain", *keys)
        budget_s = None if pairs else DEFAULT_BUDGET_S
        request = ExplainRequest(keys, pairs or DEFAULT_PAIRS, seed, budget_s)
    if not causes.MIN_EXPLAIN_PAIRS <= request.pairs <= _MAX_PAIRS:
        raise ConfigError(
            f"--pairs {request.pairs}: an explanation needs {causes.MIN_EXPLAIN_PAIRS} to"
            f" {_MAX_PAIRS} pairs"
        )
    path.parent.mkdir(exist_ok=True)
    codec.EXPLAIN_REQUEST.write(path, request)
    return request


def is_enough(plan: Plan, request: ExplainRequest, extra: ResultSet) -> bool:
    """Return whether no further extra pair is measured."""
    pairs = len(extra.valid_pairs)
    if not causes.MIN_EXPLAIN_PAIRS <= pairs < request.pairs:
        return pairs >= request.pairs
    return measure.exceeds_budget(replace(plan, budget_s=request.budget_s), extra, ())


def _known(suite: Suite, metric: str) -> str:
    """Return the name of a metric of the suite, or raise ConfigError with the nearest one."""
    known = dict(suite.keyed_metrics())
    if metric not in known:
        near = get_close_matches(metric, known, n=1, cutoff=0.0)
        raise ConfigError(
            f"the suite {suite.name} has no metric `{metric}`",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    return metric


def _moved(report: Report) -> tuple[str, ...]:
    """Return the metric of each workload that moved most: a regression if there is any."""
    by_workload: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if _is_explained(finding):
            by_workload.setdefault(finding.comparison.workload, []).append(finding)
    if not by_workload:
        raise ConfigError(
            "no metric of the run regressed or improved, so there is nothing to explain",
            hint="name one: --metric WORKLOAD/METRIC",
        )
    is_red = report.verdict is Verdict.REGRESSED
    chosen = []
    for name, findings in by_workload.items():
        gating = [one for one in findings if one.comparison.metric.gate]
        worse = [one for one in gating if one.verdict is Verdict.REGRESSED]
        if is_red and not worse and len(by_workload) > 1:
            continue  # a red run is explained by what made it red
        best = max(worse or gating or findings, key=lambda one: abs(_size(one)))
        chosen.append(f"{name}/{best.comparison.metric.name}")
    return tuple(chosen or [_first_key(by_workload)])


def _is_explained(finding: Finding) -> bool:
    """Return whether a metric moved, other than that a build failed."""
    is_moved = finding.verdict in {Verdict.REGRESSED, Verdict.IMPROVED}
    return is_moved and finding.comparison.workload != policy.LAUNCH


def _size(finding: Finding) -> float:
    return change_in_margins(finding.kept or finding.comparison)


def _first_key(by_workload: dict[str, list[Finding]]) -> str:
    findings = next(iter(by_workload.values()))
    return f"{findings[0].comparison.workload}/{findings[0].comparison.metric.name}"


def _explained(suite: Suite, report: Report, key: str) -> _ExplainedMetric:
    settings = next(one for name, one in suite.keyed_metrics() if name == key)
    finding = next((one for one in report.findings if one.comparison.key == key), None)
    comparison = (finding.kept or finding.comparison) if finding else None
    change = comparison.change if comparison else None
    return _ExplainedMetric(
        key.partition("/")[0], settings, change, change is None or change.estimate >= 0
    )


def _measured(
    folder: RunFolder, plan: Plan, results: ResultSet, request: ExplainRequest
) -> ResultSet:
    """Return the results of the extra pairs, measuring those that are missing."""
    out = folder.path / FOLDER
    path = out / _PAIRS
    latest = (
        codec.RESULTS.read(path)
        if path.exists()
        else replace(
            results,
            seed=request.seed,
            taken_at=datetime.now(UTC),
            trials=(),
            samples={},
            looks=(),
            added=0,
            budget_s=None,
            prior=None,
            ungated=(),
        )
    )
    latest = replace(latest, pairs_asked=request.pairs)
    if is_enough(plan, request, latest):
        return latest
    artifacts = {arm: folder.rebuild(arm, subject) for arm, subject in results.subjects.items()}
    artifacts = {arm: replace(one, is_profiled=True) for arm, one in artifacts.items()}
    programs = toolchain.programs_of(plan.suite.needs)

    def state() -> tuple[object, ...]:
        return (f"{latest.pairs} of {request.pairs} extra pairs",)

    with (
        folder.measuring(state),
        plan.suite.environment.open(programs) as environment,
        progress.show_progress() as shown,
    ):
        harness = single_run.harness_of(plan, environment, artifacts, programs)
        harness = replace(
            harness,
            drivers={name: RecordingDriver(one) for name, one in harness.drivers.items()},
            probes=(*harness.probes, ProfilesProbe()),
        )
        before = latest
        for latest in measure.run_pairs(
            plan,
            harness,
            before,
            out,
            shown,
            is_enough=partial(is_enough, plan, request),
            forgives_earlier=True,
        ):
            codec.RESULTS.write(path, latest)
    return latest


def _explanation_of(
    out: Path, extra: ResultSet, explained: _ExplainedMetric, workloads: int
) -> WorkloadExplanation:
    """Return what moved under one workload."""
    reading = explained.settings.select
    evidence = read_evidence(out, extra, explained.workload, reading)
    metric = explained.settings.metric()
    found = causes.find_causes(
        evidence.stacks,
        evidence.series,
        metric,
        reading=reading,
        is_rise=explained.is_rise,
        workloads=workloads,
    )
    return WorkloadExplanation(
        workload=explained.workload,
        metric=metric,
        change=explained.change,
        per=evidence.per,
        pairs=evidence.pairs,
        tests=found.tests,
        causes=found.causes,
        metrics=found.metrics,
        flames=flame_graphs(found, workloads),
        gaps=evidence.gaps,
    )
