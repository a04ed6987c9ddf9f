"""What we take from an artifact, and what we do not: its numbers, by the margins of our own suite.

The code of a pull request wrote it.  It may claim any number, and nothing here can tell; but it
has no say in which metrics gate, in how much they may worsen, or in what the verdict is.
"""

from dataclasses import replace
from pathlib import Path

from pipeline import artifact, config
from pipeline.errors import BaselineError, ConfigError
from pipeline.judge import acceptance, policy
from pipeline.judge.looks import looks_up_to
from pipeline.model.metric import Metric
from pipeline.model.publication import Acceptance, Outcome, Publication
from pipeline.model.results import ResultSet, Sample
from pipeline.model.subject import Arm, Kind, Product
from pipeline.plain import clipped
from pipeline.publish.event import Event

ERROR = "error.txt"
"""What the pipeline said when it ended without results."""

_NOTES = {"skipped.txt": Outcome.SKIPPED, "waiting.txt": Outcome.WAITING}
"""Why nothing was measured, in place of results."""

_MOST = 4_000  # bytes of each


def publication(
    folder: Path,
    event: Event,
    acceptances: tuple[Acceptance, ...],
    *,
    key: str | None,
    suite: str | None,
) -> Publication:
    """Return what there is to say of an artifact; one that is refused has a reason instead.

    Args:
        folder: The artifact, or the folder of a run.
        event: What was measured.
        acceptances: Of regressions.
        key: By which a comment is found again; None for the name of the suite.
        suite: Name or path of the suite that was to be measured; None where the artifact may say.

    Raises:
        ConfigError: There is no key, or the suite cannot be read.
    """
    from datetime import UTC, datetime

    try:
        results, notes = _by_our_margins(artifact.open_artifact(folder), suite)
        report = policy.report(results)
    except BaselineError as error:
        if not key:
            raise ConfigError(
                f"{error}; and without --key it is of no suite", hint=error.hint
            ) from error
        if (noted := _noted(folder)) is not None:
            return Publication(key, noted[0], event.origin, reason=noted[1])
        return acceptance.broken(key, event.origin, _reason(folder, event, error))
    if said := _said(folder, ERROR):  # some pairs are there, and the run did not come to its end
        return acceptance.broken(key or results.suite, event.origin, said)
    today = datetime.now(UTC).date()
    found = acceptance.published(
        key or results.suite, event.origin, report, acceptances, today=today
    )
    return replace(found, notes=notes)


def _by_our_margins(results: ResultSet, suite: str | None) -> tuple[ResultSet, tuple[str, ...]]:
    """Return results with the metrics of our suite, and what a reader should know of that."""
    ours = _suite(results, suite)
    if ours is None:
        said = "the suite is not one of ours: margins, and what gates, are as its results say"
        return results, (said,)
    spec = results.subjects[Arm.CANDIDATE].spec
    product = Product.REFERENCE if spec.startswith(Kind.REFERENCE.value) else Product.MILO
    metrics = {
        f"{workload.name}/{metric.name}": metric.metric()
        for workload in ours.of(product).workloads
        for metric in workload.metrics
    }
    theirs = {s.key: s.metric for arm in Arm for s in results.samples.get(arm, ())}
    others = sorted(name for name, metric in theirs.items() if metrics.get(name, metric) != metric)
    unknown = sorted(name for name in theirs if name not in metrics)
    notes = []
    if others:
        notes.append(f"judged by our margins, not by those of its results: {_some(others)}")
    if unknown:
        notes.append(f"not of our suite, so it does not gate: {_some(unknown)}")
    try:
        samples = {arm: _samples(results, arm, metrics) for arm in Arm}
        return replace(results, samples=samples), tuple(notes)
    except ValueError as error:  # a value that a metric of ours does not allow
        raise BaselineError(f"its results: {error}") from error


def _suite(results: ResultSet, suite: str | None) -> config.Suite | None:
    """Return the suite by whose margins results are judged; None where we have none.

    Raises:
        BaselineError: They are of another suite, or were looked at as no run is.
    """
    if results.looks not in ((), looks_up_to(results.pairs_asked)):
        raise BaselineError(f"its run was to be looked at {results.looks}, which no run is")
    try:
        found = config.load(config.path_of(suite or results.suite)).suite
    except ConfigError:
        if suite is not None:
            raise
        return None
    if found.name != results.suite:
        raise BaselineError(f"its results are of the suite {results.suite}, not of {found.name}")
    return found


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


def _noted(folder: Path) -> tuple[Outcome, str] | None:
    """Return why nothing was measured; None where there are results, or where nobody said."""
    if _has_results(folder):
        return None
    return next(
        ((outcome, said) for name, outcome in _NOTES.items() if (said := _said(folder, name))), None
    )


def _reason(folder: Path, event: Event, error: BaselineError) -> str:
    """Return why there are no results: that they are refused, or what was said instead of them."""
    if _has_results(folder):
        return f"error: {str(error).removeprefix(f'{folder}: ')}"
    ended = f"the workflow run that measured ended: {clipped(event.conclusion, 40)}"
    return _said(folder, ERROR) or (ended if event.conclusion else "the run left no results")


def _has_results(folder: Path) -> bool:
    """Whether there are any, of an artifact that is not to be read too."""
    try:
        return artifact.member(folder, artifact.RESULTS) is not None
    except BaselineError:
        return True


def _said(folder: Path, name: str) -> str:
    return (artifact.member(folder, name) or b"")[:_MOST].decode(errors="replace").strip()
