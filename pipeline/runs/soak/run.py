"""`soak`: from a request to what each resource does under churn, in a folder."""

import math
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.environments import registry
from pipeline.model import headroom
from pipeline.model.limit import parse_limits
from pipeline.model.ports import Target
from pipeline.model.request import SoakRequest
from pipeline.model.sizing import object_counts
from pipeline.model.soak import GrowthVerdict, Soak, SoakEnd, SoakQuestion
from pipeline.model.subject import Arm
from pipeline.render.soak import soak_svg, soak_text
from pipeline.runs import trust
from pipeline.runs.capacity.fill import ready_timeout_s
from pipeline.runs.folder import RunFolder
from pipeline.runs.measure import new_folder
from pipeline.runs.one_build import (
    OneBuild,
    headroom_of,
    load_digest,
    prepare,
    prepare_again,
    refused_by_config_error,
    require_measurable,
)
from pipeline.runs.plan import draw_seed
from pipeline.runs.soak.cycle import SCRIPT, CycleRunner, settings_of
from pipeline.runs.soak.cycle_loop import run_cycles
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, progress
from pipeline.system.errors import ConfigError, Exit, LoadError
from pipeline.system.log import log
from pipeline.system.paths import SOAK

REPORT_TEXT = "soak.txt"
CURVES = "soak.svg"

_GUARD_S = 1.0
_REQUEST_S = 0.001  # of the fastest build


def question_of(request: SoakRequest) -> SoakQuestion:
    """Return the question of a request, or raise ConfigError if it cannot be answered."""
    with refused_by_config_error():
        limits = parse_limits(request.limits) if request.limits else ()
        question = SoakQuestion(
            lasts_s=request.lasts_s,
            limits=limits,
            projects=request.projects,
            objects=request.objects,
            object_bytes=request.object_bytes,
            watches=request.watches,
            deadline_s=ready_timeout_s(limits),
            seed=draw_seed(request.seed),
        )
        cycle = settings_of(question)
    requests = cycle.requests_expected(1)
    if requests * _REQUEST_S > cycle.longest_s:
        raise ConfigError(
            f"a cycle of {requests:,} requests, one after the other, does not end within"
            f" {cycle.longest_s:g} s",
            hint="fewer --objects",
        )
    return question


def run(request: SoakRequest, out: Path) -> Soak:
    """Soak from nothing, and leave everything in a new folder, also after an error."""
    question = question_of(request)
    folder = RunFolder(out, "soak")
    folder.require_new()
    watches = 2 * question.projects * question.watches
    counts = object_counts(
        [(question.projects, question.objects, question.object_bytes)], watches=watches
    )
    build = prepare(request, "soak", counts, out)
    soak = Soak(
        question=question,
        subject=build.artifact.subject,
        environment=build.settings.kind,
        load_digest=load_digest(SCRIPT),
        machine=build.machine,
        tools=build.tools,
        taken_at=datetime.now(UTC),
    )
    to_store = replace(request, seed=question.seed, settings=registry.to_values(build.settings))
    folder.create(codec.SOAK_REQUEST.dumps(to_store))
    codec.SOAK.write(out / SOAK, soak)
    trust.note(_origin(folder, soak), out)
    return _measure(soak, build, folder)


def resume(out: Path, lasts_s: float | None = None, *, is_trusted: bool = False) -> Soak:
    """Continue a soak in another launch, and keep its cycles; see `pipeline.runs.run.resume`.

    A new duration includes the time that was spent until now.
    """
    folder = RunFolder(out, "soak")
    stored = codec.SOAK.read(paths.result_file(out, SOAK))
    request = codec.SOAK_REQUEST.read(folder.request)
    trust.require(_origin(folder, stored), out, is_trusted=is_trusted)
    with folder.naming("the soak"):
        question = replace(question_of(request), lasts_s=stored.question.lasts_s)
    folder.require_request(
        {
            field.name: (getattr(question, field.name), getattr(stored.question, field.name))
            for field in fields(SoakQuestion)
        }
    )
    if lasts_s is not None:
        question = replace(question, lasts_s=lasts_s)
    soak = replace(stored, question=question, ended=None, ended_by="")
    build = prepare_again(folder, request, soak, SCRIPT)
    log.info("%s: %s cycles are kept", out, len(soak.cycles))
    return _measure(soak, build, folder)


def write(soak: Soak, out: Path) -> None:
    """Write soak.json and the reports into the folder of the soak."""
    files = {SOAK: codec.SOAK.dumps(soak), REPORT_TEXT: soak_text(soak), CURVES: soak_svg(soak)}
    if codec.write_reports(out, files):
        log.info("everything is in %s", out)


def exit_code(soak: Soak, *, is_strict: bool = False) -> Exit:
    """Return the exit code: a limit that broke, or a build that failed, is a regression.

    A leak is one only if `is_strict`.
    """
    if soak.broke or soak.ended is SoakEnd.FAILED:
        return Exit.REGRESSION
    leaks = any(one.verdict is GrowthVerdict.LEAK for one in soak.growth.values())
    return Exit.REGRESSION if is_strict and leaks else Exit.NO_REGRESSION


def _measure(soak: Soak, build: OneBuild, folder: RunFolder) -> Soak:
    latest, out = soak, folder.path
    number = max((cycle.launch for cycle in soak.cycles), default=-1) + 1
    with (
        folder.measuring(lambda: (f"{len(latest.cycles)} cycles",)),
        progress.show_progress() as shown,
        registry.with_life(build.settings, soak.question.lasts_s).open(
            build.programs
        ) as environment,
    ):
        launch_out = new_folder(out / "launches" / f"{number:03}")
        shown.stage("start the servers", soak.question.lasts_s - soak.spent_s)
        with environment.launch({Arm.CANDIDATE: build.artifact}, launch_out) as targets:
            target = targets[Arm.CANDIDATE]
            require_measurable(soak.question.limits, target)
            check = _guard(target, out, is_here=build.settings.is_here)
            runner = CycleRunner(
                question=soak.question,
                target=target,
                k6=build.programs["k6"],
                out=launch_out,
                launch=number,
                check=check,
                began_s=time.monotonic(),
            )
            for latest in run_cycles(soak, runner.run, target.check, shown.stage):
                codec.SOAK.write(out / SOAK, latest)
    if not latest.cycles and latest.ended is not SoakEnd.FAILED:
        hint = "a cycle takes about half a minute" if latest.ended is SoakEnd.TIME else ""
        raise LoadError(f"nothing was measured: {latest.ended_by}", hint=hint)
    return latest


def _guard(target: Target, out: Path, *, is_here: bool) -> Callable[[], None]:
    """Return a check that raises when a server died, or a reserve of the machine is exhausted."""
    checked_s = -math.inf

    def check() -> None:
        nonlocal checked_s
        target.check()
        if time.monotonic() - checked_s < _GUARD_S:
            return
        checked_s = time.monotonic()
        headroom.require_reserves(headroom_of(out, target, is_here=is_here))

    return check


def _origin(folder: RunFolder, soak: Soak) -> RunOrigin:
    return folder.origin((soak.taken_at, soak.question.seed), {"subject": soak.subject})
