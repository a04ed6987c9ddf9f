"""`run`: measure a request and keep the results.  Here protocols meet their implementations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.drivers.registry import driver_of
from pipeline.environments import registry
from pipeline.judge import policy
from pipeline.judge.launches import counted_pairs
from pipeline.judge.policy import with_more_pairs
from pipeline.judge.stored import stored_reference
from pipeline.model.ports import Artifact, Environment, Program
from pipeline.model.report import Report, Verdict
from pipeline.model.request import RunRequest
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm, Spec
from pipeline.probes.registry import default_probes, opt_in_probes
from pipeline.render.plan import pairs_text
from pipeline.runs import calibration_gate, measure, preflight, priors, suite_file, trust
from pipeline.runs.folder import RunFolder
from pipeline.runs.history.spreads_file import named_spreads
from pipeline.runs.plan import Plan
from pipeline.runs.request import ResolvedRun, in_environment, max_pairs, resolve, spec_of
from pipeline.runs.suite_file import SUITE, Suite
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec, toml_file
from pipeline.system import paths, progress
from pipeline.system.errors import ConfigError
from pipeline.system.log import log
from pipeline.system.paths import RESULTS

ENVIRONMENT = "environment.toml"
"""Copy of the file that --environment named, so that the run can be repeated from its folder."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run whose builds and programs are ready and whose folder exists; nothing is started."""

    plan: Plan
    results: ResultSet
    artifacts: Mapping[Arm, Artifact]
    programs: Mapping[str, Program]
    folder: RunFolder


def run(request: RunRequest, out: Path) -> Report:
    """Measure from nothing, judge, and leave everything in a new folder, also after an error."""
    ready = prepare(request, out)
    return _measure(ready, kept=ready.results)


def prepare(request: RunRequest, out: Path) -> PreparedRun:
    """Build or find everything that a run needs, and create its folder, without measurements.

    Raises:
        PipelineError: The request cannot be carried out, or a build failed.
    """
    resolved = resolve(request)
    folder = RunFolder(out, "run")
    folder.require_new()
    prior_spreads = named_spreads(request.prior) if request.prior else None
    plan, stored, specs = resolved.plan, resolved.stored, resolved.specs
    preflight.require(plan, list(specs.values()), out)
    preflight.require_programs(plan.suite)
    commands = _build_commands(resolved, request.build)
    _announce(resolved)
    artifacts = {arm: toolchain.artifact(specs[arm], commands[arm]) for arm in Arm}
    programs = toolchain.programs_of(plan.suite.needs)
    machine = toolchain.machine_with(programs, plan.suite.environment.facts)
    is_own_suite = request.suite.endswith(".toml")
    conditions = priors.prior_request(plan.suite, resolved.product, plan.interleave, machine)
    prior = priors.choose_prior(conditions, prior_spreads)
    results = ResultSet(
        suite=plan.suite.name,
        suite_digest=resolved.suite.digest,
        environment=plan.suite.environment.kind,
        interleave=plan.interleave,
        pairs_asked=plan.pairs,
        looks=plan.looks,
        seed=plan.seed,
        subjects={arm: artifact.subject for arm, artifact in artifacts.items()},
        machine=machine,
        tools={**toolchain.tools_of(programs), "milo-perf": toolchain.own_version()},
        taken_at=datetime.now(UTC),
        stored=stored_reference(stored, machine) if stored else None,
        stops_at_red=plan.suite.stop_at_red,
        budget_s=plan.budget_s,
        suite_path=paths.portable_name(request.suite, out / SUITE) if is_own_suite else "",
        place=paths.portable_name(request.environment, out / ENVIRONMENT),
        load_pods=request.load_pods,
        prior=prior,
        load_digest=conditions.conditions.load_digest,
        ungated=calibration_gate.undecidable_metrics(plan, resolved.suite.digest, machine, prior),
        driver=request.driver,
        omitted=resolved.omitted,
    )
    folder.create(codec.REQUEST.dumps(resolved.to_store()))
    suite_file.keep(resolved.suite, out)
    keep_environment(request, out)
    codec.RESULTS.write(out / RESULTS, results)
    trust.note(origin(folder, results, resolved.suite.suite), out)
    return PreparedRun(plan, results, artifacts, programs, folder)


def _build_commands(resolved: ResolvedRun, command: str) -> Mapping[Arm, str]:
    """Return the command that builds each arm, once both can be built as far as that is known.

    Raises:
        ConfigError: A source has no usable command.
        LaunchError: A binary is missing, not executable or not Milo.
    """
    specs, stored = resolved.specs, resolved.stored
    toolchain.require_buildable(specs[Arm.CANDIDATE], command)
    own = command or (stored.subject.facts.get("build", "") if stored else "")
    try:
        toolchain.require_buildable(specs[Arm.BASELINE], own)
    except ConfigError as error:
        if stored is None:
            raise
        hint = f"{error.hint}; or compare with another build: --against binary:PATH"
        raise ConfigError(f"the stored baseline {stored.name}: {error}", hint=hint) from error
    return {Arm.CANDIDATE: command, Arm.BASELINE: own}


def keep_environment(request: RunRequest, out: Path) -> None:
    """Copy the file of the environment into the folder of a run, if the request names one."""
    if request.environment.endswith(".toml"):
        text = toml_file.read(paths.expand(request.environment), "the environment")
        codec.write_text(out / ENVIRONMENT, text)


def with_copies(request: RunRequest, out: Path) -> RunRequest:
    """Return a request that names the copies of its files in the folder of a run."""
    if request.suite.endswith(".toml"):
        request = replace(request, suite=str(out / SUITE))
    if request.environment.endswith(".toml"):
        request = replace(request, environment=str(out / ENVIRONMENT))
    return request


def resume(out: Path, *, more: int | None = None, is_trusted: bool = False) -> Report:
    """Continue a run; pairs that were measured are kept.

    Args:
        out: Folder of the run.
        more: Number of valid pairs to add; None to finish an interrupted run.
        is_trusted: True to execute what the folder says, even if somebody else started the run.

    Raises:
        BaselineError: results.json or request.json is missing or cannot be read.
        ConfigError: The suite, a build, the environment or the machine differs from when the run
            started, or the folder is not trusted.
        PipelineError: Any error of `run`.
    """
    stored = open_run(out, is_trusted=is_trusted)
    folder, results, plan = stored.folder, stored.results, stored.plan
    measure.require_few_invalid(plan.suite, results, out)
    kept = results
    if more is not None:
        results, plan = _with_more_pairs(results, plan, more)
    preflight.require(plan, list(stored.specs.values()), out)
    preflight.require_programs(plan.suite)
    artifacts = stored.rebuild()
    programs = toolchain.programs_of(plan.suite.needs)
    machine = toolchain.machine_with(programs, plan.suite.environment.facts)
    folder.require_same_machine(results.machine, machine)
    log.info("%s: %s pairs are kept", out, results.pairs)
    return _measure(PreparedRun(plan, results, artifacts, programs, folder), kept=kept)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as its folder states it, with the spec of each build."""

    folder: RunFolder
    results: ResultSet
    plan: Plan
    specs: Mapping[Arm, Spec]

    def rebuild(self) -> dict[Arm, Artifact]:
        """Build both builds again; see `RunFolder.rebuild`."""
        return {arm: self.folder.rebuild(arm, one) for arm, one in self.results.subjects.items()}


def open_run(out: Path, *, is_trusted: bool = False) -> StoredRun:
    """Return the run of a folder; see `resume`."""
    folder = RunFolder(out, "run")
    results = codec.RESULTS.read(paths.result_file(out, RESULTS))
    stored = codec.REQUEST.read(folder.request)
    environment = registry.from_values(stored.environment, f"{folder.request}")
    loaded = in_environment(folder.suite(), environment)
    trust.require(origin(folder, results, loaded.suite), out, is_trusted=is_trusted)
    folder.require_request(
        {
            "suite_digest": (stored.suite_digest, results.suite_digest),
            "candidate": (stored.candidate, results.subjects[Arm.CANDIDATE].spec),
            "baseline": (stored.baseline, results.subjects[Arm.BASELINE].spec),
            "environment.kind": (stored.environment.get("kind"), results.environment),
            "seed": (stored.seed, results.seed),
            "request.driver": (stored.request.driver, results.driver),
        }
    )
    folder.require_same("the suite or one of its scripts", results.suite_digest, loaded.digest)
    specs = {}
    for arm in Arm:
        with folder.naming(arm):
            specs[arm] = spec_of(results.subjects[arm].spec)
    suite = loaded.suite.of(specs[Arm.CANDIDATE].product).only(results.driver)
    return StoredRun(folder, results, _plan_of(results, suite), specs)


def _plan_of(results: ResultSet, suite: Suite) -> Plan:
    """Return the plan by which results were measured."""
    return Plan(
        suite,
        results.pairs_asked,
        results.interleave,
        results.seed,
        results.looks,
        results.budget_s,
        spec_of(results.subjects[Arm.CANDIDATE].spec).product,
    )


def _with_more_pairs(results: ResultSet, plan: Plan, more: int) -> tuple[ResultSet, Plan]:
    """Return results that may have more pairs, and the plan for these."""
    valid = counted_pairs(results)
    if more < 1:
        raise ConfigError(f"--pairs {more}: with --resume it is how many more to measure")
    if valid + more > (most := max_pairs(plan.suite)):
        raise ConfigError(f"{valid + more} pairs: of this suite a run has at most {most}")
    left_out = _workload_filter(plan)(results)
    is_over = measure.exceeds_budget(plan, results, left_out)
    longer, until = with_more_pairs(results, more, is_over=is_over)
    if policy.report(results).verdict is Verdict.REGRESSED:
        log.warning("the regression that was found stays, whatever more pairs show")
    pair_s = measure.expected_pair_s(plan, results, left_out)
    log.info("%s more pairs of about %.0f s, to %s in all", until - valid, pair_s, until)
    return longer, replace(_plan_of(longer, plan.suite), pairs=until)


def feed(report: Report, out: Path) -> None:
    """Store the spreads of a finished run for later priors, if it was started on this machine."""
    if is_started_here(report.results, out, or_trusted=False):
        priors.feed_history(report)


def _measure(ready: PreparedRun, *, kept: ResultSet) -> Report:
    """Measure the pairs that the plan still lacks, and judge.

    The results may allow for more pairs than `kept`, which is what the folder is known to hold.
    """
    plan, results, folder = ready.plan, ready.results, ready.folder
    latest = results
    added = plan.pairs - counted_pairs(kept) if results != kept else None

    def state() -> tuple[object, ...]:
        arguments = () if added is None else ("--pairs", added)
        return (f"{latest.pairs} of {plan.pairs} pairs", *arguments)

    with (
        folder.measuring(state),
        plan.suite.environment.open(ready.programs) as environment,
        progress.show_progress() as shown,
    ):
        on_disk = codec.RESULTS.read(folder.path / RESULTS)
        if (on_disk.pairs, on_disk.pairs_asked) != (kept.pairs, kept.pairs_asked):
            raise ConfigError(
                f"another process resumed {folder.path} in the meantime",
                hint="type the command again, if more pairs are still wanted",
            )
        codec.RESULTS.write(folder.path / RESULTS, results)
        added = None  # from here on, results.json says how many pairs are wanted
        harness = harness_of(plan, environment, ready.artifacts, ready.programs)
        for latest in measure.run_pairs(
            plan,
            harness,
            results,
            folder.path,
            shown,
            is_enough=lambda found: counted_pairs(found) >= plan.pairs or policy.is_enough(found),
            settled_workloads=_workload_filter(plan),
        ):
            codec.RESULTS.write(folder.path / RESULTS, latest)
    return policy.report(latest)


def harness_of(
    plan: Plan,
    environment: Environment,
    artifacts: Mapping[Arm, Artifact],
    programs: Mapping[str, Program],
) -> measure.Harness:
    """Return everything that takes part in the measurement of a plan."""
    return measure.Harness(
        environment=environment,
        drivers={w.name: driver_of(w.driver, programs) for w in plan.suite.workloads},
        probes=default_probes(),
        opt_in_probes=opt_in_probes(),
        artifacts=artifacts,
    )


def _workload_filter(plan: Plan) -> measure.WorkloadFilter:
    """Return which workloads a pair leaves out: none, unless the suite allows it."""
    return policy.settled_workloads if plan.suite.settled == "leave-out" else lambda _: ()


def origin(folder: RunFolder, results: ResultSet, suite: Suite) -> RunOrigin:
    """Return what identifies a run, and decides what resuming it executes; see `trust`."""
    files = suite_file.kept_names(suite)  # scripts are executed too
    began = (results.taken_at, results.seed)
    subjects = {str(arm): subject for arm, subject in results.subjects.items()}
    return folder.origin(began, subjects, files, results.suite_digest)


def is_started_here(results: ResultSet, out: Path, *, or_trusted: bool = True) -> bool:
    """Return whether this user started the run on this machine, or trusts its folder."""
    try:
        suite = suite_file.load(out / SUITE).suite
        return trust.is_known(origin(RunFolder(out, "run"), results, suite), or_trusted=or_trusted)
    except ConfigError:  # a file of the folder cannot be read
        return False


def _announce(resolved: ResolvedRun) -> None:
    """Log what is compared and how long it takes, before anything is built."""
    plan, specs = resolved.plan, resolved.specs
    log.info(
        "comparing %s with %s by the suite %s: %s, once both are built",
        specs[Arm.CANDIDATE],
        specs[Arm.BASELINE],
        plan.suite.name,
        pairs_text(plan.summary()),
    )
    for sentence in toolchain.first_builds(plan.suite.needs, resolved.product):
        log.info("%s", sentence)
