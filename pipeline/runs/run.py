"""`run`: from a request to measured results.  Here interfaces meet their implementations."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.drivers.registry import driver_of
from pipeline.environments import registry
from pipeline.judge import policy
from pipeline.judge.policy import with_more
from pipeline.judge.stored import stored_reference
from pipeline.model.ports import Artifact, EnvironmentSettings, Program
from pipeline.model.report import Report, Verdict
from pipeline.model.request import RunRequest, StoredRequest
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.probes.registry import default_probes, opt_in_probes
from pipeline.render.plan import pairs_text
from pipeline.runs import calibration_gate, measure, preflight, priors, suite_file, trust
from pipeline.runs.folder import RunFolder
from pipeline.runs.history.spreads_file import named_spreads
from pipeline.runs.plan import Plan
from pipeline.runs.request import ResolvedRun, in_environment, max_pairs, rebuild, resolve, spec_of
from pipeline.runs.suite_file import SUITE, LoadedSuite, Suite
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec, toml_file
from pipeline.system import paths, progress
from pipeline.system.errors import ConfigError, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import RESULTS

ENVIRONMENT = "environment.toml"
"""Copy of the file that --environment named, so that the run can be repeated from its folder."""


def run(request: RunRequest, out: Path) -> Report:
    """Measure from nothing, judge, and leave everything in a new folder.

    Args:
        request: Arguments of the command.
        out: Folder to create.

    Raises:
        PipelineError: Any of its kinds; what was measured until then is in the folder.
    """
    resolved = resolve(request)
    folder = RunFolder(out, "run")
    folder.require_new()
    prior_spreads = named_spreads(request.prior) if request.prior else None
    plan = resolved.plan
    preflight.require(plan, list(resolved.specs.values()), out)
    _announce(resolved)
    artifacts = _build(resolved)
    programs = toolchain.programs_of(plan.suite.needs)
    machine = toolchain.machine_with(programs, plan.suite.environment.facts)
    conditions = priors.prior_request(plan.suite, resolved.product, plan.interleave, machine)
    prior = priors.choose_prior(conditions, prior_spreads)
    stored = resolved.stored
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
        suite_path=_suite_path(request, out),
        place=environment_path(request, out),
        load_pods=request.load_pods,
        prior=prior,
        load_digest=conditions.conditions.load_digest,
        ungated=calibration_gate.undecidable_metrics(plan, resolved.suite.digest, machine, prior),
    )
    folder.create(codec.REQUEST.dumps(resolved.to_store()))
    suite_file.keep(resolved.suite, out)
    if request.environment.endswith(".toml"):
        text = toml_file.read(Path(request.environment).expanduser(), "the environment")
        codec.write_text(out / ENVIRONMENT, text)
    codec.RESULTS.write(out / RESULTS, results)
    folder.note(origin(folder, results, resolved.suite.suite))
    return _measure(plan, results, artifacts, programs, folder, kept=results)


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
        PipelineError: Any of its kinds, as for `run`.
    """
    folder = RunFolder(out, "run")
    results = kept = codec.RESULTS.read(paths.result_file(out, RESULTS))
    stored = codec.REQUEST.read(folder.request)
    loaded = _stored_suite(folder, stored)
    folder.require_trusted(origin(folder, results, loaded.suite), is_trusted=is_trusted)
    _require_request_of(folder, stored, results)
    folder.require_same("the suite or one of its scripts", results.suite_digest, loaded.digest)
    specs = {}
    for arm in Arm:
        with _named_field(folder, arm):
            specs[arm] = spec_of(results.subjects[arm].spec)
    plan = _plan_of(results, loaded.suite.of(specs[Arm.CANDIDATE].product))
    if more is not None:
        results, plan = _with_more(results, plan, more)
    preflight.require(plan, list(specs.values()), out)
    artifacts = {}
    for arm, subject in results.subjects.items():
        with _named_field(folder, arm):
            artifacts[arm] = rebuild(subject)
        digest = artifacts[arm].subject.digest
        folder.require_same(f"the binary of the {arm}", subject.digest, digest)
    programs = toolchain.programs_of(plan.suite.needs)
    machine = toolchain.machine_with(programs, plan.suite.environment.facts)
    folder.require_same_machine(results.machine, machine)
    log.info("%s: %s pairs are kept", out, results.pairs)
    return _measure(plan, results, artifacts, programs, folder, kept=kept)


def _stored_suite(folder: RunFolder, stored: StoredRequest) -> LoadedSuite:
    """Return the suite in the folder of a run, in the environment that the run uses.

    Raises:
        ConfigError: One of them is gone, or cannot be used.
    """
    path = folder.path / SUITE
    if not path.is_file():
        raise ConfigError(
            f"{folder.request}: suite: {path} is gone",
            hint=codec.REQUEST.hint,
        )
    loaded = suite_file.load(path)
    return in_environment(loaded, stored_environment(folder, stored))


def stored_environment(folder: RunFolder, stored: StoredRequest) -> EnvironmentSettings:
    """Return the environment of a run, as its request.json says.

    Raises:
        ConfigError: Naming the field that cannot be used.
    """
    return registry.from_values(stored.environment, f"{folder.request}")


def _require_request_of(folder: RunFolder, stored: StoredRequest, results: ResultSet) -> None:
    """Refuse a request.json that does not belong to the results beside it.

    Raises:
        ConfigError: Naming the first field that differs.
    """
    fields: tuple[tuple[str, object, object], ...] = (
        ("suite_digest", stored.suite_digest, results.suite_digest),
        ("candidate", stored.candidate, results.subjects[Arm.CANDIDATE].spec),
        ("baseline", stored.baseline, results.subjects[Arm.BASELINE].spec),
        ("environment.kind", stored.environment.get("kind"), results.environment),
        ("seed", stored.seed, results.seed),
    )
    for name, asked, measured in fields:
        if asked != measured:
            raise ConfigError(
                f"{folder.request}: {name}: is {asked}, and the results beside it are of"
                f" {measured}",
                hint=codec.REQUEST.hint,
            )


@contextmanager
def _named_field(folder: RunFolder, name: str) -> Iterator[None]:
    """Name the field of request.json in an error that its value causes."""
    try:
        yield
    except PipelineError as error:
        error.args = (f"{folder.request}: {name}: {error}",)
        raise


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


def _with_more(results: ResultSet, plan: Plan, more: int) -> tuple[ResultSet, Plan]:
    """Return results that may have more pairs, and the plan for these."""
    valid = len(results.valid_pairs)
    if more < 1:
        raise ConfigError(f"--pairs {more}: with --resume it is how many more to measure")
    if valid + more > (most := max_pairs(plan.suite)):
        raise ConfigError(f"{valid + more} pairs: of this suite a run has at most {most}")
    left_out = _workload_filter(plan)(results)
    is_over = measure.exceeds_budget(plan, results, left_out)
    longer, until = with_more(results, more, is_over=is_over)
    if policy.report(results).verdict is Verdict.REGRESSED:
        log.warning("the regression that was found stays, whatever more pairs show")
    pair_s = measure.expected_pair_s(plan, results, left_out)
    log.info("%s more pairs of about %.0f s, to %s in all", until - valid, pair_s, until)
    return longer, replace(_plan_of(longer, plan.suite), pairs=until)


def feed(report: Report, out: Path) -> None:
    """Store the spreads of a run, for the priors of later runs on this machine.

    A run that was started elsewhere is left out.

    Args:
        report: Report of a run that ended by itself.
        out: Folder of the run.
    """
    with suppress(ConfigError):  # a file of the folder cannot be read
        suite = suite_file.load(out / SUITE).suite
        if trust.is_started_here(origin(RunFolder(out, "run"), report.results, suite)):
            priors.feed_history(report)


def _build(resolved: ResolvedRun) -> dict[Arm, Artifact]:
    """Build or find the binary of each arm."""
    stored, command = resolved.stored, resolved.request.build
    stored_command = stored.subject.facts.get("build", "") if stored else ""
    specs = resolved.specs
    return {
        Arm.BASELINE: toolchain.artifact(specs[Arm.BASELINE], command or stored_command),
        Arm.CANDIDATE: toolchain.artifact(specs[Arm.CANDIDATE], command),
    }


def _measure(
    plan: Plan,
    results: ResultSet,
    artifacts: Mapping[Arm, Artifact],
    programs: Mapping[str, Program],
    folder: RunFolder,
    *,
    kept: ResultSet,
) -> Report:
    """Measure the pairs that a plan still lacks, and judge.

    Args:
        plan: The plan.
        results: Results until now; they may allow for more pairs than `kept`.
        artifacts: Build of each arm.
        programs: Tools, by name.
        folder: Folder of the run.
        kept: Results that the folder is known to hold.
    """
    latest = results
    added = plan.pairs - len(kept.valid_pairs) if results != kept else None

    def state() -> tuple[object, ...]:
        arguments = () if added is None else ("--pairs", added)
        return (f"{latest.pairs} of {plan.pairs} pairs", *arguments)

    with (
        folder.measuring(state),
        plan.suite.environment.open(programs) as environment,
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
        harness = measure.Harness(
            environment=environment,
            drivers={w.name: driver_of(w.driver, programs) for w in plan.suite.workloads},
            probes=default_probes(),
            opt_in_probes=opt_in_probes(),
            artifacts=artifacts,
        )
        for latest in measure.run_pairs(
            plan,
            harness,
            results,
            folder.path,
            shown,
            is_enough=_is_enough(plan),
            settled_workloads=_workload_filter(plan),
        ):
            codec.RESULTS.write(folder.path / RESULTS, latest)
    return policy.report(latest)


def _is_enough(plan: Plan) -> measure.StopCondition:
    """Return the condition that ends a run: it is decided, or has all pairs of the plan."""
    return lambda results: len(results.valid_pairs) >= plan.pairs or policy.is_enough(results)


def _workload_filter(plan: Plan) -> measure.WorkloadFilter:
    """Return which workloads a pair leaves out: none, unless the suite allows it."""
    return policy.settled_workloads if plan.suite.settled == "leave-out" else lambda _: ()


def origin(folder: RunFolder, results: ResultSet, suite: Suite) -> RunOrigin:
    """Return what identifies a run, and decides what resuming it executes; see `trust`."""
    files = suite_file.kept_names(suite)  # scripts are executed too
    began = (results.taken_at, results.seed)
    subjects = {str(arm): subject for arm, subject in results.subjects.items()}
    return folder.origin(began, subjects, files, results.suite_digest)


def is_started_here(results: ResultSet, out: Path) -> bool:
    """Return whether this user started the run on this machine, or trusts its folder."""
    try:
        suite = suite_file.load(out / SUITE).suite
        return trust.is_known(origin(RunFolder(out, "run"), results, suite))
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


def _suite_path(request: RunRequest, out: Path) -> str:
    """Return how to name the suite in a command that others may read; empty for one of ours."""
    return (
        paths.portable_name(request.suite, out / SUITE) if request.suite.endswith(".toml") else ""
    )


def environment_path(request: RunRequest, out: Path) -> str:
    """Return how to name the environment in a command that others may read."""
    if request.environment.endswith(".toml"):
        return paths.portable_name(request.environment, out / ENVIRONMENT)
    return request.environment
