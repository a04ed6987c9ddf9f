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

from pipeline import artifact, config
from pipeline.errors import BaselineError, ConfigError
from pipeline.judge import acceptance, policy
from pipeline.judge.looks import looks_up_to
from pipeline.model.metric import Metric
from pipeline.model.publication import Acceptance, Outcome, Publication
from pipeline.model.results import ResultSet, Sample
from pipeline.model.subject import Arm, Kind, Product
from pipeline.plain import clipped
from pipeline.publish.asked import Asked, reproduce
from pipeline.publish.event import Event
from pipeline.publish.ignored import not_ignored
from pipeline.publish.pull import Pull

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
    if event.conclusion in _STOPPED:
        why = f"the workflow run that was to measure was {event.conclusion}"
        return Publication(key, Outcome.STOPPED, event.origin, reason=why)
    if waits := _awaited(event, wanted, known):
        return Publication(key, Outcome.WAITING, event.origin, reason=waits)
    now = datetime.now(UTC)
    try:
        results = artifact.open_artifact(folder)
        _require_of(results, event, now)
        judged = _by_ours(results, wanted)
        report = policy.report(judged.results)
    except BaselineError as error:
        return _unmeasured(folder, event, key, wanted, known, error=error)
    if said := _said(folder, ERROR):  # some pairs are there, and the run did not come to its end
        return acceptance.broken(key, event.origin, said)
    found = acceptance.published(key, event.origin, report, acceptances, today=now.date())
    if judged.lacking and found.outcome not in (Outcome.REGRESSED, Outcome.BROKEN):
        found = replace(found, outcome=Outcome.INCOMPLETE)
    return replace(
        found,
        notes=judged.notes,
        lacking=frozenset(judged.lacking),
        command=reproduce(wanted, event.origin),
    )


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


def _awaited(event: Event, wanted: Asked, known: Known) -> str:
    """Return why a person has to look first; empty where nobody has to."""
    if not (event.is_of_pull and event.origin.is_fork and wanted.fork_label):
        return ""
    labels = known.there.labels if isinstance(known.there, Pull) else frozenset()
    if wanted.fork_label in labels:
        return ""
    return (
        "a maintainer has to look at this pull request of a fork, and put the label"
        f" {wanted.fork_label} on it"
    )


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


@dataclass(frozen=True, slots=True)
class _Judged:
    """Results as our suite means them, and what a reader should know of that."""

    results: ResultSet
    notes: tuple[str, ...]
    lacking: tuple[str, ...]


def _by_ours(results: ResultSet, wanted: Asked) -> _Judged:
    """Return results with the metrics of our suite, at the looks that were asked for.

    Raises:
        BaselineError: They are of another suite or product, or no run could have left them.
        ConfigError: The suite that was asked for cannot be read.
    """
    suite = _suite(results, wanted)
    if suite is None:
        said = "the suite is not one of ours: margins, and what gates, are as its results say"
        return _Judged(results, (said,), ())
    _require_product(results, wanted.product)
    _require_pairs(results, suite)
    metrics = {
        f"{workload.name}/{metric.name}": metric.metric()
        for workload in suite.of(wanted.product).workloads
        for metric in workload.metrics
    }
    theirs = {s.key: s.metric for arm in Arm for s in results.samples.get(arm, ())}
    others = sorted(name for name, metric in theirs.items() if metrics.get(name, metric) != metric)
    unknown = sorted(name for name in theirs if name not in metrics)
    most = suite.pairs if wanted.pairs is None else wanted.pairs
    looks = looks_up_to(most) if wanted.pairs is None else ()
    try:
        samples = {arm: _samples(results, arm, metrics) for arm in Arm}
        ours = replace(results, samples=samples, pairs_asked=most, looks=looks)
    except ValueError as error:  # a value that a metric of ours does not allow
        raise BaselineError(f"its results: {error}") from error
    lacking = _lacking(ours, suite.max_invalid)
    said_of = (
        (others, "judged by our margins, not by those of its results"),
        (unknown, "not of our suite, so it does not gate"),
        (lacking, "gates, and too few pairs have numbers of it from both builds"),
    )
    notes = [f"{what}: {_some(names)}" for names, what in said_of if names]
    if (results.pairs_asked, results.looks) != (most, looks):
        notes.append("judged by the number of pairs that was asked for, not by that of its results")
    return _Judged(ours, tuple(notes), tuple(lacking))


def _suite(results: ResultSet, wanted: Asked) -> config.Suite | None:
    """Return the suite by whose margins results are judged; None where we have none.

    Raises:
        BaselineError: They are of another suite, or were looked at as no run is.
    """
    try:
        found = config.load(config.path_of(wanted.suite or results.suite)).suite
    except ConfigError:
        if wanted.suite is not None:
            raise
        if results.looks not in ((), looks_up_to(results.pairs_asked)):
            raise BaselineError(
                f"its run was to be looked at {results.looks}, which no run is"
            ) from None
        return None
    if found.name != results.suite:
        raise BaselineError(f"its results are of the suite {results.suite}, not of {found.name}")
    return found


def _require_product(results: ResultSet, product: Product) -> None:
    spec = results.subjects[Arm.CANDIDATE].spec
    found = Product.REFERENCE if spec.startswith(Kind.REFERENCE.value) else Product.MILO
    if found is not product:
        raise BaselineError(
            f"its results are of the product {found}, and {product} was to be measured",
            hint=f"`--product {found}`, if that is meant",
        )


def _require_pairs(results: ResultSet, suite: config.Suite) -> None:
    """Refuse pairs that no run of ours leaves: too many invalid ones, or such with numbers."""
    valid = set(results.valid_pairs)
    invalid = [pair for pair in range(results.pairs) if pair not in valid]
    if len(invalid) > suite.max_invalid:
        raise BaselineError(
            f"{len(invalid)} of its {results.pairs} pairs are invalid, and the suite allows"
            f" {suite.max_invalid}"
        )
    for samples in results.samples.values():
        for sample in samples:
            if any(sample.values[pair] is not None for pair in invalid):
                raise BaselineError(
                    f"a pair is said to be invalid, and has a number of {sample.key}"
                )


def _lacking(results: ResultSet, allowed: int) -> list[str]:
    """Return the gating metrics that more pairs than allowed have no numbers of."""
    arms = [{s.key: s for s in results.samples[arm]} for arm in Arm]
    valid = results.valid_pairs
    return [
        key
        for key, sample in arms[0].items()
        if sample.metric.gate
        and sum(all(arm[key].values[pair] is not None for arm in arms) for pair in valid)
        < max(policy.LEAST_PAIRS, len(valid) - allowed)
    ]


def _samples(results: ResultSet, arm: Arm, ours: dict[str, Metric]) -> tuple[Sample, ...]:
    """Return the samples of an arm by our metrics; one that is missing has no value."""
    found = {sample.key: sample for sample in results.samples.get(arm, ())}
    kept = [
        replace(sample, metric=ours.get(key, replace(sample.metric, gate=False)))
        for key, sample in found.items()
    ]
    nothing: tuple[None, ...] = (None,) * results.pairs
    missing = [
        Sample(key.partition("/")[0], metric, nothing)
        for key, metric in ours.items()
        if key not in found
    ]
    return (*kept, *missing)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _unmeasured(
    folder: Path, event: Event, key: str, wanted: Asked, known: Known, *, error: BaselineError
) -> Publication:
    """Return what is published of an artifact without results that can be used."""
    if _has_results(folder):
        reason = f"error: {str(error).removeprefix(f'{folder}: ')}"
    elif _said(folder, _WAITING) and event.is_of_pull and event.origin.is_fork:
        why = "a maintainer has to look at this push of a fork first"
        return Publication(key, Outcome.WAITING, event.origin, reason=why)
    elif _said(folder, _SKIPPED):
        if not (reason := _missed(wanted, known)):
            why = "only files that are ignored were changed"
            return Publication(key, Outcome.SKIPPED, event.origin, reason=why)
    elif not (reason := _said(folder, ERROR)):
        ended = f"the workflow run that measured ended: {clipped(event.conclusion, 40)}"
        reason = ended if event.conclusion else "the run left no results"
    return acceptance.broken(key, event.origin, reason)


def _missed(wanted: Asked, known: Known) -> str:
    """Return what should have been measured by a run that says that there was nothing; or empty."""
    files = known.changed()
    if files is None:
        why = known.there if isinstance(known.there, str) else "there are too many"
        return f"the run measured nothing, and which files were changed cannot be told: {why}"
    if left := not_ignored(files, wanted.ignore):
        said = clipped(_some(left), 200)
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
