"""From the pairs of earlier runs to a prior of how much the pairs of the next run vary."""

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pipeline.judge import evidence
from pipeline.model.metric import Metric, Scale
from pipeline.model.prior import Prior, Spread
from pipeline.model.report import Report, Verdict
from pipeline.model.results import ResultSet
from pipeline.model.spreads import (
    MOST_VARIANCE,
    Conditions,
    PairSpread,
    RunSpreads,
    SpreadHistory,
)
from pipeline.model.subject import Arm, parse_spec
from pipeline.system.sanitize import truncate

LEAST_RUNS = 10
"""Earlier runs that a prior needs, of the suite and of each metric: the mean of so many variances
of three pairs each is known to about a third (20 degrees of freedom)."""

WINDOW = 30
"""Newest runs that are kept and used: a machine changes, and so does what else runs on it."""

FRESH = timedelta(days=14)
"""Age of the newest run up to which the runs of one machine describe it as it is."""

FREEDOM_FRESH = 8.0
"""Degrees of freedom of a prior from fresh runs of the same machine."""

FREEDOM = 4.0
"""Degrees of freedom of every other prior.  With launches twice as noisy as the prior, 4 give 3.5 %
false alarms and 8 give 5.8 %, so only what surely is the same machine counts for 8."""

_SHOWN = 60  # characters of what a file says of a machine


class SpreadOrigin(StrEnum):
    """Where spreads were kept."""

    HERE = "here"
    """By earlier runs on this machine."""

    SHIPPED = "shipped"
    """In the repository, beside the suites."""

    NAMED = "named"
    """In a file that a person named."""


@dataclass(frozen=True, slots=True)
class ExactPairs:
    """The values of one metric in the pairs in which both arms have an exact one.

    Attributes:
        metric: Metric of the values.
        before: Values of the baseline, in order; above the floor on the ratio scale.
        after: Values of the candidate in the same pairs.
    """

    metric: Metric
    before: tuple[float, ...]
    after: tuple[float, ...]


def exact_pairs(results: ResultSet) -> dict[str, ExactPairs]:
    """Return the values of the valid pairs by sample key.

    A pair is left out where a value is missing or cut off by a deadline, or has no ratio.
    """
    baseline, candidate = ({s.key: s for s in results.samples.get(arm, ())} for arm in Arm)
    found = {}
    for key in (key for key in baseline if key in candidate):
        metric = baseline[key].metric
        pairs = [
            (before, after)
            for pair in results.valid_pairs
            for before, after in ((baseline[key].exact(pair), candidate[key].exact(pair)),)
            if before is not None and after is not None
            if metric.scale is Scale.DIFFERENCE or min(before, after) > metric.floor
        ]
        found[key] = ExactPairs(metric, tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
    return found


def pair_spreads(results: ResultSet) -> dict[str, PairSpread]:
    """Return how much the pairs of a run varied, by sample key.

    Only metrics that are compared by pairs are in it.  A share of events is compared otherwise.
    Where a deadline cut a value off, or a value has no ratio, what is left would vary too little.
    """
    samples = {arm: {s.key: s for s in results.samples.get(arm, ())} for arm in Arm}
    found = {}
    for key, pairs in exact_pairs(results).items():
        both = [samples[arm][key] for arm in Arm]
        complete = [
            pair for pair in results.valid_pairs if all(s.values[pair] is not None for s in both)
        ]
        if any(s.of or any(map(s.cutoff, results.valid_pairs)) for s in both):
            continue
        if len(pairs.before) < max(2, len(complete)):
            continue
        estimate = evidence.of_pairs(pairs.metric, pairs.before, pairs.after)
        number = len(pairs.before)
        variance = number * estimate.error * estimate.error
        if variance < MOST_VARIANCE:
            found[key] = PairSpread(variance, number - 1)
    return found


def run_id(results: ResultSet) -> str:
    """Return what identifies a run: a digest of when it began, on what, and with which seed."""
    digests = (results.subjects[arm].digest for arm in Arm)
    told = (results.taken_at.isoformat(), *digests, results.suite_digest, results.seed)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def conditions_of(results: ResultSet) -> Conditions | None:
    """Return what a run has to share with others; None of a run that does not say its load."""
    try:
        product = parse_spec(results.subjects[Arm.CANDIDATE].spec).product
        return Conditions(
            suite=results.suite,
            product=product,
            environment=results.environment,
            interleave=results.interleave,
            load_digest=results.load_digest,
        )
    except ValueError:
        return None


def run_spreads(results: ResultSet) -> RunSpreads:
    """Return what is kept of a run's spreads."""
    return RunSpreads(
        run=run_id(results),
        time=results.taken_at,
        machine=results.machine.fingerprint,
        metrics=pair_spreads(results),
    )


def unfit(report: Report) -> str:
    """Return why the spreads of a run must not be kept for a prior; empty where they may."""
    results = report.results
    needed = results.looks[0] if results.looks else results.pairs_asked
    if conditions_of(results) is None:
        return "its results do not say which load they are of"
    if len(results.valid_pairs) < needed:
        return f"{len(results.valid_pairs)} of {needed} pairs were measured"
    if any(trial.failures for trial in results.trials):
        return "a build failed in it"
    if report.verdict is Verdict.REGRESSED:
        return "a gating metric regressed"
    return ""


def with_run(history: SpreadHistory, run: RunSpreads, now: datetime) -> SpreadHistory:
    """Return a history with one more run, cut to the newest `WINDOW`.

    The same run, resumed since, takes its own place.  A run that is dated after now is dropped:
    a clock was wrong, and it would be the newest one until then.
    """
    runs = [*(one for one in history.runs if one.run != run.run), run]
    return SpreadHistory(history.conditions, _newest([one for one in runs if one.time <= now]))


def machine_class(fingerprint: Mapping[str, str]) -> str:
    """Return what kind of machine has a fingerprint, in words.

    It is coarser than the fingerprint: neither the model of the processor nor versions count, and
    memory is rounded to a power of 2.
    """
    system = fingerprint.get("os", "unknown").partition(" ")[0]
    cores = fingerprint.get("logical cpus", "unknown")
    size = re.fullmatch(r"(\d{1,6}) GiB", fingerprint.get("memory", ""))
    gib = 2 ** round(math.log2(max(1, int(size[1])))) if size else None
    architecture = fingerprint.get("architecture", "unknown")
    return (
        f"{truncate(system, _SHOWN)} {truncate(architecture, _SHOWN)}"
        f" with {truncate(cores, _SHOWN)} {'core' if cores == '1' else 'cores'} and"
        f" {'unknown memory' if gib is None else f'about {gib} GiB'}"
    )


@dataclass(frozen=True, slots=True)
class PriorRequest:
    """The run that asks for a prior.

    Attributes:
        conditions: Conditions of the run.
        keys: Sample keys of its metrics; a prior has no others.
        now: When it begins; only earlier runs count.
        machine: Fingerprint of its machine; None where that is not known.
    """

    conditions: Conditions
    keys: Collection[str]
    now: datetime
    machine: Mapping[str, str] | None = None


def usable(history: SpreadHistory, request: PriorRequest) -> tuple[RunSpreads, ...]:
    """Return the runs of a history that were before, under the same conditions, newest last."""
    if history.conditions != request.conditions:
        return ()
    return tuple(run for run in history.runs if run.time < request.now)


def prior(
    history: SpreadHistory, request: PriorRequest, origin: SpreadOrigin, name: str = ""
) -> Prior | None:
    """Return the prior that earlier runs give; None where there are too few.

    Runs of the same machine are used where there are `LEAST_RUNS` of them, otherwise runs of the
    same class of machine.  Only a history that is shipped or named is used for a machine of
    another class.

    Args:
        history: Earlier runs.
        request: The run that asks.
        origin: Where the history was kept.
        name: Name of the file, of a history that a person named.
    """
    runs = usable(history, request)
    there = request.machine
    same = [run for run in runs if there is not None and run.machine == there]
    alike = [run for run in runs if there is not None and _class(run) == machine_class(there)]
    of_name = f" of {truncate(name, _SHOWN)}" if name else ""
    freedom = FREEDOM
    if origin is not SpreadOrigin.SHIPPED and len(same) >= LEAST_RUNS:
        chosen = _newest(same)
        if request.now - chosen[-1].time <= FRESH:
            freedom = FREEDOM_FRESH
        where = f"{of_name} on this machine until {_day(chosen[-1])}"
    elif origin is not SpreadOrigin.SHIPPED and len(alike) >= LEAST_RUNS:
        chosen = _newest(alike)
        alike_said = f"machines of this class ({_class(chosen[-1])})"
        where = f"{of_name} on {alike_said} until {_day(chosen[-1])}"
    elif origin is not SpreadOrigin.HERE and len(runs) >= LEAST_RUNS:
        chosen = _newest(runs)
        kept = " that the suite ships" if origin is SpreadOrigin.SHIPPED else of_name
        where = f"{kept}, on {_classes(chosen)}"
        if there is not None and machine_class(there) not in map(_class, chosen):
            where += "; this machine is of another class"
    else:
        return None
    spreads = _pooled(chosen, request.keys)
    return Prior(f"{len(chosen)} runs{where}", freedom, spreads) if spreads else None


def _pooled(runs: Sequence[RunSpreads], keys: Collection[str]) -> dict[str, Spread]:
    """Return the mean variance of each metric, weighted by degrees of freedom.

    With looks, a run that varies little by chance ends early.  So the mean of the variances is too
    small, and the weighted one is not.
    """
    found = {}
    for key in keys:
        known = [run.metrics[key] for run in runs if key in run.metrics]
        if len(known) >= LEAST_RUNS:
            total = math.fsum(one.variance * one.freedom for one in known)
            found[key] = Spread(total / sum(one.freedom for one in known), len(known))
    return found


def _newest(runs: Sequence[RunSpreads]) -> tuple[RunSpreads, ...]:
    return tuple(sorted(runs, key=lambda run: (run.time, run.run))[-WINDOW:])


def _class(run: RunSpreads) -> str:
    return machine_class(run.machine)


def _day(run: RunSpreads) -> str:
    return f"{run.time.astimezone(UTC):%Y-%m-%d}"


def _classes(runs: Sequence[RunSpreads]) -> str:
    classes = {_class(run) for run in runs}
    return classes.pop() if len(classes) == 1 else f"{len(classes)} classes of machines"
