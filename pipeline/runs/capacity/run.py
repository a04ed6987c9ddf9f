"""`capacity`: from a request to the capacity of a build, in a folder."""

import math
import time
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pipeline.environments import registry
from pipeline.judge.forecast import MIN_SIZES, forecast_capacity
from pipeline.judge.stats.summary import QUANTILES, min_values
from pipeline.model.capacity import Capacity, CapacityQuestion, CountedResource, SearchEnd
from pipeline.model.forecast import CapacityForecast, parse_machine
from pipeline.model.limit import parse_limits
from pipeline.model.request import CapacityRequest
from pipeline.model.sizing import OBJECT_KINDS, ObjectCounts, object_counts
from pipeline.render.capacity import capacity_text, curve_svg
from pipeline.runs import trust
from pipeline.runs.capacity import search
from pipeline.runs.capacity.fill import (
    MAX_TIMEOUT_S,
    SCRIPT,
    fill_settings,
    probe_settings,
)
from pipeline.runs.capacity.launcher import K6Launcher
from pipeline.runs.capacity.search_loop import run_search
from pipeline.runs.folder import RunFolder
from pipeline.runs.one_build import (
    OneBuild,
    headroom_of,
    load_digest,
    prepare,
    prepare_again,
    refused_by_config_error,
)
from pipeline.runs.plan import draw_seed
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, progress
from pipeline.system.errors import ConfigError, Exit, LoadError
from pipeline.system.log import log
from pipeline.system.paths import CAPACITY

REPORT_TEXT = "capacity.txt"
CURVE = "capacity.svg"
FORECAST = "forecast.json"

_DEFAULT_START = {CountedResource.PROJECTS: 5, CountedResource.OBJECTS: 100}
_DEFAULT_PROJECTS = 3

MIN_HOLD_S = 3.0
"""Shortest hold whose halves can be compared: the probes read twice a second."""


def question_of(request: CapacityRequest) -> CapacityQuestion:
    """Return the question of a request, or raise ConfigError if it cannot be answered."""
    things, limits = request.things, request.limits
    seed = draw_seed(request.seed)
    with refused_by_config_error():
        if request.machine:
            parse_machine(request.machine)
        question = CapacityQuestion(
            things=things,
            limits=parse_limits(limits) if limits or not request.forecast else (),
            budget_s=request.budget_s,
            start=_start(request),
            projects=_DEFAULT_PROJECTS if request.projects is None else request.projects,
            object_bytes=request.object_bytes,
            rate=request.rate,
            hold_s=request.hold_s,
            seed=seed,
            forecast=request.forecast,
            machine=request.machine,
        )
        fill_settings(question, things, range(question.start))
        probe_settings(question, question.start)
    if things is CountedResource.PROJECTS and request.projects is not None:
        raise ConfigError(
            "--projects is the number of Projects that hold objects: it needs `capacity objects`",
            hint="`capacity objects`, or --start for the first number of Projects",
        )
    if request.machine and not request.forecast:
        raise ConfigError(
            "--machine is the size of the machine of a forecast: it needs --forecast N"
        )
    if things is CountedResource.OBJECTS and any(x.quantity == "ready" for x in question.limits):
        raise ConfigError(
            "`ready` is the time of new Projects, and `capacity objects` adds none",
            hint="`capacity projects`, or a limit of p99(create)",
        )
    _require_limits_that_can_break(question)
    _require_enough_sizes(question)
    _require_enough_requests(question)
    return question


def _start(request: CapacityRequest) -> int:
    """Return the first N: one from which doubling measures enough sizes for a forecast."""
    if request.start is not None:
        return request.start
    start = _DEFAULT_START[request.things]
    if not request.forecast:
        return start
    return min(start, search.largest_start(request.forecast))


def _require_limits_that_can_break(question: CapacityQuestion) -> None:
    """Return if every limit is of something that is measured, and can be reached."""
    for limit in question.limits:
        if limit.quantity.startswith("idle_cpu") and not question.forecast:
            raise ConfigError(f"`{limit.text}`: the idle CPU is only measured with --forecast N")
        if limit.quantity == "errors" and limit.below > 1:
            raise ConfigError(f"`{limit.text}`: a share of requests is at most 100 %")
        is_of_requests = limit.unit == "s" and limit.quantity != "ready"
        if is_of_requests and limit.below >= MAX_TIMEOUT_S:
            raise ConfigError(
                f"`{limit.text}`: a request is given up after {MAX_TIMEOUT_S:g} s, so that no time"
                " reaches the limit"
            )


def _require_enough_sizes(question: CapacityQuestion) -> None:
    """Return if doubling measures enough sizes for a forecast, where no limit ends it later."""
    if not question.forecast or question.limits:
        return
    largest = search.largest_start(question.forecast)
    if question.start > largest:
        raise ConfigError(
            f"a forecast needs {MIN_SIZES} sizes, and doubling from --start {question.start} up to"
            f" {search.largest_needed(question.forecast)} measures fewer",
            hint=f"--start {largest}",
        )


def _require_enough_requests(question: CapacityQuestion) -> None:
    """Return if a hold has enough requests for each percentile that has a limit."""
    if question.hold_s < MIN_HOLD_S:
        raise ConfigError(f"--hold {question.hold_s:g}s: the minimum is {MIN_HOLD_S:g} s")
    for limit in question.limits:
        quantile = QUANTILES.get(limit.quantity.partition("(")[0])
        needed = min_values(quantile) if quantile else 0
        if question.rate * question.hold_s < 1.05 * needed:  # one may be lost at either end
            raise ConfigError(
                f"`{limit.text}` needs {needed} requests in a hold, and"
                f" {question.rate:g} per second for {question.hold_s:g} s are too few",
                hint="raise --hold or --rate, or limit a percentile that needs fewer",
            )


def run(request: CapacityRequest, out: Path) -> Capacity:
    """Search from nothing, and leave everything in a new folder, also after an error."""
    question = question_of(request)
    folder = RunFolder(out, "capacity")
    folder.require_new()
    build = prepare(request, "capacity", _first_counts(question), out)
    capacity = Capacity(
        question=question,
        subject=build.artifact.subject,
        environment=build.settings.kind,
        load_digest=load_digest(SCRIPT),
        machine=build.machine,
        tools=build.tools,
        taken_at=datetime.now(UTC),
    )
    to_store = replace(request, seed=question.seed, settings=registry.to_values(build.settings))
    folder.create(codec.CAPACITY_REQUEST.dumps(to_store))
    codec.CAPACITY.write(out / CAPACITY, capacity)
    trust.note(_origin(folder, capacity), out)
    return _search(capacity, build, folder)


def _first_counts(question: CapacityQuestion) -> ObjectCounts:
    """Return what exists at the first N."""
    if question.things is CountedResource.PROJECTS:
        return object_counts([(question.start, 1, question.object_bytes)])
    of_each_kind = math.ceil(question.start / OBJECT_KINDS)
    return object_counts([(question.projects, of_each_kind, question.object_bytes)])


def resume(out: Path, budget_s: float | None = None, *, is_trusted: bool = False) -> Capacity:
    """Continue a search, and keep the steps that were measured; see `pipeline.runs.run.resume`.

    A new budget includes the time that was spent until now.
    """
    folder = RunFolder(out, "capacity")
    stored = codec.CAPACITY.read(paths.result_file(out, CAPACITY))
    request = codec.CAPACITY_REQUEST.read(folder.request)
    trust.require(_origin(folder, stored), out, is_trusted=is_trusted)
    with folder.naming("the search"):
        question = replace(question_of(request), budget_s=stored.question.budget_s)
    folder.require_request(
        {
            field.name: (getattr(question, field.name), getattr(stored.question, field.name))
            for field in fields(CapacityQuestion)
        }
    )
    if budget_s is not None:
        question = replace(question, budget_s=budget_s)
    steps = search.steps_to_resume(stored.steps)
    capacity = replace(stored, question=question, steps=steps, ended=None, ended_by="")
    build = prepare_again(folder, request, capacity, SCRIPT)
    log.info("%s: %s steps are kept", out, len(capacity.steps))
    return _search(capacity, build, folder)


def write(capacity: Capacity, out: Path) -> None:
    """Write capacity.json and the reports into the folder of the search."""
    forecast = forecast_of(capacity)
    files = {
        CAPACITY: codec.CAPACITY.dumps(capacity),
        REPORT_TEXT: capacity_text(capacity, forecast),
        CURVE: curve_svg(capacity, forecast),
    }
    if forecast:
        files[FORECAST] = codec.FORECAST.dumps(forecast)
    if codec.write_reports(out, files):
        log.info("everything is in %s", out)


def forecast_of(capacity: Capacity) -> CapacityForecast | None:
    """Return the forecast that a search was asked for, from its steps until now."""
    question = capacity.question
    if not question.forecast:
        return None
    machine = parse_machine(question.machine) if question.machine else None
    return forecast_capacity(capacity, question.forecast, machine)


def exit_code(capacity: Capacity) -> Exit:
    """Return the exit code: every answer is a success."""
    if capacity.ended is SearchEnd.LOAD or not capacity.steps:
        return Exit.WRONG_LOAD
    return Exit.NO_REGRESSION


def _search(capacity: Capacity, build: OneBuild, folder: RunFolder) -> Capacity:
    latest, out = capacity, folder.path
    with (
        folder.measuring(lambda: (f"{len(latest.steps)} steps",)),
        progress.show_progress() as shown,
        registry.with_life(build.settings, capacity.question.budget_s).open(
            build.programs
        ) as environment,
    ):
        deadline_s = time.monotonic() + capacity.question.budget_s - capacity.spent_s
        launcher = K6Launcher(
            question=capacity.question,
            environment=environment,
            artifact=build.artifact,
            k6=build.programs["k6"],
            out=out,
            deadline_s=deadline_s,
            headroom=partial(headroom_of, out, is_here=build.settings.is_here),
        )
        for latest in run_search(capacity, launcher.launch, shown.stage, deadline_s):
            codec.CAPACITY.write(out / CAPACITY, latest)
    if not latest.steps:
        is_budget = latest.ended is SearchEnd.BUDGET
        hint = "raise --budget: a start, a fill and a hold take about a minute"
        raise LoadError(f"nothing was measured: {latest.ended_by}", hint=hint if is_budget else "")
    return latest


def _origin(folder: RunFolder, capacity: Capacity) -> RunOrigin:
    began = (capacity.taken_at, capacity.question.seed)
    return folder.origin(began, {"subject": capacity.subject})
