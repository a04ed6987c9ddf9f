"""Ask git which source a folder holds, without changing anything in the repository."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system import processes
from pipeline.system.errors import BaselineError, LaunchError

_TIMEOUT_S = 120.0


def tree(folder: Path) -> str:
    """Return the id of a folder's content as git would store it; empty without git.

    Changes that are not committed count, and what git ignores does not.  Index and objects are
    written to a temporary folder, so the repository stays as it is.
    """
    objects = _ask(folder, "rev-parse", "--git-path", "objects")
    prefix = _ask(folder, "rev-parse", "--show-prefix")
    if objects is None or prefix is None:
        return ""
    with tempfile.TemporaryDirectory() as aside:
        apart = {
            "GIT_INDEX_FILE": f"{aside}/index",
            "GIT_OBJECT_DIRECTORY": aside,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((folder / objects).resolve()),
        }
        _ask(folder, "read-tree", "HEAD", **apart)  # fails before the first commit: then from zero
        if _ask(folder, "add", "--all", "--", ".", **apart) is None:
            return ""
        return _ask(folder, "write-tree", f"--prefix={prefix}", **apart) or ""


def committed_tree(folder: Path) -> str:
    """Return the id of a folder as the last commit has it; empty where it has not."""
    prefix = _ask(folder, "rev-parse", "--show-prefix")
    if prefix is None:
        return ""
    return _ask(folder, "rev-parse", "--verify", f"HEAD:{prefix.rstrip('/')}") or ""


def extract(tree_id: str, checkout: Path, into: Path) -> None:
    """Write a tree that the repository knows into an existing empty folder.

    Args:
        tree_id: 40 hexadecimal digits.
        checkout: Any folder of the clone.
        into: Receives the files.

    Raises:
        BaselineError: This is no clone, or it does not have the tree.
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
                cwd=Path(top),  # from a folder below, git would look for that folder in the tree
            )
        except processes.CommandError as error:
            raise BaselineError(str(error), hint=error.hint) from error
        with zipfile.ZipFile(archive) as source:  # keeps to the folder: no links, no `..`
            source.extractall(into)


def commit(folder: Path, revision: str) -> tuple[str, str]:
    """Return the ids of the commit that a revision names, and of its tree.

    Raises:
        LaunchError: The folder is in no repository, or the repository has no such revision.
    """
    if _ask(folder, "rev-parse", "--git-dir") is None:
        raise LaunchError(
            f"{folder} is not in a git repository, or git is missing",
            hint="`source:DIR@REVISION` wants a clone; `binary:PATH` takes what is built already",
        )
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    found = _ask(folder, *named, f"{revision}^{{commit}}")
    tree_id = _ask(folder, *named, f"{revision}^{{tree}}")
    if not (found and tree_id):
        raise LaunchError(
            f"the repository at {folder} has no revision `{revision}`",
            hint="git fetch --all --tags, there",
        )
    return found, tree_id


@contextmanager
def worktree(folder: Path, commit_id: str, place: Path) -> Iterator[None]:
    """Check a commit out in a new folder of its own while the block runs.

    Raises:
        LaunchError: git could not.
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
    """Return what git says, or None when it fails or is not there."""
    assignments = [f"{name}={value}" for name, value in variables.items()]
    said = processes.capture(
        ["env", *assignments, "git", *arguments], cwd=folder, timeout_s=_TIMEOUT_S
    )
    return None if said is None else said.strip()
