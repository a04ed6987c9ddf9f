"""Decide what to publish of an artifact: its numbers, judged by the margins of our own suite.

The code of a pull request wrote the artifact.  It may claim any number, and nothing here can detect
that.  But it does not decide what was to be measured, which metrics gate, how much they may worsen,
whether the measurement could be skipped, or what the verdict is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pipeline.judge import acceptance, policy
from pipeline.judge.calibrate import out_of_reach_with_prior
from pipeline.judge.interim import looks_up_to
from pipeline.judge.launches import by_launch
from pipeline.model.explanation import Explanation
from pipeline.model.publication import Acceptance, Outcome, Publication
from pipeline.model.request import MAX_PAIRS
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm, Product
from pipeline.publish.event import Event
from pipeline.publish.options import PublishOptions, reproduce_command
from pipeline.publish.pull import GITHUB_NOT_ASKED, NoPullRequest, PullRequest, relevant_files
from pipeline.render import answer_line
from pipeline.render.numbers import moment
from pipeline.runs import priors, suite_file
from pipeline.runs.explain.explanation_file import EXPLANATION, FOLDER, parse_explanation
from pipeline.runs.suite_file import Suite
from pipeline.runs.verified import VerifiedResults, list_names, verify
from pipeline.storage import artifact
from pipeline.system.errors import BaselineError, ConfigError
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

ERROR_FILE: Final = "error.txt"
"""Error of a pipeline that ended without all results."""

_SKIPPED_FILE, _WAITING_FILE = "skipped.txt", "waiting.txt"
"""Reasons why nothing was measured, instead of results."""

_STOPPED: Final = ("cancelled", "skipped", "stale")
"""Conclusions of a workflow run without an answer."""

_MAX_FILE = 4_000  # bytes
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_SOURCE: Final = re.compile(r"source:[^?@]+@(?P<revision>[^?@]+)(?:\?.*)?")


@dataclass(frozen=True, slots=True)
class GitHubFacts:
    """GitHub's facts about a run, beside its event.

    Attributes:
        changed_files: Function that returns the files of the pull request; None if unknown.
    """

    pull: PullRequest | NoPullRequest = GITHUB_NOT_ASKED
    changed_files: Callable[[], Sequence[str] | None] = lambda: None


NO_FACTS: Final = GitHubFacts()


def publication(
    folder: Path,
    event: Event,
    acceptances: tuple[Acceptance, ...],
    options: PublishOptions,
    facts: GitHubFacts = NO_FACTS,
) -> Publication:
    """Return the publication of an artifact; one that is refused has a reason instead of a report.

    Raises:
        ConfigError: There is no key, or the suite cannot be read.
        PipelineError: GitHub does not say which files were changed.
    """
    key = options.key or _suite_of(folder)
    not_measured = _not_measured(folder, event, options, facts)
    if not_measured is not None:
        outcome, reason = not_measured
        return Publication(key, outcome, event.origin, reason=reason)
    now = datetime.now(UTC)
    try:
        results = by_launch(artifact.open_artifact(folder))
        _require_results_of(results, event, now)
        verified = _own(results) if options.is_own else _verify_by_our_suite(results, options)
        report = policy.report(verified.results)
    except BaselineError as error:
        reason = _broken_reason(folder, event, error)
        return Publication(key, Outcome.BROKEN, event.origin, reason=reason)
    if error_text := _read_text(folder, ERROR_FILE):  # the run has some pairs but did not finish
        return Publication(key, Outcome.BROKEN, event.origin, reason=error_text)
    found = acceptance.publication_of(key, event.origin, report, acceptances, today=now.date())
    if verified.lacking and found.outcome not in (Outcome.REGRESSED, Outcome.BROKEN):
        found = replace(found, outcome=Outcome.INCOMPLETE)
    if more := answer_line.more_pairs(report):  # the number that would settle it
        pairs = min(len(report.results.valid_pairs) + more, MAX_PAIRS)
        options = replace(options, pairs=pairs)
    return replace(
        found,
        notes=verified.notes,
        lacking=frozenset(verified.lacking),
        command=reproduce_command(options, event.origin),
        explanation=_explanation(folder, results),
    )


def _explanation(folder: Path, results: ResultSet) -> Explanation | None:
    """Return what an artifact says of the inside of its builds; None without one that is ours.

    Nothing can verify it, so it is shown, and decides nothing.
    """
    try:
        data = artifact.member(folder, f"{FOLDER}/{EXPLANATION}")
        return None if data is None else parse_explanation(data, results)
    except (BaselineError, ValueError) as error:
        log.warning("what changed inside is not shown: %s", error)
        return None


def _not_measured(
    folder: Path, event: Event, options: PublishOptions, facts: GitHubFacts
) -> tuple[Outcome, str] | None:
    """Return the outcome and the reason if nothing was measured; None if there may be results.

    GitHub's facts decide; the artifact's own claim is only a hint to check them.
    """
    if event.conclusion in _STOPPED:
        return Outcome.STOPPED, f"the workflow run was {event.conclusion}"
    has_results = _has_results(folder)
    is_fork = event.is_of_pull and event.origin.is_fork
    missed: str | None = None
    if not has_results and _read_text(folder, _SKIPPED_FILE):
        missed = _missed_files(options, facts)
        if missed is None:
            return Outcome.SKIPPED, "only ignored files were changed"
    labels = facts.pull.labels if isinstance(facts.pull, PullRequest) else frozenset()
    if is_fork and options.fork_label and options.fork_label not in labels:
        label = options.fork_label
        return (
            Outcome.WAITING,
            f"a maintainer must review this pull request from a fork, and add the label {label}",
        )
    if is_fork and not has_results and _read_text(folder, _WAITING_FILE):
        return Outcome.WAITING, "a maintainer must review this push from a fork first"
    return None if missed is None else (Outcome.BROKEN, missed)


def _suite_of(folder: Path) -> str:
    """Return the suite that an artifact names."""
    try:
        return artifact.open_artifact(folder).suite
    except BaselineError as error:
        raise ConfigError(
            f"{error}; without --key the suite is unknown", hint=error.hint
        ) from error


def _require_results_of(results: ResultSet, event: Event, now: datetime) -> None:
    """Refuse results of another commit, and those that this run cannot have measured."""
    head = event.origin.head_sha
    candidate = results.subjects[Arm.CANDIDATE]
    source = _SOURCE.fullmatch(candidate.spec)
    revisions = (source["revision"] if source else "", candidate.facts.get("revision", ""))
    for revision in revisions if event.is_of_pull else ():
        if _COMMIT.fullmatch(revision) and not head.startswith(revision):
            raise BaselineError(
                f"its results are of the commit {revision[:12]}, but {head[:12]} was to be measured"
            )
    times = (results.taken_at, *(trial.started_at for trial in results.trials))
    if event.started_at and min(times) < event.started_at - _CLOCK_TOLERANCE:
        raise BaselineError(
            f"its results are of {moment(min(times))}, before this workflow run began at"
            f" {moment(event.started_at)}"
        )
    if max(times) > now + _CLOCK_TOLERANCE:
        raise BaselineError(f"its results are of {moment(max(times))}, which is in the future")


def _own(results: ResultSet) -> VerifiedResults:
    """Return results that this process measured, unchanged."""
    return VerifiedResults(results, (), ())


def _verify_by_our_suite(results: ResultSet, options: PublishOptions) -> VerifiedResults:
    """Return results with the metrics, margins and gates of our suite, or refuse them."""
    try:
        path = (
            suite_file.path_of(options.suite)
            if options.suite
            else suite_file.bundled_path(results.suite)  # an artifact names no file
        )
        suite = suite_file.load(path).suite
    except ConfigError:
        if options.suite is not None:
            raise
        return _unknown_suite(results)
    ours = suite.only(options.driver)
    omitted = tuple(w.name for w in suite.workloads if w not in ours.workloads)
    results = replace(results, driver=options.driver, omitted=omitted)
    verified = verify(results, ours, options.product, options.pairs)
    verified = _with_our_prior(verified, ours, options.product)
    gating = {key for key, metric in ours.of(options.product).by_key().items() if metric.gate}
    if others := sorted(gating & set(results.ungated) - set(verified.results.ungated)):
        note = f"did not gate on its machine, but gates here: {list_names(others)}"
        verified = replace(verified, notes=(*verified.notes, note))
    return verified


def _unknown_suite(results: ResultSet) -> VerifiedResults:
    """Return results of a suite that is not ours; refuse them if no run could produce them."""
    if results.added:
        raise BaselineError("pairs were added to its run, and only --suite says how many it needed")
    if results.looks not in ((), looks_up_to(results.pairs_asked)):
        raise BaselineError(f"no run has interim analyses at {results.looks}")
    note = "the suite is not one of ours: its results say which margins apply and what gates"
    return VerifiedResults(replace(results, prior=None), (note,), ())


def _with_our_prior(verified: VerifiedResults, suite: Suite, product: Product) -> VerifiedResults:
    """Return results with the prior that our suite ships, never with one of their own.

    The shipped prior is of the suite's default environment and interleaving.  Results of another
    one are judged without a prior, with a note.  As in a run with this prior, metrics do not gate
    that so many pairs cannot decide.
    """
    results, notes = verified.results, verified.notes
    request = priors.prior_request(suite, product, Interleave.REQUEST)
    prior = priors.shipped_prior(request)
    default = (request.conditions.environment, request.conditions.interleave)
    if prior and (results.environment, results.interleave) != default:
        prior = None
        notes += ("judged without a prior: our suite's prior is of another environment or order",)
    elif results.prior and (prior is None or replace(results.prior, source=prior.source) != prior):
        instead = f"by the prior of our suite ({prior.source})" if prior else "without a prior"
        notes += (f"judged {instead}, not by the one in its results",)
    ungated: tuple[str, ...] = ()
    if prior:
        metrics = suite.of(product).by_key()
        ungated = out_of_reach_with_prior(prior, metrics, results.pairs_asked, results.looks)
    return replace(verified, results=replace(results, prior=prior, ungated=ungated), notes=notes)


def _broken_reason(folder: Path, event: Event, error: BaselineError) -> str:
    """Return why there is no report: the results are refused, or the run ended without any."""
    if _has_results(folder):
        hint = f"\nhint: {error.hint}" if error.hint else ""
        return f"error: {str(error).removeprefix(f'{folder}: ')}{hint}"
    if text := _read_text(folder, ERROR_FILE):
        return text
    if event.conclusion:
        return f"the workflow run that measured ended: {truncate(event.conclusion, 40)}"
    return "the run left no results"


def _missed_files(options: PublishOptions, facts: GitHubFacts) -> str | None:
    """Return why a run should have measured something; None if it had nothing to measure."""
    files = facts.changed_files()
    if files is None:
        pull = facts.pull
        reason = pull.reason if isinstance(pull, NoPullRequest) else "there are too many"
        return f"the run measured nothing, and the changed files are unknown: {reason}"
    if relevant := relevant_files(files, options.ignore):
        names = truncate(list_names(relevant), 200)
        return f"the run measured nothing, although files were changed that count: {names}"
    return None


def _has_results(folder: Path) -> bool:
    """Return whether an artifact has results, readable or not."""
    try:
        return artifact.member(folder, artifact.RESULTS) is not None
    except BaselineError:
        return True


def _read_text(folder: Path, name: str) -> str:
    """Return the text of a file in an artifact; empty if there is none."""
    return (artifact.member(folder, name) or b"")[:_MAX_FILE].decode(errors="replace").strip()
