"""Verify results from elsewhere by our own suite.

Only the numbers come from the results.  Metrics, units, directions, margins and gates come from the
suite, whatever the results say of themselves.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from pipeline.judge.constants import MIN_PAIRS
from pipeline.judge.interim import looks_up_to
from pipeline.model.metric import Metric
from pipeline.model.results import ResultSet, Sample
from pipeline.model.subject import Arm, Product, parse_spec
from pipeline.runs.samples import ERROR_SHARES
from pipeline.runs.suite_file import Suite
from pipeline.system.errors import BaselineError

_MAX_NAMES: Final = 5

COUNTS: Final = (
    *ERROR_SHARES,
    *("projects_never_ready", "projects.never_ready", "projects.never_ready_share"),
    *("projects_never_gone", "projects.never_gone"),
)
"""Readings that count what was not done before a deadline; suites have one for every time."""


_HIDDEN: Final = re.compile(r"\.(files|threads)(_|$)")
"""Readings of processes that not every cluster has."""


@dataclass(frozen=True, slots=True)
class VerifiedResults:
    """Results with the metrics of our suite.

    Attributes:
        results: Results; metrics that the suite does not have do not gate.
        notes: Remarks for the reader, each a sentence.
        lacking: `workload/metric` of each gating metric with too few values.
        unknown: Metrics that the suite does not have.
    """

    results: ResultSet
    notes: tuple[str, ...]
    lacking: tuple[str, ...]
    unknown: frozenset[str] = frozenset()

    def without_unknown(self) -> ResultSet:
        """Return the results without metrics that the suite does not have."""
        samples = {
            arm: tuple(sample for sample in kept if sample.key not in self.unknown)
            for arm, kept in self.results.samples.items()
        }
        return replace(self.results, samples=samples)


def verify(
    results: ResultSet, suite: Suite, product: Product, pairs: int | None
) -> VerifiedResults:
    """Return results with the metrics of a suite and the interim analyses that were requested.

    Args:
        results: Results, which may be made up.
        suite: Suite that was requested.
        product: Product that was requested.
        pairs: Fixed number of pairs that was requested; None for as many as the verdict needs.

    Raises:
        BaselineError: The results are of another suite or product, or no run could produce them.
    """
    if suite.name != results.suite:
        raise BaselineError(f"its results are of the suite {results.suite}, not of {suite.name}")
    _require_product(results, product)
    _require_pairs(results, suite)
    metrics = suite.of(product).by_key()
    theirs = {s.key: s.metric for arm in Arm for s in results.samples.get(arm, ())}
    others = sorted(
        name
        for name, metric in theirs.items()
        if name in metrics and replace(metrics[name], description=metric.description) != metric
    )
    unknown = sorted(name for name in theirs if name not in metrics)
    most = suite.pairs if pairs is None else pairs
    looks = looks_up_to(most) if pairs is None else ()
    valid = len(results.valid_pairs)
    is_longer = valid > most  # pairs were added: what they may decide is less
    asked = valid if is_longer else most
    reached = (*(looks or (most,)), valid) if is_longer else looks
    try:
        samples = {arm: _samples(results, arm, metrics) for arm in Arm}
        verified = replace(
            results,
            samples=samples,
            pairs_asked=asked,
            looks=reached,
            added=int(is_longer),
            ungated=(),
        )
    except ValueError as error:  # a value that our metric does not allow
        raise BaselineError(f"its results: {error}") from error
    if looks and MIN_PAIRS <= valid < looks[0]:
        many = f"{valid} valid pairs"
        raise BaselineError(
            f"it has {many}, and no run ends before the first interim analysis, at {looks[0]}"
        )
    _require_possible_pairs(verified, suite)
    _require_counts(verified, suite)
    lacking = _lacking(verified, suite)
    remarks = (
        (others, "judged by our margins, not by those of its results"),
        (unknown, "not of our suite, so it does not gate"),
        (lacking, "gates, and too few pairs have numbers of it from both builds"),
    )
    notes = [f"{what}: {list_names(names)}" for names, what in remarks if names]
    if (results.pairs_asked, results.looks) != (most, looks):
        notes.append("judged by the number of pairs that was asked for, not by that of its results")
    return VerifiedResults(verified, tuple(notes), tuple(lacking), frozenset(unknown))


def list_names(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _require_product(results: ResultSet, product: Product) -> None:
    try:
        measured = parse_spec(results.subjects[Arm.CANDIDATE].spec).product
    except ValueError as error:
        raise BaselineError(f"its candidate: {error}") from error
    if measured is not product:
        raise BaselineError(
            f"its results are of the product {measured}, and {product} was to be measured",
            hint=f"`--product {measured}`, if that is meant",
        )


def _require_pairs(results: ResultSet, suite: Suite) -> None:
    """Refuse pairs that no run produces: too many invalid ones, or invalid ones with values."""
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
                raise BaselineError(f"an invalid pair has a value of {sample.key}")


def _samples(results: ResultSet, arm: Arm, ours: dict[str, Metric]) -> tuple[Sample, ...]:
    """Return the samples of an arm with our metrics; a missing sample has no values."""
    by_key = {sample.key: sample for sample in results.samples.get(arm, ())}
    kept = [
        replace(sample, metric=ours.get(key, replace(sample.metric, gate=False)))
        for key, sample in by_key.items()
    ]
    nothing: tuple[None, ...] = (None,) * results.pairs
    missing = [
        Sample(key.partition("/")[0], metric, nothing)
        for key, metric in ours.items()
        if key not in by_key
    ]
    return (*kept, *missing)


def _require_possible_pairs(results: ResultSet, suite: Suite) -> None:
    """Refuse a workload that was left out before the first interim analysis."""
    valid = len(results.valid_pairs)
    least = min(valid, results.looks[0] if results.looks else valid)
    for workload in suite.workloads:
        if (pairs := len(results.pairs_of(workload.name))) < least:
            raise BaselineError(
                f"{workload.name} was run in {pairs} of its {valid} valid pairs, and no run leaves"
                f" one out before the first interim analysis, at {least}"
            )


def _require_counts(results: ResultSet, suite: Suite) -> None:
    """Refuse values that a deadline cut off, if no count says that something was not done in time.

    A metric that a deadline cut off in both builds does not gate, so results must prove it.
    """
    counting = {key for key, metric in suite.keyed_metrics() if metric.select in COUNTS}
    for arm, samples in results.samples.items():
        counts = [sample for sample in samples if sample.key in counting]
        for sample in samples:
            beside = [count for count in counts if count.workload == sample.workload]
            for pair in range(results.pairs):
                if sample.cutoff(pair) and not any(count.values[pair] for count in beside):
                    raise BaselineError(
                        f"a deadline cut off {sample.key} of the {arm}, but no count says that"
                        " anything was not done in time"
                    )


def _lacking(results: ResultSet, suite: Suite) -> list[str]:
    """Return the gating metrics without a value in more pairs than the suite allows to lose.

    Open files and threads of a process are not needed in a cluster, where nobody may be able to
    count them.
    """
    arms = [{s.key: s for s in results.samples[arm]} for arm in Arm]
    valid_of = {s.workload: results.pairs_of(s.workload) for arm in arms for s in arm.values()}
    shows = suite.environment.shows_processes
    hidden = {k for k, m in suite.keyed_metrics() if not shows and _HIDDEN.search(m.select)}

    def has_value(sample: Sample, pair: int) -> bool:
        return sample.values[pair] is not None or sample.cutoff(pair) is not None

    def lacks(key: str) -> bool:
        valid = valid_of[key.partition("/")[0]]
        if key in hidden and not any(has_value(arm[key], pair) for arm in arms for pair in valid):
            return False
        both = sum(all(has_value(arm[key], pair) for arm in arms) for pair in valid)
        return both < max(MIN_PAIRS, len(valid) - suite.max_invalid)

    return [key for key, sample in arms[0].items() if sample.metric.gate and lacks(key)]
