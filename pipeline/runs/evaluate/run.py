"""`evaluate`: from a request to an evaluation of the load drivers, in a folder."""

import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.model.evaluation import Evaluation
from pipeline.model.request import EvaluateRequest
from pipeline.render.evaluation import document
from pipeline.runs import suite_file, trust
from pipeline.runs.evaluate.faults import FaultTable
from pipeline.runs.evaluate.launcher import EvaluationLauncher
from pipeline.runs.evaluate.source_size import workload_sources
from pipeline.runs.folder import RunFolder
from pipeline.runs.plan import draw_seed
from pipeline.runs.request import spec_of
from pipeline.runs.suite_file import LoadedSuite
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, progress
from pipeline.system.log import log
from pipeline.system.paths import EVALUATION

REPORT = "evaluation.md"


def run(request: EvaluateRequest, out: Path) -> Evaluation:
    """Evaluate from nothing, and leave everything in a new folder, also after an error."""
    loaded = suite_file.load_to_measure(suite_path(request.suite))
    folder = RunFolder(out, "evaluate")
    folder.require_new()
    artifact = toolchain.artifact(spec_of(request.candidate), request.build)
    programs = toolchain.programs_of(loaded.suite.needs)
    seed = draw_seed(request.seed)
    request = replace(request, seed=seed)
    evaluation = Evaluation(
        subject=artifact.subject,
        machine=toolchain.machine_with(programs, loaded.suite.environment.facts),
        tools=toolchain.tools_of(programs),
        taken_at=datetime.now(UTC),
        repetitions=request.repetitions,
        seed=seed,
        scripts=workload_sources(loaded.suite),
    )
    folder.create(codec.EVALUATE_REQUEST.dumps(request))
    suite_file.keep(loaded, out)
    codec.EVALUATION.write(out / EVALUATION, evaluation)
    trust.note(_origin(folder, evaluation, loaded), out)
    return _measure(request, evaluation, loaded, folder, is_trusted=False)


def suite_path(name: str) -> Path:
    """Return the path of a suite of `evaluate`; ours is no suite of `run`, as no driver owns it."""
    ours = paths.project_path("suites", "evaluation", f"{name}.toml")
    return ours if ours.is_file() else suite_file.path_of(name)


def resume(out: Path, faults: int | None = None, *, is_trusted: bool = False) -> Evaluation:
    """Continue an evaluation, and keep whole repetitions; see `pipeline.runs.run.resume`.

    `faults` replaces the number of pairs for each known fault that was requested.
    """
    folder = RunFolder(out, "evaluate")
    evaluation = codec.EVALUATION.read(paths.result_file(out, EVALUATION))
    request = codec.EVALUATE_REQUEST.read(folder.request)
    loaded = folder.suite()
    trust.require(_origin(folder, evaluation, loaded), out, is_trusted=is_trusted)
    folder.require_request(
        {
            "repetitions": (request.repetitions, evaluation.repetitions),
            "seed": (request.seed, evaluation.seed),
        }
    )
    if faults is not None and faults != request.faults:
        request = replace(request, faults=faults)
        codec.EVALUATE_REQUEST.write(folder.request, request)
        trust.note(_origin(folder, evaluation, loaded), out)
    counts = [attempt.repetition for attempt in evaluation.attempts]
    whole = max(map(counts.count, counts), default=0)
    kept = tuple(one for one in evaluation.attempts if counts.count(one.repetition) == whole)
    evaluation = replace(evaluation, attempts=kept)
    return _measure(request, evaluation, loaded, folder, is_trusted=is_trusted)


def write(evaluation: Evaluation, out: Path, copy: Path | None) -> None:
    """Write the report into the folder, and to another path if given."""
    text = report_text(evaluation)
    if codec.write_reports(out, {REPORT: text}):
        log.info("everything is in %s", out)
    if copy is not None:
        codec.write_text(copy, text)


def report_text(evaluation: Evaluation) -> str:
    """Return the report; it names no folder of the machine that measured."""
    kind, _, place = evaluation.subject.spec.partition(":")
    spec = f"{kind}:{Path(place).name}" if place else kind
    portable = replace(evaluation, subject=replace(evaluation.subject, spec=spec))
    return document(portable, f"milo-perf evaluate --candidate {shlex.quote(spec)}")


def _origin(folder: RunFolder, evaluation: Evaluation, loaded: LoadedSuite) -> RunOrigin:
    began = (evaluation.taken_at, evaluation.seed)
    files = suite_file.kept_names(loaded.suite)
    return folder.origin(began, {"build": evaluation.subject}, files, loaded.digest)


def _measure(
    request: EvaluateRequest,
    evaluation: Evaluation,
    loaded: LoadedSuite,
    folder: RunFolder,
    *,
    is_trusted: bool,
) -> Evaluation:
    """Measure what an evaluation still lacks."""
    path = folder.path / EVALUATION
    latest, start_s = evaluation, time.monotonic()

    def state() -> tuple[object, ...]:
        return (f"{len(latest.attempts)} attempts",)

    done = len({attempt.repetition for attempt in evaluation.attempts})
    if done < evaluation.repetitions or not evaluation.rungs:
        with folder.measuring(state):
            for measured in _attempts_and_levels(evaluation, loaded, folder, done):
                spent_s = evaluation.spent_s + time.monotonic() - start_s
                latest = replace(measured, spent_s=spent_s)
                codec.EVALUATION.write(path, latest)
    if request.faults:
        table = FaultTable(
            loaded.suite,
            loaded.text,
            request.faults,
            evaluation.seed,
            folder.path / "faults",
            is_trusted=is_trusted,
        )
        with folder.resumable(state):
            for row in table.rows():
                others = (one for one in latest.seen if one.fault != row.fault)
                latest = replace(latest, seen=(*others, row))
                codec.EVALUATION.write(path, latest)
    return latest


def _attempts_and_levels(
    evaluation: Evaluation, loaded: LoadedSuite, folder: RunFolder, done: int
) -> Iterator[Evaluation]:
    """Yield the evaluation after each missing attempt and load level."""
    subject = evaluation.subject
    artifact = folder.rebuild("candidate", subject)
    programs = toolchain.programs_of(loaded.suite.needs)
    with loaded.suite.environment.open(programs) as environment, progress.show_progress() as shown:
        launcher = EvaluationLauncher(
            suite=loaded.suite.of(spec_of(subject.spec).product),
            environment=environment,
            artifact=artifact,
            programs=programs,
            out=folder.path,
            progress=shown,
        )
        repetitions = range(done, evaluation.repetitions)
        for attempt in launcher.attempts(repetitions, evaluation.repetitions, evaluation.seed):
            evaluation = replace(evaluation, attempts=(*evaluation.attempts, attempt))
            yield evaluation
        evaluation = replace(evaluation, rungs=())
        for level in launcher.load_levels(evaluation.seed):
            evaluation = replace(evaluation, rungs=(*evaluation.rungs, level))
            yield evaluation
