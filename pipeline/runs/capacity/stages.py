"""The verb `capacity`: from what was asked to a folder with the answer in it."""

import argparse
import hashlib
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.environments.local import LocalSettings
from pipeline.judge.stats.summary import QUANTILES, min_values
from pipeline.model.capacity import Capacity, CapacityQuestion, CountedResource, SearchEnd
from pipeline.model.limit import parse_limits
from pipeline.model.ports import Artifact, Program
from pipeline.model.results import Tool
from pipeline.render.capacity import capacity_text
from pipeline.render.curve import curve_svg
from pipeline.runs import trust
from pipeline.runs.capacity import fill, search
from pipeline.runs.capacity.launcher import K6Bench
from pipeline.runs.capacity.request import DEFAULT_BUDGET
from pipeline.runs.capacity.search_loop import steps
from pipeline.runs.request import spec_of
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, progress, terminal
from pipeline.system.durations import duration_s
from pipeline.system.errors import ConfigError, Exit, LoadError, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import CAPACITY
from pipeline.system.private_folder import measurement_lock

REPORT_TEXT = "capacity.txt"
CURVE = "capacity.svg"

STARTS = {CountedResource.PROJECTS: 5, CountedResource.OBJECTS: 100}
"""The first N, unless another is asked for."""

LEAST_HOLD_S = 3.0
"""The halves of a shorter hold could not be told apart: the probes look twice a second."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked `capacity` for; None is the default, durations in s.

    `build` is the command that builds a source, with `{out}` for the path of the binary.
    """

    things: str
    subject: str
    limits: Sequence[str]
    budget_s: float
    start: int | None = None
    projects: int | None = None
    object_bytes: int = 1000
    rate: float = 20.0
    hold_s: float = 20.0
    seed: int | None = None
    build: str = ""


def answered(args: argparse.Namespace, out: Path) -> Capacity:
    """Carry out what the command line says, and leave every file of the answer in the folder.

    Raises:
        PipelineError: See `start` and `resume`.
    """
    resumed = args.resume is not None
    if resumed:
        capacity = resume(out, args.budget, is_trusted=bool(args.trust))
    else:
        capacity = start(wish(args), out)
    if write(capacity, out):
        log.info("everything is in %s", out)
    return capacity


def shown(capacity: Capacity, *, is_json: bool, width: int, color: bool) -> str:
    """Return what is printed: capacity.json, or the report."""
    if is_json:
        return codec.CAPACITY.dumps(capacity)
    return capacity_text(capacity, width=width, color=color)


def wish(args: argparse.Namespace) -> Wish:
    """Return what the command line says, with the defaults of what it does not."""
    binary = os.environ.get(toolchain.BINARY, "")
    given = {
        "object_bytes": args.object_bytes,
        "rate": args.rate,
        "hold_s": args.hold,
        "start": args.start,
        "projects": args.projects,
        "seed": args.seed,
    }
    return Wish(
        things=args.things,
        subject=args.candidate or (f"binary:{binary}" if binary else "reference"),
        limits=args.limit or (),
        build=args.build or "",
        budget_s=args.budget or duration_s(DEFAULT_BUDGET),
        **{name: value for name, value in given.items() if value is not None},
    )


def question_of(wish: Wish) -> CapacityQuestion:
    """Return what a wish means.

    Raises:
        ConfigError: It cannot be answered.
    """
    things = CountedResource(wish.things)
    try:
        limits = parse_limits(wish.limits)
        question = CapacityQuestion(
            things=things,
            limits=limits,
            budget_s=wish.budget_s,
            start=STARTS[things] if wish.start is None else wish.start,
            projects=3 if wish.projects is None else wish.projects,
            object_bytes=wish.object_bytes,
            rate=wish.rate,
            hold_s=wish.hold_s,
            seed=random.SystemRandom().randrange(2**31) if wish.seed is None else wish.seed,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if things is CountedResource.PROJECTS and wish.projects is not None:
        raise ConfigError(
            "--projects says in how many Projects the objects are, and has no meaning here",
            hint="`capacity objects`, or --start for the first number of Projects",
        )
    if things is CountedResource.OBJECTS and any(limit.quantity == "ready" for limit in limits):
        raise ConfigError(
            "`ready` is the time of Projects that are added, and `capacity objects` adds none",
            hint="`capacity projects`, or a limit of p99(create)",
        )
    _has_enough_values(question)
    return question


def start(wish: Wish, out: Path) -> Capacity:
    """Search from nothing, and leave everything in a new folder.

    Raises:
        PipelineError: Of every kind; what was measured until then is in `out`.
    """
    question = question_of(wish)
    paths.require_new_folder(out, resume="capacity --resume")
    artifact = toolchain.artifact(spec_of(wish.subject), wish.build)
    programs = toolchain.programs_of(("etcd", "k6"))
    capacity = Capacity(
        question=question,
        subject=artifact.subject,
        environment=LocalSettings().kind,
        load_digest=_load_digest(),
        machine=toolchain.machine_with(programs, LocalSettings().facts),
        tools={
            **{name: Tool(found.version, found.digest) for name, found in programs.items()},
            "milo-perf": toolchain.own_version(),
        },
        taken_at=datetime.now(UTC),
    )
    out.mkdir(parents=True, exist_ok=True)
    codec.CAPACITY.write(out / CAPACITY, capacity)
    trust.note(_begun(capacity), out)
    return _search(capacity, artifact, programs, out)


def resume(out: Path, budget_s: float | None, *, is_trusted: bool = False) -> Capacity:
    """Go on with a search; steps that were measured are kept.

    Args:
        out: Folder of the search.
        budget_s: Seconds for all of it, those before included; None for what was asked then.
        is_trusted: Whether what the folder says may be executed, also if it was not begun here.

    Raises:
        ConfigError: The build, the load or the machine is not what it was, or the folder is not
            trusted.
        PipelineError: As `start`.
    """
    capacity = search.reopened(codec.CAPACITY.read(paths.result_file(out, CAPACITY)), budget_s)
    trust.require(_begun(capacity), out, is_trusted=is_trusted)
    built_by = capacity.subject.facts.get("build", "")
    artifact = toolchain.artifact(spec_of(capacity.subject.spec), built_by)
    programs = toolchain.programs_of(("etcd", "k6"))
    _same("the binary", capacity.subject.digest, artifact.subject.digest)
    _same("the load's script", capacity.load_digest, _load_digest())
    for fact, value in toolchain.machine_with(programs, LocalSettings().facts).fingerprint.items():
        before = capacity.machine.fingerprint.get(fact, "unknown")
        _same(f"the machine's {fact}", before, value)
    log.info("%s: %s steps are kept", out, len(capacity.steps))
    return _search(capacity, artifact, programs, out)


def write(capacity: Capacity, out: Path) -> bool:
    """Write the answer into the folder of the search; see `codec.write_reports`."""
    return codec.write_reports(
        out,
        {
            CAPACITY: codec.CAPACITY.dumps(capacity),
            REPORT_TEXT: capacity_text(capacity),
            CURVE: curve_svg(capacity),
        },
    )


def exit_code(capacity: Capacity) -> Exit:
    """Return how the process ends: an answer is success, whatever it is."""
    if capacity.ended is SearchEnd.LOAD or not capacity.steps:
        return Exit.WRONG_LOAD
    return Exit.NO_REGRESSION


def _search(
    capacity: Capacity, artifact: Artifact, programs: dict[str, Program], out: Path
) -> Capacity:
    latest = capacity
    try:
        with (
            measurement_lock(out),
            progress.show_progress() as shown,
        ):
            ends_s = time.monotonic() + capacity.question.budget_s - capacity.spent_s
            bench = K6Bench(
                question=capacity.question,
                environment=LocalSettings().environment(programs["etcd"]),
                artifact=artifact,
                k6=programs["k6"],
                out=out,
                ends_s=ends_s,
                room=lambda target: toolchain.headroom(out, target.processes),
            )
            for latest in steps(capacity, bench, shown.stage, ends_s):
                codec.CAPACITY.write(out / CAPACITY, latest)
    except (PipelineError, KeyboardInterrupt, OSError):
        log.warning(
            "stopped after %s steps; go on with: %s",
            len(latest.steps),
            terminal.command("capacity", "--resume", out),
        )
        raise
    if not latest.steps:
        raise LoadError(
            f"nothing was measured: {latest.ended_by}",
            hint="raise --budget: a start, a filling and a hold take about a minute",
        )
    return latest


def _begun(capacity: Capacity) -> RunOrigin:
    began = (capacity.taken_at, capacity.question.seed)
    return RunOrigin("capacity --resume", began, {"subject": capacity.subject}, {})


def _same(what: str, before: str, now: str) -> None:
    if before != now:
        raise ConfigError(
            f"{what} is not what it was when the search began: {before}, now {now}",
            hint="start a new search",
        )


def _has_enough_values(question: CapacityQuestion) -> None:
    """Return if a hold has enough requests for each percentile that has a limit."""
    if question.hold_s < LEAST_HOLD_S:
        raise ConfigError(
            f"--hold {question.hold_s:g}s: a hold shorter than {LEAST_HOLD_S:g} s says nothing"
        )
    for limit in question.limits:
        quantile = QUANTILES.get(limit.quantity.partition("(")[0])
        needed = min_values(quantile) if quantile else 0
        if question.rate * question.hold_s < 1.05 * needed:  # one may be lost at either end
            raise ConfigError(
                f"`{limit.text}` needs {needed} requests in a hold, and"
                f" {question.rate:g} per second for {question.hold_s:g} s are too few",
                hint="raise --hold or --rate, or limit a percentile that needs fewer",
            )


def _load_digest() -> str:
    content = hashlib.sha256()
    for path in (fill.script(), *sorted(paths.project_path("k6_scripts", "lib").glob("*.js"))):
        content.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{content.hexdigest()}"
