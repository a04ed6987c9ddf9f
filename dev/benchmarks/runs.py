"""Whole runs of the pipeline, as a person would start them, each kept in a folder of its own."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.model.report import Verdict
from pipeline.model.subject import Arm
from pipeline.storage import codec, verdict_file
from pipeline.system import paths
from pipeline.system.errors import Exit

_NOTES = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run said.

    Attributes:
        code: Its exit code.
        seconds: How long it took; None where that was not written down.
        commit: Commit of the pipeline and of `reference`; empty if it is not known.
        verdict: Its verdict.json; None when it failed.
        machine: Facts of the machine by name; empty when it failed before it looked.
    """

    code: int
    seconds: float | None
    commit: str
    verdict: verdict_file.VerdictBody | None
    machine: dict[str, str]

    @property
    def answer(self) -> str:
        """The verdict in one word, or that it failed."""
        return str(self.verdict.verdict) if self.verdict else f"error {self.code}"

    @property
    def red(self) -> list[verdict_file.FindingBody]:
        """The metrics that are worse, whether they gate or not."""
        metrics = self.verdict.findings if self.verdict else ()
        return [metric for metric in metrics if metric.verdict is Verdict.REGRESSED]


def key(metric: verdict_file.FindingBody) -> str:
    """Return the name of a metric within its suite."""
    return f"{metric.workload}/{metric.metric}"


def new_folder(name: str) -> Path:
    """Return a folder below `out/` that no series of runs has used."""
    return Path("out") / f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def measure_run(
    out: Path, suite: str, candidate: str, *, against: str = "reference", pairs: int | None = None
) -> Run:
    """Return the run of a candidate that a folder has a verdict of; without one, run it now.

    What an interrupted or failed run left in the folder is moved aside. The log is beside it.

    Raises:
        KeyboardInterrupt: The run was interrupted.
    """
    before = read_finished(out)
    if before and before.verdict and before.verdict.subjects[Arm.CANDIDATE].spec == candidate:
        return before
    if out.exists():
        out.rename(_unused_path(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--suite", suite, "--candidate", candidate, "--against", against]
    arguments += ["--pairs", str(pairs)] if pairs is not None else []
    commit, began = _commit(), time.monotonic()
    code = _run_pipeline([*arguments, "--out", str(out)], out.with_name(f"{out.name}.log"))
    if code == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    notes = {"code": code, "seconds": round(time.monotonic() - began, 1), "commit": commit}
    out.mkdir(exist_ok=True)
    codec.write_text(out / _NOTES, json.dumps(notes) + "\n")
    return _read(out)


def read_finished(out: Path) -> Run | None:
    """Return the run in a folder, also one that failed; None when none came to its end."""
    ended = (out / "verdict.json").exists() or (out / _NOTES).exists()
    return _read(out) if ended else None


def _read(out: Path) -> Run:
    notes: dict[str, Any] = json.loads(_text(out / _NOTES) or "{}")
    body = _text(out / "verdict.json")
    verdict = verdict_file.VerdictBody.model_validate_json(body) if body else None
    results = out / "results.json"
    return Run(
        code=verdict.exit_code if verdict else notes["code"],
        seconds=notes.get("seconds"),
        commit=notes.get("commit", ""),
        verdict=verdict,
        machine=codec.RESULTS.read(results).machine.fingerprint if results.exists() else {},
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _run_pipeline(arguments: list[str], log: Path) -> int:
    """Run the pipeline to its end and return its exit code; what interrupts us interrupts it."""
    command = [sys.executable, "-m", "pipeline", "run", "--json", *arguments]
    with log.open("a") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise


def _unused_path(out: Path) -> Path:
    number = 1
    while (aside := out.with_name(f"{out.name}.unfinished-{number}")).exists():
        number += 1
    return aside


def _commit() -> str:
    """Return the commit that is checked out, marked when files were changed since; or nothing."""
    describe = ["describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    command = ["git", "-C", str(paths.project_path()), *describe]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()
