"""`bisect`: from a request to the commit that changed a metric, in a folder.

Each commit is measured in pairs with the good end, in a folder of its own, with only the workloads
that the metric needs.
"""

import hashlib
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.judge import bisect as judge
from pipeline.judge import policy
from pipeline.judge.bisect import BisectState
from pipeline.model.bisect import (
    Bisection,
    Commit,
)
from pipeline.model.ports import Artifact
from pipeline.model.request import BisectRequest
from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.render.bisect import bisect_markdown
from pipeline.render.bisect_page import bisect_html
from pipeline.render.numbers import moment
from pipeline.runs import preflight, priors, reports, suite_file, trust
from pipeline.runs import run as single_run
from pipeline.runs.bisect import request as bisect_request
from pipeline.runs.bisect.request import SearchedMetric
from pipeline.runs.bisect.search import CommitSearch
from pipeline.runs.folder import REQUEST, RunFolder
from pipeline.runs.history.spreads_file import named_spreads
from pipeline.runs.plan import derive_seed, draw_seed
from pipeline.runs.request import ResolvedRun, spec_of
from pipeline.runs.run import ENVIRONMENT
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, terminal
from pipeline.system.errors import ConfigError, Exit, LaunchError, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import BISECT, RESULTS
from pipeline.system.progress import format_duration
from pipeline.toolchain import git
from pipeline.toolchain.same_build import is_same_build

PAGE, TABLE = "bisect.html", "bisect.md"

WHOLE = "whole"
"""Folder of the run that chooses the metric, if none was named."""


def run(request: BisectRequest, out: Path) -> Bisection:
    """Search from nothing, and leave everything in a new folder, also after an error."""
    start_s, folder = time.monotonic(), RunFolder(out, "bisect")
    folder.require_new()
    commits = bisect_request.commits_of(request)
    request = replace(
        request,
        good_id=commits[0].id,
        bad_id=commits[-1].id,
        seed=draw_seed(request.seed),
        started_at=datetime.now(UTC),
    )
    resolved = bisect_request.resolve_ends(request)
    if request.metric:
        bisect_request.metric_of(request.metric, resolved.plan.suite)
    _require_budget(request, resolved)
    preflight.require(resolved.plan, list(resolved.specs.values()), out)
    folder.create(codec.BISECT_REQUEST.dumps(request))
    if request.run.suite.endswith(".toml"):
        suite_file.keep(resolved.suite, out)
    single_run.keep_environment(request.run, out)
    trust.note(_origin(folder, request), out)
    kept = replace(request, run=single_run.with_copies(request.run, out))
    return _begin(CommitSearch(kept, resolved, folder, start_s), commits)


def resume(
    out: Path, budget_s: float | None = None, *, rest: bool = False, is_trusted: bool = False
) -> Bisection:
    """Continue a search; see `pipeline.runs.run.resume`.

    Args:
        out: Folder of the search.
        budget_s: Time budget of this command; None for that of the request.
        rest: True to look for one more cause, once those that were asked for are found.
        is_trusted: True to execute what the folder says, even if somebody else started it.
    """
    start_s, folder = time.monotonic(), RunFolder(out, "bisect")
    path = out / BISECT if (out / REQUEST).is_file() else paths.result_file(out, BISECT)
    request = codec.BISECT_REQUEST.read(folder.request)
    bisection = codec.BISECT.read(path) if path.is_file() else None
    trust.require(_origin(folder, request), out, is_trusted=is_trusted)
    kept = replace(request, run=single_run.with_copies(request.run, out))
    if budget_s is not None:
        kept = replace(kept, budget_s=budget_s)
    if bisection is not None:
        folder.require_request(
            {
                "seed": (request.seed, bisection.seed),
                "good_id": (request.good_id, bisection.commits[0].id),
                "bad_id": (request.bad_id, bisection.commits[-1].id),
            }
        )
    if rest:
        bisection = _with_rest(bisection, out)
    if bisection is not None and bisection.is_finished:
        return bisection
    commits = bisect_request.commits_of(kept)
    resolved = bisect_request.resolve_ends(kept)
    _require_budget(kept, resolved)
    search = CommitSearch(kept, resolved, folder, start_s, is_trusted=is_trusted)
    if bisection is None:
        return _begin(search, commits)
    before, now = (", ".join(one.id for one in some) for some in (bisection.commits, commits))
    folder.require_same("the history between both ends", _short(before), _short(now))
    what = "the suite or one of its scripts"
    folder.require_same(what, bisection.suite_digest, resolved.suite.digest)
    folder.require_same_machine(bisection.machine, _machine(resolved))
    log.info("%s: %s pairs of %s commits are kept", out, bisection.pairs, len(bisection.measured))
    return search.continue_search(bisection)


def keep_earlier(search: Bisection, out: Path) -> Bisection:
    """Leave an earlier search in a new folder, as the answer of a new one."""
    RunFolder(out, "bisect").require_new()
    out.mkdir(parents=True, exist_ok=True)
    codec.BISECT.write(out / BISECT, search)
    log.info(
        "the commit behind %s is known since %s; it is searched again once the change is larger",
        search.key,
        moment(search.taken_at),
    )
    return search


def write(bisection: Bisection, out: Path) -> None:
    """Write the page and its table into the folder of the search."""
    files = {PAGE: bisect_html(bisection), TABLE: bisect_markdown(bisection)}
    if codec.write_reports(out, files):
        log.info("the page is %s", out / PAGE)


def exit_code(bisection: Bisection) -> Exit:
    """Return the exit code: 0 if every commit that was asked for is found, or none is left."""
    state = judge.decide(bisection).state
    is_found = len(bisection.found) >= bisection.wanted or state is BisectState.NOTHING_MORE
    return Exit.NO_REGRESSION if is_found else Exit.INCONCLUSIVE


def _begin(search: CommitSearch, commits: tuple[Commit, ...]) -> Bisection:
    """Build both ends, choose the metric if none was named, and search."""
    request, folder = search.request, search.folder
    with folder.resumable(lambda: ("nothing",)):
        good = _build_end(request, "good", commits[0])
        bad = _build_end(request, "bad", commits[-1])
        if is_same_build(good, bad, search.resolved.plan.suite.environment.facts):
            ends = " and ".join(one.id[:12] for one in (commits[0], commits[-1]))
            raise NoChangeError(
                f"{ends} give the same build, byte for byte",
                hint="a change between them is chance, or it is not in the build",
            )
        key = request.metric or _clearest_metric(search)
        searched = bisect_request.metric_of(key, search.resolved.plan.suite)
        bisection = _new_bisection(request, commits, search.resolved, searched)
        codec.BISECT.write(folder.path / BISECT, bisection)
    return search.continue_search(bisection)


def _with_rest(bisection: Bisection | None, out: Path) -> Bisection:
    """Return a search that looks for one more cause."""
    if bisection is None or len(bisection.found) < bisection.wanted:
        raise ConfigError(
            f"{out}: no commit is found yet, so there is no rest to explain",
            hint=terminal.command("bisect", "--resume", out),
        )
    return replace(bisection, wanted=len(bisection.found) + 1, is_finished=False)


def _require_budget(request: BisectRequest, resolved: ResolvedRun) -> None:
    """Raise ConfigError if a budget is shorter than the comparison of both ends."""
    least_s = judge.ENDS_LOOKS[0] * min(
        resolved.plan.without(
            {w.name for w in resolved.plan.suite.workloads if w.name != one.name}
        ).pair_s
        for one in resolved.plan.suite.workloads
    )
    if request.budget_s is not None and request.budget_s < least_s:
        raise ConfigError(
            f"a budget of {format_duration(request.budget_s)} is shorter than the comparison of"
            f" both ends, which takes about {format_duration(least_s)}",
            hint="raise --budget, or give a shorter suite",
        )


def _new_bisection(
    request: BisectRequest,
    commits: tuple[Commit, ...],
    resolved: ResolvedRun,
    searched: SearchedMetric,
) -> Bisection:
    programs = toolchain.programs_of(resolved.plan.suite.needs)
    machine = _machine(resolved)
    variance, freedom = _first_variance(request, resolved, searched)
    folder = bisect_request.folder_of(request)
    return Bisection(
        repository=request.repository,
        url=git.origin_url(folder) or "",
        good=request.good or commits[0].id[:12],
        bad=request.bad or commits[-1].id[:12],
        commits=commits,
        suite=resolved.suite.suite.name,
        suite_digest=resolved.suite.digest,
        environment=resolved.suite.suite.environment.kind,
        workload=searched.workload,
        metric=searched.metric,
        prior_variance=variance,
        prior_freedom=freedom,
        seed=draw_seed(request.seed),
        machine=machine,
        tools={**toolchain.tools_of(programs), "milo-perf": toolchain.own_version()},
        taken_at=datetime.now(UTC),
        build=request.run.build,
        suite_path=paths.portable_name(suite)
        if (suite := request.run.suite).endswith(".toml")
        else "",
        place=paths.portable_name(request.run.environment),
    )


def _first_variance(
    request: BisectRequest, resolved: ResolvedRun, searched: SearchedMetric
) -> tuple[float, float]:
    """Return the variance of a pair in earlier runs of the whole suite, and its weight.

    The workload runs alone here, which is a little different, so that the weight is small.
    """
    plan = resolved.plan
    named = named_spreads(request.run.prior) if request.run.prior else None
    conditions = priors.prior_request(
        plan.suite, resolved.product, plan.interleave, _machine(resolved)
    )
    prior = priors.choose_prior(conditions, named)
    spread = prior.spreads.get(searched.key) if prior else None
    variance = judge.first_variance(searched.metric, spread.variance if spread else None)
    return variance, prior.degrees_of_freedom if prior and spread else 1.0


def _machine(resolved: ResolvedRun) -> Machine:
    programs = toolchain.programs_of(resolved.plan.suite.needs)
    return toolchain.machine_with(programs, resolved.plan.suite.environment.facts)


def _build_end(request: BisectRequest, name: str, commit: Commit) -> Artifact:
    """Build an end of the range; an error names it."""
    spec = spec_of(bisect_request.spec_text(request, commit.id))
    try:
        return toolchain.artifact(spec, request.run.build)
    except LaunchError as error:
        error.args = (f"the {name} end, {commit.id[:12]}: {error}",)
        raise


def _clearest_metric(search: CommitSearch) -> str:
    """Measure both ends with the whole suite, and return the metric that changed most."""
    request, out = search.request, search.folder.path / WHOLE
    if (out / RESULTS).exists():
        report = single_run.resume(out, is_trusted=search.is_trusted)
    else:
        shutil.rmtree(out, ignore_errors=True)  # of a command that ended before the first pair
        log.info("no --metric: the whole suite compares both ends first")
        whole = bisect_request.run_request(request)
        seed = derive_seed(draw_seed(request.seed), WHOLE)
        report = single_run.run(replace(whole, seed=seed), out)
    reports.write(report, out, policy.exit_code(report, strict=False))
    changes = bisect_request.clearest_changes(report)
    if not changes:
        raise NoChangeError(
            f"no gating metric differs between both ends: {report.verdict}, after"
            f" {len(report.results.valid_pairs)} pairs",
            hint=f"the report is in {out}; --metric searches one that does not gate",
        )
    key = changes[0].comparison.key
    log.info("%s stands out most, and is searched", key)
    return key


class NoChangeError(PipelineError):
    """The ends of a search do not differ, so there is nothing to find."""

    exit_code = Exit.INCONCLUSIVE


def _short(ids: str) -> str:
    """Return a digest of commit ids, for a message."""
    return hashlib.sha256(ids.encode()).hexdigest()[:12]


def _origin(folder: RunFolder, request: BisectRequest) -> RunOrigin:
    facts = {"build": request.run.build}
    subjects = {
        name: Subject(bisect_request.spec_text(request, commit), commit, facts)
        for name, commit in (("good", request.good_id), ("bad", request.bad_id))
    }
    is_own = request.run.suite.endswith(".toml")
    names = suite_file.kept_names(folder.suite().suite) if is_own else []
    began = (request.started_at or datetime.min.replace(tzinfo=UTC), draw_seed(request.seed))
    return folder.origin(began, subjects, [*names, ENVIRONMENT])
