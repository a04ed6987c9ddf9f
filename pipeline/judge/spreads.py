"""The spreads of the pairs of a run, and the prior that earlier runs give for them."""

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pipeline.judge import constants, evidence
from pipeline.judge.rows import MetricValues
from pipeline.model.metric import Scale
from pipeline.model.prior import Prior, Spread
from pipeline.model.report import Report, Verdict
from pipeline.model.results import (
    ETCD_FSYNC,
    ETCD_MEMBERS,
    PROFILE,
    REPLICAS,
    Interleave,
    ResultSet,
)
from pipeline.model.spreads import MAX_VARIANCE, Conditions, PairSpread, RunSpreads, SpreadHistory
from pipeline.model.subject import Arm, parse_spec
from pipeline.system.errors import BaselineError
from pipeline.system.sanitize import truncate

_MAX_SHOWN = 60  # characters of a text from a file


class SpreadOrigin(StrEnum):
    """The store that spreads come from."""

    HERE = "here"
    """Earlier runs on this machine."""

    SHIPPED = "shipped"
    """The repository, beside the suites."""

    NAMED = "named"
    """A file that the user named."""


def exact_pairs(results: ResultSet) -> dict[str, MetricValues]:
    """Return the values of the valid pairs by sample key, without family.

    Shares of events are left out, because they are not compared by pairs; and pairs with a value
    that is missing, was cut off by a deadline, or has no ratio.
    """
    baseline, candidate = ({s.key: s for s in results.samples.get(arm, ())} for arm in Arm)
    by_key = {}
    for key in (key for key in baseline if key in candidate):
        if baseline[key].denominators or candidate[key].denominators:
            continue
        metric = baseline[key].metric
        pairs = [
            (before, after)
            for pair in results.valid_pairs
            if (before := baseline[key].exact(pair)) is not None
            and (after := candidate[key].exact(pair)) is not None
            and (metric.scale is Scale.DIFFERENCE or min(before, after) > metric.floor)
        ]
        baselines, candidates = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
        by_key[key] = MetricValues("", metric, baselines, candidates, is_paired=True)
    return by_key


def pair_spreads(results: ResultSet) -> dict[str, PairSpread]:
    """Return the variance of the pairs of a run, by sample key.

    Metrics with a value that was cut off or has no ratio are left out, because the other pairs vary
    too little; so are shares of events, see `exact_pairs`.
    """
    samples = {arm: {s.key: s for s in results.samples.get(arm, ())} for arm in Arm}
    spreads = {}
    for key, pairs in exact_pairs(results).items():
        both = [samples[arm][key] for arm in Arm]
        complete = [
            pair for pair in results.valid_pairs if all(s.values[pair] is not None for s in both)
        ]
        if any(any(map(s.cutoff, results.valid_pairs)) for s in both):
            continue
        number = len(pairs.before)
        if number < max(2, len(complete)):
            continue
        estimate = evidence.of_pairs(pairs.metric, pairs.before, pairs.after)
        variance = number * estimate.standard_error * estimate.standard_error
        if variance < MAX_VARIANCE:
            spreads[key] = PairSpread(variance, number - 1)
    return spreads


def run_id(results: ResultSet) -> str:
    """Return the id of a run: a digest of its start time, subjects, suite and seed."""
    digests = (results.subjects[arm].digest for arm in Arm)
    identity = (results.taken_at.isoformat(), *digests, results.suite_digest, results.seed)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def conditions_name(environment: str, facts: Mapping[str, str]) -> str:
    """Return the name of an environment with all that is not as in the minimal profile.

    Args:
        environment: Name of the environment.
        facts: Facts of the environment or of the machine.
    """
    profile = [facts[PROFILE]] if PROFILE in facts else []
    others = [
        f"{name} {facts[name]}" for name in (ETCD_FSYNC, ETCD_MEMBERS, REPLICAS) if name in facts
    ]
    return ", ".join([environment, *profile, *others])


def conditions_of(results: ResultSet) -> Conditions | None:
    """Return the conditions of a run; None if its load is unknown."""
    try:
        product = parse_spec(results.subjects[Arm.CANDIDATE].spec).product
        return Conditions(
            suite=results.suite,
            product=product,
            environment=conditions_name(results.environment, results.machine.fingerprint),
            interleave=results.interleave,
            load_digest=results.load_digest,
        )
    except ValueError:
        return None


def run_spreads(results: ResultSet) -> RunSpreads:
    """Return the spreads of a run."""
    return RunSpreads(
        run=run_id(results),
        time=results.taken_at,
        machine=results.machine.fingerprint,
        metrics=pair_spreads(results),
        pair_s=round(_pair_seconds(results), 1),
    )


def _pair_seconds(results: ResultSet) -> float:
    """Return the mean duration of the pairs with all workloads; 0 if there is none."""
    whole = [trial for trial in results.trials if not trial.left_out]
    number = len({trial.pair for trial in whole})
    shared = len(Arm) if results.interleave is Interleave.REQUEST else 1
    return sum(trial.duration_s for trial in whole) / shared / number if number else 0.0


def require_usable(report: Report) -> Conditions:
    """Return the conditions of a run whose spreads may be kept for a prior.

    Raises:
        BaselineError: The load is unknown, pairs are missing, or the builds differ.
    """
    results = report.results
    needed = results.looks[0] if results.looks else results.pairs_asked
    conditions = conditions_of(results)
    if conditions is None:
        raise BaselineError("its results do not say which load they are of")
    if len(results.valid_pairs) < needed:
        raise BaselineError(f"{len(results.valid_pairs)} of {needed} pairs were measured")
    if any(trial.failures for trial in results.trials):
        raise BaselineError("a build failed in it")
    if report.verdict is Verdict.REGRESSED:
        raise BaselineError("a gating metric regressed")
    return conditions


def with_run(history: SpreadHistory, run: RunSpreads, now: datetime) -> SpreadHistory:
    """Return a history with one more run, cut to the newest `PRIOR_WINDOW` runs.

    A run that was resumed replaces its earlier self.  Runs that are dated after now are dropped: a
    wrong clock would make them the newest until then.
    """
    runs = [*(one for one in history.runs if one.run != run.run), run]
    return SpreadHistory(history.conditions, _newest([one for one in runs if one.time <= now]))


def machine_class(fingerprint: Mapping[str, str]) -> str:
    """Return the class of a machine in words, such as `Linux x86_64 with 4 cores and about 16 GiB`.

    It is coarser than the fingerprint: the model of the processor and versions do not count, and
    memory is rounded to a power of 2.
    """
    system = fingerprint.get("os", "unknown").partition(" ")[0]
    cores = fingerprint.get("logical cpus", "unknown")
    size = re.fullmatch(r"(\d{1,6}) GiB", fingerprint.get("memory", ""))
    gib = 2 ** round(math.log2(max(1, int(size[1])))) if size else None
    architecture = fingerprint.get("architecture", "unknown")
    return (
        f"{truncate(system, _MAX_SHOWN)} {truncate(architecture, _MAX_SHOWN)} with"
        f" {truncate(cores, _MAX_SHOWN)}"
        f" {'core' if cores == '1' else 'cores'} and"
        f" {'unknown memory' if gib is None else f'about {gib} GiB'}"
    )


@dataclass(frozen=True, slots=True)
class PriorRequest:
    """The run that asks for a prior.

    Attributes:
        keys: Sample keys of its metrics; a prior has no others.
        now: Start time of the run; only earlier runs count.
        machine: Fingerprint of its machine; None if unknown.
    """

    conditions: Conditions
    keys: Collection[str]
    now: datetime
    machine: Mapping[str, str] | None = None


def usable_runs(history: SpreadHistory, request: PriorRequest) -> tuple[RunSpreads, ...]:
    """Return the earlier runs of a history under the same conditions, newest last."""
    if history.conditions != request.conditions:
        return ()
    return tuple(run for run in history.runs if run.time < request.now)


def prior_from(
    history: SpreadHistory, request: PriorRequest, origin: SpreadOrigin, name: str = ""
) -> Prior | None:
    """Return the prior from the earlier runs of a store; None if there are too few.

    Runs of the same machine are preferred, then those of the same class of machine, if there are
    `MIN_PRIOR_RUNS` of them.  Other machines count only if the history was shipped or named; `name`
    is the name of the file that the user named.
    """
    runs = usable_runs(history, request)
    of_class = None if request.machine is None else machine_class(request.machine)
    same = [run for run in runs if run.machine == request.machine]
    alike = [run for run in runs if machine_class(run.machine) == of_class]
    of_name = f" of {truncate(name, _MAX_SHOWN)}" if name else ""
    degrees_of_freedom = constants.PRIOR_DEGREES_OF_FREEDOM
    if origin is not SpreadOrigin.SHIPPED and len(same) >= constants.MIN_PRIOR_RUNS:
        chosen = _newest(same)
        if request.now - chosen[-1].time <= constants.FRESH_AGE:
            degrees_of_freedom = constants.FRESH_DEGREES_OF_FREEDOM
        where = f"{of_name} on this machine until {_day(chosen[-1])}"
    elif origin is not SpreadOrigin.SHIPPED and len(alike) >= constants.MIN_PRIOR_RUNS:
        chosen = _newest(alike)
        machines = f"machines of this class ({machine_class(chosen[-1].machine)})"
        where = f"{of_name} on {machines} until {_day(chosen[-1])}"
    elif origin is not SpreadOrigin.HERE and len(runs) >= constants.MIN_PRIOR_RUNS:
        chosen = _newest(runs)
        kept = " that the suite ships" if origin is SpreadOrigin.SHIPPED else of_name
        classes = sorted({machine_class(run.machine) for run in chosen})
        machines = classes[0] if len(classes) == 1 else f"{len(classes)} classes of machines"
        where = f"{kept}, on {machines}"
        if of_class not in (None, *classes):
            where += "; this machine is of another class"
    else:
        return None
    spreads = _pool(chosen, request.keys)
    source = f"{len(chosen)} runs{where}"
    return Prior(source, degrees_of_freedom, spreads) if spreads else None


def _pool(runs: Sequence[RunSpreads], keys: Collection[str]) -> dict[str, Spread]:
    """Return the mean variance of each metric, weighted by degrees of freedom.

    A run that varies little by chance ends at an early look, so an unweighted mean is too small.
    """
    spreads = {}
    for key in keys:
        known = [run.metrics[key] for run in runs if key in run.metrics]
        if len(known) >= constants.MIN_PRIOR_RUNS:
            total = math.fsum(one.variance * one.degrees_of_freedom for one in known)
            spreads[key] = Spread(total / sum(one.degrees_of_freedom for one in known), len(known))
    return spreads


def _newest(runs: Sequence[RunSpreads]) -> tuple[RunSpreads, ...]:
    return tuple(sorted(runs, key=lambda run: (run.time, run.run))[-constants.PRIOR_WINDOW :])


def _day(run: RunSpreads) -> str:
    return f"{run.time.astimezone(UTC):%Y-%m-%d}"
