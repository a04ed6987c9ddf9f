"""Read the commits between two revisions of a git repository, by first parent."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from pipeline.system import processes
from pipeline.system.errors import LaunchError
from pipeline.toolchain import git

_TIMEOUT_S = 120.0
_FORMAT = "%H%x00%T%x00%at%x00%s"

_NO_INPUT_FOLDERS = {"docs", ".github"}
"""Top folders whose files no build reads, except sources of Go."""


@dataclass(frozen=True, slots=True)
class HistoryCommit:
    """A commit as git shows it.

    Attributes:
        id: Full id.
        tree: Id of its tree.
        inputs: Digest of the files of its tree that a build may read; see `is_build_input`.
        authored_at: Time at which it was written.
        subject: First line of its message.
    """

    id: str
    tree: str
    inputs: str
    authored_at: datetime
    subject: str


def commit_id(folder: Path, revision: str) -> str:
    """Return the id of the commit of a revision.

    Raises:
        LaunchError: The folder is in no repository, or the repository has no such revision.
    """
    return git.commit(folder, revision)[0]


def revisions(folder: Path) -> tuple[str, ...]:
    """Return the names of the branches and tags of a repository, for the hint of an error."""
    output = _git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    return tuple((output or "").split())


def is_ancestor(folder: Path, ancestor: str, commit: str) -> bool:
    """Return whether a commit is an ancestor of another one, or the same."""
    return _git(folder, "merge-base", "--is-ancestor", ancestor, commit) is not None


def fork_point(folder: Path, good: str, bad: str) -> str | None:
    """Return the newest commit of a first-parent history that another commit has, too.

    That is `good` itself, unless it is on a side branch, which may have been merged since.

    Args:
        folder: Folder of the clone.
        good: Commit with another history.
        bad: Commit whose history by first parent is followed.

    Returns:
        None if the histories have no such commit.
    """
    listed = _git(folder, "rev-list", "--first-parent", "--parents", f"{good}..{bad}")
    if listed is None:
        return None
    if not listed.strip():
        return bad
    _, *parents = listed.strip().rpartition("\n")[2].split()
    return parents[0] if parents else None


def first_parents(folder: Path, good: str, bad: str) -> tuple[HistoryCommit, ...]:
    """Return the good commit, and those after it up to the bad one, by first parent.

    Raises:
        LaunchError: Git cannot list them.
    """
    arguments = ("--first-parent", "--reverse", f"--format={_FORMAT}")
    output = _git(folder, "rev-list", *arguments, f"{good}..{bad}")
    first = _git(folder, "rev-list", "--max-count=1", f"--format={_FORMAT}", good)
    if output is None or first is None:
        raise LaunchError(
            f"git cannot list the commits of {folder} from {good[:12]} to {bad[:12]}",
            hint="git fetch --unshallow --tags, there",
        )
    lines = [line for line in (first + output).split("\n") if "\0" in line]
    inputs: dict[str, str] = {}
    commits = []
    for line in lines:
        name, tree, at, subject = line.split("\0", 3)
        if tree not in inputs:
            inputs[tree] = _input_digest(folder, tree)
        commits.append(HistoryCommit(name, tree, inputs[tree], git.time_of(at), subject))
    return tuple(commits)


def changed_files(folder: Path, commit: str) -> tuple[str, ...]:
    """Return the files that a commit changed against its first parent."""
    arguments = ("--no-commit-id", "--name-only", "-r", "-z")
    output = _git(folder, "diff-tree", *arguments, f"{commit}^1", commit)
    return tuple(name for name in (output or "").split("\0") if name)


def is_build_input(path: str) -> bool:
    """Return False for a file that no build reads: documentation, tests of Go, and workflows."""
    name = PurePosixPath(path)
    if name.suffix == ".md" or name.name.endswith("_test.go"):
        return False
    return name.suffix == ".go" or name.parts[0] not in _NO_INPUT_FOLDERS


def _input_digest(folder: Path, tree: str) -> str:
    """Return a digest of the files of a tree that a build may read."""
    entries = _git(folder, "ls-tree", "-r", "-z", "--full-tree", tree)
    if entries is None:
        raise LaunchError(
            f"the repository at {folder} lacks the tree {tree}", hint="git fetch --unshallow, there"
        )
    hashed = hashlib.sha256()
    for entry in entries.split("\0"):
        if entry and is_build_input(entry.partition("\t")[2]):
            hashed.update(f"{entry}\0".encode())
    return hashed.hexdigest()[:16]


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's output as it is, or None if it fails."""
    return processes.capture(["git", *arguments], cwd=folder, timeout_s=_TIMEOUT_S)
