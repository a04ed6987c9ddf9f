"""What a search is about: its commits and its metric, from the words of a command or a red run.

What cannot be searched is a ConfigError, before anything is built.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import toolchain
from pipeline.judge import policy
from pipeline.model.bisect import Bisection, Commit
from pipeline.model.history import ChangePoint, JudgedSeries
from pipeline.model.metric import Metric
from pipeline.model.report import Change, Finding, Report, Verdict
from pipeline.model.request import BisectRequest, RunRequest
from pipeline.model.subject import Arm, SpecKind
from pipeline.runs import run as single_run
from pipeline.runs import suite_file, trust
from pipeline.runs.bisect import known
from pipeline.runs.folder import RunFolder
from pipeline.runs.request import ResolvedRun, resolve, spec_of
from pipeline.runs.suite_file import SUITE, Suite
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import ConfigError, LaunchError
from pipeline.system.log import log
from pipeline.system.paths import RESULTS
from pipeline.system.sanitize import truncate
from pipeline.toolchain import commits as git_commits

MAX_COMMITS = 1_000
"""Largest number of commits of a search: their file must be readable again, and fit a page."""

LAUNCH_KEY = f"{policy.LAUNCH}/{policy.FAILED_TRIALS.name}"
"""Key of the number of failed trials, which every suite has."""

_SHOWN = 80  # characters of a wrong argument in a message
_NAMES = 3  # names in one message


@dataclass(frozen=True, slots=True)
class SearchedMetric:
    """The metric of a search.

    Attributes:
        workload: Workload of the metric; `launch` for failed trials.
        metric: Metric.
        workloads: Workloads that have to run for it.
    """

    workload: str
    metric: Metric
    workloads: tuple[str, ...]

    @property
    def key(self) -> str:
        """`workload/metric`."""
        return f"{self.workload}/{self.metric.name}"


def spec_text(request: BisectRequest, commit: str) -> str:
    """Return the spec of a commit's build."""
    place, mark, settings = request.repository.partition("?")
    return f"{SpecKind.SOURCE}:{place}@{commit}{mark}{settings}"


def folder_of(request: BisectRequest) -> Path:
    """Return the folder of the clone."""
    return paths.expand(request.repository.partition("?")[0])


def run_request(request: BisectRequest) -> RunRequest:
    """Return the request of the run that compares the builds of both ends."""
    candidate, against = (spec_text(request, end) for end in (request.bad_id, request.good_id))
    return replace(request.run, candidate=candidate, against=against)


def commits_of(request: BisectRequest) -> tuple[Commit, ...]:
    """Return the commits of a search by first parent, the good end first."""
    folder = folder_of(request)
    ends = (request.good_id or request.good, request.bad_id or request.bad)
    good, bad = (_commit_id(folder, end) for end in ends)
    if good == bad:
        raise ConfigError(
            f"`{request.good}` and `{request.bad}` are the same commit, {good[:12]}",
            hint="give the last good commit and the first bad one",
        )
    if (fork := git_commits.fork_point(folder, good, bad)) != good:
        raise _not_in_order(request, folder, (good, bad), fork)
    found = tuple(
        Commit(one.id, one.tree, one.inputs, one.authored_at, truncate(one.subject, 200))
        for one in git_commits.first_parents(folder, good, bad)
    )
    if len(found) - 1 > MAX_COMMITS:
        raise ConfigError(
            f"{len(found) - 1} commits: one search has at most {MAX_COMMITS}",
            hint="`milo-perf releases` finds the release first",
        )
    if len({one.inputs for one in found}) == 1:
        raise ConfigError(
            f"no commit from {request.good} to {request.bad} changes a file that a build reads",
            hint="only documentation, tests and workflows differ",
        )
    return found


def resolve_ends(request: BisectRequest) -> ResolvedRun:
    """Return the run that compares both ends with the whole suite."""
    resolved = resolve(run_request(request))
    for spec in resolved.specs.values():
        toolchain.require_buildable(spec, request.run.build)
    return resolved


def metric_of(key: str, suite: Suite) -> SearchedMetric:
    """Return a metric by its key, or raise ConfigError with the nearest names.

    Args:
        key: `workload/metric`, or the metric alone if only one workload has it.
        suite: Suite with the metrics of one product.
    """
    names = tuple(workload.name for workload in suite.workloads)
    if key == LAUNCH_KEY:
        return SearchedMetric(policy.LAUNCH, policy.FAILED_TRIALS, names)
    metrics = suite.by_key()
    matches = [one for one in metrics if one == key or one.rpartition("/")[2] == key]
    if len(matches) == 1:
        workload = matches[0].partition("/")[0]
        return SearchedMetric(workload, metrics[matches[0]], (workload,))
    near = matches or difflib.get_close_matches(key, metrics, n=_NAMES, cutoff=0.3)
    shown = truncate(key, _SHOWN)
    raise ConfigError(
        f"`{shown}` is a metric of several workloads"
        if matches
        else f"the suite {suite.name} has no metric `{shown}`",
        hint=f"did you mean {' or '.join(near[:_NAMES])}?"
        if near
        else f"such as {next(iter(metrics))}",
    )


def clearest_changes(report: Report) -> list[Finding]:
    """Return the regressions, those first that stand out most from their variation.

    They need the fewest pairs.  A run without a regression may have improvements.
    """
    for verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
        own = [
            finding
            for finding in report.findings
            if finding.verdict is verdict and finding.comparison.metric.gate
        ]
        if own:
            return sorted(own, key=_clearness, reverse=True)
    return []


def from_run(
    folder: Path,
    request: BisectRequest,
    searches: Sequence[Bisection] = (),
    *,
    is_trusted: bool,
) -> BisectRequest | Bisection:
    """Return the request that a run of two commits gives; what was typed takes precedence.

    The command that builds is executed, so a folder of a stranger has to be trusted, unless
    repository and command were typed.

    Args:
        folder: Folder of the run.
        request: Typed arguments.
        searches: Earlier searches: the metric is the clearest one that none of them answers for,
            and if there is none, the search of the clearest is returned.
        is_trusted: True to execute what the folder says, even if somebody else started it.

    Raises:
        ConfigError: The run did not build commits of one repository, or nothing regressed.
        BaselineError: The results are missing or cannot be read.
    """
    results = codec.RESULTS.read(paths.result_file(folder, RESULTS))
    specs = {arm: spec_of(results.subjects[arm].spec) for arm in Arm}
    for arm, spec in specs.items():
        if spec.kind is not SpecKind.SOURCE or not results.subjects[arm].facts.get("revision"):
            raise ConfigError(
                f"{folder}: the {arm} is `{spec}`, which is no commit of a repository",
                hint="bisect needs a run of `source:DIR@REVISION` builds",
            )
    places = {replace(spec, revision="-") for spec in specs.values()}
    if len(places) > 1 and not request.repository:
        raise ConfigError(
            f"{folder}: both builds are of different repositories or settings",
            hint="name the clone: `milo-perf bisect REPO --from DIR`",
        )
    asked = _request_of_run(folder, request, is_trusted=is_trusted)
    changes = {
        one.comparison.key: one.comparison.change
        for one in clearest_changes(policy.report(results))
    }
    if request.metric:
        changes = {request.metric: changes.get(request.metric)}
    if not changes:
        raise ConfigError(
            f"{folder}: no gating metric regressed or improved in this run",
            hint="name one with --metric WORKLOAD/METRIC",
        )
    spec = specs[Arm.CANDIDATE]
    query = f"{replace(spec, place='', revision='')}".partition("?")[2]
    place = f"{spec.place}?{query}" if query else spec.place
    found = _from_fork_point(
        replace(
            request,
            repository=request.repository or place,
            good=request.good or results.subjects[Arm.BASELINE].facts["revision"],
            bad=request.bad or results.subjects[Arm.CANDIDATE].facts["revision"],
            run=asked,
        )
    )
    wanted = known.SearchRange(folder_of(found), found.good, found.bad, results.suite)
    answers = []
    for key, change in changes.items():
        earlier = known.earlier_search(searches, wanted, key, change)
        if earlier is None:
            return replace(found, metric=key)
        answers.append(earlier)
    return answers[0]


def from_history(
    histories: Sequence[JudgedSeries], request: BisectRequest, searches: Sequence[Bisection] = ()
) -> BisectRequest | Bisection:
    """Return the request for the range of a step in a history; the newest unexplained one.

    Args:
        histories: Series with their change points.
        request: Typed arguments; the metric chooses a series.
        searches: Earlier searches; see `from_run`.

    Raises:
        ConfigError: There is no such step, or its records name no commits.
    """
    steps = [
        (judged.series.name, step)
        for judged in histories
        for step in judged.steps
        if step.alarms and request.metric in ("", judged.series.name)
    ]
    if not steps:
        where = f" of {truncate(request.metric, _SHOWN)}" if request.metric else ""
        raise ConfigError(
            f"the history has no unacknowledged regression{where}",
            hint="`milo-perf history FILE` lists the steps; --good and --bad name a range",
        )
    steps.sort(key=lambda one: (one[1].after.time, _steepness(one[1])), reverse=True)
    answered = []
    for name, step in steps:
        good, bad = step.before.commit, step.until.commit
        if not all(_is_commit(end) for end in (good, bad)):
            raise ConfigError(
                f"the step of {name} at {step.after.time} is between builds without a commit",
                hint="measure `source:DIR@REVISION` builds; --good and --bad name a range",
            )
        asked = known.SearchRange(folder_of(request), good, bad, _suite_name(request))
        now = Change(step.low, step.change, step.high)
        earlier = known.earlier_search(searches, asked, name, now)
        if earlier is None:
            log.info("%s: the step is after %s, up to %s", name, good[:12], bad[:12])
            return replace(request, good=good, bad=bad, metric=name)
        answered.append(earlier)
    return answered[0]


def from_ends(
    request: BisectRequest, searches: Sequence[Bisection] = ()
) -> BisectRequest | Bisection:
    """Return a request with typed ends, or the earlier search that answers for its metric."""
    for name in ("good", "bad"):
        if not getattr(request, name):
            raise ConfigError(
                f"--{name} is missing", hint="name both ends: --good REV --bad REV, or --from DIR"
            )
    if not searches or not request.metric:
        return request
    folder = folder_of(request)
    good, bad = (_commit_id(folder, end) for end in (request.good, request.bad))
    asked = known.SearchRange(folder, good, bad, _suite_name(request))
    return known.earlier_search(searches, asked, request.metric) or request


def _suite_name(request: BisectRequest) -> str:
    """Return the name of the suite of a request."""
    return suite_file.load(suite_file.path_of(request.run.suite)).suite.name


def _commit_id(folder: Path, revision: str) -> str:
    """Return the id of the commit of a revision, or raise ConfigError with the nearest names."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", hint="give the folder of a clone")
    try:
        return git_commits.commit_id(folder, revision)
    except LaunchError as error:
        near = difflib.get_close_matches(revision, git_commits.revisions(folder), n=_NAMES)
        hint = f"did you mean {' or '.join(near)}?" if near else error.hint
        raise ConfigError(truncate(str(error), 400), hint=hint) from error


def _not_in_order(
    request: BisectRequest, folder: Path, ends: tuple[str, str], fork: str | None
) -> ConfigError:
    """Return the error for a good end that is not in the first-parent history of the bad one."""
    good, bad = ends
    if git_commits.is_ancestor(folder, bad, good):
        return ConfigError(
            f"`{request.bad}` is an ancestor of `{request.good}`: the good end comes first",
            hint=f"--good {request.bad} --bad {request.good}, also to find an improvement",
        )
    if fork is None:
        return ConfigError(
            f"`{request.good}` and `{request.bad}` are not related: the history of the latter by"
            " first parent has no ancestor of the former",
            hint="in a shallow clone: git fetch --unshallow",
        )
    is_merged = git_commits.is_ancestor(folder, good, bad)
    return ConfigError(
        f"`{request.good}` is on a branch that was merged into the history of `{request.bad}`"
        if is_merged
        else f"`{request.good}` is not an ancestor of `{request.bad}`",
        hint=f"they part at {fork}: --good {fork[:12]}",
    )


def _from_fork_point(request: BisectRequest) -> BisectRequest:
    """Return a request whose good end is in the history of the bad one, if both are related."""
    folder = folder_of(request)
    good, bad = (_commit_id(folder, end) for end in (request.good, request.bad))
    fork = git_commits.fork_point(folder, good, bad)
    if fork is None or fork in (good, bad):
        return request
    log.info("%s is on another branch: the search begins where both part, %s", good[:12], fork[:12])
    return replace(request, good=fork)


def _request_of_run(folder: Path, request: BisectRequest, *, is_trusted: bool) -> RunRequest:
    """Return how a run was measured, with what was typed instead."""
    results = codec.RESULTS.read(folder / RESULTS)
    typed = request.run
    is_typed = bool(request.repository and typed.build)
    stored = RunFolder(folder, "run")
    if is_typed and not stored.request.is_file():
        return replace(typed, suite=typed.suite or results.suite, interleave=results.interleave)
    asked = codec.REQUEST.read(stored.request).request
    if not is_typed:
        loaded = stored.suite()
        trust.require(
            single_run.origin(stored, results, loaded.suite), folder, is_trusted=is_trusted
        )
    suite, environment = asked.suite, asked.environment
    if suite.endswith(".toml"):
        suite = str(folder / SUITE)
    if environment.endswith(".toml"):
        environment = str(folder / single_run.ENVIRONMENT)
    build = results.subjects[Arm.CANDIDATE].facts.get("build", "")
    return replace(
        asked,
        suite=typed.suite or suite,
        environment=typed.environment or environment,
        profile=typed.profile or asked.profile,
        build=typed.build or build,
        prior=typed.prior or asked.prior,
        baseline="",
        pairs=None,
        budget_s=None,
        seed=None,
    )


def _clearness(finding: Finding) -> float:
    """Return the size of a change in standard errors; infinite for a count that never varies."""
    comparison = finding.comparison
    if comparison.change is None or comparison.standard_error is None:
        return 0.0
    least = comparison.metric.margin / 10
    return abs(comparison.change.estimate) / max(comparison.standard_error, least)


def _steepness(step: ChangePoint) -> float:
    half = (step.high - step.low) / 2
    return abs(step.change) / half if half > 0 else math.inf


def _is_commit(text: str) -> bool:
    return len(text) == 40 and all(letter in "0123456789abcdef" for letter in text)
