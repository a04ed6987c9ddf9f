"""Measure pairs: start both builds, apply the load, watch, and keep one value per metric and trial.

A *trial* is one start of one build and one pass of the suite over it.  A *pair* is one trial of
each build.  Three rules decide what a trial counts for:

- A build **fails** a trial when it dies once it was ready, restarts under load, or cannot be
  prepared for the load.  That is a result.  The values of the workload are dropped for both builds,
  because the other one had the machine to itself.
- A pair is **invalid** when the load was not applied as asked, when the machine's clock was set or
  the machine stood still, or when both builds failed.  None of its values are kept, and another
  pair replaces it.
- Three things are **never blamed on a build**: servers that somebody removed, both servers dying at
  once, and a full disk.  They end the run with an error.

A probe that fails is a warning and a missing metric; it never fails a trial.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.model.ports import (
    Artifact,
    Driver,
    Environment,
    Load,
    Probe,
    Target,
    Watch,
    find_deaths,
)
from pipeline.model.results import Failure, Interleave, Reading, ResultSet, Trial
from pipeline.model.subject import Arm
from pipeline.runs.plan import Pair, Plan, derive_seed
from pipeline.runs.samples import (
    ERROR_SHARES,
    MeasuredTrial,
    TrialValues,
    absent_metrics,
    add_pair,
    count_mismatches,
    lost_answers,
    short_trial_warnings,
    trial_values,
)
from pipeline.runs.suite_file import Suite, Workload
from pipeline.system.clock import watch_clock
from pipeline.system.errors import (
    InvalidPairsError,
    LaunchError,
    LoadError,
    NetworkError,
    PipelineError,
    SetupDeathError,
    StorageError,
)
from pipeline.system.log import log, step
from pipeline.system.processes import CommandError
from pipeline.system.progress import Progress

StopCondition = Callable[[ResultSet], bool]
"""Returns True if the results need no more pairs."""

WorkloadFilter = Callable[[ResultSet], tuple[str, ...]]
"""Returns the workloads that the next pair leaves out."""

RESTARTS = ".restarts"
"""Suffix of a reading that counts the restarts of a component under load."""

_TOO_SLOW = "both builds answered most requests too late, so only their errors are compared"
_MIN_FREE_BYTES = 2**24  # etcd ends when it cannot write a page of its database


@dataclass(frozen=True, slots=True)
class Harness:
    """Everything that takes part in a measurement; a workload names its opt-in probes.

    `launch_number` returns the number of the last launch of a deployment, which a trial keeps; None
    if every pair has a launch of its own.
    """

    environment: Environment
    drivers: Mapping[str, Driver]
    probes: Sequence[Probe]
    opt_in_probes: Mapping[str, Probe]
    artifacts: Mapping[Arm, Artifact]
    launch_number: Callable[[], int | None] = lambda: None


def run_pairs(
    plan: Plan,
    harness: Harness,
    results: ResultSet,
    out: Path,
    progress: Progress,
    *,
    is_enough: StopCondition,
    settled_workloads: WorkloadFilter = lambda _: (),
    forgives_earlier: bool = False,
) -> Iterator[ResultSet]:
    """Yield the results after each pair, until they are enough or the budget is used up.

    Args:
        plan: Plan of the run; pairs that `results` already has are skipped.
        harness: Builds, drivers and probes.
        results: Results measured before; empty for a new run.
        out: Existing folder; each pair gets a folder in it.
        progress: Receiver of progress reports.
        is_enough: Condition that ends the run.
        settled_workloads: Workloads that the next pair leaves out.
        forgives_earlier: True if the suite's limit of invalid pairs does not count those that
            `results` already has.

    Raises:
        InvalidPairsError: More pairs were invalid than the suite allows.
        LoadError: The load could not be applied, or too many pairs were invalid just now.
        LaunchError: A subject did not start.
    """
    forgiven = len(_invalid_pairs(results)) if forgives_earlier else None
    for pair in plan.order():
        if pair.number < results.pairs:
            continue
        require_few_invalid(plan.suite, results, out, forgiven)
        if is_enough(results):
            return
        left_out = settled_workloads(results)
        if exceeds_budget(plan, results, left_out):
            log.info("the budget ends the run after %s pairs", len(results.valid_pairs))
            return
        folder = new_folder(out / "pairs" / f"{pair.number:03}")
        done = len(results.valid_pairs)
        total = f"up to {plan.pairs}" if plan.looks else f"{plan.pairs}"
        later_pairs_s = (plan.pairs - done - 1) * expected_pair_s(plan, results, left_out)
        pair_progress = _PairProgress(progress, f"pair {done + 1} of {total}", later_pairs_s)
        if left_out:
            log.info("%s: left out of this pair: %s", pair_progress.title, ", ".join(left_out))
        trials = tuple(
            replace(
                one,
                trial=replace(one.trial, left_out=left_out, launch=harness.launch_number()),
            )
            for one in _measure_pair(plan.without(left_out), pair, harness, folder, pair_progress)
        )
        results = add_pair(results, plan.suite, trials)
        yield results
        if reasons := _invalid_pairs(results).get(pair.number):
            log.warning("pair %s is invalid: %s", pair.number, "; ".join(reasons))
        elif len(results.valid_pairs) == 1 and (absent := absent_metrics(results)):
            log.warning("the first pair has no value of %s", "; ".join(absent))


def _invalid_pairs(results: ResultSet) -> dict[int, list[str]]:
    """Return why each invalid pair is invalid, by its number."""
    reasons: dict[int, set[str]] = defaultdict(set)
    for trial in results.trials:
        reasons[trial.pair].update(trial.invalid)
    return {pair: sorted(texts) for pair, texts in reasons.items() if texts}


def require_few_invalid(
    suite: Suite, results: ResultSet, out: Path, forgiven: int | None = None
) -> None:
    """Return if a suite allows so many invalid pairs, without those that are forgiven.

    Raises:
        InvalidPairsError: There are too many.
        LoadError: There are too many, and a later command forgives them.
    """
    invalid = _invalid_pairs(results)
    counted = len(invalid) - (forgiven or 0)
    if counted <= suite.max_invalid:
        return
    last, reasons = list(invalid.items())[-1]
    raise (LoadError if forgiven is not None else InvalidPairsError)(
        f"{counted} pairs were invalid, and the suite allows {suite.max_invalid}; the last,"
        f" pair {last}: {'; '.join(reasons)}",
        hint=f"its logs are in {out / 'pairs' / f'{last:03}'}; no value of an invalid pair is kept",
    )


def exceeds_budget(plan: Plan, results: ResultSet, left_out: Collection[str]) -> bool:
    """Return whether another pair, with some workloads left out, would end after the budget.

    The pairs up to the first interim analysis are always measured.
    """
    if plan.budget_s is None or len(results.valid_pairs) < plan.min_pairs:
        return False
    return results.measured_s + expected_pair_s(plan, results, left_out) > plan.budget_s


def expected_pair_s(plan: Plan, results: ResultSet, left_out: Collection[str]) -> float:
    """Return the expected seconds of the next pair, corrected by how long pairs took until now.

    The next pair leaves some workloads out.
    """
    first_trials = results.trials[:: len(Arm)]
    expected_s = sum(plan.without(trial.left_out).pair_s for trial in first_trials)
    next_s = plan.without(left_out).pair_s
    return next_s * results.measured_s / expected_s if expected_s else next_s


@dataclass(frozen=True, slots=True)
class _PairProgress:
    """Reports the progress of one pair, and counts in the seconds of the pairs after it."""

    progress: Progress
    title: str
    later_pairs_s: float

    def report(self, what: str, left_s: float) -> None:
        self.progress.stage(f"{self.title}: {what}", left_s + self.later_pairs_s)


@dataclass(slots=True)
class _PairLaunch:
    """One start of the servers of a pair, and what was measured: both arms of a duet, or one.

    `unloaded` is the reason why an arm had next to no load, by workload and arm; `overloaded` has
    those that were too slow for it.  The values of `failed_workloads` are dropped in both arms.
    """

    pair: int
    arms: tuple[Arm, ...]
    out: Path
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    duration_s: float = 0.0
    values: dict[Arm, TrialValues] = field(default_factory=lambda: defaultdict(TrialValues))
    warnings: dict[Arm, list[str]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[Arm, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    invalid: list[str] = field(default_factory=list)
    unloaded: dict[tuple[str, Arm], str] = field(default_factory=dict)
    overloaded: set[tuple[str, Arm]] = field(default_factory=set)
    failed_workloads: set[str] = field(default_factory=set)


def _measure_pair(
    plan: Plan, pair: Pair, harness: Harness, out: Path, progress: _PairProgress
) -> tuple[MeasuredTrial, ...]:
    """Measure both arms, together (a duet) or one after the other; return both trials."""
    launches = []
    is_duet = plan.interleave is Interleave.REQUEST
    for arms in (pair.order,) if is_duet else ((arm,) for arm in pair.order):
        folder = out if is_duet else new_folder(out / arms[0])
        launches.append(_PairLaunch(pair.number, arms, folder))
        _measure_launch(plan, launches[-1], harness, progress)
    return _trials(plan.suite, launches, pair)


def _measure_launch(
    plan: Plan, launch: _PairLaunch, harness: Harness, progress: _PairProgress
) -> None:
    """Start the servers and run every workload, until a build fails for good."""
    start_s = time.monotonic()
    progress.report("start the servers", plan.launch_s)
    artifacts = {arm: harness.artifacts[arm] for arm in launch.arms}
    left_s = plan.launch_s - plan.start_s
    with step(f"{progress.title}, {' and '.join(launch.arms)}"), watch_clock() as clock:
        try:
            with harness.environment.launch(artifacts, launch.out) as targets:
                for index, workload in enumerate(plan.suite.workloads):
                    progress.report(workload.name, left_s)
                    left_s -= plan.workload_s(workload)
                    seed = derive_seed(plan.seed, launch.pair, workload.name)
                    if not _measure_workload(workload, launch, harness, targets, seed):
                        launch.failed_workloads.update(w.name for w in plan.suite.workloads[index:])
                        break
        except (LaunchError, LoadError, NetworkError) as error:
            if clock.disturbances():
                launch.invalid.append(f"{error}")
            elif isinstance(error, SetupDeathError):
                _require_space(launch.out, f"pair {launch.pair}: {error}", error)
                launch.failures[Arm(error.arm)].append(Failure(f"{error}", log=error.hint))
                launch.failed_workloads.update(w.name for w in plan.suite.workloads)
            else:
                raise
    launch.invalid += clock.disturbances()
    launch.duration_s = time.monotonic() - start_s


def _measure_workload(
    workload: Workload,
    launch: _PairLaunch,
    harness: Harness,
    targets: Mapping[Arm, Target],
    seed: int,
) -> bool:
    """Apply one workload and record the results; return False if the launch cannot go on.

    It raises LoadError if no build is to blame.
    """
    folder = new_folder(launch.out / workload.name)
    probes = (*harness.probes, *(harness.opt_in_probes[name] for name in workload.probes))
    driver = harness.drivers[workload.name]
    try:
        load, probed = apply_load(driver, probes, targets, seed, out=folder, probe_out=folder)
    except (CommandError, LoadError, NetworkError, StorageError) as error:
        what = f"pair {launch.pair}, {workload.name}: {error}"
        _require_space(launch.out, what, error)
        deaths = find_deaths(targets)
        if not deaths or len(deaths) == len(Arm):  # both at once: the machine is at fault
            kind = StorageError if isinstance(error, StorageError) else LoadError
            raise kind(what, hint=error.hint) from error
        for arm, death in deaths.items():
            failure = Failure(f"{workload.name}: {death}", log=death.hint)
            launch.failures[arm].append(failure)
        return False
    launch.invalid += [f"{workload.name}: {reason}" for reason in load.invalid]
    if load.failed:
        for arm, reason in load.failed.items():
            launch.failures[arm].append(Failure(f"{workload.name}: {reason}"))
        launch.failed_workloads.add(workload.name)
        return True
    has_restarted = False
    for arm in launch.arms:
        components = () if workload.driver.restarts else probed[arm].restarted_components()
        if components:
            names = " and the ".join(components)
            what = f"the {names} of the {arm} restarted under {workload.name}"
            launch.failures[arm].append(Failure(what))
            has_restarted = True
        _record_arm(workload, launch, arm, load, probed[arm])
    return not has_restarted


def _require_space(out: Path, what: str, error: PipelineError) -> None:
    """Raise StorageError if the disk is full: chance decides which build dies first of that."""
    if shutil.disk_usage(out).free < _MIN_FREE_BYTES:
        raise StorageError(
            f"{out}: the disk is full, so this failure does not count against a build: {what}",
            hint="make room, then go on with `run --resume`",
        ) from error


def _record_arm(
    workload: Workload, launch: _PairLaunch, arm: Arm, load: Load, probed: "ProbeResults"
) -> None:
    """Record the values, warnings and reasons for invalidity of one arm."""
    readings = (*load.readings[arm], *probed.readings)
    values = trial_values(workload, readings)
    launch.values[arm].update(values)
    if arm in load.failing:
        launch.unloaded[workload.name, arm] = load.failing[arm]
    if arm in load.overloaded:
        launch.overloaded.add((workload.name, arm))
    invalid = (*count_mismatches(readings, arm), *lost_answers(readings, arm))
    warnings = (
        *load.warnings,
        *probed.failures,
        *values.missing,
        *short_trial_warnings(workload, readings),
    )
    launch.invalid += [f"{workload.name}: {reason}" for reason in invalid]
    launch.warnings[arm] += [f"{workload.name}: {warning}" for warning in warnings]


def _trials(suite: Suite, launches: Sequence[_PairLaunch], pair: Pair) -> tuple[MeasuredTrial, ...]:
    """Return the trials of a pair, in the order in which the arms were started.

    One build that fails is a result.  If both builds fail, the load or the machine may be at fault,
    and nothing can be said of a difference: the pair is invalid.  Two builds that are too slow for
    one workload are compared by its errors alone, and by the other workloads.
    """
    unloaded: dict[str, dict[Arm, str]] = {}
    for launch in launches:
        for (name, arm), reason in launch.unloaded.items():
            unloaded.setdefault(name, {})[arm] = reason
    unloaded = {name: arms for name, arms in unloaded.items() if set(arms) == set(pair.order)}
    failed = {name for launch in launches for name in launch.failed_workloads}
    slow = {
        name
        for name in unloaded
        if all((name, arm) in launch.overloaded for launch in launches for arm in launch.arms)
    }
    if all(workload.name in failed | unloaded.keys() for workload in suite.workloads):
        slow = set()  # nothing else was measured
    invalid = [reason for launch in launches for reason in launch.invalid]
    invalid += [
        f"{name}: {reason}"
        for name, by_arm in unloaded.items()
        if name not in slow
        for reason in by_arm.values()
    ]
    launch_of = {arm: launch for launch in launches for arm in launch.arms}
    if all(launch_of[arm].failures[arm] for arm in pair.order):
        invalid += [fail.what for arm in pair.order for fail in launch_of[arm].failures[arm]]
    trials = []
    for position, arm in enumerate(pair.order):
        launch = launch_of[arm]
        for workload in suite.workloads:
            if workload.name in failed:
                launch.values[arm].drop(workload)
            elif workload.name in slow:
                launch.values[arm].drop(workload, keep=ERROR_SHARES)
        of_slow = tuple(f"{name}: " for name in slow)
        warnings = [f"{name}: {_TOO_SLOW}" for name in sorted(slow)]
        warnings += [text for text in launch.warnings[arm] if not text.startswith(of_slow)]
        trial = Trial(
            pair=pair.number,
            arm=arm,
            position=position,
            started_at=launch.started_at,
            duration_s=round(launch.duration_s, 3),
            invalid=tuple(invalid),
            warnings=tuple(warnings),
            failures=tuple(launch.failures[arm]),
        )
        trials.append(MeasuredTrial(trial, launch.values[arm]))
    return tuple(trials)


@dataclass(frozen=True, slots=True)
class ProbeResults:
    """Readings of the probes of one target, and the errors of probes that failed."""

    readings: list[Reading] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def recording_failures(self) -> Iterator[None]:
        """Record the failure of a probe and go on; its readings are missing then."""
        try:
            yield
        except (LoadError, NetworkError, StorageError) as error:
            self.failures.append(str(error))

    def restarted_components(self) -> list[str]:
        """Return the components that restarted under load, such as `server`."""
        names = [
            reading.name.removesuffix(RESTARTS)
            for reading in self.readings
            if reading.name.endswith(RESTARTS) and reading.value > 0
        ]
        return list(dict.fromkeys(names))


def apply_load(
    driver: Driver,
    probes: Sequence[Probe],
    targets: Mapping[Arm, Target],
    seed: int,
    *,
    out: Path,
    probe_out: Path,
) -> tuple[Load, dict[Arm, ProbeResults]]:
    """Apply a load to the targets while every probe watches.

    Args:
        driver: Driver of the load.
        probes: Probes of every target; a failure of one is recorded, and ends nothing.
        targets: Targets of one or both arms.
        seed: Random seed of the load.
        out: Existing empty folder for the driver.
        probe_out: Existing folder, which may be the same; each arm gets one in it, for the probes.

    Raises:
        LoadError: The load could not be applied, or a target died meanwhile.
    """
    with ExitStack() as stack:
        watches: list[tuple[Arm, Watch]] = []
        probed = {arm: ProbeResults() for arm in targets}
        for probe in probes:  # each of both arms in turn, so that they are asked close together
            for arm, target in targets.items():
                with probed[arm].recording_failures():
                    (probe_out / arm).mkdir(parents=True, exist_ok=True)
                    watches.append((arm, stack.enter_context(probe.watch(target, probe_out / arm))))
        load = driver.measure(targets, out, seed)
        for arm, watch in watches:
            with probed[arm].recording_failures():
                probed[arm].readings.extend(watch.readings(load.spans[arm]))
        for target in targets.values():
            target.check()
    return load, probed


def new_folder(folder: Path) -> Path:
    """Make an empty folder; what an interrupted run left in it is deleted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
