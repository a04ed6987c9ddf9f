"""A file of nights on a branch of a git repository, to which several may add at once.

Nothing is ever forced: who comes second fetches what the first has pushed, and adds to that.  A
second reference, `refs/milo-perf/BRANCH`, is pushed together with the branch and keeps the newest
commit of ours.  By it a branch that was rewritten and a file that lost nights are noticed, and the
commits that hold them stay in the repository.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.runs.history import nights
from pipeline.system import processes
from pipeline.system.errors import BaselineError, ConfigError, LoadError
from pipeline.system.log import log

_TIMEOUT_S: Final = 120.0
_ROUNDS: Final = 12
_STUCK: Final = 3
"""Refused pushes without another writer, after which it is no race."""

_WAIT_S: Final = 0.2
_TIP, _SEEN = "refs/remotes/origin/tip", "refs/remotes/origin/seen"
_AUTHOR = ("-c", "user.name=milo-perf", "-c", "user.email=milo-perf@localhost")


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a file of nights is kept.

    Attributes:
        remote: Of the repository: an address, a folder, or a remote's name in the current clone.
        name: Of the branch; made by the first night.
        file: Path of the file in it.
    """

    remote: str
    name: str
    file: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"{self.file}: with --branch, this is a path inside the branch")

    @property
    def seen(self) -> str:
        """The reference that keeps the newest commit of ours."""
        return f"refs/milo-perf/{self.name}"


@contextmanager
def checked_out(branch: Branch) -> Iterator[Path]:
    """Yield a copy of the file as the branch has it; it may not be there yet.

    Raises:
        BaselineError: Nights that were there are gone, or the file cannot be read.
        LoadError: The repository does not answer.
    """
    with _clone(branch) as clone:
        _fetch(clone, branch)
        yield clone / branch.file


def append(branch: Branch, new: nights.Night, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Add a night to the file and push it; return False where it was there already.

    Args:
        branch: Where to.
        new: The night.
        sleep: Waits some seconds between two rounds.

    Raises:
        BaselineError: As `checked_out`; nothing is pushed.
        LoadError: The repository does not answer, or does not take the commit.
    """
    with _clone(branch) as clone:
        stuck = 0
        before = _fetch(clone, branch)
        for number in range(1, _ROUNDS + 1):
            _require_new(clone / branch.file, new)
            if not nights.append(clone / branch.file, new):
                return False
            _git(clone, "add", "--", branch.file)
            _git(clone, *_AUTHOR, "commit", "--quiet", "--message", _message(branch, new))
            refs = [f"HEAD:refs/heads/{branch.name}", f"HEAD:{branch.seen}"]
            try:
                _git(clone, "push", "--quiet", "--atomic", "origin", *refs)
            except LoadError as error:
                sleep(random.uniform(0, _WAIT_S * number))  # noqa: S311 - two writers part, no secret
                tip = _fetch(clone, branch)
                stuck = 0 if tip != before else stuck + 1
                if stuck == _STUCK or number == _ROUNDS:
                    raise LoadError(
                        f"the night could not be pushed to {branch.name}: {error}", hint=error.hint
                    ) from error
                log.info("%s: somebody else has pushed; again on top of that", branch.name)
                before = tip
            else:
                return True
    raise AssertionError("the last round returns or raises")


def _message(branch: Branch, new: nights.Night) -> str:
    """Return the message of a commit, of which a run says only when it began."""
    return f"{branch.file}: add the night of {new.time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _require_new(path: Path, new: nights.Night) -> None:
    """Refuse a night that would take the place of another one: what is shared only grows.

    Raises:
        BaselineError: A run of this name is there, with other numbers.
    """
    kept = nights.load(path) if path.exists() else []
    if any(night.run == new.run and night != new for night in kept):
        raise BaselineError(
            f"the run {new.run} is on the branch already, with other numbers: what is kept there is"
            " never replaced",
            hint="was it resumed? Then measure again, and keep that run",
        )


@contextmanager
def _clone(branch: Branch) -> Iterator[Path]:
    """Yield an empty clone of our own: nothing of the user's is touched."""
    named = processes.capture(
        ["git", "remote", "get-url", "--", branch.remote], timeout_s=_TIMEOUT_S
    )
    with tempfile.TemporaryDirectory(prefix="milo-perf-history-") as aside:
        clone = Path(aside, "clone")
        _git(Path(aside), "init", "--quiet", "--initial-branch=history", "clone")
        _git(clone, "config", "core.symlinks", "false")
        there = (named or branch.remote).strip()
        where = there if "://" in there or not Path(there).exists() else str(Path(there).absolute())
        _git(clone, "remote", "add", "origin", where)
        yield clone


def _fetch(clone: Path, branch: Branch) -> str:
    """Check out what the branch has now, and return its commit; empty for a new branch.

    Raises:
        BaselineError: Nights that were there are gone.
        LoadError: The repository does not answer.
    """
    pairs = {_TIP: f"refs/heads/{branch.name}", _SEEN: branch.seen}
    there = _git(clone, "ls-remote", "origin", *pairs.values())
    wanted = [f"+{name}:{ours}" for ours, name in pairs.items() if f"\t{name}\n" in f"{there}\n"]
    if wanted:  # commits of all nights, and of files only those that are looked at
        _git(clone, "fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", *wanted)
    tip = _commit(clone, _TIP) if f"+{pairs[_TIP]}:{_TIP}" in wanted else ""
    seen = _commit(clone, _SEEN) if f"+{pairs[_SEEN]}:{_SEEN}" in wanted else ""
    back = (
        f"`git push --force origin {seen}:refs/heads/{branch.name}` brings it back;"
        f" `git push origin :{branch.seen}` says that it was meant"
    )
    if seen and not tip:
        raise BaselineError(f"the branch {branch.name} is gone", hint=back)
    if not tip:
        processes.capture(["git", "update-ref", "-d", "HEAD"], cwd=clone)  # of a round before
        (clone / branch.file).unlink(missing_ok=True)
        return ""
    is_inside = ["git", "merge-base", "--is-ancestor", seen, tip]
    if seen and processes.capture(is_inside, cwd=clone, timeout_s=_TIMEOUT_S) is None:
        raise BaselineError(
            f"the branch {branch.name} was rewritten: {seen[:12]} was in it, and is not any more",
            hint=back,
        )
    _require_plain(clone, tip, branch)
    _git(clone, "checkout", "--quiet", "--force", "-B", "history", tip)
    if seen and seen != tip:
        lost = _runs(clone, seen, branch.file) - _runs(clone, tip, branch.file)
        if lost:
            raise BaselineError(
                f"{branch.file} on the branch {branch.name} has lost {len(lost)} nights since"
                f" {seen[:12]}",
                hint=back,
            )
    return tip


def _require_plain(clone: Path, commit: str, branch: Branch) -> None:
    """Refuse a file that would be read or written through a link, or that is too large.

    Raises:
        BaselineError: One sentence.
    """
    parts = PurePosixPath(branch.file).parts
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth])
        entry = _ask(clone, "ls-tree", "--long", "-z", commit, "--", name).rstrip("\0")
        if not entry:
            return
        mode, _, _, size = entry.partition("\t")[0].split()
        wanted = ("100644", "100755") if depth == len(parts) else ("040000",)
        if mode not in wanted:
            what = "link" if mode == "120000" else "file of another kind"
            raise BaselineError(
                f"on the branch {branch.name}, {name} is a {what}, and not followed"
            )
        if size.isdecimal() and int(size) > nights.MOST_BYTES:
            most = f"{nights.MOST_BYTES / 2**20:g} MiB"
            raise BaselineError(f"on the branch {branch.name}, {name} is larger than {most}")


def _runs(clone: Path, commit: str, file: str) -> frozenset[str]:
    """Return which runs a commit has; of a file that cannot be read, an error."""
    if not _ask(clone, "ls-tree", "--name-only", commit, "--", file).strip():
        return frozenset()
    with tempfile.TemporaryDirectory(dir=clone.parent) as aside:
        copy = Path(aside, PurePosixPath(file).name)
        size = _ask(clone, "cat-file", "-s", f"{commit}:{file}").strip()
        if not size.isdecimal() or int(size) > nights.MOST_BYTES:
            raise BaselineError(
                f"{file} in {commit[:12]} is larger than {nights.MOST_BYTES / 2**20:g} MiB"
            )
        said = _ask(clone, "show", f"{commit}:{file}", errors="surrogateescape")
        copy.write_bytes(said.encode(errors="surrogateescape"))  # every byte as it is there
        return frozenset(night.run for night in nights.load(copy))


def _commit(clone: Path, ref: str) -> str:
    return _ask(clone, "rev-parse", "--verify", f"{ref}^{{commit}}").strip()


def _ask(folder: Path, *arguments: str, errors: str = "replace") -> str:
    """Return what git prints to stdout alone.

    Args:
        folder: Of the clone.
        *arguments: Of git.
        errors: See `proc.capture`.

    Raises:
        LoadError: It fails.
    """
    said = processes.capture(["git", *arguments], cwd=folder, timeout_s=_TIMEOUT_S, errors=errors)
    if said is None:
        raise LoadError(f"`git {' '.join(arguments)}` failed in a fresh clone of the history")
    return said


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints, warnings included.

    Raises:
        LoadError: It fails; the hint has its last lines.
    """
    with tempfile.NamedTemporaryFile(prefix="git-", suffix=".log") as output:
        processes.run(
            ["git", *arguments],
            output=Path(output.name),
            timeout_s=_TIMEOUT_S,
            error=LoadError,
            env={"GIT_TERMINAL_PROMPT": "0"},
            hide=("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"),
            cwd=folder,
        )
        return Path(output.name).read_text(encoding="utf-8", errors="replace")
