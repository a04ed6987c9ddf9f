"""Measure commits in pairs with the good end, until the commit that changed a metric is known."""

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.judge import bisect as judge
from pipeline.judge import policy, scale
from pipeline.judge.bisect import BisectDecision, BisectState, SearchCosts
from pipeline.model.bisect import (
    MAX_FILES,
    Bisection,
    Commit,
    CommitEvidence,
    CommitOutcome,
    FoundCommit,
)
from pipeline.model.metric import Metric, Scale
from pipeline.model.ports import Artifact
from pipeline.model.request import BisectRequest
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.render.numbers import count
from pipeline.runs import measure
from pipeline.runs import run as single_run
from pipeline.runs.bisect import request as bisect_request
from pipeline.runs.bisect.request import SearchedMetric
from pipeline.runs.folder import RunFolder
from pipeline.runs.plan import Plan, derive_seed
from pipeline.runs.request import ResolvedRun, spec_of
from pipeline.storage import codec
from pipeline.system import processes, progress, terminal
from pipeline.system.errors import ConfigError, LaunchError, LoadError, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import BISECT, RESULTS
from pipeline.system.progress import Progress
from pipeline.system.sanitize import truncate
from pipeline.toolchain import ahead
from pipeline.toolchain import commits as git_commits
from pipeline.toolchain.same_build import is_same_build

AHEAD = "ahead.log"
"""Output of builds beside a measurement."""

_SAME = CommitOutcome.SAME_BUILD
_FAILED_PAIRS = 2  # pairs without a number after which a commit is skipped


@dataclass(slots=True)
class CommitSearch:
    """Measures commits until a search is decided, or its budget ends.

    Attributes:
        request: Request with paths that this command can read.
        resolved: Run that compares both ends with the whole suite.
        folder: Folder of the search.
        start_s: Start of the command, by the monotonic clock.
        is_trusted: True to execute what the folder says, even if somebody else started it.
        build_times_s: Duration of each build of this command.
        unbuilt: Trees that are not in the cache.
    """

    request: BisectRequest
    resolved: ResolvedRun
    folder: RunFolder
    start_s: float
    is_trusted: bool = False
    build_times_s: list[float] = field(default_factory=list)
    unbuilt: set[str] = field(default_factory=set)

    def plan_of(self, searched: SearchedMetric) -> Plan:
        """Return the plan of the pairs of one commit: only the workloads that the metric needs."""
        full = self.resolved.plan
        others = {w.name for w in full.suite.workloads} - set(searched.workloads)
        return replace(full.without(others), looks=(), budget_s=None)

    @property
    def left_s(self) -> float:
        """Seconds that are left of the budget; infinite without one."""
        budget_s = self.request.budget_s
        return math.inf if budget_s is None else self.start_s + budget_s - time.monotonic()

    def continue_search(self, bisection: Bisection) -> Bisection:
        """Return the results when the search is decided, or when the budget ends."""
        latest, before_s = bisection, bisection.spent_s
        searched = bisect_request.metric_of(bisection.key, self.resolved.plan.suite)
        plan = self.plan_of(searched)
        trees = {commit.tree for commit in bisection.commits}
        self.unbuilt = trees - toolchain.built_trees(trees, self.request.run.build)

        def save(new: Bisection) -> Bisection:
            nonlocal latest
            latest = replace(new, spent_s=before_s + time.monotonic() - self.start_s)
            codec.BISECT.write(self.folder.path / BISECT, latest)
            return latest

        def state() -> tuple[object, ...]:
            return (f"{latest.pairs} pairs of {len(latest.measured)} commits",)

        latest = save(latest)
        programs = toolchain.programs_of(plan.suite.needs)
        with (
            self.folder.measuring(state),
            progress.show_progress() as shown,
            plan.suite.environment.open(programs) as environment,
        ):
            baseline = {Arm.BASELINE: self._artifact(latest.commits[0])}
            harness = single_run.harness_of(plan, environment, baseline, programs)
            pairs = _PairMeasurement(searched, plan, harness, self.folder.path, shown)
            while (decision := self._decide(latest, plan)).state in _GOES_ON:
                if decision.state is BisectState.FOUND:
                    latest = save(self._with_found(latest, decision.high))
                    if len(latest.found) >= latest.wanted:
                        break
                    continue
                if not self._fits(latest, plan, decision.position or 0):
                    self._warn_of_budget(decision)
                    return save(latest)
                with self._building_ahead(latest, decision.position or 0):
                    latest = save(self._try_commit(latest, decision, pairs))
            return save(replace(latest, is_finished=True))

    @contextmanager
    def _building_ahead(self, bisection: Bisection, position: int) -> Iterator[None]:
        """Build a commit that may be next while the block runs, where a core is free.

        The next one depends on the answer of the present one, so one of both is built in vain.
        """
        commit = next(iter(self._next_unbuilt(bisection, position)), None)
        if commit is None or not ahead.has_spare_core():
            yield
            return
        spec = bisect_request.spec_text(self.request, commit.id)
        output = self.folder.path / AHEAD
        argv = ahead.argv(spec, self.request.run.build)
        with processes.background(argv, name="the build ahead", output=output) as program:
            yield
            if (status := program.exit_status()) and status.is_success:
                self.unbuilt.discard(commit.tree)

    def _next_unbuilt(self, bisection: Bisection, position: int) -> list[Commit]:
        """Return the commits without a build that are next, by the two answers of the present."""
        evidence = bisection.evidence_at(position)
        bad = bisection.evidence_at(bisection.last_position)
        if bad is None or not bad.differences or position == bisection.last_position:
            return []
        index = bisection.positions[position]
        pairs = max(judge.MIN_PAIRS, len(evidence.differences) if evidence else 0)
        level = sum(bad.differences) / len(bad.differences)
        found = []
        for answer in (0.0, level):
            imagined = CommitEvidence(index, CommitOutcome.MEASURED, (answer,) * pairs)
            following = judge.decide(bisection.with_evidence(imagined)).position
            if following and bisection.commit_at(following).tree in self.unbuilt:
                found.append(bisection.commit_at(following))
        return found

    def _decide(self, bisection: Bisection, plan: Plan) -> BisectDecision:
        return judge.decide(bisection, self._costs(bisection, plan))

    def _fits(self, bisection: Bisection, plan: Plan, position: int) -> bool:
        """Return whether a pair of a commit ends within the budget, its build included."""
        costs = self._costs(bisection, plan)
        build_s = 0.0 if position in costs.built else costs.build_s
        return costs.pair_s + build_s <= self.left_s

    def _warn_of_budget(self, decision: BisectDecision) -> None:
        log.warning(
            "the budget ends the search, with %s left; go on with: %s",
            count(decision.high - decision.low, "commit"),
            terminal.command("bisect", "--resume", self.folder.path),
        )

    def _costs(self, bisection: Bisection, plan: Plan) -> SearchCosts:
        """Return the expected durations, by what was measured until now."""
        measured = [one for one in bisection.measured if one.differences]
        pairs = sum(len(one.differences) for one in measured)
        pair_s = sum(one.spent_s for one in measured) / pairs if pairs else plan.pair_s
        builds = [one.build_s for one in bisection.evidence if one.build_s] or self.build_times_s
        built = frozenset(
            position
            for position in range(1, bisection.last_position + 1)
            if bisection.commit_at(position).tree not in self.unbuilt
        )
        return SearchCosts(pair_s, sum(builds) / len(builds) if builds else 0.0, built)

    def _try_commit(
        self, bisection: Bisection, decision: BisectDecision, pairs: "_PairMeasurement"
    ) -> Bisection:
        """Return the search with one more pair of a commit, or with the reason to skip it."""
        position = decision.position or 0
        index = bisection.positions[position]
        commit, known = bisection.commits[index], bisection.evidence_at(position)
        if known is None:
            if (same := _same_inputs(bisection, index)) is not None:
                return _with_same_build(bisection, CommitEvidence(index, _SAME, same_as=same))
            log.info(
                "commit %s of %s: %s; the cause is one of %s",
                position,
                bisection.last_position,
                _named(commit),
                decision.high - decision.low,
            )
        name = f"commits/{position:04}-{commit.id[:12]}"
        evidence = known or CommitEvidence(index, CommitOutcome.MEASURED, folder=name)
        is_end = position == bisection.last_position
        builds = len(self.build_times_s)
        try:
            artifact = self._artifact(commit)
        except LaunchError as error:
            if is_end:
                raise
            return bisection.with_evidence(_skipped(evidence, CommitOutcome.NOT_BUILT, error))
        if len(self.build_times_s) > builds:
            evidence = replace(evidence, build_s=self.build_times_s[-1])
        if known is None and (same := self._same_build(bisection, artifact)) is not None:
            copy = replace(evidence, outcome=_SAME, same_as=same, folder="")
            return _with_same_build(bisection, copy)
        return pairs.with_next(bisection, evidence, artifact)

    def _artifact(self, commit: Commit) -> Artifact:
        """Return the build of a commit, and remember how long it took."""
        began_s = time.monotonic()
        spec = spec_of(bisect_request.spec_text(self.request, commit.id))
        artifact = toolchain.artifact(spec, self.request.run.build)
        if commit.tree in self.unbuilt:
            self.unbuilt.discard(commit.tree)
            self.build_times_s.append(time.monotonic() - began_s)
        return artifact

    def _same_build(self, bisection: Bisection, artifact: Artifact) -> int | None:
        """Return the index of a measured commit with an equal build; None if there is none."""
        facts = self.resolved.plan.suite.environment.facts
        tried = _tried(bisection)
        builds = ((one, self._artifact(bisection.commits[one])) for one in tried)
        return next((one for one, built in builds if is_same_build(built, artifact, facts)), None)

    def _with_found(self, bisection: Bisection, position: int) -> Bisection:
        """Return the search with one more cause."""
        index = bisection.positions[position]
        folder = bisect_request.folder_of(self.request)
        files = git_commits.changed_files(folder, bisection.commits[index].id)
        kept = tuple(truncate(name, 200) for name in files[:MAX_FILES])
        found = FoundCommit(index, kept, len(files) - len(kept))
        return replace(bisection, found=(*bisection.found, found))


_GOES_ON = (BisectState.COMPARING_ENDS, BisectState.SEARCHING, BisectState.FOUND)


@dataclass(frozen=True, slots=True)
class _PairMeasurement:
    """Measures pairs of a commit and the good end.

    The artifacts of the harness are that of the good end alone; `out` is the folder of the search.
    """

    searched: SearchedMetric
    plan: Plan
    harness: measure.Harness
    out: Path
    shown: Progress

    def with_next(
        self, bisection: Bisection, evidence: CommitEvidence, artifact: Artifact
    ) -> Bisection:
        """Return the search with one more pair of a commit, or with the reason to skip it."""
        commit = bisection.commits[evidence.commit]
        is_end = evidence.commit == bisection.positions[-1]
        may_skip = not (is_end or evidence.differences)
        try:
            results = self._measure_next(bisection, evidence, artifact, may_repeat=may_skip)
        except (LaunchError, LoadError) as error:
            if not may_skip:
                raise
            return bisection.with_evidence(_skipped(evidence, CommitOutcome.FAILED, error))
        differences = differences_of(results, self.searched)
        evidence = replace(evidence, differences=differences, spent_s=results.measured_s)
        missing = len(results.valid_pairs) - len(differences)
        if missing < _FAILED_PAIRS or missing <= len(differences):
            return bisection.with_evidence(evidence)
        reason = _why_missing(results, self.searched)
        if is_end:
            raise LoadError(
                f"the bad end has no numbers of {self.searched.key}: {reason}",
                hint=f"--metric {bisect_request.LAUNCH_KEY} searches for builds that fail",
            )
        log.warning("%s is skipped: %s", commit.id[:12], reason)
        failed = replace(evidence, outcome=CommitOutcome.FAILED, differences=(), reason=reason)
        return bisection.with_evidence(failed)

    def _measure_next(
        self,
        bisection: Bisection,
        evidence: CommitEvidence,
        artifact: Artifact,
        *,
        may_repeat: bool,
    ) -> ResultSet:
        """Measure one more valid pair of a commit, and keep its results in a folder of its own.

        A failure is repeated once, if it may be: a busy machine fails to start a build, too.
        """
        try:
            return self._measure(bisection, evidence, artifact)
        except (LaunchError, LoadError) as error:
            if not may_repeat:
                raise
            commit = bisection.commits[evidence.commit]
            log.warning("%s is tried once more: %s", commit.id[:12], error)
            return self._measure(bisection, evidence, artifact)

    def _measure(
        self, bisection: Bisection, evidence: CommitEvidence, artifact: Artifact
    ) -> ResultSet:
        out = self.out / evidence.folder
        artifacts = {**self.harness.artifacts, Arm.CANDIDATE: artifact}
        seed = derive_seed(bisection.seed, bisection.commits[evidence.commit].id)
        if (out / RESULTS).exists():
            results = codec.RESULTS.read(out / RESULTS)
            _require_results_of(artifacts, results, out)
        else:
            shutil.rmtree(out, ignore_errors=True)  # of a command that ended before the first pair
            out.mkdir(parents=True)
            results = self._no_results(bisection, artifacts, seed)
        wanted = len(results.valid_pairs) + 1
        for latest in measure.run_pairs(
            replace(self.plan, seed=seed, pairs=wanted),
            replace(self.harness, artifacts=artifacts),
            results,
            out,
            self.shown,
            is_enough=lambda found: len(found.valid_pairs) >= wanted,
            forgives_earlier=True,
        ):
            results = latest
            codec.RESULTS.write(out / RESULTS, results)
        return results

    def _no_results(
        self, bisection: Bisection, artifacts: Mapping[Arm, Artifact], seed: int
    ) -> ResultSet:
        return ResultSet(
            suite=bisection.suite,
            suite_digest=bisection.suite_digest,
            environment=bisection.environment,
            interleave=self.plan.interleave,
            pairs_asked=judge.MOST_PAIRS,
            seed=seed,
            subjects={arm: artifact.subject for arm, artifact in artifacts.items()},
            machine=bisection.machine,
            tools=bisection.tools,
            taken_at=datetime.now(UTC),
        )


def differences_of(results: ResultSet, searched: SearchedMetric) -> tuple[float, ...]:
    """Return the worsening of a metric in each pair that has it in both arms, on the test scale.

    A value that a deadline cut off counts as it is: it is at least as bad.
    """
    if searched.workload == policy.LAUNCH:
        failed = {(t.pair, t.arm) for t in results.trials if t.failures}
        return tuple(
            float((pair, Arm.CANDIDATE) in failed) - float((pair, Arm.BASELINE) in failed)
            for pair in results.valid_pairs
        )
    before, after = (
        next((s for s in results.samples.get(arm, ()) if s.key == searched.key), None)
        for arm in Arm
    )
    if before is None or after is None:
        return ()
    return tuple(
        scale.difference(searched.metric, baseline, candidate)
        for pair in results.valid_pairs
        if (baseline := before.values[pair]) is not None
        and (candidate := after.values[pair]) is not None
        and _is_comparable(searched.metric, baseline, candidate)
    )


def _require_results_of(
    artifacts: Mapping[Arm, Artifact], results: ResultSet, folder: Path
) -> None:
    """Raise ConfigError if earlier pairs are of other builds, which say nothing of these."""
    for arm, artifact in artifacts.items():
        now, then = artifact.subject, results.subjects[arm]
        if (now.spec, now.digest) != (then.spec, then.digest):
            raise ConfigError(
                f"{folder}: the {arm} was {truncate(then.spec, 200)} ({then.digest[:19]}), and is"
                f" {truncate(now.spec, 200)} ({now.digest[:19]}) now",
                hint=f"delete {folder} to measure it anew",
            )


def _skipped(
    evidence: CommitEvidence, outcome: CommitOutcome, error: PipelineError
) -> CommitEvidence:
    log.warning("the commit is skipped: %s", error)
    return replace(
        evidence,
        outcome=outcome,
        reason=processes.failure_line(error),
        exit_code=int(error.exit_code),
        folder="" if outcome is CommitOutcome.NOT_BUILT else evidence.folder,
    )


def _why_missing(results: ResultSet, searched: SearchedMetric) -> str:
    """Return why a metric has no values: the failure of a build, or what the trials warn of."""
    trials = [trial for trial in results.trials if not trial.invalid]
    failures = [failure.what for trial in trials for failure in trial.failures]
    name = searched.metric.name
    warnings = [text for trial in trials for text in trial.warnings if f" {name}: " in f" {text}"]
    first = next(iter((*failures, *warnings)), f"nothing was reported of {name}")
    return truncate(first, processes.MAX_FAILURE_LINE)


def _same_inputs(bisection: Bisection, index: int) -> int | None:
    """Return the index of a measured commit with the same build inputs; None if there is none."""
    inputs, tried = bisection.commits[index].inputs, _tried(bisection)
    return next((one for one in tried if bisection.commits[one].inputs == inputs), None)


def _tried(bisection: Bisection) -> tuple[int, ...]:
    """Return the indexes of the good end and of every measured commit."""
    return (0, *(one.commit for one in bisection.measured))


def _with_same_build(bisection: Bisection, copy: CommitEvidence) -> Bisection:
    commit, same = bisection.commits[copy.commit], bisection.commits[copy.same_as or 0]
    log.info("%s has the build of %s", _named(commit), same.id[:12])
    return bisection.with_evidence(copy)


def _is_comparable(metric: Metric, baseline: float, candidate: float) -> bool:
    return metric.scale is Scale.DIFFERENCE or min(baseline, candidate) > metric.floor


def _named(commit: Commit) -> str:
    return f"{commit.id[:12]} ({truncate(commit.subject, 60)})"
