"""Read trees and commits of a git repository, without changing it."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system import processes
from pipeline.system.errors import BaselineError, LaunchError

_TIMEOUT_S = 120.0


def tree(folder: Path) -> str | None:
    """Return the id of the git tree of a folder's content; None without git.

    Uncommitted changes are part of it, ignored files are not.  Index and objects are written to a
    temporary folder, so the repository stays as it is.
    """
    objects = _ask(folder, "rev-parse", "--git-path", "objects")
    prefix = _ask(folder, "rev-parse", "--show-prefix")
    if objects is None or prefix is None:
        return None
    with tempfile.TemporaryDirectory() as aside:
        variables = {
            "GIT_INDEX_FILE": f"{aside}/index",
            "GIT_OBJECT_DIRECTORY": aside,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((folder / objects).resolve()),
        }
        _ask(folder, "read-tree", "HEAD", **variables)  # fails before the first commit
        if _ask(folder, "add", "--all", "--", ".", **variables) is None:
            return None
        return _ask(folder, "write-tree", f"--prefix={prefix}", **variables)


def committed_tree(folder: Path) -> str | None:
    """Return the id of a folder's tree in the last commit; None if it is not in it."""
    prefix = _ask(folder, "rev-parse", "--show-prefix")
    if prefix is None:
        return None
    return _ask(folder, "rev-parse", "--verify", f"HEAD:{prefix.rstrip('/')}")


def extract(tree_id: str, checkout: Path, into: Path) -> None:
    """Write a tree of the repository into an existing empty folder.

    Raises:
        BaselineError: The folder is not in a clone, or the clone does not have the tree.
    """
    top = _ask(checkout, "rev-parse", "--show-toplevel")
    if top is None:
        raise BaselineError(
            f"the source tree {tree_id} cannot be looked up: {checkout} is not in a git clone, "
            "or git is missing",
            hint="run in a clone of the repository, with git installed, then `git fetch "
            "--unshallow`",
        )
    if _ask(checkout, "cat-file", "-t", tree_id) != "tree":
        raise BaselineError(
            f"the source tree {tree_id} is not in the clone at {top}",
            hint="git fetch --unshallow",
        )
    with tempfile.TemporaryDirectory() as aside:
        archive = Path(aside, "source.zip")
        try:
            processes.run(
                ["git", "archive", "--format=zip", f"--output={archive}", tree_id],
                output=Path(aside, "log"),
                timeout_s=_TIMEOUT_S,
                cwd=Path(top),  # in a subfolder, git would look for that folder in the tree
            )
        except processes.CommandError as error:
            raise BaselineError(str(error), hint=error.hint) from error
        with zipfile.ZipFile(archive) as source:  # stays inside the folder: no links, no `..`
            source.extractall(into)


def commit(folder: Path, revision: str) -> tuple[str, str]:
    """Return the ids of the commit of a revision, and of its tree.

    Raises:
        LaunchError: The folder is in no repository, or the repository has no such revision.
    """
    if _ask(folder, "rev-parse", "--git-dir") is None:
        raise LaunchError(
            f"{folder} is not in a git repository, or git is missing",
            hint="`source:DIR@REVISION` wants a clone; `binary:PATH` takes what is built already",
        )
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    commit_id = _ask(folder, *named, f"{revision}^{{commit}}")
    tree_id = _ask(folder, *named, f"{revision}^{{tree}}")
    if not (commit_id and tree_id):
        raise LaunchError(
            f"the repository at {folder} has no revision `{revision}`",
            hint="git fetch --all --tags, there",
        )
    return commit_id, tree_id


def subtree(folder: Path, tree_id: str, name: str) -> str | None:
    """Return the id of a folder in a tree of the repository; None if it is not there."""
    return _ask(folder, "rev-parse", "--verify", "--quiet", f"{tree_id}:{name}")


def tags(folder: Path) -> dict[str, str] | None:
    """Return the commit of each tag of a repository, by name; None if it is no repository.

    Tags of anything but a commit are left out.
    """
    if not folder.is_dir():
        return None
    fields = "%(refname:lstrip=2)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
    output = _ask(folder, "for-each-ref", f"--format={fields}", "refs/tags")
    if output is None:
        return None
    found = {}
    for line in output.splitlines():
        name, kind, commit_id, peeled_kind, peeled_id = line.split("\0")
        if "commit" in (kind, peeled_kind):
            found[name] = peeled_id or commit_id
    return found


@contextmanager
def worktree(folder: Path, commit_id: str, place: Path) -> Iterator[None]:
    """Check out a commit in a new folder while the block runs.

    Raises:
        CommandError: git failed.
    """
    command = ["git", "-C", str(folder), "worktree"]
    with tempfile.TemporaryDirectory() as aside:
        processes.run(
            [*command, "add", "--detach", str(place), commit_id],
            output=Path(aside, "log"),
            timeout_s=_TIMEOUT_S,
        )
    try:
        yield
    finally:
        processes.capture([*command, "remove", "--force", str(place)], timeout_s=_TIMEOUT_S)


def _ask(folder: Path, *arguments: str, **variables: str) -> str | None:
    """Return git's output, or None if it fails or is not installed."""
    assignments = [f"{name}={value}" for name, value in variables.items()]
    output = processes.capture(
        ["env", *assignments, "git", *arguments], cwd=folder, timeout_s=_TIMEOUT_S
    )
    return None if output is None else output.strip()
