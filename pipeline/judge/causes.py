"""Find what changed inside a build: which functions and metrics moved beyond chance, ranked.

Extra pairs are compared as the judged ones are: differences within pairs.  Each function is tested
as a site and with everything it calls, each metric of a component as a rate.  Variances are
moderated by those of all others (see `stats.moderation`).  Holm's correction over every test of the
explanation keeps the probability that equal builds have any named cause below `ALPHA`.  A cause
moves the same way in every pair, and by at least `MIN_SHARE` of its own value.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.judge.functions import StackEvidence, StackTable, depth_in, is_standard, stack_table
from pipeline.judge.stats.moderation import (
    Floats,
    PairedTests,
    common_change,
    holm_adjusted,
    logarithmic,
    moderated_tests,
    sampling_variance,
)
from pipeline.judge.stats.student import quantile
from pipeline.model.explanation import Cause, CauseScope
from pipeline.model.metric import Metric
from pipeline.model.profiles import EvidenceKind, Stack

ALPHA = 0.01
"""Probability that anything is named although both builds are equal."""

MIN_SHARE = 0.05
"""Smallest change of a cause, as a share of the larger of its two values."""

MIN_EXPLAIN_PAIRS = 3
"""Smallest number of extra pairs: two have one difference of differences."""

MIN_EVENTS = 6.0
"""Smallest mean number of events of a function in a profile: fewer may come and go by chance."""

NEARLY_ALL = 0.8
"""Share of a cause for which a function that it calls is named instead."""

COUNTED_PART = 0.25
"""Variance of a metric, in shares of that of random events: a server that does the same work counts
nearly the same."""

_MIN_ATTRIBUTED = 0.5  # share of the change of a function; below, it only took over others
_MIN_ERRORS = 4.0
_MIN_SITES = 5
_CONFIDENCE = 0.95
_MAX_CAUSES = 25
_MAX_METRICS = 120
_MAX_CALLERS = 12
_SECONDS = (EvidenceKind.BLOCK, EvidenceKind.MUTEX, EvidenceKind.WALL, EvidenceKind.CPU)
_SPACE = (EvidenceKind.HEAP, EvidenceKind.ALLOCATIONS)


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of a component, or several series of it together.

    Attributes:
        name: Name with its labels.
        group: Group in which it is shown.
        unit: Base unit of the values.
        event: Value of one event, in `unit`.
        may_cause: True if it says why, and not only that, a build is slower.
        values: Increase under load of the baseline and the candidate in each pair.
    """

    name: str
    group: str
    unit: str
    event: float
    may_cause: bool
    values: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class SeriesEvidence:
    """The metrics of one component, pair by pair."""

    component: str
    series: tuple[Series, ...]
    operations: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class MovedFunctions:
    """The functions of one profile kind that moved beyond chance, for its flame graph."""

    table: StackTable
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundCauses:
    """What moved: causes, metrics, functions by profile, and the number of tests."""

    causes: tuple[Cause, ...]
    metrics: tuple[Cause, ...]
    moved: tuple[MovedFunctions, ...]
    tests: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that are tested together: the functions of a profile, or metrics that vary alike.

    Attributes:
        entries: Scope and index of each row, in `table` or `series`.
        aliases: Other functions with exactly the values of a row, itself included.
        event: Value per operation of the smallest event, by row and pair.
    """

    kind: EvidenceKind
    entries: tuple[tuple[CauseScope, int], ...]
    aliases: tuple[tuple[int, ...], ...]
    baseline: Floats
    candidate: Floats
    event: Floats
    table: StackTable | None = None
    series: tuple[tuple[str, Series], ...] = ()

    @property
    def differences(self) -> Floats:
        """Differences on a logarithmic scale."""
        changes: Floats = logarithmic(self.candidate, self.event) - logarithmic(
            self.baseline, self.event
        )
        return changes

    @property
    def own_changes(self) -> Floats:
        """Differences, less the change that all functions of a profile share.

        Sites are the parts of a profile; a function counts for all of its callers, too.  Of few
        sites it is not known what they share, and metrics share nothing.
        """
        parts = [at for at, (scope, _) in enumerate(self.entries) if scope is CauseScope.SITE]
        if len(parts) < _MIN_SITES:
            return self.differences
        changes: Floats = self.differences - common_change(
            self.differences[parts], self.events[parts]
        )
        return changes

    @property
    def sampling(self) -> Floats:
        """Variance of the differences that sampling alone causes; of metrics, a part of it."""
        before, after = (
            (values / self.event).mean(axis=1) for values in (self.baseline, self.candidate)
        )
        part = COUNTED_PART if self.kind is EvidenceKind.METRIC else 1.0
        return part * sampling_variance(np.abs(before), np.abs(after))

    @property
    def levels(self) -> Floats:
        """Mean of both arms."""
        both = np.abs(self.baseline) + np.abs(self.candidate)
        levels: Floats = np.maximum(both.mean(axis=1) / 2, 1e-300)
        return levels

    @property
    def events(self) -> Floats:
        """Mean number of events of both arms."""
        events: Floats = self.levels / self.event.mean(axis=1)
        return events


def find_causes(
    stacks: Sequence[StackEvidence],
    series: Sequence[SeriesEvidence],
    metric: Metric,
    *,
    reading: str,
    is_rise: bool,
    workloads: int = 1,
) -> FoundCauses:
    """Return what moved under one workload.

    Args:
        stacks: Profiles, each with at least `MIN_EXPLAIN_PAIRS` pairs.
        series: Metrics of components, likewise.
        metric: Metric that is explained; it decides which kind of evidence comes first.
        reading: Name of the reading of that metric, such as `server.cpu`.
        is_rise: Whether that metric rose.
        workloads: Number of workloads that are explained at once; they share alpha.
    """
    groups = [_function_group(stack_table(one)) for one in stacks]
    groups += _series_groups(series)
    groups = [one for one in groups if one.entries]
    tests = [moderated_tests(one.own_changes, one.events, one.sampling) for one in groups]
    if not groups:
        return FoundCauses((), (), (), 0)
    p_values = np.concatenate([one.p_values for one in tests])
    adjusted = np.minimum(1.0, workloads * holm_adjusted(p_values))
    found: list[_Candidate] = []
    moved: list[MovedFunctions] = []
    first = 0
    for group, test in zip(groups, tests, strict=True):
        of_group = adjusted[first : first + len(group.entries)]
        first += len(group.entries)
        named = list(_named_rows(group, test, of_group))
        # The interval that is shown is in the unit of the values.
        plain = moderated_tests(group.candidate - group.baseline, group.levels)
        half = quantile((1 + _CONFIDENCE) / 2, plain.degrees_of_freedom)
        for row in named:
            error = float(plain.standard_errors[row]) * half
            found.append(_candidate(group, row, float(of_group[row]), error))
        if group.table is not None:
            names = {
                group.table.functions[one]
                for row in named
                for one in (group.aliases[row] or (group.entries[row][1],))
            }
            moved.append(MovedFunctions(group.table, frozenset(names)))
    ranked = _rank(found, _order_of(metric, reading, is_rise=is_rise))
    metrics = sorted(
        (one.cause for one in found if one.cause.kind is EvidenceKind.METRIC),
        key=lambda cause: (cause.group, -_novelty(cause)),
    )
    return FoundCauses(
        tuple(ranked[:_MAX_CAUSES]), tuple(metrics[:_MAX_METRICS]), tuple(moved), len(p_values)
    )


def _function_group(table: StackTable) -> _Group:
    """Return the rows of functions: sites, and functions with all that they call."""
    evidence = table.evidence
    arms = []
    for values in (table.baseline, table.candidate):
        sites = np.zeros((len(table.functions), values.shape[1]))
        np.add.at(sites, list(table.sites), values)
        arms.append(np.vstack([sites, table.membership @ values]))
    operations = np.array(evidence.operations).T
    raw = (arms[0] * operations[0] + arms[1] * operations[1]).mean(axis=1) / 2
    is_counted = table.event_counts() >= MIN_EVENTS
    count = len(table.functions)
    rows: dict[bytes, int] = {}
    aliases: dict[int, list[int]] = {}
    for row in np.flatnonzero((raw >= evidence.least) & is_counted):
        digits = np.concatenate([arms[0][row], arms[1][row]]).round(15).tobytes()
        kept = rows.setdefault(digits, int(row))
        aliases.setdefault(kept, []).append(int(row) % count)
    chosen = list(aliases)
    entries = tuple(
        (CauseScope.SITE if row < count else CauseScope.CUMULATIVE, row % count) for row in chosen
    )
    return _Group(
        evidence.kind,
        entries,
        tuple(tuple(aliases[row]) for row in chosen),
        arms[0][chosen],
        arms[1][chosen],
        np.broadcast_to(evidence.event / operations.mean(axis=0), (len(chosen), len(operations.T))),
        table=table,
    )


def _series_groups(components: Sequence[SeriesEvidence]) -> Iterator[_Group]:
    """Yield the rows of metrics; of several with equal values, the first one stays.

    Numbers of events that may be causes vary alike, in whatever component.  Times, bytes and what
    the machine decides do not: a sum of waits may be ten times that of the next launch, so only its
    own group says how much it varies.
    """
    groups: dict[tuple[object, ...], dict[tuple[str, bytes], tuple[Series, Floats]]] = {}
    for of in components:
        for one in of.series:
            values = np.array(one.values) / np.array(of.operations)
            if np.abs(values).sum() > 0:
                is_number = one.unit == "1" and one.may_cause
                alike = () if is_number else (of.component, one.group)
                rows = groups.setdefault((of.operations, one.unit, *alike), {})
                rows.setdefault((of.component, values.round(15).tobytes()), (one, values))
    for (operations, *_), rows in groups.items():
        values = np.array([values for _, values in rows.values()])
        series = tuple((component, one) for (component, _), (one, _) in rows.items())
        yield _Group(
            EvidenceKind.METRIC,
            tuple((CauseScope.SERIES, row) for row in range(len(series))),
            ((),) * len(series),
            values[:, :, 0],
            values[:, :, 1],
            np.array([[one.event] for _, one in series]) / np.array(operations).mean(axis=1),
            series=series,
        )


def _named_rows(group: _Group, test: PairedTests, adjusted: Floats) -> Iterator[int]:
    """Yield the rows that moved beyond chance, the same way in every pair, and enough.

    Of functions, the own change and the one with what all share are both beyond chance, in one
    direction.  Otherwise one that stayed as it was would be named where all others moved.
    """
    whole = test
    if group.table is not None:  # metrics share nothing
        whole = moderated_tests(group.differences, group.events, group.sampling)
    for row in np.flatnonzero((adjusted < ALPHA) & (whole.p_values < ALPHA)):
        change = group.candidate[row] - group.baseline[row]
        larger = max(abs(group.baseline[row].mean()), abs(group.candidate[row].mean()))
        is_one_way = bool((change > 0).all() or (change < 0).all())
        is_same_way = test.means[row] * change.mean() > 0
        if is_one_way and is_same_way and abs(change.mean()) >= MIN_SHARE * larger:
            yield int(row)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A cause that may be named, and what its rank needs."""

    cause: Cause
    may_cause: bool
    stack: Stack = ()
    aliases: frozenset[str] = frozenset()


def _candidate(group: _Group, row: int, p: float, half_width: float) -> _Candidate:
    scope, number = group.entries[row]
    before, after = group.baseline[row], group.candidate[row]
    change = float((after - before).mean())
    sign = math.copysign(1.0, change)
    cause = Cause(
        component="",
        kind=group.kind,
        scope=scope,
        name="",
        unit="1",
        baseline=float(before.mean()),
        candidate=float(after.mean()),
        low=change - half_width,
        high=change + half_width,
        p=p,
        pairs=len(before),
        agreeing=int((sign * (after - before) > 0).sum()),
        attributed=change,
    )
    if group.series:
        component, series = group.series[number]
        cause = replace(
            cause,
            component=component,
            name=series.name,
            unit=series.unit,
            group=series.group,
        )
        return _Candidate(cause, series.may_cause)
    if group.table is None:
        raise ValueError("a group has stacks or series")
    table = group.table
    stack = table.example(number, scope)
    names = [table.functions[one] for one in group.aliases[row]]
    name = depth_in(stack, [one for one in names if one in stack])
    cause = replace(
        cause,
        component=table.evidence.component,
        name=name,
        unit=table.evidence.unit,
        attributed=_certain_mean(table.attributed_changes(number, scope)),
        callers=stack[stack.index(name) + 1 :][:_MAX_CALLERS],
    )
    return _Candidate(cause, may_cause=not is_standard(name), stack=stack, aliases=frozenset(names))


@dataclass(frozen=True, slots=True)
class _Preference:
    """Which evidence explains a metric: tiers of kinds, a component, and a direction."""

    tiers: tuple[tuple[EvidenceKind, ...], ...]
    component: str
    is_rise: bool

    def tier(self, kind: EvidenceKind) -> int:
        return next((n for n, kinds in enumerate(self.tiers) if kind in kinds), len(self.tiers))


def _order_of(metric: Metric, reading: str, *, is_rise: bool) -> _Preference:
    component, dot, name = reading.partition(".")
    known = component if dot and re.fullmatch(r"server|manager|etcd", component) else ""
    metrics = (EvidenceKind.METRIC,)
    tiers: tuple[tuple[EvidenceKind, ...], ...]
    if "goroutines" in name:
        tiers = ((EvidenceKind.GOROUTINES,), metrics)
    elif name.startswith("cpu"):
        tiers = ((EvidenceKind.CPU,), _SPACE, metrics)
    elif metric.unit == "B":
        tiers = ((EvidenceKind.HEAP,), (EvidenceKind.GOROUTINES, EvidenceKind.ALLOCATIONS), metrics)
    elif metric.unit == "s" or reading.startswith("http_req_duration"):
        tiers = (_SECONDS, metrics)
    else:
        tiers = (metrics, _SECONDS)
    return _Preference(tiers, known, is_rise)


def _rank(found: Sequence[_Candidate], preference: _Preference) -> list[Cause]:
    """Return causes, the most likely first; of several on one stack, the most specific stays."""
    ordered = sorted(
        (one for one in found if one.may_cause and _is_new(one.cause)),
        key=lambda one: _sort_key(one, preference),
    )
    kept: list[_Candidate] = []
    for first in ordered:
        one = _most_specific(first, ordered)
        if one not in kept and not any(_repeats(one, other) for other in kept):
            kept.append(one)
    return [one.cause for one in kept]


def _most_specific(one: _Candidate, others: Sequence[_Candidate]) -> _Candidate:
    """Return the function nearest to the leaf that accounts for nearly all of a cause."""
    if one.cause.kind is EvidenceKind.METRIC:
        return one
    below = [
        other
        for other in others
        if (other.cause.component, other.cause.kind) == (one.cause.component, one.cause.kind)
        and one.cause.name in other.stack[other.stack.index(other.cause.name) + 1 :]
        and _specific_change(other.cause) >= NEARLY_ALL * _specific_change(one.cause)
    ]
    return _most_specific(below[0], others) if below else one


def _certain_mean(values: Floats) -> float:
    """Return the mean of the pairs; 0 unless it is many standard errors above 0 or below."""
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean if abs(mean) > _MIN_ERRORS * error else 0.0


def _is_new(cause: Cause) -> bool:
    """Return whether a change is of the whole program, and not only of where code is called."""
    return cause.attributed * cause.change > _MIN_ATTRIBUTED * cause.change**2


def _sort_key(one: _Candidate, preference: _Preference) -> tuple[object, ...]:
    cause = one.cause
    return (
        (cause.attributed > 0) != preference.is_rise,
        bool(preference.component) and cause.component != preference.component,
        preference.tier(cause.kind),
        *_size_key(cause),
        cause.name,
    )


def _size_key(cause: Cause) -> tuple[float, ...]:
    """Return the key by which larger causes come first: newer metrics, then more events."""
    if cause.kind is not EvidenceKind.METRIC:
        return (-_specific_change(cause),)
    return (-round(_novelty(cause), 9), float(cause.unit != "1"), -abs(cause.change))


def _specific_change(cause: Cause) -> float:
    """Return the change that a cause accounts for, less where it is a small part of its value.

    That is the excess over its value, as in a chi-square statistic: of two functions with the same
    change, the one that did little else is the cause, and the other one waits for it.
    """
    part, larger = abs(cause.attributed), max(cause.baseline, cause.candidate)
    return part**2 / max(2 * larger - part, part, 1e-300)


def _novelty(cause: Cause) -> float:
    """Return the change of a metric as a share of the larger of its two values."""
    return abs(cause.change) / max(abs(cause.baseline), abs(cause.candidate), 1e-300)


def _repeats(one: _Candidate, other: _Candidate) -> bool:
    """Return whether a cause tells of the same change as another one that ranks higher."""
    if one.cause.component != other.cause.component:
        return False
    if EvidenceKind.METRIC in (one.cause.kind, other.cause.kind):
        return False
    if one.cause.unit != other.cause.unit:
        return one.cause.name == other.cause.name
    return one.cause.name in other.stack or other.cause.name in one.stack
