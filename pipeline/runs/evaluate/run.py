"""The verb `evaluate`: from what was asked to a folder with the evaluation in it."""

import argparse
import os
import random
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.model.evaluation import Evaluation
from pipeline.model.results import Tool
from pipeline.render.evaluation import document
from pipeline.runs import suite_file, trust
from pipeline.runs.evaluate.faults import FaultTable
from pipeline.runs.evaluate.launcher import EvaluationLauncher
from pipeline.runs.evaluate.scripts import script_sizes
from pipeline.runs.request import spec_of
from pipeline.runs.suite_file import SUITE, LoadedSuite
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec
from pipeline.system import paths, progress, terminal
from pipeline.system.errors import ConfigError, PipelineError
from pipeline.system.log import log
from pipeline.system.paths import EVALUATION
from pipeline.system.private_folder import measurement_lock

REPORT = "evaluation.md"
_REPETITIONS = 5


def evaluated(args: argparse.Namespace, out: Path) -> Evaluation:
    """Carry out what the command line says, and leave every file of the answer in the folder.

    Raises:
        PipelineError: Of every kind; what was measured until then is in the folder.
    """
    if args.resume:
        paths.result_file(out, EVALUATION)  # before its suite is looked for
    loaded = suite_file.load(
        out / SUITE if args.resume else suite_file.path_of(args.suite or "drivers")
    )
    found = begun = _reopened(out) if args.resume else _made(args, loaded, out)
    if args.resume:
        trust.require(_begun(found, loaded), out, is_trusted=bool(args.trust))
    else:
        trust.note(_begun(found, loaded), out)
    began = time.monotonic()
    try:
        for more in _measured(begun, loaded, out):
            found = replace(more, spent_s=begun.spent_s + time.monotonic() - began)
            codec.EVALUATION.write(out / EVALUATION, found)
        if args.faults:
            rows = FaultTable(
                loaded.suite,
                loaded.text,
                args.faults,
                found.seed,
                out / "faults",
                is_trusted=bool(args.trust),
            )
            for row in rows.rows():
                kept = tuple(one for one in found.seen if one.fault != row.fault)
                found = replace(found, seen=(*kept, row))
                codec.EVALUATION.write(out / EVALUATION, found)
    except (PipelineError, KeyboardInterrupt, OSError):
        log.warning("stopped; go on with: %s", terminal.command("evaluate", "--resume", out))
        raise
    text = shown(found)
    if codec.write_reports(out, {REPORT: text}):
        log.info("everything is in %s", out)
    if args.document:
        codec.write_text(args.document, text)
    return found


def shown(found: Evaluation) -> str:
    """Return the document, which names no folder of whoever measured."""
    spec = _spec(found)
    named = replace(found, subject=replace(found.subject, spec=spec))
    return document(named, f"milo-perf evaluate --candidate {shlex.quote(spec)}")


def _spec(found: Evaluation) -> str:
    """Return the spec without the folder of whoever measured."""
    kind, _, place = found.subject.spec.partition(":")
    return f"{kind}:{Path(place).name}" if place else kind


def _begun(found: Evaluation, loaded: LoadedSuite) -> RunOrigin:
    began = (found.taken_at, found.seed)
    subjects, texts = {"build": found.subject}, {SUITE: loaded.text}
    return RunOrigin("evaluate --resume", began, subjects, texts, loaded.digest)


def _made(args: argparse.Namespace, loaded: LoadedSuite, out: Path) -> Evaluation:
    paths.require_new_folder(out, resume="evaluate --resume")
    binary = os.environ.get(toolchain.BINARY, "")
    candidate = args.candidate or (f"binary:{binary}" if binary else "reference")
    spec = spec_of(candidate)
    artifact = toolchain.artifact(spec, args.build or "")
    programs = toolchain.programs_of(loaded.suite.needs)
    found = Evaluation(
        subject=artifact.subject,
        machine=toolchain.machine_with(programs, loaded.suite.environment.facts),
        tools={name: Tool(one.version, one.digest) for name, one in programs.items()},
        taken_at=datetime.now(UTC),
        repetitions=args.repetitions or _REPETITIONS,
        seed=random.SystemRandom().randrange(2**31) if args.seed is None else args.seed,
        scripts=script_sizes(loaded.suite),
    )
    out.mkdir(parents=True, exist_ok=True)
    suite_file.keep(loaded, out)
    codec.EVALUATION.write(out / EVALUATION, found)
    return found


def _reopened(out: Path) -> Evaluation:
    """Return an evaluation without the repetition that was interrupted."""
    found = codec.EVALUATION.read(paths.result_file(out, EVALUATION))
    counts = [attempt.repetition for attempt in found.attempts]
    whole = max(map(counts.count, counts), default=0)
    kept = tuple(a for a in found.attempts if counts.count(a.repetition) == whole)
    return replace(found, attempts=kept)


def _measured(found: Evaluation, loaded: LoadedSuite, out: Path) -> Iterator[Evaluation]:
    """Yield the evaluation after each attempt, and each rung, that is still to be made."""
    built_by = found.subject.facts.get("build", "")
    spec = spec_of(found.subject.spec)
    artifact = toolchain.artifact(spec, built_by)
    if artifact.subject.digest != found.subject.digest:
        raise ConfigError(
            f"the build is not what it was when the evaluation began: {found.subject.digest}, now"
            f" {artifact.subject.digest}",
            hint="start a new evaluation",
        )
    done = len({attempt.repetition for attempt in found.attempts})
    if done == found.repetitions and found.rungs:
        return
    programs = toolchain.programs_of(loaded.suite.needs)
    with (
        measurement_lock(out),
        loaded.suite.environment.open(programs) as environment,
        progress.show_progress() as told,
    ):
        bench = EvaluationLauncher(
            suite=loaded.suite.of(spec.product),
            environment=environment,
            artifact=artifact,
            programs=programs,
            out=out,
            progress=told,
        )
        left = range(done, found.repetitions)
        for attempt in bench.attempts(left, found.repetitions, found.seed):
            found = replace(found, attempts=(*found.attempts, attempt))
            yield found
        found = replace(found, rungs=())
        for rung in bench.rungs(found.seed):
            found = replace(found, rungs=(*found.rungs, rung))
            yield found
