"""What is published in tests: results in a folder, and the event that they belong to."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import codec
from pipeline.model.results import ResultSet
from tests import publications
from tests.github.fake import REPOSITORY_ID
from tests.publications import CREATE, HEAD, QUIET, row, run

FORK = 2000
FAST = run(row(CREATE, 5.2e-3, 1.0), *QUIET)
SLOW = run(*publications.SLOW)
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
        (folder / "results.json").write_text(codec.results_json(replace(results, suite=suite)))
    for name, text in also.items():
        (folder / name).write_text(text, encoding="utf-8")


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
