"""The results of a run: subjects, machine, trials and samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from pipeline.model.metric import MAX_VALUE, Metric
from pipeline.model.prior import Prior
from pipeline.model.subject import Arm, Subject

_T = TypeVar("_T")


class Interleave(StrEnum):
    """The order of the two trials of a pair."""

    REQUEST = "request"
    """Duet: both subjects are up, and each iteration of the load goes to one of them."""

    TRIAL = "trial"
    """Alternating: one subject after the other, in random order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One number as a driver or a probe reports it, in the tool's unit.

    Attributes:
        name: Name by which a metric selects it.
        value: Value in `unit`.
        unit: Unit as the tool writes it.
        denominator: Number of events that a share is based on; None for other readings.
        at_least: True if a deadline cut observations off, so that the value is a lower bound.
    """

    name: str
    value: float
    unit: str
    denominator: float | None = None
    at_least: bool = False


class Cutoff(StrEnum):
    """The effect of a deadline on the value of one trial; see docs/statistics.md, "Deadlines"."""

    AT_LEAST = "at least"
    """Observations were cut off: the value is a lower bound (right-censored)."""

    NOTHING_DONE = "nothing done"
    """Nothing was done before the deadline, so there is no value."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of one metric of one workload in one arm: one per trial.

    Attributes:
        workload: Name of the workload.
        metric: Metric of the values.
        values: Values in `metric.unit`, shape (pairs,); None if the trial was invalid or did not
            report the metric.
        denominators: Number of events that each share is based on, shape (pairs,); empty for other
            metrics.
        cutoffs: Effect of a deadline on each value, shape (pairs,), None without one; empty if no
            value was affected.
    """

    workload: str
    metric: Metric
    values: tuple[float | None, ...]
    denominators: tuple[float | None, ...] = ()
    cutoffs: tuple[Cutoff | None, ...] = ()

    def __post_init__(self) -> None:
        if self.cutoffs and len(self.cutoffs) != len(self.values):
            raise ValueError(f"{self.key}: `cutoffs` must have as many items as `values`")
        if any(
            (cutoff is Cutoff.AT_LEAST and value is None)
            or (cutoff is Cutoff.NOTHING_DONE and value is not None)
            for value, cutoff in zip(self.values, self.cutoffs, strict=False)
        ):
            raise ValueError(f"{self.key}: `at least` needs a value, `nothing done` must have none")
        if self.denominators and len(self.denominators) != len(self.values):
            raise ValueError(f"{self.key}: `of` must have as many numbers as `values`")
        if any(n is not None and not (math.isfinite(n) and n >= 1) for n in self.denominators):
            raise ValueError(f"{self.key}: every number in `of` must be finite and at least 1")
        if any(
            v is not None and n is not None and not 0 <= v <= 1
            for v, n in zip(self.values, self.denominators, strict=False)
        ):
            raise ValueError(f"{self.key}: a share of events must be between 0 and 1")
        if any(v is not None and not self.metric.allows(v) for v in self.values):
            raise ValueError(
                f"{self.key}: every value must be at most {MAX_VALUE:g} in size and, unless the"
                " scale is that of differences, not below zero; or null where missing"
            )

    @property
    def key(self) -> str:
        """`workload/metric`, the name by which the arms are matched."""
        return f"{self.workload}/{self.metric.name}"

    def cutoff(self, pair: int) -> Cutoff | None:
        """Return the effect of a deadline on the value of a pair."""
        return self.cutoffs[pair] if self.cutoffs else None

    def exact(self, pair: int) -> float | None:
        """Return the value of a pair, or None if there is none or only a lower bound."""
        return None if self.cutoff(pair) else self.values[pair]

    def of_pairs(self, pairs: Sequence[int | None]) -> "Sample":
        """Return the sample with only some of the pairs, in that order; None is a missing value."""
        return replace(
            self,
            values=_select(self.values, pairs),
            denominators=_select(self.denominators, pairs),
            cutoffs=_select(self.cutoffs, pairs),
        )


def _select(items: tuple[_T | None, ...], places: Sequence[int | None]) -> tuple[_T | None, ...]:
    """Return the items at some places; an empty tuple stays empty."""
    return tuple(None if at is None else items[at] for at in places) if items else ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a build under load: a result, not an error.

    Attributes:
        what: Event in one sentence, such as `the server exited with 2 under object-crud`.
        log: Last lines of the component's log; empty without one.
    """

    what: str
    log: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One launch of one subject and one pass of the suite over it.

    Attributes:
        pair: Number of the pair, from 0.
        arm: Arm of the trial.
        position: 0 if this arm was started first in its pair, 1 if second.
        started_at: Start time, UTC.
        duration_s: Duration from the start of the subject to its end, in seconds.
        invalid: Reasons why the load was not as asked; empty if the trial counts.
        warnings: Warnings about a trial that counts.
        failures: Failures of the build; such a trial counts, and lacks values.
        left_out: Workloads that were not run: earlier pairs had settled them, or a load of a
            deployment was of the other driver.
        launch: Number of the launch of a deployment that was loaded, which may have had other
            loads; None if the trial had a launch of its own.
    """

    pair: int
    arm: Arm
    position: int
    started_at: datetime
    duration_s: float
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    left_out: tuple[str, ...] = ()
    launch: int | None = None

    def __post_init__(self) -> None:
        if self.pair < 0 or self.position not in (0, 1):
            raise ValueError(f"trial of pair {self.pair}: pair or position is out of range")
        if not (math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise ValueError(f"trial of pair {self.pair}: duration_s must not be negative")
        if self.started_at.tzinfo is None:
            raise ValueError(f"trial of pair {self.pair}: started_at must have a time zone")


PROFILE = "profile"
"""Name of the fact of a machine that says how Milo is started."""

ETCD_FSYNC = "etcd fsync"
"""Name of the fact of a machine whose etcd waits for the disk."""

REPLICAS = "replicas"
"""Name of the fact of a machine on which each build has several API servers."""

ETCD_MEMBERS = "etcd members"
"""Name of the fact of a machine whose etcd has several members."""

MINIMAL = "minimal"
"""Start profile of a machine without that fact."""


def profile_of(facts: Mapping[str, str]) -> str:
    """Return the start profile in the facts of an environment or a machine, with its replicas.

    An example is `production, replicas 2`.
    """
    others = [f"{name} {facts[name]}" for name in (REPLICAS, ETCD_MEMBERS) if name in facts]
    return ", ".join([facts.get(PROFILE, MINIMAL), *others])


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a run.

    Attributes:
        fingerprint: Facts that must agree for stored numbers to be comparable.
        facts: Other facts, such as the load when the run began.
    """

    fingerprint: dict[str, str]
    facts: dict[str, str]

    @property
    def profile(self) -> str:
        """Start profile of Milo; results of two profiles are never compared."""
        return profile_of(self.fingerprint)


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of a run: its version and the `sha256:…` of its binary."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class BaselineRef:
    """The stored baseline that a run was asked to compare with.

    Attributes:
        name: Name in the store.
        taken_at: Time of its run, UTC.
        same_machine: True if its fingerprint is this machine's.
        differences: Facts of the fingerprint that differ, each as a sentence.
        digest: Digest of the binary that was measured.
        values: Mean of its stored values by sample key, in the metric's unit.
    """

    name: str
    taken_at: datetime
    same_machine: bool
    differences: tuple[str, ...]
    digest: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class ResultSet:
    """All results of one run.

    Attributes:
        suite: Name of the suite.
        suite_digest: `sha256:…` of the suite's meaning, including its scripts.
        environment: Kind of the environment, such as `local`.
        interleave: Order of the trials of a pair.
        pairs_asked: Wanted number of valid pairs; with interim analyses, the largest number.
        seed: Random seed of the run.
        subjects: Subject of each arm.
        machine: Machine of the run.
        tools: Programs by name.
        taken_at: Start time of the first trial, UTC.
        trials: Trials in the order run, two per pair.
        samples: Samples by arm, in the suite's order; `values[i]` belongs to pair i.
        stored: Stored baseline that was named, if any.
        looks: Numbers of valid pairs of the interim analyses, rising to `pairs_asked`; empty for a
            fixed number of pairs.
        prior: Variances of the metrics in earlier runs; None if unknown.
        stops_at_red: True if the run ends at the first look with a regression.
        added: Number of looks that were added after the run had ended.
        budget_s: Time budget in seconds: no pair is started that would end later.
        suite_path: Path of the suite's file; empty for a built-in suite.
        place: Environment that was asked for; empty for the suite's own, None in old results.
        load_pods: Number of load pods that was asked for; None for the environment's default.
        load_digest: Digest of the load and of the reading of each metric, see
            `suite_file.load_digest`; empty in old results.
        ungated: Sample keys of gating metrics that do not gate in this run, because the number of
            pairs cannot exclude their tolerance on this machine.
        driver: Kind of the only driver whose workloads were run; empty for all.
        omitted: Names of the suite's workloads that were not run because of that.
    """

    suite: str
    suite_digest: str
    environment: str
    interleave: Interleave
    pairs_asked: int
    seed: int
    subjects: dict[Arm, Subject]
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    trials: tuple[Trial, ...] = ()
    samples: dict[Arm, tuple[Sample, ...]] = field(default_factory=dict)
    stored: BaselineRef | None = None
    looks: tuple[int, ...] = ()
    prior: Prior | None = None
    stops_at_red: bool = False
    added: int = 0
    budget_s: float | None = None
    suite_path: str = ""
    place: str | None = None
    load_pods: int | None = None
    load_digest: str = ""
    ungated: tuple[str, ...] = ()
    driver: str = ""
    omitted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pairs_asked < 1:
            raise ValueError("pairs_asked: at least one pair is needed")
        if self.taken_at.tzinfo is None:
            raise ValueError("taken_at: a time zone is needed")
        if self.looks and (
            list(self.looks) != sorted(set(self.looks)) or self.looks[-1] != self.pairs_asked
        ):
            raise ValueError("looks: they must rise to pairs_asked")
        if not 0 <= self.added <= max(0, len(self.looks) - 1):
            raise ValueError("added: at least one look must be planned")
        if self.budget_s is not None and not (math.isfinite(self.budget_s) and self.budget_s > 0):
            raise ValueError("budget_s: a finite number above zero is needed")
        if set(self.subjects) != set(Arm):
            raise ValueError("subjects: one for each arm is needed")
        pairs = self.pairs
        for arm in Arm:
            numbers = [trial.pair for trial in self.trials if trial.arm is arm]
            if numbers != list(range(pairs)) or len(self.trials) != 2 * pairs:
                raise ValueError(f"trials: the {arm} arm must have pairs 0 to {pairs - 1} in order")
        self._require_samples(pairs)
        self._require_left_out()

    def _require_samples(self, pairs: int) -> None:
        for arm, samples in self.samples.items():
            keys = [sample.key for sample in samples]
            if len(set(keys)) != len(keys):
                raise ValueError(f"samples: a metric of the {arm} arm is listed twice")
            for sample in samples:
                if len(sample.values) != pairs:
                    raise ValueError(
                        f"samples: {arm} {sample.key} has {len(sample.values)} values"
                        f" for {pairs} pairs"
                    )

    def _require_left_out(self) -> None:
        absent: dict[int, set[str]] = {}
        for trial in self.trials:
            if trial.left_out:
                absent.setdefault(trial.pair, set(trial.left_out))
            if set(trial.left_out) != absent.get(trial.pair, set()):
                raise ValueError(f"trials: those of pair {trial.pair} left out different workloads")
        for arm, samples in self.samples.items():
            for sample in samples:
                for pair, names in absent.items():
                    if sample.workload in names and sample.values[pair] is not None:
                        raise ValueError(
                            f"samples: {arm} {sample.key} has a value in pair {pair}, which left"
                            " its workload out"
                        )

    @property
    def pairs(self) -> int:
        """Number of pairs that were run, valid or not."""
        return len(self.trials) // 2

    @property
    def valid_pairs(self) -> tuple[int, ...]:
        """Numbers of the pairs in which both trials count."""
        invalid = {trial.pair for trial in self.trials if trial.invalid}
        return tuple(pair for pair in range(self.pairs) if pair not in invalid)

    def pairs_of(self, workload: str) -> tuple[int, ...]:
        """Return the numbers of the valid pairs that ran a workload."""
        absent = {trial.pair for trial in self.trials if workload in trial.left_out}
        return tuple(pair for pair in self.valid_pairs if pair not in absent)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the workloads that the last valid pair left out."""
        last = self.valid_pairs[-1:]
        return next((trial.left_out for trial in self.trials if trial.pair in last), ())

    @property
    def measured_s(self) -> float:
        """Total duration of all launches in seconds; the two trials of a duet share one."""
        shared = len(Arm) if self.interleave is Interleave.REQUEST else 1
        return sum(trial.duration_s for trial in self.trials) / shared

    def of_first(self, valid: int) -> "ResultSet":
        """Return the results as they were at a number of valid pairs; all if there are no more."""
        if valid >= len(self.valid_pairs):
            return self
        pairs = range(self.valid_pairs[valid - 1] + 1)
        return replace(
            self,
            trials=tuple(trial for trial in self.trials if trial.pair in pairs),
            samples={
                arm: tuple(sample.of_pairs(pairs) for sample in samples)
                for arm, samples in self.samples.items()
            },
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """The stored candidate of a run, which can be measured again.

    Attributes:
        name: Name in the store.
        suite: Name of the suite.
        suite_digest: Digest of the suite; see `ResultSet`.
        subject: Subject, with a spec that makes the same build again.
        machine: Machine of the run.
        tools: Programs by name.
        taken_at: Time of the run, UTC.
        samples: Samples with one value per valid trial.
    """

    name: str
    suite: str
    suite_digest: str
    subject: Subject
    machine: Machine
    tools: dict[str, Tool]
    taken_at: datetime
    samples: tuple[Sample, ...]
