"""What we take from an artifact, and what we do not: its numbers, by the margins of our own suite.

The code of a pull request wrote it.  It may claim any number, and nothing here can tell; but it
has no say in what was to be measured, in which metrics gate, in how much they may worsen, in
whether it could be left out, or in what the verdict is.
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
from pipeline.model.prior import Prior
from pipeline.model.publication import Acceptance, Outcome, Publication
from pipeline.model.report import Report
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm, Product
from pipeline.publish.asked import MOST_PAIRS, Asked, reproduce
from pipeline.publish.event import Event
from pipeline.publish.ignored import not_ignored
from pipeline.publish.pull import Pull
from pipeline.render import answer_line
from pipeline.runs import priors, suite_file
from pipeline.runs.suite_file import Suite
from pipeline.runs.verified import VerifiedResults, list_names, verify
from pipeline.storage import artifact
from pipeline.system.errors import BaselineError, ConfigError
from pipeline.system.sanitize import truncate

ERROR: Final = "error.txt"
"""What the pipeline said when it ended without results."""

_SKIPPED, _WAITING = "skipped.txt", "waiting.txt"
"""Why nothing was measured, in place of results."""

_STOPPED: Final = ("cancelled", "skipped", "stale")
"""How a workflow run ends that came to no answer."""

_MOST = 4_000  # bytes of each
_SLACK: Final = timedelta(minutes=5)
"""How far two clocks may be apart."""

_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_SOURCE: Final = re.compile(r"source:[^?@]+@(?P<revision>[^?@]+)(?:\?.*)?")


@dataclass(frozen=True, slots=True)
class Known:
    """What GitHub says of a run, beside its event.

    Attributes:
        there: The pull request; otherwise why it cannot be told.
        changed: Returns the files of the pull request; None if they cannot be told.
    """

    there: Pull | str = "GitHub was not asked"
    changed: Callable[[], Sequence[str] | None] = lambda: None


NOTHING: Final = Known()


def publication(
    folder: Path,
    event: Event,
    acceptances: tuple[Acceptance, ...],
    wanted: Asked,
    known: Known = NOTHING,
) -> Publication:
    """Return what there is to say of an artifact; one that is refused has a reason instead.

    Args:
        folder: The artifact, or the folder of a run.
        event: What was measured.
        acceptances: Of regressions.
        wanted: What was to be measured, and by what it is judged.
        known: What GitHub says beside the event.

    Raises:
        ConfigError: There is no key, or the suite cannot be read.
        PipelineError: GitHub does not say which files were changed.
    """
    key = wanted.key or _suite_of(folder)
    not_measured = _not_measured(folder, event, wanted, known)
    if not_measured is not None:
        outcome, why = not_measured
        return Publication(key, outcome, event.origin, reason=why)
    now = datetime.now(UTC)
    try:
        results = artifact.open_artifact(folder)
        _require_of(results, event, now)
        judged = _by_ours(results, wanted)
        report = policy.report(judged.results)
    except BaselineError as error:
        return acceptance.broken_publication(key, event.origin, _reason(folder, event, error))
    if said := _said(folder, ERROR):  # some pairs are there, and the run did not come to its end
        return acceptance.broken_publication(key, event.origin, said)
    found = acceptance.publication_of(key, event.origin, report, acceptances, today=now.date())
    if judged.lacking and found.outcome not in (
        Outcome.REGRESSED,
        Outcome.BROKEN,
    ):
        found = replace(found, outcome=Outcome.INCOMPLETE)
    return replace(
        found,
        notes=judged.notes,
        lacking=frozenset(judged.lacking),
        command=reproduce(_settling(wanted, report), event.origin),
    )


def _settling(wanted: Asked, report: Report) -> Asked:
    """Return what was asked for, with the pairs that would settle an inconclusive run."""
    more = answer_line.more_pairs(report)
    if not more:
        return wanted
    return replace(wanted, pairs=min(len(report.results.valid_pairs) + more, MOST_PAIRS))


def _not_measured(
    folder: Path, event: Event, wanted: Asked, known: Known
) -> tuple[Outcome, str] | None:
    """Return that nothing was measured, and why, as far as GitHub says so; None if there may be.

    What the artifact says of it is only a reason to look.
    """
    if event.conclusion in _STOPPED:
        return (
            Outcome.STOPPED,
            f"the workflow run that was to measure was {event.conclusion}",
        )
    has_results = _has_results(folder)
    is_fork = event.is_of_pull and event.origin.is_fork
    missed = ""
    if not has_results and _said(folder, _SKIPPED):
        missed = _missed(wanted, known)
        if not missed:
            return Outcome.SKIPPED, "only files that are ignored were changed"
    labels = known.there.labels if isinstance(known.there, Pull) else frozenset()
    if is_fork and wanted.fork_label and wanted.fork_label not in labels:
        why = "a maintainer has to look at this pull request of a fork, and put the label"
        return Outcome.WAITING, f"{why} {wanted.fork_label} on it"
    if is_fork and not has_results and _said(folder, _WAITING):
        return Outcome.WAITING, "a maintainer has to look at this push of a fork first"
    return (Outcome.BROKEN, missed) if missed else None


def _suite_of(folder: Path) -> str:
    """Return the suite that an artifact names.

    Raises:
        ConfigError: There are no results in it that could.
    """
    try:
        return artifact.open_artifact(folder).suite
    except BaselineError as error:
        said = f"{error}; and without --key it is of no suite"
        raise ConfigError(said, hint=error.hint) from error


def _require_of(results: ResultSet, event: Event, now: datetime) -> None:
    """Refuse results of another commit, and those that this run cannot have measured.

    Raises:
        BaselineError: One sentence.
    """
    head = event.origin.head_sha
    candidate = results.subjects[Arm.CANDIDATE]
    source = _SOURCE.fullmatch(candidate.spec)
    said = (source["revision"] if source else "", candidate.facts.get("revision", ""))
    for one in said if event.is_of_pull else ():
        if _COMMIT.fullmatch(one) and not head.startswith(one):
            raise BaselineError(
                f"its results are of the commit {one[:12]}, and {head[:12]} was to be measured"
            )
    times = (results.taken_at, *(trial.started_at for trial in results.trials))
    if event.started_at and min(times) < event.started_at - _SLACK:
        raise BaselineError(
            f"its results are of {_shown(min(times))}, before this workflow run began at"
            f" {_shown(event.started_at)}"
        )
    if max(times) > now + _SLACK:
        raise BaselineError(f"its results are of {_shown(max(times))}, which is yet to come")


def _shown(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _by_ours(results: ResultSet, wanted: Asked) -> VerifiedResults:
    """Return results as our suite means them.

    Raises:
        BaselineError: They are of another suite or product, or no run could have left them.
        ConfigError: The suite that was asked for cannot be read.
    """
    try:
        suite = suite_file.load(suite_file.path_of(wanted.suite or results.suite)).suite
    except ConfigError:
        if wanted.suite is not None:
            raise
        if results.added:
            raise BaselineError(
                "pairs were added to its run, and only --suite says how many it was to have"
            ) from None
        if results.looks not in ((), looks_up_to(results.pairs_asked)):
            raise BaselineError(
                f"its run was to be looked at {results.looks}, which no run is"
            ) from None
        said = "the suite is not one of ours: margins, and what gates, are as its results say"
        return VerifiedResults(replace(results, prior=None), (said,), ())
    judged = verify(results, suite, wanted.product, wanted.pairs)
    judged = _with_our_prior(judged, suite, wanted.product)
    gating = {key for key, metric in suite.of(wanted.product).by_key().items() if metric.gate}
    if others := sorted(gating & set(results.ungated) - set(judged.results.ungated)):
        said = f"did not gate on its machine, and gates here: {list_names(others)}"
        judged = replace(judged, notes=(*judged.notes, said))
    return judged


def _with_our_prior(judged: VerifiedResults, suite: Suite, product: Product) -> VerifiedResults:
    """Return results with the prior that our suite ships, never with one of their own.

    What is shipped is of the environment and the interleaving that a suite has unless somebody asks
    for others.  Results that say that they had others are judged without a prior, and that is said.
    What our prior says that so many pairs cannot decide does not gate, as in a run that has it.

    Raises:
        BaselineError: The spread file that the suite ships cannot be read.
    """
    results, notes = judged.results, judged.notes
    asked = priors.prior_request(suite, product, Interleave.REQUEST)
    found = priors.shipped_prior(asked)
    usual = (asked.conditions.environment, asked.conditions.interleave)
    if found and (results.environment, results.interleave) != usual:
        found = None
        notes += ("measured in another way than the prior of our suite, so judged without one",)
    elif results.prior and not _are_alike(results.prior, found):
        instead = f"by the prior of our suite ({found.source})" if found else "without a prior"
        notes += (f"judged {instead}, not by the one in its results",)
    ungated: tuple[str, ...] = ()
    if found:
        metrics = suite.of(product).by_key()
        ungated = out_of_reach_with_prior(found, metrics, results.pairs_asked, results.looks)
    found_results = replace(results, prior=found, ungated=ungated)
    return replace(judged, results=found_results, notes=notes)


def _are_alike(theirs: Prior, ours: Prior | None) -> bool:
    """Return whether two priors decide alike, in whatever words they say where they come from."""
    return ours is not None and (theirs.degrees_of_freedom, theirs.spreads) == (
        ours.degrees_of_freedom,
        ours.spreads,
    )


def _reason(folder: Path, event: Event, error: BaselineError) -> str:
    """Return why there are no results: that they are refused, or what was said instead of them."""
    if _has_results(folder):
        hint = f"\nhint: {error.hint}" if error.hint else ""
        return f"error: {str(error).removeprefix(f'{folder}: ')}{hint}"
    ended = f"the workflow run that measured ended: {truncate(event.conclusion, 40)}"
    return _said(folder, ERROR) or (ended if event.conclusion else "the run left no results")


def _missed(wanted: Asked, known: Known) -> str:
    """Return what should have been measured by a run that says that there was nothing; or empty."""
    files = known.changed()
    if files is None:
        why = known.there if isinstance(known.there, str) else "there are too many"
        return f"the run measured nothing, and which files were changed cannot be told: {why}"
    if left := not_ignored(files, wanted.ignore):
        said = truncate(list_names(left), 200)
        return f"the run measured nothing, though files were changed that count: {said}"
    return ""


def _has_results(folder: Path) -> bool:
    """Whether there are any, of an artifact that is not to be read too."""
    try:
        return artifact.member(folder, artifact.RESULTS) is not None
    except BaselineError:
        return True


def _said(folder: Path, name: str) -> str:
    return (artifact.member(folder, name) or b"")[:_MOST].decode(errors="replace").strip()
