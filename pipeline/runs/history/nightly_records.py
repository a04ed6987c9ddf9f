"""A history of nightly runs: a file of JSON lines, one record for each run.

A record keeps each metric of the candidate relative to the reference build of the *same* run, so a
different machine or a slow night does not look like a change.  A file that cannot be read, or has a
complete line that is not a record, is a BaselineError.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal, Self

import numpy as np
from pydantic import (
    AwareDatetime,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.judge import policy, scale
from pipeline.judge.spreads import conditions_of, pair_spreads, run_id
from pipeline.model.calibration import Calibration
from pipeline.model.history import CommitRef, is_one_of
from pipeline.model.metric import Better, Scale
from pipeline.model.report import Verdict
from pipeline.model.results import ResultSet, Sample, profile_of
from pipeline.model.spreads import Conditions, PairSpread, RunSpreads, SpreadHistory
from pipeline.model.subject import Arm
from pipeline.render import answer_line
from pipeline.runs.history.source import Meaning, SeriesPoints, Source, newest_points
from pipeline.storage import codec, strict_json
from pipeline.storage.settings import Settings, from_table
from pipeline.system.errors import BaselineError, LoadError
from pipeline.system.log import log

# 1: the first version.
SCHEMA_NAME: Final = "milo-perf.night/1"

MAX_BYTES: Final = 5 * 2**20
"""Largest file that is read: 540 records of the suite `pr`."""

MAX_SERIES: Final = 300
"""Most metrics in all records of a file; `pr` has 54."""

FALSE_ALARMS: Final = "equal-builds/false_alarms"
"""Series with the share of reports on equal builds that would have been red."""

CLOCK_SKEW: Final = timedelta(minutes=5)
"""Accepted difference between the clocks of two machines."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NightlyValue(Settings):
    """One metric of one record.

    Attributes:
        value: Geometric mean of candidate / reference over the pairs; on the difference scale the
            mean of candidate - reference, in `unit`.
        pairs: Number of pairs in the mean.
        variance: Variance between pairs (see `PairSpread`); none in old records, or if the values
            cannot be compared by pairs.
        freedom: Degrees of freedom of the variance.
    """

    value: float
    scale: Scale
    better: Better
    unit: str
    pairs: int = Field(ge=1)
    variance: float | None = None
    freedom: int | None = None

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        self.spread()
        if self.scale is Scale.RATIO and self.value <= 0:
            raise ValueError("a ratio must be above 0")
        return self

    def spread(self) -> PairSpread | None:
        """Return how much the pairs varied, if the record has it.

        Raises:
            ValueError: No pairs can vary like that.
        """
        if self.variance is None and self.freedom is None:
            return None
        if self.variance is None or self.freedom is None:
            raise ValueError("variance and freedom belong together")
        return PairSpread(self.variance, self.freedom)


class NightlyRecord(Settings):
    """One line of the file.

    Attributes:
        run: Identity of the run, from its start time, machine and seed.
        time: Start time of the run.
        commit: Commit of the candidate; its digest if the source is not known.
        candidate: Digest of the candidate's binary.
        reference: Digest of the reference build's binary.
        reference_commit: Commit of the reference build, if known; none in old records.
        suite: Name of the suite.
        suite_digest: Digest of the suite.
        machine: Fingerprint of the machine, for people: a different machine is no change.
        metrics: Values by `workload/metric`.
        conditions: Conditions under which another run varies alike; none in old records, or if a
            build failed.
        verdict: Verdict of the run; none in old records, or without enough valid pairs.
        answer: Answer of the run in one line; none in old records.
    """

    schema_name: Literal["milo-perf.night/1"] = Field(default=SCHEMA_NAME, alias="schema")
    run: str
    time: AwareDatetime
    commit: str
    candidate: str
    reference: str
    suite: str
    suite_digest: str
    machine: dict[str, str]
    metrics: dict[str, NightlyValue]
    conditions: Conditions | None = None
    reference_commit: str | None = None
    verdict: Verdict | None = None
    answer: str | None = None

    @field_validator("time")
    @classmethod
    def _is_possible(cls, time: datetime) -> datetime:
        if time < _EPOCH:
            raise ValueError("no run began before 1970")
        return time

    @property
    def profile(self) -> str:
        """Start profile of Milo; records of two profiles are not comparable."""
        return profile_of(self.machine)

    @property
    def pairs(self) -> int:
        """Number of pairs in all its values."""
        return sum(value.pairs for value in self.metrics.values())

    @property
    def is_in_future(self) -> bool:
        """Whether the run has not begun yet, by the clock of this machine."""
        return self.time > datetime.now(UTC) + CLOCK_SKEW


_RECORD = TypeAdapter(NightlyRecord)


def nightly_record(results: ResultSet, calibration: Calibration | None = None) -> NightlyRecord:
    """Return the record of a run.

    Args:
        results: Results of the run.
        calibration: Calibration from the run, if it measured a build against itself; the share of
            false alarms then becomes a metric.

    Raises:
        LoadError: The run has no valid pair.
        BaselineError: The run cannot have begun at its time.
    """
    if not results.valid_pairs:
        raise LoadError("the run has no valid pair, so there is nothing to record")
    if results.taken_at < _EPOCH:
        raise BaselineError(f"no run began at {results.taken_at}, before 1970")
    digests = {arm: results.subjects[arm].digest for arm in Arm}
    has_failed = any(trial.failures for trial in results.trials)
    conditions = None if has_failed else conditions_of(results)
    spreads = pair_spreads(results) if conditions else {}
    before = {sample.key: sample for sample in results.samples.get(Arm.BASELINE, ())}
    metrics = {}
    for sample in results.samples.get(Arm.CANDIDATE, ()):
        if sample.key not in before:
            continue
        value = _relative_value(
            before[sample.key], sample, results.valid_pairs, spreads.get(sample.key)
        )
        if value is not None:
            metrics[sample.key] = value
    if calibration is not None:
        metrics[FALSE_ALARMS] = NightlyValue(
            value=calibration.false_alarms,
            scale=Scale.DIFFERENCE,
            better=Better.LOWER,
            unit="1",
            pairs=calibration.pairs,
        )
    report = policy.report(results)
    return NightlyRecord(
        run=run_id(results),
        time=results.taken_at,
        commit=_commit(results, Arm.CANDIDATE) or digests[Arm.CANDIDATE],
        candidate=digests[Arm.CANDIDATE],
        reference=digests[Arm.BASELINE],
        suite=results.suite,
        suite_digest=results.suite_digest,
        machine=results.machine.fingerprint,
        metrics=metrics,
        conditions=conditions,
        reference_commit=_commit(results, Arm.BASELINE),
        verdict=report.verdict if answer_line.is_measured(report) else None,
        answer=answer_line.answer(report),
    )


def _commit(results: ResultSet, arm: Arm) -> str | None:
    """Return the commit or the source tree of a build; None if its source is not known."""
    facts = results.subjects[arm].facts
    return facts.get("revision") or facts.get("tree") or None


def _relative_value(
    before: Sample, after: Sample, pairs: Sequence[int], spread: PairSpread | None
) -> NightlyValue | None:
    """Return one metric relative to the reference; None if no pair has both values.

    Values that a deadline cut off are left out; another metric counts what was not done in time.
    """
    metric = after.metric
    differences = [
        scale.difference(metric, baseline, candidate)
        for pair in pairs
        for baseline, candidate in ((before.exact(pair), after.exact(pair)),)
        if baseline is not None and candidate is not None
        if metric.scale is Scale.DIFFERENCE or min(baseline, candidate) > metric.floor
    ]
    if not differences:
        return None
    change = scale.change(metric, fmean(differences))
    return NightlyValue(
        value=1 + change if metric.scale is Scale.RATIO else change,
        scale=metric.scale,
        better=metric.better,
        unit=metric.unit,
        pairs=len(differences),
        variance=spread.variance if spread else None,
        freedom=spread.degrees_of_freedom if spread else None,
    )


def spread_histories(records: Sequence[NightlyRecord]) -> tuple[SpreadHistory, ...]:
    """Return the spreads of all records, one history for each of their conditions."""
    histories: dict[Conditions, dict[str, RunSpreads]] = {}
    for one in sorted(without_duplicates(records), key=lambda record: record.time):
        if one.conditions is None:
            continue
        metrics = {key: spread for key, value in one.metrics.items() if (spread := value.spread())}
        run = RunSpreads(one.run, one.time, one.machine, metrics)
        histories.setdefault(one.conditions, {})[one.run] = run
    return tuple(
        SpreadHistory(conditions, tuple(runs.values())) for conditions, runs in histories.items()
    )


def append(path: Path, new: NightlyRecord) -> bool:
    """Add a record to a file, all or nothing; return False if it was there already.

    A record of the same run with fewer pairs (before a `--resume`) is replaced.  An incomplete last
    line is dropped.

    Raises:
        BaselineError: The record is from the future, or a complete line cannot be read; nothing is
            written.
        StorageError: The file cannot be written.
    """
    if new.is_in_future:
        raise BaselineError(
            f"the run began at {new.time:%Y-%m-%d %H:%M %Z}, which is in the future",
            hint="check the clock of the machine that measured",
        )
    before = load(path) if path.exists() else []
    if new in before:
        return False
    records = [*(record for record in before if record.run != new.run), new]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            record.model_dump(mode="json", by_alias=True, exclude_none=True),
            sort_keys=True,
            allow_nan=False,
        )
        for record in sorted(records, key=lambda record: record.time)
    ]
    codec.write_text(path, "".join(f"{line}\n" for line in lines))
    return True


def load(path: Path) -> list[NightlyRecord]:
    """Return the records of a file, in the order of its lines."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> list[NightlyRecord]:
    """Return the records in the bytes of a file, at most one byte more than `MAX_BYTES`."""
    if len(data) > MAX_BYTES:
        raise BaselineError(
            f"{path}: larger than {MAX_BYTES / 2**20:g} MiB",
            hint="move the older records to another file",
        )
    try:
        lines = io.StringIO(data.decode("utf-8-sig"), newline=None).read().split("\n")
    except UnicodeDecodeError as error:
        raise BaselineError(
            f"{path}: is not UTF-8: {error}",
            hint="save it as UTF-8; in PowerShell: `Set-Content -Encoding utf8`",
        ) from error
    records: list[NightlyRecord] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        body: dict[str, Any] | None = None
        try:
            body = strict_json.loads(line.encode(), strict_json.FOREIGN)
            records.append(from_table(_RECORD, body))
        except ValueError as error:
            if number == len(lines) and body is None:  # a complete line ends with a newline
                log.warning("%s:%s: the last line is incomplete and was left out", path, number)
                continue
            reason = strict_json.sentence(error) if isinstance(error, ValidationError) else error
            raise BaselineError(
                f"{path}:{number}: {reason}",
                hint=f"each line is one record of the schema {SCHEMA_NAME!r}",
            ) from error
    series = {name for record in records for name in record.metrics}
    if len(series) > MAX_SERIES:
        raise BaselineError(f"{path}: {len(series)} metrics; the limit is {MAX_SERIES}")
    return records


def require_fresh(path: Path, hours: float) -> None:
    """Raise BaselineError if the newest record of a file is older than `hours`.

    Records from the future are ignored.
    """
    newest = max((one.time for one in load(path) if not one.is_in_future), default=None)
    age = (datetime.now(UTC) - newest).total_seconds() / 3600 if newest else None
    if age is None or age > hours:
        state = f"the newest record is {age:.0f} h old" if age else "there is no record in it"
        raise BaselineError(
            f"{path.name}: {state}, and one was expected within {hours:g} h",
            hint="check the nightly workflow: it may be disabled or failing",
        )


def read(path: Path) -> Source:
    """Return the series of a file: one for each metric, relative to the newest reference build."""
    return source_of(load(path), path)


def source_of(lines: Sequence[NightlyRecord], path: Path) -> Source:
    """Return the series of the records of a file, as `read` does."""
    distinct = sorted(without_duplicates(lines), key=lambda record: record.time)
    if not distinct:
        raise BaselineError(f"{path}: there is no record in it", hint="`--append DIR` adds a run")
    records = [record for record in distinct if not record.is_in_future]
    if not records:
        raise BaselineError(
            f"{path}: its records are from the future: {len(distinct)}",
            hint="check the clock of the machine that measured",
        )
    if future := len(distinct) - len(records):
        log.warning("%s: records from the future are left out: %s", path, future)
    notes: tuple[str, ...] = ()
    profile = records[-1].profile
    if others := sum(record.profile != profile for record in records):
        notes += (f"{others} records of another start profile than {profile} are left out",)
        records = [record for record in records if record.profile == profile]
    reference = records[-1].reference
    if others := sum(record.reference != reference for record in records):
        notes += (f"{others} records against another reference build are left out",)
    if repeated := len(lines) - len(distinct):
        what = f"{repeated} {'line repeats' if repeated == 1 else 'lines repeat'}"
        notes += (f"{what} a record (same run, same time) and are ignored",)
    series: list[SeriesPoints] = []
    for name in dict.fromkeys(name for record in reversed(records) for name in record.metrics):
        rows = [
            row
            for row, record in enumerate(records)
            if record.reference == reference and name in record.metrics
        ]
        if rows:
            series.append(_series(name, records, rows, notes))
    refs = [CommitRef(record.time.isoformat(), record.commit) for record in records]

    def find_refs(rows: AbstractSet[int], commits: AbstractSet[str]) -> Mapping[int, CommitRef]:
        return {
            row: ref
            for row, ref in enumerate(refs)
            if row in rows or is_one_of(ref.commit, commits)
        }

    return Source(tuple(series), find_refs)


def _series(
    name: str, records: Sequence[NightlyRecord], rows: list[int], notes: tuple[str, ...]
) -> SeriesPoints:
    newest = records[rows[-1]].metrics[name]
    meant = (newest.scale, newest.unit)
    used = [
        row
        for row in rows
        if (records[row].metrics[name].scale, records[row].metrics[name].unit) == meant
    ]
    if others := len(rows) - len(used):
        notes = (*notes, f"{others} records on another scale or in another unit are left out")
    values = np.array([records[row].metrics[name].value for row in used])
    days = np.array([(records[row].time - _EPOCH).days for row in used])
    meaning = Meaning(newest.scale, newest.better)
    return newest_points(name, meaning, values, np.array(used), notes, days=days)


def without_duplicates(records: Sequence[NightlyRecord]) -> list[NightlyRecord]:
    """Return records without repeats of the same run and time, as a merge of branches leaves them.

    The one with the most pairs is kept, since `--resume` may have added some on one branch.
    """
    by_key: dict[tuple[str, datetime], NightlyRecord] = {}
    for record in records:
        key = (record.run, record.time)
        if key not in by_key or record.pairs >= by_key[key].pairs:
            by_key[key] = record
    return list(by_key.values())


def night_name(record: NightlyRecord) -> str:
    """Return a name for a run's files that is unique and sorts by time."""
    identity = f"{record.run} {record.time.isoformat()}"
    digest = hashlib.sha256(identity.encode(errors="backslashreplace")).hexdigest()[:6]
    return f"{record.time.astimezone(UTC):%Y-%m-%d-%H%M}-{digest}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a line."""
    return NightlyRecord.model_json_schema(mode="serialization", by_alias=True)


def is_nightly_file(path: Path) -> bool:
    """Return whether a file holds nightly records, by its name."""
    return os.fspath(path).endswith(".jsonl")
