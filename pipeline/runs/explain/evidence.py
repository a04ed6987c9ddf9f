"""Read the evidence that the extra pairs of `explain` left: profiles, metrics, and operations."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from pipeline.judge.causes import MIN_EXPLAIN_PAIRS, SeriesEvidence
from pipeline.judge.functions import StackEvidence
from pipeline.model.profiles import EvidenceKind, Stack, StackProfile
from pipeline.model.replicas import component_of
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm
from pipeline.probes.profiles import PROFILES, ProfileRow
from pipeline.runs.explain import series
from pipeline.runs.explain.recorder import LOAD, RecordedLoad, read_load
from pipeline.storage import pprof
from pipeline.system.errors import ProbeError
from pipeline.system.sanitize import truncate

_StackValues = dict[Stack, float]
_Read = Callable[[Path], StackProfile]

_COMPONENTS = ("server", "manager", "etcd")
_MAX_ROWS = 5_000
_MAX_GAP = 200  # characters
_NANOSECONDS = 1e-9
_UNITS = {
    **dict.fromkeys(("cpu", "delay"), "nanoseconds"),
    **dict.fromkeys(("inuse_space", "alloc_space"), "bytes"),
}
"""Unit of each sample type that Go writes; those that are not here are counts."""
_PROFILING = ("net/http/pprof.", "runtime/pprof.")


@dataclass(frozen=True, slots=True)
class EvidenceSource:
    """How a kind of evidence is read.

    Attributes:
        kind: Kind of the files.
        column: Sample type in them.
        unit: Base unit of the values.
        factor: Factor from the sample type's unit to the base unit.
        event: Value of the smallest event, in the base unit.
        least: Smallest mean value for a test; see `StackEvidence.least`.
        events: Sample type that counts events; empty if the values do.
        is_increase: True if the files before the load are subtracted.
    """

    kind: EvidenceKind
    column: str
    unit: str
    factor: float
    event: float
    least: float
    events: str = ""
    is_increase: bool = False


SOURCES: Mapping[EvidenceKind, EvidenceSource] = {
    EvidenceKind.CPU: EvidenceSource(EvidenceKind.CPU, "cpu", "s", _NANOSECONDS, 0.01, 0.06),
    EvidenceKind.WALL: EvidenceSource(EvidenceKind.WALL, "goroutine", "s", 1.0, 1.0, 4.0),
    EvidenceKind.BLOCK: EvidenceSource(
        *(EvidenceKind.BLOCK, "delay", "s", _NANOSECONDS, 1e-3, 5e-3),
        "contentions",
        is_increase=True,
    ),
    EvidenceKind.MUTEX: EvidenceSource(
        *(EvidenceKind.MUTEX, "delay", "s", _NANOSECONDS, 1e-3, 5e-3),
        "contentions",
        is_increase=True,
    ),
    EvidenceKind.HEAP: EvidenceSource(
        EvidenceKind.HEAP, "inuse_space", "B", 1.0, 2.0**19, 2.0**20, "inuse_objects"
    ),
    EvidenceKind.ALLOCATIONS: EvidenceSource(
        *(EvidenceKind.HEAP, "alloc_space", "B", 1.0, 2.0**19, 2.0**21),
        "alloc_objects",
        is_increase=True,
    ),
    EvidenceKind.GOROUTINES: EvidenceSource(
        EvidenceKind.GOROUTINES, "goroutine", "1", 1.0, 1.0, 1.0
    ),
}
"""The source of each kind of evidence that is made of stacks."""

_SOURCES_OF_FILES = [
    {kind: source for kind, source in SOURCES.items() if source.kind is file_kind}
    for file_kind in dict.fromkeys(source.kind for source in SOURCES.values())
]
"""The same by the files that they are read from, so that each file is read once."""


@dataclass(frozen=True, slots=True)
class WorkloadEvidence:
    """All evidence of one workload.

    Attributes:
        per: Operation that values are divided by.
        pairs: Number of pairs of which the operations of both arms are known.
        gaps: Sentences about evidence that is missing.
    """

    per: str
    pairs: int
    stacks: tuple[StackEvidence, ...]
    series: tuple[SeriesEvidence, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _ArmEvidence:
    """What one arm left in one pair."""

    folder: Path
    rows: tuple[ProfileRow, ...]
    load: RecordedLoad
    operations: float

    def of(self, component: str, kind: EvidenceKind) -> list[ProfileRow]:
        """Return the profiles of one kind, over the replicas of a component."""
        return [
            row
            for row in self.rows
            if row.kind is kind and component_of(row.component) == component
        ]


_Pairs = Sequence[tuple[_ArmEvidence, _ArmEvidence]]


@dataclass(frozen=True, slots=True)
class _Gaps:
    """Sentences about evidence that is missing, each once."""

    sentences: dict[str, None] = field(default_factory=dict)

    def add(self, sentence: str) -> None:
        self.sentences[truncate(sentence, _MAX_GAP)] = None


def read_evidence(out: Path, results: ResultSet, workload: str, reading: str) -> WorkloadEvidence:
    """Return the evidence of one workload; what cannot be read is a gap.

    Args:
        out: Folder of the explanation.
        results: Results of its pairs.
        workload: Name of the workload.
        reading: Reading of the explained metric, which decides what operations are.
    """
    gaps = _Gaps()
    pairs: list[tuple[_ArmEvidence, _ArmEvidence]] = []
    per = "request"
    is_duet = results.interleave is Interleave.REQUEST
    for pair in results.pairs_of(workload):
        folder = out / "pairs" / f"{pair:03}"
        if any(trial.failures for trial in results.trials if trial.pair == pair):
            gaps.add(f"pair {pair}: a build failed, so it has no evidence")
            continue
        try:
            arms = [
                _arm_evidence((folder if is_duet else folder / arm) / workload, arm, reading)
                for arm in Arm
            ]
        except ProbeError as error:
            gaps.add(f"pair {pair}: {error}")
            continue
        per = arms[0][1]
        pairs.append((arms[0][0], arms[1][0]))
    present = {component_of(row.component) for pair in pairs for arm in pair for row in arm.rows}
    components = [name for name in _COMPONENTS if name in present]
    stacks = [
        found
        for component in components
        for sources in _SOURCES_OF_FILES
        for found in _stack_evidence(component, sources, pairs, gaps)
    ]
    found_series = [
        one for name in components if (one := _series_evidence(name, pairs, gaps)) is not None
    ]
    return WorkloadEvidence(
        per, len(pairs), tuple(stacks), tuple(found_series), tuple(gaps.sentences)
    )


def operation_of(reading: str, readings: Mapping[str, float]) -> tuple[str, float]:
    """Return the operation that a metric is about and its number, such as `("create", 120)`.

    Raises:
        ProbeError: The load did nothing that can be counted.
    """
    _, brace, rest = reading.partition("{op=")
    operation = rest.partition("}")[0] if brace else ""
    counted = readings.get(f"http_req_duration{{op={operation}}}/count", 0.0)
    if operation and counted > 0:
        return operation, counted
    names = ["projects_deleted", "projects_created"]
    for name in reversed(names) if "ready" in reading else names:
        if readings.get(name, 0.0) > 0:
            return "Project", readings[name]
    for name in ("requests", "iterations"):
        if readings.get(name, 0.0) > 0:
            return name.removesuffix("s"), readings[name]
    raise ProbeError("the load did nothing that can be counted")


def _arm_evidence(folder: Path, arm: Arm, reading: str) -> tuple[_ArmEvidence, str]:
    load = read_load(folder / LOAD, arm)
    per, operations = operation_of(reading, load.readings)
    rows = tuple(_rows(folder / arm / PROFILES))
    return _ArmEvidence(folder / arm, rows, load, operations), per


def _rows(path: Path) -> Iterator[ProfileRow]:
    """Yield the lines of `profiles.csv`, or raise ProbeError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in islice(csv.DictReader(file), _MAX_ROWS):
                yield ProfileRow(
                    row["component"],
                    EvidenceKind(row["kind"]),
                    row["when"],
                    Path(row["file"]).name,  # never a file in another folder
                    float(row["start_s"]),
                    float(row["end_s"]),
                    int(row["count"]),
                    row["gap"],
                )
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ProbeError(f"{path.name} cannot be read: {truncate(repr(error), 100)}") from error


def _stack_evidence(
    component: str,
    sources: Mapping[EvidenceKind, EvidenceSource],
    pairs: _Pairs,
    gaps: _Gaps,
) -> Iterator[StackEvidence]:
    """Yield the evidence of a component that is read from the same files."""
    stacks: dict[Stack, Stack] = {}  # equal stacks of all profiles are one object
    events: dict[EvidenceKind, dict[Stack, float]] = {kind: {} for kind in sources}
    values: dict[EvidenceKind, list[tuple[_StackValues, _StackValues]]] = {k: [] for k in sources}
    operations: dict[EvidenceKind, list[tuple[float, float]]] = {kind: [] for kind in sources}
    for pair in pairs:
        read = cache(pprof.read_profile)
        for kind, source in sources.items():
            try:
                arms = [_values(arm, component, source, read) for arm in pair]
            except ProbeError as error:
                gaps.add(f"{kind} of {component}: {error}")
                continue
            one, two = ({stacks.setdefault(s, s): v for s, v in arm[0].items()} for arm in arms)
            values[kind].append((one, two))
            operations[kind].append((pair[0].operations, pair[1].operations))
            counted = events[kind]
            for counts in (arm[1] for arm in arms if source.events):
                for stack, count in counts.items():
                    counted[stack] = counted.get(stack, 0.0) + count / (len(Arm) * len(pairs))
    for kind, source in sources.items():
        if values[kind] and not any(one for pair in values[kind] for one in pair):
            gaps.add(f"{kind} of {component}: the profiles are empty")
        elif len(values[kind]) >= MIN_EXPLAIN_PAIRS:
            yield StackEvidence(
                *(component, kind, source.unit, source.event, source.least),
                tuple(values[kind]),
                tuple(operations[kind]),
                events[kind],
            )


def _values(
    arm: _ArmEvidence, component: str, source: EvidenceSource, read: _Read
) -> list[_StackValues]:
    """Return the values of one arm of one pair in the base unit, and its events if it has some.

    What our own requests for profiles cost is left out.
    """
    columns = [source.column, *filter(None, [source.events])]
    rows = arm.of(component, source.kind)
    if gap := next((row.gap for row in rows if row.gap), ""):
        raise ProbeError(gap)
    span = arm.load.span
    match source.kind:
        case EvidenceKind.CPU:
            used = [row for row in rows if row.end_s > span.start_s and row.start_s < span.end_s]
        case EvidenceKind.WALL:
            used = rows
        case _:
            used = [row for row in rows if row.when == "after"]
    total = _sum(arm, used, columns, read)
    earlier = [row for row in rows if row.when == "before"]
    before = _sum(arm, earlier, columns, read) if source.is_increase else None
    factor = source.factor
    if source.kind is EvidenceKind.WALL:  # replicas are sampled at the same times
        factor *= (used[0].end_s - used[0].start_s) / max(1, used[0].count)
    found = []
    for column, by in zip(columns, (factor, 1.0), strict=False):
        values = total.column(column)
        for stack, value in (before.column(column) if before else {}).items():
            values[stack] = values.get(stack, 0.0) - value
        ours = {name for name in set().union(*values) if name.startswith(_PROFILING)}
        found.append(
            {
                stack: by * value
                for stack, value in values.items()
                if value > 0 and ours.isdisjoint(stack)
            }
        )
    return found


def _sum(
    arm: _ArmEvidence, rows: Sequence[ProfileRow], columns: Sequence[str], read: _Read
) -> StackProfile:
    """Return the sum of profiles that have some sample types, each in its unit.

    Raises:
        ProbeError: There is no profile, or it lacks one of them.
    """
    total = pprof.sum_profiles(read(arm.folder / row.file) for row in rows)
    if total is None:
        raise ProbeError("there is no profile")
    for column in columns:
        unit = _UNITS.get(column, "count")
        if (column, unit) not in total.types:
            raise ProbeError(f"{rows[0].file} has no sample type `{column}` in {unit}")
    return total


def _series_evidence(component: str, pairs: _Pairs, gaps: _Gaps) -> SeriesEvidence | None:
    keys = _key_growths(pairs, gaps) if component == "etcd" else {}

    def read(arm: _ArmEvidence) -> series.Growth:
        grown = dict(keys.get(arm.folder, {}))
        replicas = {row.component for row in arm.rows if component_of(row.component) == component}
        for replica in sorted(replicas):
            texts = (arm.folder / f"{replica}-{when}.prom.gz" for when in ("before", "after"))
            for key, value in series.growth(*texts).items():
                grown[key] = grown.get(key, 0.0) + value
        return grown

    values, operations = [], []
    for baseline, candidate in pairs:
        try:
            values.append((read(baseline), read(candidate)))
        except ProbeError as error:
            gaps.add(f"metrics of {component}: {error}")
            continue
        operations.append((baseline.operations, candidate.operations))
    if len(values) < MIN_EXPLAIN_PAIRS:
        return None
    return SeriesEvidence(component, series.comparable_series(values), tuple(operations))


def _key_growths(pairs: _Pairs, gaps: _Gaps) -> Mapping[Path, series.Growth]:
    """Return the growth of the keys in etcd by folder of an arm, of all arms or of none."""
    folders = [arm.folder for pair in pairs for arm in pair]
    try:
        grown = {folder: series.key_growth(folder) for folder in folders}
    except ProbeError as error:
        gaps.add(f"keys in etcd: {error}")
        return {}
    known = {folder: one for folder, one in grown.items() if one is not None}
    if known and len(known) < len(folders):
        gaps.add("keys in etcd: they were not listed in every pair")
        return {}
    return known
