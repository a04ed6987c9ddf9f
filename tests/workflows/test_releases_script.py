"""The script that measures the newest releases, with a pipeline of our own."""

import sys
from pathlib import Path

import pytest

from pipeline.runs.history import branch
from pipeline.runs.history.branch import Branch
from pipeline.storage import codec
from tests import release_series
from tests.workflows.acting import git, script

PYTHON = f"""#!/usr/bin/env bash
[ "$2" != -c ] || exec {sys.executable} "$@"
printf '%s\\n' "$PWD" "$@" > "$CALLS"
mkdir -p "$OUT" && echo '# Releases' > "$OUT/releases.md"
"""
TAGS = ("v0.9.0", "v0.10.0-rc.1", "v0.10.0", "v0.10.1", "nightly", "v0.2.0")


@pytest.fixture
def subject(tmp_path: Path) -> Path:
    """Return a clone with tags."""
    folder = tmp_path / "subject"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "one")
    for name in TAGS:
        git(folder, "tag", name)
    return folder


def measure(tmp_path: Path, subject: Path, remote: Path) -> tuple[list[str], str]:
    """Return the words of the pipeline's call, after its folder, and what the script said."""
    python, calls, summary = (tmp_path / name for name in ("python", "calls", "summary.md"))
    python.write_text(PYTHON)
    python.chmod(0o755)
    variables = {
        "SUBJECT": subject,
        "COUNT": 3,
        "SUITE": "pr",
        "BUILD": "go build -o {out} .",
        "BUDGET": "150m",
        "BRANCH": "history",
        "REMOTE": remote,
        "OUT": tmp_path / "out",
        "PYTHON": python,
        "CALLS": calls,
        "GITHUB_STEP_SUMMARY": summary,
    }
    done = script("releases.sh", **variables)
    done.check_returncode()
    if calls.exists():
        assert summary.read_text() == "# Releases\n"
    return (calls.read_text().splitlines() if calls.exists() else []), done.stderr


def test_the_newest_releases_are_measured_in_their_order(tmp_path: Path, subject: Path) -> None:
    calls, _ = measure(tmp_path, subject, tmp_path / "nowhere")
    assert calls[0] == str(subject)
    assert calls[4:] == [
        *("releases", ".", "v0.9.0..v0.10.1", "--suite", "pr", "--build", "go build -o {out} ."),
        *("--budget", "150m", "--out", str(tmp_path / "out")),
    ]


@pytest.mark.parametrize(("newest", "is_measured"), [("v0.10.0", True), ("v0.10.1", False)])
def test_a_release_that_is_kept_is_not_measured_again(
    tmp_path: Path, subject: Path, newest: str, *, is_measured: bool
) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    text = codec.RELEASES.dumps(release_series.of_every_kind())
    last = release_series.of_every_kind().steps[-1].release
    kept = text.replace(f'"{last}"', f'"{newest}"')
    place = Branch(str(remote), "history", "releases/releases.json")
    assert branch.replace_folder(place, {"releases.json": kept}, "keep releases")
    calls, said = measure(tmp_path, subject, remote)
    assert bool(calls) is is_measured
    assert (f"{newest} is measured already" in said) is not is_measured


def test_one_release_has_nothing_to_be_compared_with(tmp_path: Path, subject: Path) -> None:
    git(subject, "tag", "--delete", *TAGS[:3], TAGS[5])
    calls, said = measure(tmp_path, subject, tmp_path / "nowhere")
    assert not calls
    assert "::warning::there are fewer than two releases" in said
