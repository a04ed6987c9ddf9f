"""A history of our own runs: JSON lines, one for each night, each against the same reference build.

What is kept of a metric is the candidate set against the baseline arm of the *same* run, so that
another machine, or a slower night, is no step.
"""

import json
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.judge import scale
from pipeline.judge.spreads import conditions_of, pair_spreads, run_id
from pipeline.model.calibration import Calibration
from pipeline.model.history import Place
from pipeline.model.metric import Better, Scale
from pipeline.model.results import ResultSet, Sample
from pipeline.model.spreads import Conditions, PairSpread, RunSpreads, SpreadHistory
from pipeline.model.subject import Arm
from pipeline.runs.history.source import Dated, Meaning, Source, dated
from pipeline.storage import codec, strict_json
from pipeline.system.errors import BaselineError, LoadError
from pipeline.system.log import log

# 1: the first version.
NIGHT: Final = "milo-perf.night/1"
MOST_BYTES: Final = 5 * 2**20
"""Of a file: 540 nights of the suite `pr`."""

MOST_SERIES: Final = 300
"""Metrics in all nights of a file; `pr` has 54."""

FALSE_ALARMS: Final = "equal-builds/false_alarms"
"""Share of reports on equal builds that would have been red; not set against anything."""

SLACK: Final = timedelta(minutes=5)
"""How far two clocks may be apart."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Value(_Strict):
    """One metric of one night.

    Attributes:
        value: On the ratio scale candidate / reference, the geometric mean over the pairs; on the
            difference scale candidate - reference in `unit`, the mean.
        pairs: That it is the mean of.
        variance: How much the pairs varied, see `PairSpread`; none where they cannot be compared
            by pairs, or in nights of before it was kept.
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
    def _spread_can_be(self) -> Self:
        self.spread()
        return self

    def spread(self) -> PairSpread | None:
        """Return how much the pairs varied, where that was kept.

        Raises:
            ValueError: No pairs can vary like that.
        """
        if self.variance is None and self.freedom is None:
            return None
        if self.variance is None or self.freedom is None:
            raise ValueError("variance and freedom belong together")
        return PairSpread(self.variance, self.freedom)

    @model_validator(mode="after")
    def _is_above_0(self) -> Self:
        if self.scale is Scale.RATIO and self.value <= 0:
            raise ValueError("a ratio must be above 0")
        return self


class Night(_Strict):
    """One line of the file.

    Attributes:
        run: Tells this run from every other: of when it began, on what, and with which seed.
        time: When it began.
        commit: Of the candidate; its digest where its source is not known.
        candidate: Digest of its binary.
        reference: Digest of the binary that it was measured beside.
        suite: Name of the suite.
        suite_digest: What the suite meant.
        machine: Fingerprint, for people: another machine is no step.
        metrics: By `workload/metric`.
        conditions: What another run must share for the spread of its pairs to be alike; none in
            nights of before it was kept, or whose spread says nothing, as a build failed.
    """

    schema_name: Literal["milo-perf.night/1"] = Field(default=NIGHT, alias="schema")
    run: str
    time: AwareDatetime
    commit: str
    candidate: str
    reference: str
    suite: str
    suite_digest: str
    machine: dict[str, str]
    metrics: dict[str, Value]
    conditions: Conditions | None = None


def night(results: ResultSet, found: Calibration | None = None) -> Night:
    """Return what is kept of a run.

    Args:
        results: Of the run.
        found: Where it measured a build against itself, what that told: how often equal builds
            turn red is then a metric too.

    Raises:
        LoadError: No pair of it is valid.
    """
    if not results.valid_pairs:
        raise LoadError("the run has no valid pair, so there is nothing to keep of it")
    subjects = results.subjects
    digests = {arm: subjects[arm].digest for arm in Arm}
    has_failed = any(trial.failures for trial in results.trials)
    conditions = None if has_failed else conditions_of(results)
    spreads = pair_spreads(results) if conditions else {}
    before = {sample.key: sample for sample in results.samples.get(Arm.BASELINE, ())}
    metrics = {
        sample.key: value
        for sample in results.samples.get(Arm.CANDIDATE, ())
        if sample.key in before
        and (
            value := _value(
                before[sample.key], sample, results.valid_pairs, spreads.get(sample.key)
            )
        )
    }
    if found is not None:
        metrics[FALSE_ALARMS] = Value(
            value=found.false_alarms,
            scale=Scale.DIFFERENCE,
            better=Better.LOWER,
            unit="1",
            pairs=found.pairs,
        )
    facts = subjects[Arm.CANDIDATE].facts
    return Night(
        run=run_id(results),
        time=results.taken_at,
        commit=facts.get("revision") or facts.get("tree") or digests[Arm.CANDIDATE],
        candidate=digests[Arm.CANDIDATE],
        reference=digests[Arm.BASELINE],
        suite=results.suite,
        suite_digest=results.suite_digest,
        machine=results.machine.fingerprint,
        metrics=metrics,
        conditions=conditions,
    )


def spread_histories(nights: Sequence[Night]) -> tuple[SpreadHistory, ...]:
    """Return the spreads of nights, one history for each of the conditions that they are of."""
    found: dict[Conditions, dict[str, RunSpreads]] = {}
    for one in sorted(distinct(nights), key=lambda night: night.time):
        if one.conditions is None:
            continue
        metrics = {key: spread for key, value in one.metrics.items() if (spread := value.spread())}
        run = RunSpreads(one.run, one.time, one.machine, metrics)
        found.setdefault(one.conditions, {})[one.run] = run
    return tuple(
        SpreadHistory(conditions, tuple(runs.values())) for conditions, runs in found.items()
    )


def append(path: Path, new: Night) -> bool:
    """Add a night to a file, all or nothing; return False where it was there already.

    The same run with more pairs, after a `--resume`, takes the place of what was there.  A last
    line that was cut off is dropped.

    Raises:
        BaselineError: The night is yet to come, or a line that is whole cannot be read; nothing is
            written.
        LoadError: The file cannot be written.
    """
    require_past(new)
    nights = load(path) if path.exists() else []
    if new in nights:
        return False
    kept = [night for night in nights if night.run != new.run]
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted([*kept, new], key=lambda night: night.time)
    codec.write_text(path, "".join(_line(night) for night in ordered))
    return True


def load(path: Path) -> list[Night]:
    """Return the nights of a file, in the order of its lines.

    Raises:
        BaselineError: It cannot be read, or a line other than a cut-off last one is no night.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error}") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> list[Night]:
    """Return the nights that the bytes of a file hold, as `load` does.

    Args:
        data: Of the file, as much of it as is ever read.
        path: Of the file, for messages.

    Raises:
        BaselineError: As `load`.
    """
    if len(data) > MOST_BYTES:
        raise BaselineError(
            f"{path}: it is larger than {MOST_BYTES / 2**20:g} MiB",
            hint="keep the older nights in a file of their own",
        )
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise BaselineError(f"{path}: cannot be read: {error}") from error
    found: list[Night] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_parsed(line))
        except ValueError as error:
            if number == len(lines):  # a whole line ends with a newline
                log.warning("%s:%s: the last line is cut off; it is left out", path, number)
                continue
            raise BaselineError(
                f"{path}:{number}: {error}",
                hint=f"each line is one night of the schema {NIGHT!r}",
            ) from error
    series = {name for one in found for name in one.metrics}
    if len(series) > MOST_SERIES:
        raise BaselineError(f"{path}: it has {len(series)} metrics, and {MOST_SERIES} are read")
    return found


def _parsed(line: str) -> Night:
    body = strict_json.loads(line.encode(), strict_json.FOREIGN)
    try:
        return Night.model_validate(body)
    except ValidationError as error:
        raise ValueError(strict_json.sentence(error)) from error


def require_past(night: Night) -> None:
    """Return if a night has begun, as clocks that are a little apart may tell.

    Raises:
        BaselineError: It is yet to come: kept, it would be the newest one until then.
    """
    if _is_to_come(night):
        raise BaselineError(
            f"the run began at {night.time:%Y-%m-%d %H:%M %Z}, which is yet to come",
            hint="is the clock of the machine that measured right?",
        )


def _is_to_come(night: Night) -> bool:
    return night.time > datetime.now(UTC) + SLACK


def require_fresh(path: Path, hours: float) -> None:
    """Return if the newest night of a file began less than so many hours ago.

    A night that is dated in the future says nothing of when the last one came.

    Raises:
        BaselineError: It did not, or see `load`.
    """
    newest = max((night.time for night in load(path) if not _is_to_come(night)), default=None)
    age = (datetime.now(UTC) - newest).total_seconds() / 3600 if newest else None
    if age is None or age > hours:
        said = f"the newest night is {age:.0f} h old" if age else "there is no night in it"
        raise BaselineError(
            f"{path.name}: {said}, and one was to come within {hours:g} h",
            hint="has the workflow of the night been switched off, or does it fail?",
        )


def read(path: Path) -> Source:
    """Return the series of a file: one for each metric, against the newest reference build.

    Raises:
        BaselineError: See `load`; or there is no night in it.
    """
    lines = load(path)
    every = sorted(distinct(lines), key=lambda night: night.time)
    nights = [night for night in every if not _is_to_come(night)]
    if not nights:
        raise BaselineError(f"{path}: there is no night in it", hint="`--append DIR` adds a run")
    if early := len(every) - len(nights):
        log.warning("%s: nights that are yet to come are left out: %s", path, early)
    reference = nights[-1].reference
    others = sum(night.reference != reference for night in nights)
    notes: tuple[str, ...] = ()
    if others:
        notes += (f"{others} nights against another reference build are left out",)
    if repeated := len(lines) - len(every):
        many = f"{repeated} {'line repeats' if repeated == 1 else 'lines repeat'}"
        notes += (f"{many} a night (same run, same time); every night is counted once",)
    series: list[Dated] = []
    for name in dict.fromkeys(name for night in reversed(nights) for name in night.metrics):
        rows = [
            row
            for row, night in enumerate(nights)
            if night.reference == reference and name in night.metrics
        ]
        if rows:
            series.append(_series(name, nights, rows, notes))
    places = [Place(night.time.isoformat(), night.commit) for night in nights]

    def look(rows: AbstractSet[int], commits: AbstractSet[str]) -> Mapping[int, Place]:
        return {
            row: place for row, place in enumerate(places) if row in rows or place.commit in commits
        }

    return Source(tuple(series), look)


def distinct(nights: Sequence[Night]) -> list[Night]:
    """Return nights without those that are there again, as a merge of two branches leaves them.

    A night is known by its run and its time.  Of several, that with the most pairs counts: a run
    may have been made longer with `--resume` on one of the branches.
    """
    found: dict[tuple[str, datetime], Night] = {}
    for night in nights:
        key = (night.run, night.time)
        if key not in found or _pairs(night) >= _pairs(found[key]):
            found[key] = night
    return list(found.values())


def _pairs(night: Night) -> int:
    return sum(value.pairs for value in night.metrics.values())


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a line."""
    return Night.model_json_schema(mode="serialization", by_alias=True)


def _series(name: str, nights: Sequence[Night], rows: list[int], notes: tuple[str, ...]) -> Dated:
    newest = nights[rows[-1]].metrics[name]
    kept = [row for row in rows if nights[row].metrics[name].scale is newest.scale]
    if others := len(rows) - len(kept):
        notes = (*notes, f"{others} nights on another scale are left out")
    values = np.array([nights[row].metrics[name].value for row in kept])
    days = np.array([nights[row].time.astimezone(UTC).toordinal() for row in kept]) - _EPOCH
    return dated(
        name, Meaning(newest.scale, newest.better), values, np.array(kept), notes, days=days
    )


def _value(
    before: Sample, after: Sample, pairs: Sequence[int], spread: PairSpread | None
) -> Value | None:
    """Return one metric set against the reference; None where no pair has both values.

    A value that a deadline cut off is none: what was not done in time has a metric of its own.
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
    return Value(
        value=1 + change if metric.scale is Scale.RATIO else change,
        scale=metric.scale,
        better=metric.better,
        unit=metric.unit,
        pairs=len(differences),
        variance=spread.variance if spread else None,
        freedom=spread.freedom if spread else None,
    )


def _line(night: Night) -> str:
    body = night.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(body, sort_keys=True, allow_nan=False) + "\n"


def is_nights(path: Path) -> bool:
    """Whether a file's name says that it is of this kind."""
    return os.fspath(path).endswith(".jsonl")
