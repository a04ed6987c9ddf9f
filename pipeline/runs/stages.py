"""The verbs.  This is the one place where ports meet adapters; it decides nothing."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.drivers.registry import driver_of
from pipeline.environments.registry import NAMES, chosen
from pipeline.judge import policy
from pipeline.judge.more import with_more
from pipeline.judge.stored import stored_reference
from pipeline.model.ports import Artifact, Program
from pipeline.model.report import Report, Verdict
from pipeline.model.results import (
    Baseline,
    ResultSet,
    Tool,
)
from pipeline.model.subject import Arm, Spec, Subject
from pipeline.probes.registry import DEFAULT_PROBES, OPT_IN_PROBES
from pipeline.render import words
from pipeline.render.plan import pairs_of
from pipeline.render.registry import RENDERERS, RenderContext
from pipeline.runs import calibration_gate, measure, preflight, priors, suite_file, traces, trust
from pipeline.runs.plan import Plan
from pipeline.runs.request import Wish, most_pairs, placed, planned, sides, spec_of, store
from pipeline.runs.suite_file import SUITE, Suite
from pipeline.runs.trust import Begun
from pipeline.storage import codec, toml_file
from pipeline.system import paths, progress, terminal
from pipeline.system.errors import BaselineError, ConfigError, Exit, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import RESULTS
from pipeline.system.private_folder import measuring

VERDICT = "verdict.json"
REPORT_TEXT = "report.txt"
REPORT_MARKDOWN = "report.md"
REPORT_HTML = "report.html"
ENVIRONMENT = "environment.toml"


def run(wish: Wish, out: Path) -> Report:
    """Measure from nothing, judge, and leave everything in a new folder.

    Raises:
        PipelineError: Of every kind; what was measured until then is in `out`.
    """
    loaded, plan = planned(wish)
    compared = sides(wish, loaded)
    stored = compared.stored
    paths.require_new_folder(out, resume="run --resume")
    preflight.require(plan, list(compared.specs.values()), out)
    _announce(plan, compared.specs)
    built_by = stored.subject.facts.get("build", "") if stored else ""
    artifacts = {
        Arm.BASELINE: toolchain.artifact(compared.specs[Arm.BASELINE], wish.build or built_by),
        Arm.CANDIDATE: toolchain.artifact(compared.specs[Arm.CANDIDATE], wish.build),
    }
    programs = toolchain.programs_of(plan.suite.needs)
    machine = toolchain.machine_with(programs, plan.suite.environment.facts)
    product = compared.specs[Arm.CANDIDATE].product
    asked = priors.request(plan.suite, product, plan.interleave, machine)
    prior = priors.chosen(asked, wish.prior)
    results = ResultSet(
        suite=plan.suite.name,
        suite_digest=loaded.digest,
        environment=plan.suite.environment.kind,
        interleave=plan.interleave,
        pairs_asked=plan.pairs,
        looks=plan.looks,
        seed=plan.seed,
        subjects={arm: artifact.subject for arm, artifact in artifacts.items()},
        machine=machine,
        tools=_tools(programs),
        taken_at=datetime.now(UTC),
        stored=stored_reference(stored, machine) if stored else None,
        stops_at_red=plan.suite.stop_at_red,
        budget_s=plan.budget_s,
        suite_path=paths.named(wish.suite, out / SUITE) if wish.suite.endswith(".toml") else "",
        place=_place(wish, out),
        prior=prior,
        load_digest=asked.conditions.load_digest,
        ungated=calibration_gate.out_of_reach(plan, loaded.digest, machine, prior),
    )
    out.mkdir(parents=True, exist_ok=True)
    suite_file.keep(loaded, out)
    if wish.place:
        codec.write_text(out / ENVIRONMENT, chosen(wish.place)[1])
    codec.write_results(out / RESULTS, results)
    trust.note(_begun(results, loaded.suite, out), out)
    return _measure(plan, results, artifacts, programs, out, kept=results)


def resume(out: Path, *, more: int | None = None, is_trusted: bool = False) -> Report:
    """Go on with a run; trials that were measured are kept.

    Args:
        out: Its folder.
        more: Number of valid pairs to add; None to go on to where an interrupted run was to end.
        is_trusted: Whether what the folder says may be executed, also if it was not begun here.

    Raises:
        ConfigError: The suite, a subject or the machine is not what it was, or the folder is not
            trusted.
        PipelineError: As `run`.
    """
    results = kept = codec.read_results(paths.measured(out, RESULTS))
    loaded = suite_file.load(out / SUITE)
    trust.require(_begun(results, loaded.suite, out), out, is_trusted=is_trusted)
    _same("the suite or one of its scripts", results.suite_digest, loaded.digest)
    specs = {arm: spec_of(subject.spec) for arm, subject in results.subjects.items()}
    place = out / ENVIRONMENT
    loaded = placed(
        loaded,
        str(place) if place.is_file() else "",
        [subject.spec for subject in results.subjects.values()],
    )
    suite = loaded.suite.of(specs[Arm.CANDIDATE].product)
    plan = _planned(results, suite)
    if more is not None:
        results, plan = _with_more(results, plan, more)
    preflight.require(plan, list(specs.values()), out)
    artifacts = {arm: _again(results.subjects[arm]) for arm in Arm}
    for arm, artifact in artifacts.items():
        _same(f"the binary of the {arm}", results.subjects[arm].digest, artifact.subject.digest)
    programs = toolchain.programs_of(plan.suite.needs)
    machine = toolchain.machine_with(programs, plan.suite.environment.facts)
    for fact, value in machine.fingerprint.items():
        _same(f"the machine's {fact}", results.machine.fingerprint.get(fact, "unknown"), value)
    log.info("%s: %s pairs are kept", out, results.pairs)
    return _measure(plan, results, artifacts, programs, out, kept=kept)


def _planned(results: ResultSet, suite: Suite) -> Plan:
    """Return the plan that results are of."""
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
    if valid + more > (most := most_pairs(plan.suite)):
        raise ConfigError(f"{valid + more} pairs: of this suite a run has at most {most}")
    left_out = _workload_filter(plan)(results)
    is_over = measure.exceeds_budget(plan, results, left_out)
    longer, until = with_more(results, more, is_over=is_over)
    if policy.report(results).verdict is Verdict.REGRESSED:
        log.warning("the regression that was found stays, whatever more pairs show")
    pair_s = measure.expected_pair_s(plan, results, left_out)
    log.info("%s more pairs of about %.0f s, to %s in all", until - valid, pair_s, until)
    return longer, replace(_planned(longer, plan.suite), pairs=until)


def feed(report: Report, out: Path) -> None:
    """Keep how much the pairs of a run varied, for the priors of later runs on this machine.

    A run that was begun elsewhere is left out: its numbers are those of a stranger.

    Args:
        report: Of a run that came to its end.
        out: Its folder.
    """
    with suppress(ConfigError):  # a file of the folder cannot be read
        suite = suite_file.load(out / SUITE).suite
        if trust.is_begun_here(_begun(report.results, suite, out)):
            priors.feed(report)


def compare(out: Path) -> Report:
    """Judge the results in a folder, and return the report.

    Raises:
        BaselineError: They are missing or unreadable.
    """
    return policy.report(codec.read_results(paths.measured(out, RESULTS)))


def write(report: Report, out: Path, exit_code: Exit) -> bool:
    """Write the verdict and every report into the run's folder; see `codec.write_reports`."""
    step = next_step(report, out)
    reports = {REPORT_TEXT: "text", REPORT_MARKDOWN: "markdown", REPORT_HTML: "html"}
    return codec.write_reports(
        out,
        {
            VERDICT: codec.verdict_json(report, exit_code, words.answer(report), step),
            **{name: render(report, out, how) for name, how in reports.items()},
        },
    )


def next_step(report: Report, out: Path) -> str:
    """Return the command that would settle an inconclusive run; empty where none would."""
    more = words.more_pairs(report)
    return terminal.command("run", "--resume", out, "--pairs", more) if more else ""


def render(report: Report, out: Path, how: str, *, width: int = 100, color: bool = False) -> str:
    """Return a report in one of the formats of `RENDERERS`.

    Args:
        report: Report to render.
        out: Folder of the run.
        how: Name of the format.
        width: Line width of a text, in characters.
        color: Whether a text may have colors.
    """
    context = RenderContext(
        lambda: traces.read(out, report.results, is_ours=_is_ours(report.results, out)),
        lambda: codec.results_json(report.results),
        next_step(report, out),
        width,
        color,
    )
    return RENDERERS[how](report, context)


def save_baseline(out: Path, name: str) -> Path:
    """Keep the candidate of a run under a name, and return the file.

    Raises:
        BaselineError: The run is unfinished, or its candidate could not be made again.
    """
    results = codec.read_results(paths.measured(out, RESULTS))
    valid = results.valid_pairs
    needed = results.looks[0] if results.looks else results.pairs_asked
    if len(valid) < needed:
        raise BaselineError(
            f"{out}: {len(valid)} of {needed} pairs were measured",
            hint="finish it with `run --resume`",
        )
    subject = toolchain.pinned(results.subjects[Arm.CANDIDATE])
    samples = tuple(replace(s.of_pairs(valid), of=()) for s in results.samples[Arm.CANDIDATE])
    return store().save(
        Baseline(
            name=name,
            suite=results.suite,
            suite_digest=results.suite_digest,
            subject=subject,
            machine=results.machine,
            tools=results.tools,
            taken_at=results.taken_at,
            samples=samples,
        )
    )


def stored_baseline(name: str) -> Baseline:
    """Return a stored baseline; see `Directory.load`."""
    return store().load(name)


def baseline_names() -> list[str]:
    """Return the names of the stored baselines."""
    return store().names()


def _measure(
    plan: Plan,
    results: ResultSet,
    artifacts: Mapping[Arm, Artifact],
    programs: Mapping[str, Program],
    out: Path,
    *,
    kept: ResultSet,
) -> Report:
    """Measure what a plan still lacks, and judge; `kept` is what the folder is known to hold."""
    latest = results
    again: list[object] = ["run", "--resume", out]
    if results != kept:
        again += ["--pairs", plan.pairs - len(kept.valid_pairs)]
    try:
        with (
            measuring(out),
            plan.suite.environment.opened(programs) as environment,
            progress.shown() as shown,
        ):
            there = codec.read_results(out / RESULTS)
            if (there.pairs, there.pairs_asked) != (kept.pairs, kept.pairs_asked):
                raise ConfigError(
                    f"another process went on with {out} meanwhile",
                    hint="type the command again, if more is still wanted",
                )
            codec.write_results(out / RESULTS, results)
            del again[3:]  # how many pairs there are to be is in the file now
            harness = measure.Harness(
                environment=environment,
                drivers={w.name: driver_of(w.driver, programs) for w in plan.suite.workloads},
                probes=DEFAULT_PROBES,
                opt_in_probes=OPT_IN_PROBES,
                artifacts=artifacts,
            )
            for latest in measure.run_pairs(
                plan,
                harness,
                results,
                out,
                shown,
                is_enough=_is_enough(plan),
                settled_workloads=_workload_filter(plan),
            ):
                codec.write_results(out / RESULTS, latest)
    except (PipelineError, KeyboardInterrupt, OSError):
        log.warning(
            "stopped after %s pairs; go on with: %s",
            latest.pairs,
            terminal.command(*again),
        )
        raise
    return policy.report(latest)


def _is_enough(plan: Plan) -> measure.StopCondition:
    """Return the condition that ends a run: it is decided, or has all pairs of the plan."""
    return lambda results: len(results.valid_pairs) >= plan.pairs or policy.is_enough(results)


def _workload_filter(plan: Plan) -> measure.WorkloadFilter:
    """Return which workloads a pair leaves out: none, unless the suite allows it."""
    return policy.settled_workloads if plan.suite.settled == "leave-out" else lambda _: ()


def _begun(results: ResultSet, suite: Suite, out: Path) -> Begun:
    """Return what tells a run from others, and decides what going on with it executes."""
    names = [name for name in (SUITE, ENVIRONMENT) if (out / name).is_file()]
    names += sorted(suite_file.own_files(suite))  # scripts beside the suite are executed too
    return Begun(
        "run --resume",
        (results.taken_at, results.seed),
        {str(arm): subject for arm, subject in results.subjects.items()},
        {name: toml_file.read(out / name, "the file") for name in names},
        results.suite_digest,  # which has to be that of the suite and its scripts as they are
    )


def _is_ours(results: ResultSet, out: Path) -> bool:
    """Return whether a run was begun here, by this user."""
    try:
        return trust.is_known(_begun(results, suite_file.load(out / SUITE).suite, out))
    except ConfigError:  # a file of the folder cannot be read
        return False


def _announce(plan: Plan, specs: Mapping[Arm, Spec]) -> None:
    """Say what happens now and how long it takes, before anything is built."""
    log.info(
        "comparing %s with %s by the suite %s: %s, once both are built",
        specs[Arm.CANDIDATE],
        specs[Arm.BASELINE],
        plan.suite.name,
        pairs_of(plan.summary()),
    )
    for sentence in toolchain.first_builds(plan.suite.needs, specs[Arm.CANDIDATE].product):
        log.info("%s", sentence)


def _place(wish: Wish, out: Path) -> str:
    """Return how to name the environment that was asked for in a command that others may read."""
    if not wish.place or wish.place in NAMES:
        return wish.place
    kept = out / ENVIRONMENT
    is_file = wish.place == wish.environment and wish.place.endswith(".toml")
    return paths.named(wish.place if is_file else str(kept.absolute()), kept)


def _again(subject: Subject) -> Artifact:
    return toolchain.artifact(spec_of(subject.spec), subject.facts.get("build", ""))


def _same(what: str, before: str, now: str) -> None:
    if before != now:
        raise ConfigError(
            f"{what} is not what it was when the run began: {before}, now {now}",
            hint="start a new run",
        )


def _tools(programs: Mapping[str, Program]) -> dict[str, Tool]:
    tools = {name: Tool(program.version, program.digest) for name, program in programs.items()}
    return {**tools, "milo-perf": toolchain.ourselves()}
