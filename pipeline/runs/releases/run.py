"""`releases`: from a request to the changes between releases, in a folder.

Each step is an ordinary run in a folder of its own, with an ordinary report.
"""

import itertools
import math
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from pipeline import toolchain
from pipeline.judge import policy
from pipeline.judge.constants import RULE
from pipeline.model.ports import Artifact
from pipeline.model.releases import (
    Release,
    ReleaseMetric,
    ReleaseOutcome,
    ReleaseSeries,
    ReleaseStep,
    StepChange,
)
from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.request import ReleasesRequest
from pipeline.model.subject import Subject
from pipeline.render import answer_line
from pipeline.render.releases import releases_csv, releases_markdown
from pipeline.render.releases_page import releases_html
from pipeline.runs import reports, suite_file, trust
from pipeline.runs import run as single_run
from pipeline.runs.folder import REQUEST, RunFolder
from pipeline.runs.plan import Plan, derive_seed, draw_seed
from pipeline.runs.releases import request as releases_request
from pipeline.runs.request import spec_of
from pipeline.runs.run import ENVIRONMENT
from pipeline.runs.suite_file import LoadedSuite
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, processes, terminal
from pipeline.system.errors import ConfigError, Exit, LaunchError, LoadError, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import RELEASES, RESULTS
from pipeline.system.progress import format_duration
from pipeline.toolchain.same_build import is_same_build

_Result: TypeAlias = tuple[ReleaseStep, tuple[ReleaseMetric, ...]]
"""The step of a release, and the metrics that it measured."""

PAGE, TABLE, NUMBERS = "releases.html", "releases.md", "releases.csv"


def run(request: ReleasesRequest, out: Path) -> ReleaseSeries:
    """Measure from nothing, and leave everything in a new folder, also after an error."""
    start_s, folder = time.monotonic(), RunFolder(out, "releases")
    folder.require_new()
    loaded, plan = releases_request.check(request, out)
    request = replace(request, seed=draw_seed(request.seed))
    _require_budget(request, plan, ())
    series = _new_series(request, loaded)
    folder.create(codec.RELEASES_REQUEST.dumps(request))
    if request.run.suite.endswith(".toml"):
        suite_file.keep(loaded, out)
    single_run.keep_environment(request.run, out)
    codec.RELEASES.write(out / RELEASES, series)
    trust.note(_origin(folder, request, series, loaded), out)
    kept = replace(request, run=single_run.with_copies(request.run, out))
    return _Measurement(kept, plan, folder, start_s).continue_series(series)


def resume(
    out: Path, budget_s: float | None = None, *, retry: bool = False, is_trusted: bool = False
) -> ReleaseSeries:
    """Continue a measurement of releases; see `pipeline.runs.run.resume`.

    Args:
        out: Folder of the measurement.
        budget_s: Time budget of this command; None for that of the request.
        retry: True to measure again from the first release that failed: those after it were
            compared with one before it.  Otherwise it stays without numbers.
        is_trusted: True to execute what the folder says, even if somebody else started it.
    """
    start_s, folder = time.monotonic(), RunFolder(out, "releases")
    series = codec.RELEASES.read(paths.result_file(out, RELEASES))
    request = codec.RELEASES_REQUEST.read(folder.request)
    is_own = request.run.suite.endswith(".toml")
    loaded = folder.suite() if is_own else suite_file.load(suite_file.path_of(request.run.suite))
    trust.require(_origin(folder, request, series, loaded), out, is_trusted=is_trusted)
    asked, measured = (", ".join(map(str, one.releases)) for one in (request, series))
    folder.require_request({"releases": (asked, measured), "seed": (request.seed, series.seed)})
    if retry:
        kept_steps = itertools.takewhile(lambda step: not step.exit_code, series.steps)
        series = replace(series, steps=tuple(kept_steps))
    if not series.missing:
        return series
    folder.require_same("the suite or one of its scripts", series.suite_digest, loaded.digest)
    releases_request.require_same_commits(request)
    kept = replace(request, run=single_run.with_copies(request.run, out))
    if budget_s is not None:
        kept = replace(kept, budget_s=budget_s)
    loaded, plan = releases_request.check(kept, out)
    _require_budget(kept, plan, series.measured)
    programs = toolchain.programs_of(loaded.suite.needs)
    machine = toolchain.machine_with(programs, loaded.suite.environment.facts)
    folder.require_same_machine(series.machine, machine)
    log.info("%s: %s of %s releases are kept", out, len(series.steps), len(series.releases))
    measurement = _Measurement(kept, plan, folder, start_s, is_trusted=is_trusted)
    return measurement.continue_series(series)


def write(series: ReleaseSeries, out: Path) -> None:
    """Write the page, its table and its numbers into the folder of the measurement."""
    files = {
        PAGE: releases_html(series),
        TABLE: releases_markdown(series),
        NUMBERS: releases_csv(series),
    }
    if codec.write_reports(out, files):
        log.info("the page is %s", out / PAGE)


def exit_code(series: ReleaseSeries, *, strict: bool) -> Exit:
    """Return the exit code: regressions of past releases are facts, not failures.

    If strict, a regression in the last step, or a last release without an answer, is a failure.
    """
    failures = [step.exit_code for step in series.steps if step.exit_code]
    if failures and not series.measured:
        return Exit(failures[0])
    if not strict:
        return Exit.NO_REGRESSION
    verdict = series.measured[-1].verdict if series.measured else None
    if verdict is Verdict.REGRESSED:
        return Exit.REGRESSION
    has_failed = bool(series.steps and series.steps[-1].exit_code)
    if series.missing or has_failed or verdict is Verdict.INCONCLUSIVE:
        return Exit.INCONCLUSIVE
    return Exit.NO_REGRESSION


def expected_step_s(plan: Plan, steps: Sequence[ReleaseStep]) -> float:
    """Return the expected seconds of the next step: the longest until now, or that of the plan."""
    durations = [step.spent_s for step in steps]
    return max(durations, default=plan.summary().ends[-1] * plan.pair_s)


@dataclass(frozen=True, slots=True)
class _Measurement:
    """Measures the releases that a series still lacks.

    The request has paths that this command can read.  `start_s` is the start of the command, by the
    monotonic clock.
    """

    request: ReleasesRequest
    plan: Plan
    folder: RunFolder
    start_s: float
    is_trusted: bool = False

    @property
    def left_s(self) -> float:
        """Seconds that are left of the budget; infinite without one."""
        budget_s = self.request.budget_s
        return math.inf if budget_s is None else self.start_s + budget_s - time.monotonic()

    def continue_series(self, series: ReleaseSeries) -> ReleaseSeries:
        """Return the results after the last release, or when the budget ends."""
        latest = series

        def state() -> tuple[object, ...]:
            return (f"{len(latest.steps)} of {len(latest.releases)} releases",)

        with self.folder.resumable(state):
            while latest.missing and (result := self._next_step(latest)):
                spent_s = series.spent_s + time.monotonic() - self.start_s
                latest = replace(latest.with_step(*result), spent_s=spent_s)
                codec.RELEASES.write(self.folder.path / RELEASES, latest)
        if latest.missing:
            log.warning(
                "the budget leaves %s unmeasured; go on with: %s",
                ", ".join(release.name for release in latest.missing),
                terminal.command("releases", "--resume", self.folder.path),
            )
        return latest

    def _next_step(self, series: ReleaseSeries) -> _Result | None:
        """Measure the next release; return None if that would end after the budget."""
        release = series.missing[0]
        if name := _same_commit(series, release):
            log.info(
                "%s: its commit is that of %s, which is not measured again", release.name, name
            )
            return ReleaseStep(release.name, ReleaseOutcome.SAME_COMMIT, name), ()
        expected_s = expected_step_s(self.plan, series.measured)
        if not series.reference:
            return self._build(release) or (ReleaseStep(release.name, ReleaseOutcome.FIRST), ())
        before = series.release(series.reference)
        if expected_s > self.left_s:
            return None
        if ended := self._build(release, before):
            return ended
        if expected_s > self.left_s:
            return None
        left = "" if math.isinf(self.left_s) else f", {format_duration(self.left_s)} of budget left"
        log.info(
            "step %s of %s: %s against %s, about %s%s",
            len(series.steps),
            len(series.releases) - 1,
            release.name,
            before.name,
            format_duration(expected_s),
            left,
        )
        return self._measure(
            before, release, f"{len(series.steps):02}-{_safe(before.name)}..{_safe(release.name)}"
        )

    def _build(self, release: Release, before: Release | None = None) -> _Result | None:
        """Build a release; return its step if it needs no run, otherwise None.

        It needs none if it does not build, or if its build is that of the release before.
        """
        try:
            built = self._artifact(release)
        except LaunchError as error:
            log.warning("%s is skipped: %s", release.name, error)
            return _failure(ReleaseStep(release.name, ReleaseOutcome.NOT_BUILT), error), ()
        facts = self.plan.suite.environment.facts
        if before is None or not is_same_build(self._artifact(before), built, facts):
            return None
        log.info("%s: its build is that of %s, byte for byte", release.name, before.name)
        return ReleaseStep(release.name, ReleaseOutcome.SAME_BUILD, before.name), ()

    def _artifact(self, release: Release) -> Artifact:
        return toolchain.artifact(spec_of(release.spec), self.request.run.build)

    def _measure(self, before: Release, release: Release, name: str) -> _Result:
        """Return the step between two releases that are built, and the metrics that it measured."""
        start_s, out = time.monotonic(), self.folder.path / name
        step = ReleaseStep(release.name, ReleaseOutcome.FAILED, before.name, name)
        try:
            report = self._run(before, release, out)
        except (LaunchError, LoadError) as error:
            log.warning("%s has no numbers: %s", release.name, error)
            step = replace(step, spent_s=time.monotonic() - start_s)
            return _failure(step, error), ()
        answer = answer_line.answer(report)
        code = policy.exit_code(report, strict=False)
        reports.write(report, out, code)
        single_run.feed(report, out)
        step = replace(
            step,
            spent_s=max(time.monotonic() - start_s, report.results.measured_s),
            answer=answer,
            pairs=len(report.results.valid_pairs),
        )
        log.info(
            "%s against %s, in %s: %s",
            release.name,
            before.name,
            format_duration(step.spent_s),
            answer,
        )
        if code is Exit.WRONG_LOAD:
            return replace(step, reason=answer, exit_code=int(code)), ()
        step = replace(
            step,
            outcome=ReleaseOutcome.MEASURED,
            verdict=report.verdict,
            changes=tuple(map(step_change, report.findings)),
        )
        of_step = (finding.comparison for finding in report.findings)
        return step, tuple(ReleaseMetric(one.workload, one.metric) for one in of_step)

    def _run(self, before: Release, release: Release, out: Path) -> Report:
        """Run the step, or continue its run."""
        request = releases_request.step_request(self.request.run, before, release)
        if (out / RESULTS).exists():
            kept = codec.REQUEST.read(out / REQUEST).request
            if (kept.candidate, kept.against) != (request.candidate, request.against):
                raise ConfigError(
                    f"{out} compares {kept.candidate} with {kept.against}, and not"
                    f" {request.candidate} with {request.against}",
                    hint=f"delete {out} to measure it anew",
                )
            return single_run.resume(out, is_trusted=self.is_trusted)
        shutil.rmtree(out, ignore_errors=True)  # of a command that ended before the first pair
        seed = derive_seed(draw_seed(self.request.seed), release.name)
        return single_run.run(replace(request, seed=seed), out)


def _new_series(request: ReleasesRequest, loaded: LoadedSuite) -> ReleaseSeries:
    programs = toolchain.programs_of(loaded.suite.needs)
    return ReleaseSeries(
        suite=loaded.suite.name,
        suite_digest=loaded.digest,
        environment=loaded.suite.environment.kind,
        releases=request.releases,
        seed=draw_seed(request.seed),
        confidence=RULE.confidence,
        machine=toolchain.machine_with(programs, loaded.suite.environment.facts),
        tools={**toolchain.tools_of(programs), "milo-perf": toolchain.own_version()},
        taken_at=datetime.now(UTC),
    )


def _require_budget(request: ReleasesRequest, plan: Plan, steps: Sequence[ReleaseStep]) -> None:
    """Raise ConfigError if a budget is shorter than one step."""
    expected_s = expected_step_s(plan, steps)
    if request.budget_s is not None and request.budget_s < expected_s:
        raise ConfigError(
            f"a budget of {format_duration(request.budget_s)} is shorter than one step, which takes"
            f" about {format_duration(expected_s)}",
            hint="raise --budget, or give a shorter suite or fewer --pairs",
        )


def _same_commit(series: ReleaseSeries, release: Release) -> str:
    """Return the earlier release whose commit a release has; empty if there is none."""
    same = ReleaseOutcome.SAME_COMMIT
    last = [step.against if step.outcome is same else step.release for step in series.steps[-1:]]
    names = [*last, series.reference]
    commits = {series.release(name).commit: name for name in names if name}
    return commits.get(release.commit, "") if release.commit else ""


def _failure(step: ReleaseStep, error: PipelineError) -> ReleaseStep:
    return replace(step, reason=processes.failure_line(error), exit_code=int(error.exit_code))


def step_change(finding: Finding) -> StepChange:
    """Return the numbers of a finding that a series keeps."""
    comparison = finding.comparison
    freedom = comparison.degrees_of_freedom
    return StepChange(
        key=comparison.key,
        verdict=finding.verdict,
        baseline=comparison.baseline,
        candidate=comparison.candidate,
        change=comparison.change,
        standard_error=comparison.standard_error,
        degrees_of_freedom=freedom if freedom is not None and math.isfinite(freedom) else None,
        pairs=comparison.pairs,
    )


def _safe(name: str) -> str:
    """Return the name of a release as a part of a folder's name."""
    return re.sub(r"[^0-9A-Za-z._+-]", "_", name)


def _origin(
    folder: RunFolder, request: ReleasesRequest, series: ReleaseSeries, loaded: LoadedSuite
) -> RunOrigin:
    facts = {"build": request.run.build} if request.run.build else {}
    subjects = {one.name: Subject(one.spec, one.commit, facts) for one in series.releases}
    files = [*suite_file.kept_names(loaded.suite), ENVIRONMENT]
    return folder.origin((series.taken_at, series.seed), subjects, files, series.suite_digest)
