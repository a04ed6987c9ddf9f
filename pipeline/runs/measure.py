"""Carry out a plan: launch, load, watch, and keep one value per metric and trial."""

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.model.ports import Artifact, Driver, Environment, Load, Probe, Target, Watch
from pipeline.model.results import Failure, Interleave, Reading, ResultSet, Trial
from pipeline.model.subject import Arm
from pipeline.runs.plan import Pair, Plan, seed_of
from pipeline.runs.samples import (
    Outcome,
    TrialValues,
    added,
    disagreeing,
    too_short,
    unexplained,
    values_of,
)
from pipeline.runs.suite_file import Workload
from pipeline.system.clock import watched_clock
from pipeline.system.errors import LoadError, SubjectDiedError
from pipeline.system.log import log, step
from pipeline.system.progress import Progress

Settled = Callable[[ResultSet], tuple[str, ...]]
"""Says which workloads the next pair may leave out."""

Enough = Callable[[ResultSet], bool]
"""Says whether results need no more pairs."""

_LEAST_ROOM = 2**24  # bytes; etcd ends when it cannot write a page of its database

RESTARTS = ".restarts"
"""End of the name of a reading that says how often a component was started anew under load."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Everything that takes part in a measurement.

    Attributes:
        environment: Starts the artifacts.
        drivers: By name of the workload.
        probes: Watch every target during every workload.
        asked: Watch it during the workloads that ask for them, by name.
        artifacts: One per arm.
    """

    environment: Environment
    drivers: Mapping[str, Driver]
    probes: Sequence[Probe]
    asked: Mapping[str, Probe]
    artifacts: Mapping[Arm, Artifact]


@dataclass(frozen=True, slots=True)
class _Launch:
    """One start of the servers of one pair: both arms of a duet, or one of the two."""

    pair: int
    arms: tuple[Arm, ...]
    out: Path


def run_pairs(
    plan: Plan,
    rig: Rig,
    results: ResultSet,
    out: Path,
    progress: Progress,
    *,
    enough: Enough,
    settled: Settled = lambda _: (),
) -> Iterator[ResultSet]:
    """Yield the results after each pair, until they are enough.

    Args:
        plan: What to do; pairs that `results` has already are left out.
        rig: What to do it with.
        results: What was measured before; empty for a new run.
        out: Existing folder; each pair gets a folder in it.
        progress: Told of every stage.
        enough: Whether results need no more pairs.
        settled: Which workloads the next pair leaves out.

    Raises:
        LoadError: The load could not be applied, or too many pairs were invalid.
        LaunchError: A subject did not start.
    """
    invalid = 0
    for pair in plan.order():
        if enough(results):
            return
        left_out = settled(results)
        if is_over(plan, results, left_out):
            log.info("the budget ends the run after %s pairs", len(results.valid_pairs))
            return
        if pair.number < results.pairs:
            continue
        folder = _empty(out / "pairs" / f"{pair.number:03}")
        done = len(results.valid_pairs)
        most = f"up to {plan.pairs}" if plan.looks else f"{plan.pairs}"
        rest_s = (plan.pairs - done - 1) * pair_s(plan, results, left_out)
        tell = _Teller(progress, f"pair {done + 1} of {most}", rest_s)
        if left_out:
            log.info("%s: settled, and left out: %s", tell.title, ", ".join(left_out))
        outcomes = _pair(plan.without(left_out), pair, rig, folder, tell)
        outcomes = tuple(
            replace(one, trial=replace(one.trial, left_out=left_out)) for one in outcomes
        )
        results = added(results, plan.suite, outcomes)
        yield results
        reasons = sorted({reason for outcome in outcomes for reason in outcome.trial.invalid})
        if reasons:
            invalid += 1
            log.warning("pair %s is invalid: %s", pair.number, "; ".join(reasons))
        if invalid > plan.suite.max_invalid:
            raise LoadError(
                f"{invalid} pairs were invalid, and the suite allows {plan.suite.max_invalid};"
                f" the last, pair {pair.number}: {'; '.join(reasons)}",
                hint=f"its logs are in {folder}; nothing of an invalid pair becomes a number",
            )


def is_over(plan: Plan, results: ResultSet, left_out: Collection[str]) -> bool:
    """Return whether another pair would end after the budget; the first look always comes.

    Args:
        plan: Has the budget.
        results: Of the pairs until now, which tell how long one takes.
        left_out: Workloads that the next pair would not run.
    """
    if plan.budget_s is None or len(results.valid_pairs) < plan.least:
        return False
    return results.measured_s + pair_s(plan, results, left_out) > plan.budget_s


def pair_s(plan: Plan, results: ResultSet, left_out: Collection[str]) -> float:
    """Return how many seconds the next pair takes: as expected, and as pairs until now have told.

    Args:
        plan: Of whole pairs.
        results: Of the pairs until now.
        left_out: Workloads that the next pair would not run.
    """
    first_trials = results.trials[:: len(Arm)]
    expected_s = sum(plan.without(trial.left_out).pair_s for trial in first_trials)
    next_s = plan.without(left_out).pair_s
    return next_s * results.measured_s / expected_s if expected_s else next_s


@dataclass(frozen=True, slots=True)
class _Teller:
    """Adds the number of the pair and the seconds of the pairs to come to what is told."""

    progress: Progress
    title: str
    rest_s: float

    def stage(self, what: str, left_s: float) -> None:
        self.progress.stage(f"{self.title}: {what}", left_s + self.rest_s)


def _pair(plan: Plan, pair: Pair, rig: Rig, out: Path, tell: _Teller) -> tuple[Outcome, ...]:
    """Return the two trials of a pair."""
    if plan.interleave is Interleave.REQUEST:
        return _outcomes([_launch(plan, _Launch(pair.number, pair.order, out), rig, tell)], pair)
    return _outcomes(
        [
            _launch(plan, _Launch(pair.number, (arm,), _empty(out / arm)), rig, tell)
            for arm in pair.order
        ],
        pair,
    )


@dataclass(slots=True)
class _Launched:
    """What one launch came to, by the arms that were up.

    Attributes:
        arms: That were up.
        taken_at: When it began, UTC.
        duration_s: How long it took, in seconds.
        found: Values.
        warnings: What a reader should know.
        failures: How a build failed.
        invalid: Why the generator did not do its part.
        failing: Why an arm had no load worth the name, by workload.
        failed: Workloads that a build failed: the values of the other are dropped too, because
            it had the machine to itself.
    """

    arms: tuple[Arm, ...]
    taken_at: datetime
    duration_s: float = 0.0
    found: dict[Arm, TrialValues] = field(default_factory=dict)
    warnings: dict[Arm, list[str]] = field(default_factory=dict)
    failures: dict[Arm, list[Failure]] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)
    failing: dict[tuple[str, Arm], str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for arm in self.arms:
            self.found[arm], self.warnings[arm], self.failures[arm] = TrialValues(), [], []


def _outcomes(launches: Sequence[_Launched], pair: Pair) -> tuple[Outcome, ...]:
    """Return a trial for each arm of a pair, in the order in which they were started.

    A build that fails in one arm only is a result.  Where the builds of both arms fail, the load or
    the place is at fault, or at least nothing can be said of a difference: the pair is invalid.
    """
    failing: dict[str, dict[Arm, str]] = {}
    for (workload, arm), said in (item for one in launches for item in one.failing.items()):
        failing.setdefault(workload, {})[arm] = said
    invalid = [said for one in launches for said in one.invalid]
    invalid += [
        f"{workload}: {said}"
        for workload, by_arm in failing.items()
        if set(by_arm) == set(pair.order)
        for said in by_arm.values()
    ]
    failures = {arm: one.failures[arm] for one in launches for arm in one.arms}
    if all(failures.values()):
        invalid += [failure.what for arm in pair.order for failure in failures[arm]]
    failed = {workload for one in launches for workload in one.failed}
    outcomes = {}
    for one in launches:
        for arm in one.arms:
            for workload in failed:
                one.found[arm].drop(workload)
            trial = Trial(
                pair=pair.number,
                arm=arm,
                position=pair.order.index(arm),
                started_at=one.taken_at,
                duration_s=round(one.duration_s, 3),
                invalid=tuple(invalid),
                warnings=tuple(one.warnings[arm]),
                failures=tuple(failures[arm]),
            )
            outcomes[arm] = Outcome(trial, one.found[arm])
    return tuple(outcomes[arm] for arm in pair.order)


def _launch(plan: Plan, launch: _Launch, rig: Rig, tell: _Teller) -> _Launched:
    """Start the servers, run every workload, and return what came of it."""
    began = time.monotonic()
    launched = _Launched(launch.arms, datetime.now(UTC))
    tell.stage("start the servers", plan.launch_s)
    artifacts = {arm: rig.artifacts[arm] for arm in launch.arms}
    left_s = plan.launch_s - plan.start_s
    with (
        step(f"{tell.title}, {' and '.join(launch.arms)}"),
        watched_clock() as clock,
        rig.environment.launch(artifacts, launch.out) as targets,
    ):
        for workload in plan.suite.workloads:
            tell.stage(workload.name, left_s)
            left_s -= plan.workload_s(workload)
            seed = seed_of(plan.seed, launch.pair, workload.name)
            if not _carry_out(workload, launch, rig, targets, seed=seed, launched=launched):
                rest = plan.suite.workloads[plan.suite.workloads.index(workload) :]
                launched.failed.update(one.name for one in rest)
                break
    launched.invalid += clock.steps()
    launched.duration_s = time.monotonic() - began
    return launched


def _carry_out(
    workload: Workload,
    launch: _Launch,
    rig: Rig,
    targets: Mapping[Arm, Target],
    *,
    seed: int,
    launched: _Launched,
) -> bool:
    """Run one workload and note what came of it; return whether the launch can go on."""
    try:
        load, seen = _workload(workload, launch, rig, targets, seed)
    except LoadError as error:
        died = _died(targets, workload.name)
        if not died or len(died) == len(Arm):  # both at once: the place is at fault, not a build
            raise
        _require_room(launch.out, error)  # which of two builds finds a full disk first is chance
        for arm, failure in died.items():
            launched.failures[arm].append(failure)
        return False
    launched.invalid += [f"{workload.name}: {reason}" for reason in load.invalid]
    if load.failed:
        for arm, reason in load.failed.items():
            launched.failures[arm].append(Failure(f"{workload.name}: {reason}"))
        launched.failed.add(workload.name)
        return True
    goes_on = True
    for arm in launch.arms:
        if restarted := seen[arm].restarted():
            what = f"the {' and the '.join(restarted)} of the {arm} restarted under {workload.name}"
            launched.failures[arm].append(Failure(what))
            goes_on = False
        readings = (*load.readings[arm], *seen[arm].readings)
        if arm in load.failing:
            launched.failing[workload.name, arm] = load.failing[arm]
        launched.invalid += [
            f"{workload.name}: {said}"
            for said in (*disagreeing(readings, arm), *unexplained(readings, arm))
        ]
        found = values_of(workload, readings)
        launched.found[arm].add(found)
        launched.warnings[arm] += [
            f"{workload.name}: {said}"
            for said in (
                *load.warnings,
                *seen[arm].failed,
                *found.missing,
                *too_short(workload, readings),
            )
        ]
    return goes_on


def _require_room(out: Path, error: LoadError) -> None:
    """Refuse to blame a build for what it could not write.

    Raises:
        LoadError: The disk is full.
    """
    if shutil.disk_usage(out).free < _LEAST_ROOM:
        raise LoadError(
            f"{out}: the disk is full, and a process that ends there says nothing of a build:"
            f" {error}",
            hint="make room, then go on with `run --resume`",
        ) from error


def _died(targets: Mapping[Arm, Target], workload: str) -> dict[Arm, Failure]:
    """Return how each build has died, if any has."""
    died = {}
    for arm, target in targets.items():
        try:
            target.check()
        except SubjectDiedError as error:
            died[arm] = Failure(f"{workload}: {error}", log=error.hint)
        except LoadError:  # it was taken away: nothing of it is a result
            return {}
    return died


@dataclass(frozen=True, slots=True)
class Seen:
    """What the probes of one target say, and how those that failed did."""

    readings: list[Reading]
    failed: list[str]

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Note the failure of a probe and go on: what it would have reported is missing."""
        try:
            yield
        except LoadError as error:
            self.failed.append(str(error))

    def restarted(self) -> list[str]:
        """Return each component that is not the process that was loaded, such as `server`."""
        names = [
            reading.name.removesuffix(RESTARTS)
            for reading in self.readings
            if reading.name.endswith(RESTARTS) and reading.value > 0
        ]
        return list(dict.fromkeys(names))


def _workload(
    workload: Workload, launch: _Launch, rig: Rig, targets: Mapping[Arm, Target], seed: int
) -> tuple[Load, dict[Arm, Seen]]:
    """Apply one workload to the targets while every probe watches."""
    folder = _empty(launch.out / workload.name)
    probes = (*rig.probes, *(rig.asked[name] for name in workload.probes))
    try:
        return applied(rig.drivers[workload.name], probes, targets, seed, out=folder, probed=folder)
    except LoadError as error:
        raise LoadError(f"pair {launch.pair}, {workload.name}: {error}", hint=error.hint) from error


def applied(
    driver: Driver,
    probes: Sequence[Probe],
    targets: Mapping[Arm, Target],
    seed: int,
    *,
    out: Path,
    probed: Path,
) -> tuple[Load, dict[Arm, Seen]]:
    """Apply a load to the targets while every probe watches.

    Args:
        driver: Applies it.
        probes: A failure of one is noted, and ends nothing.
        targets: One or both arms.
        seed: Of every random choice.
        out: Existing empty folder, for the driver.
        probed: Existing folder, which may be the same; each arm gets one in it, for the probes.

    Raises:
        LoadError: The load could not be applied, or a target died meanwhile.
    """
    with ExitStack() as stack:
        watches: list[tuple[Arm, Watch]] = []
        seen = {arm: Seen([], []) for arm in targets}
        for probe in probes:  # each of both arms in turn, so that they are asked close together
            for arm, target in targets.items():
                with seen[arm].failures():
                    watch = probe.watch(target, _made(probed / arm))
                    watches.append((arm, stack.enter_context(watch)))
        load = driver.measure(targets, out, seed)
        for arm, watched in watches:
            with seen[arm].failures():
                seen[arm].readings.extend(watched.readings(load.spans[arm]))
        for target in targets.values():
            target.check()
    return load, seen


def _empty(folder: Path) -> Path:
    """Make a folder anew; what an interrupted pair left in it is dropped."""
    shutil.rmtree(folder, ignore_errors=True)
    return _made(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
