"""Read trees and commits of a git repository, without changing it."""

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.model.version import parse_version
from pipeline.system import paths, processes
from pipeline.system.errors import BaselineError, LaunchError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log

LATEST_RELEASE = "latest-release"
"""Revision of a source that means the newest release in it."""

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_TIMEOUT_S = 120.0
_FETCH_TIMEOUT_S = 1800.0
_SCHEMES = ("https://", "ssh://", "file://")
_SCP_LIKE = re.compile(r"git@([\w.-]+):([\w./-]+)")


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


def content_tree(folder: Path) -> str:
    """Return the id that git gives to a folder with this content, without git.

    Every file counts, so it differs from `tree` if the folder has ignored files.
    """
    entries = []
    for path in folder.iterdir():
        if path.is_symlink():
            mode, one = "120000", _object_id("blob", f"{path.readlink()}".encode())
        elif path.is_dir():
            mode, one = "40000", content_tree(path)
            if one == _EMPTY_TREE:  # git has no empty folders
                continue
        else:
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
            one = _object_id("blob", path.read_bytes())
        order = f"{path.name}/" if mode == "40000" else path.name
        entries.append((order.encode(), f"{mode} {path.name}\0".encode() + bytes.fromhex(one)))
    return _object_id("tree", b"".join(entry for _, entry in sorted(entries)))


def _object_id(kind: str, content: bytes) -> str:
    """Return the id of an object of git, which is a checksum and protects nothing."""
    header = f"{kind} {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


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
    repository = _ask(checkout, "rev-parse", "--absolute-git-dir")
    if repository is None:
        raise BaselineError(
            f"the source tree {tree_id} cannot be looked up: {checkout} is not in a git clone, "
            "or git is missing",
            hint="run in a clone of the repository, with git installed, then `git fetch "
            "--unshallow`",
        )
    if _ask(checkout, "cat-file", "-t", tree_id) != "tree":
        raise BaselineError(
            f"the source tree {tree_id} is not in the clone at {repository}",
            hint="git fetch --unshallow",
        )
    with tempfile.TemporaryDirectory() as aside:
        archive = Path(aside, "source.zip")
        try:
            processes.run_for_output(
                ["git", "archive", "--format=zip", f"--output={archive}", tree_id],
                timeout_s=_TIMEOUT_S,
                cwd=Path(repository),  # in a subfolder, git would look for that folder in the tree
            )
        except processes.CommandError as error:
            raise BaselineError(
                f"the source tree {tree_id} cannot be read: {_problem(error)}", hint=error.hint
            ) from error
        with zipfile.ZipFile(archive) as source:  # stays inside the folder: no links, no `..`
            source.extractall(into)


def is_url(place: str) -> bool:
    """Return True if a source is a repository elsewhere, and not a folder of this machine."""
    return place.startswith(_SCHEMES)


def mirror(url: str, revision: str) -> Path:
    """Return this machine's copy of a repository, fetched if it does not have the revision.

    A branch moves, so only a full commit id or a tag that is there is not fetched again.

    Raises:
        LaunchError: The repository cannot be fetched.
    """
    folder = paths.cache() / "repositories" / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder.with_suffix(".lock"), f"fetching {url}"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
                _fetch(["clone", "--mirror", "--quiet", "--", url, f"{aside}/copy"], url)
                Path(aside, "copy").rename(folder)
        elif not _is_fixed(folder, revision):
            _fetch(["-C", str(folder), "fetch", "--quiet", "--prune", "--tags", "origin"], url)
    return folder


def _is_fixed(folder: Path, revision: str) -> bool:
    """Return True if a copy has a revision that always means the same commit."""
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return _ask(folder, "cat-file", "-t", revision) == "commit"
    tag = f"refs/tags/{revision}"
    return _ask(folder, "rev-parse", "--verify", "--quiet", tag) is not None


def _fetch(arguments: list[str], url: str) -> None:
    log.info("fetching %s", url)
    try:
        processes.run_for_output(
            ["git", *arguments],
            timeout_s=_FETCH_TIMEOUT_S,
            env={"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file"},
        )
    except processes.CommandError as error:
        raise LaunchError(
            f"{url} cannot be fetched: {_problem(error)}",
            hint=f"{error.hint}\na clone that is here works too: source:DIR@REVISION",
        ) from error


def _problem(error: processes.CommandError) -> str:
    """Return how git ended, without its command line, which has folders that are gone."""
    return f"git {error.status}" if error.status else f"{error}"


def newest_release(folder: Path) -> str:
    """Return the tag of the newest release `vX.Y.Z` without a pre-release, or raise LaunchError."""
    versions = {name: parse_version(name) for name in tags(folder) or ()}
    releases = {
        name: version.order
        for name, version in versions.items()
        if version and version.prefix == "v" and not version.pre_release
    }
    if not releases:
        raise LaunchError(
            f"the repository at {folder} has no tag of a release, such as v1.2.0",
            hint="git fetch --tags, there; or name a revision",
        )
    return max(releases, key=lambda name: releases[name])


def origin_url(folder: Path) -> str | None:
    """Return the https URL of a clone's origin; None if it has none."""
    url = _ask(folder, "remote", "get-url", "origin") or ""
    if match := _SCP_LIKE.fullmatch(url):
        url = f"https://{match[1]}/{match[2]}"
    url = url.removesuffix(".git")
    return url if url.startswith("https://") and "@" not in url and "?" not in url else None


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
        elif peeled_kind == "tag":  # a tag of a tag, which git before 2.45 peels once
            last = _ask(folder, "rev-parse", "--verify", "--quiet", f"{commit_id}^{{commit}}")
            found |= {name: last} if last else {}
    return found


def time_of(seconds: str) -> datetime:
    """Return a time that git prints as Unix seconds; 1970 for one that is no time, as git does.

    A commit or tag may have any number there, or none.
    """
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def dated_tags(folder: Path) -> dict[str, tuple[str, datetime]] | None:
    """Return commit and time of each tag that is a version; None if the folder is no repository."""
    commits = tags(folder)
    if commits is None:
        return None
    fields = "%(refname:lstrip=2)%00%(creatordate:unix)"
    lines = (_ask(folder, "for-each-ref", f"--format={fields}", "refs/tags") or "").splitlines()
    times = dict(line.split("\0") for line in lines)
    return {
        name: (commit_id, time_of(times[name]))
        for name, commit_id in commits.items()
        if parse_version(name) and times[name]
    }


@contextmanager
def worktree(folder: Path, commit_id: str) -> Iterator[Path]:
    """Yield a new folder with the files of a commit; it is removed at the end.

    There is one on this machine at a time, always at the same place.  So the next build removes
    what one that was killed left, and paths that a compiler writes into a binary do not differ.

    Raises:
        LaunchError: The commit cannot be checked out.
    """
    place = paths.cache() / "worktree"
    with exclusive_lock(place.with_suffix(".lock"), f"building a revision of {folder}"):
        _remove_worktree(place)
        add = ["git", "-C", str(folder), "worktree", "add", "--detach", str(place), commit_id]
        try:
            try:
                processes.run_for_output(add, timeout_s=_TIMEOUT_S)
            except processes.CommandError as error:
                raise LaunchError(
                    f"{commit_id} of {folder} cannot be checked out: {_problem(error)}",
                    hint=error.hint,
                ) from error
            yield place
        finally:
            _remove_worktree(place)


def _remove_worktree(place: Path) -> None:
    """Remove a worktree, also one whose checkout was killed, which git has locked."""
    processes.capture(["chmod", "-R", "u+w", str(place)])  # Go's module cache is read-only
    if place.is_dir() and (repository := _ask(place, "rev-parse", "--git-common-dir")):
        remove = ("worktree", "remove", "--force", "--force", str(place))
        _ask(place.parent, "--git-dir", repository, *remove)
    shutil.rmtree(place, ignore_errors=True)


def _ask(folder: Path, *arguments: str, **variables: str) -> str | None:
    """Return git's output, or None if it fails or is not installed."""
    assignments = [f"{name}={value}" for name, value in variables.items()]
    output = processes.capture(
        ["env", *assignments, "git", *arguments], cwd=folder, timeout_s=_TIMEOUT_S
    )
    return None if output is None else output.strip()
