"""What is published in tests: results in a folder, and the event that they belong to."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.model.metric import Scale
from pipeline.model.results import ResultSet, Sample
from pipeline.model.subject import Arm, Product
from pipeline.runs import suite_file
from pipeline.storage import codec
from tests import publications
from tests.github.fake import REPOSITORY_ID
from tests.publications import CREATE, HEAD, QUIET, row, run

FORK = 2000
FAST = run(row(CREATE, 5.2e-3, 1.0), *QUIET)
SLOW = run(*publications.SLOW)
GATES = "object_crud_get_p50"
"""A gating metric of the suite `pr`, as `honest` takes it."""

ALL = ("--to", "check", "--to", "comment")
Publish = Callable[..., tuple[int, str, str]]
"""Publishes results with arguments; gives the exit code, stdout and stderr."""


def filled(
    folder: Path, results: ResultSet | str | None, suite: str, also: Mapping[str, str]
) -> None:
    """Let a folder hold results, or what was said instead of them, and other files."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    if isinstance(results, str):
        (folder / "error.txt").write_text(results, encoding="utf-8")
    elif results is not None:
        (folder / "results.json").write_text(codec.RESULTS.dumps(replace(results, suite=suite)))
    for name, text in also.items():
        (folder / name).write_text(text, encoding="utf-8")


def of_commit(results: ResultSet, sha: str) -> ResultSet:
    """Return results whose candidate was built from a commit."""
    candidate = replace(results.subjects[Arm.CANDIDATE], spec=f"source:.@{sha}")
    return replace(results, subjects={**results.subjects, Arm.CANDIDATE: candidate})


def honest(**factors: float) -> ResultSet:
    """Return a run of Milo with every metric of the suite `pr`, by its name slower by a factor."""
    suite = suite_file.load(suite_file.path_of("pr")).suite.of(Product.MILO)
    rows = []
    for workload in suite.workloads:
        for settings in workload.metrics:
            size = 5e-3 + settings.floor
            factor = factors.get(f"{workload.name}_{settings.name}".replace("-", "_"), 1.0)
            one = row(settings.metric(), size, factor)
            if settings.scale is Scale.DIFFERENCE:
                one = (settings.metric(), [0.0] * 5, [10 * settings.margin * (factor - 1)] * 5)
            rows.append((workload.name, one))
    found = run(*(one for name, one in rows if name == suite.workloads[0].name))
    samples = {
        arm: tuple(Sample(name, of, tuple(values[at] or ())) for name, (of, *values) in rows)
        for at, arm in enumerate(Arm)
    }
    return replace(found, samples=samples)


def finished(**parts: object) -> dict[str, Any]:
    """Return the event of a workflow run that ended, of a pull request from a fork."""
    return {
        "action": "completed",
        "repository": {"id": REPOSITORY_ID, "owner": {"login": "milo-os"}},
        "workflow_run": {
            "event": "pull_request",
            "head_sha": HEAD,
            "head_branch": "main",
            "head_repository": {"id": FORK, "owner": {"login": "mallory"}},
            "html_url": "https://github.example/milo-os/milo/actions/runs/77",
            "run_number": 42,
            "run_attempt": 1,
            "conclusion": "success",
            **parts,
        },
    }
