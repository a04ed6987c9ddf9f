"""A file of nightly records on a branch of a git repository, which several jobs may append to.

Nothing is pushed with force: a job that comes second fetches what the first has pushed and appends
to that.  A second reference, `refs/milo-perf/BRANCH`, is pushed together with the branch and keeps
our newest commit.  It shows whether the branch was rewritten or the file lost records, and keeps
the commits that have them in the repository.
"""

import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.model.bisect import Bisection
from pipeline.render.numbers import count, moment
from pipeline.runs.history import nightly_records
from pipeline.runs.history.nightly_records import NightlyRecord
from pipeline.storage import codec
from pipeline.system import processes
from pipeline.system.errors import (
    BaselineError,
    ConfigError,
    NetworkError,
    PublishError,
    StorageError,
)
from pipeline.system.log import log
from pipeline.system.processes import CommandError

_TIMEOUT_S: Final = 120.0
_MAX_PUSHES: Final = 12
_MAX_REFUSED: Final = 3
"""Refused pushes without another writer, after which it is not a race."""

_WAIT_S: Final = 0.2
_MAX_FILES: Final = 500
"""Most files of a branch that are checked out for a site."""

_HARMLESS: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*){0,2}")
_NOT_HARMLESS: Final = re.compile(r"[^A-Za-z0-9._-]")
_TIP, _SEEN = "refs/remotes/origin/tip", "refs/remotes/origin/seen"
_FIRST: Final = "the first nightly run that keeps its record makes it"
_AUTHOR = ("-c", "user.name=milo-perf", "-c", "user.email=milo-perf@localhost")


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a file of nightly records is kept.

    Attributes:
        remote: Address or folder of the repository, or a remote's name in the current clone.
        name: Name of the branch; the first record creates it.
        file: Path of the file in the branch.
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
        """The reference that keeps our newest commit."""
        return f"refs/milo-perf/{self.name}"


@contextmanager
def checked_out(branch: Branch) -> Iterator[Path]:
    """Yield a copy of the file on the branch.

    Raises:
        BaselineError: There is no such file, records that were there are gone, or it cannot be
            read.
        NetworkError: The repository does not answer.
    """
    with _clone(branch) as clone:
        what = f"branch {branch.name}"
        if _fetch(clone, branch) is not None:
            what = f"{branch.file} on the {what}"
        if not (clone / branch.file).exists():
            raise BaselineError(f"there is no {what} of {branch.remote}", hint=_FIRST)
        yield clone / branch.file


@contextmanager
def checked_out_files(
    remote: str, name: str, choose: Callable[[Sequence[str]], Sequence[str]]
) -> Iterator[Path]:
    """Yield a folder with some files of a branch.

    Args:
        remote: Address or folder of the repository, or a remote's name in the current clone.
        name: Name of the branch.
        choose: Function that returns the files to check out, of all regular files in the branch
            that have a harmless name.

    Raises:
        BaselineError: There is no such branch, records that were there are gone, or a file is too
            large.
        NetworkError: The repository does not answer.
    """
    whole = Branch(remote, name, "")
    with _clone(whole) as clone:
        tip, seen = _verified_refs(clone, whole)
        if tip is None:
            raise BaselineError(
                f"{remote} has no branch {name}",
                hint=f"{_FIRST}; a folder works too",
            )
        chosen = choose(_regular_files(clone, tip))[:_MAX_FILES]
        for line in _ls_tree(clone, "--long", tip, "--", *chosen) if chosen else ():
            entry, _, file = line.partition("\t")
            _require_size(entry.split()[3], f"on the branch {name}, {file}")
        for file in chosen:
            if seen and seen != tip and nightly_records.is_nightly_file(Path(file)):
                _require_none_lost(clone, tip, seen, Branch(remote, name, file))
        if chosen:
            _git(clone, "--literal-pathspecs", "checkout", "--quiet", tip, "--", *chosen)
        yield clone


def append(
    branch: Branch,
    new: NightlyRecord,
    sleep: Callable[[float], None] = time.sleep,
    *,
    results: str | None = None,
) -> bool:
    """Add a record to the file and push it; return False if it was there already.

    Args:
        branch: Place of the file.
        new: Record to add.
        sleep: Function that waits between two attempts.
        results: Text of the run's results.json, if it is kept beside the file; see
            `results_file`.

    Raises:
        BaselineError: Same as `checked_out`; nothing is pushed.
        NetworkError: The repository does not answer.
        PublishError: The repository refuses the commit.
    """

    def stage(clone: Path) -> list[str]:
        path = clone / branch.file
        records = nightly_records.load(path) if path.exists() else []
        if any(record.run == new.run and record != new for record in records):
            raise BaselineError(
                f"the run {new.run} is on the branch already, with other numbers: a record"
                " there is never replaced",
                hint="if the run was resumed after it was added, measure again and add that run",
            )
        if not nightly_records.append(path, new):
            return []
        if results is None:
            return [branch.file]
        return [branch.file, _write(clone, results_file(branch.file, new), results)]

    time_text = moment(new.time)
    return _push(branch, stage, f"{branch.file}: add the run of {time_text}", sleep)


def keep_search(
    branch: Branch, search: Bisection, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Keep a search beside the file, as the newest of its metric; return False if it is there.

    Raises:
        BaselineError, NetworkError, PublishError: Same as `append`.
    """
    file = search_file(branch.file, search)
    return _push(
        branch,
        lambda clone: [_write(clone, file, codec.BISECT.dumps(search))],
        f"{branch.file}: keep the search for the commit behind {search.key}",
        sleep,
    )


def replace_folder(
    branch: Branch,
    texts: Mapping[str, str],
    message: str,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Replace the folder of the branch's file by other files; return False if they are there.

    Args:
        branch: Branch and a file of the folder.
        texts: Texts of the files, by their paths in the folder.
        message: Message of the commit.
        sleep: Function that waits between two attempts.

    Raises:
        BaselineError, NetworkError, PublishError: Same as `append`.
    """
    folder = str(PurePosixPath(branch.file).parent)

    def stage(clone: Path) -> list[str]:
        _git(clone, "rm", "-r", "--quiet", "--ignore-unmatch", "--", folder)
        for name, text in texts.items():
            _write(clone, f"{folder}/{name}", text)
        return [folder]

    return _push(branch, stage, message, sleep)


def results_file(file: str, record: NightlyRecord) -> str:
    """Return the path of a run's results on the branch: in a folder with the name of the file."""
    return str(PurePosixPath(file).with_suffix("") / f"{nightly_records.night_name(record)}.json")


def search_file(file: str, search: Bisection) -> str:
    """Return the path of a search on the branch: below the folder of the results."""
    name = _NOT_HARMLESS.sub("_", f"{search.workload}.{search.metric.name}")
    return str(PurePosixPath(file).with_suffix("") / "searches" / f"{name}.json")


def _write(clone: Path, file: str, text: str) -> str:
    """Write a file of the branch, and return its path there."""
    (clone / file).parent.mkdir(parents=True, exist_ok=True)
    codec.write_text(clone / file, text)
    return file


def _push(
    branch: Branch,
    stage: Callable[[Path], Sequence[str]],
    message: str,
    sleep: Callable[[float], None],
) -> bool:
    """Commit what a function changes in a clone, and push it; return False for no change.

    If another job pushes first, the function is called again, in a clone with that.

    Args:
        branch: Branch to push to.
        stage: Function that changes files of the clone, and returns their paths.
        message: Message of the commit.
        sleep: Function that waits between two attempts.
    """
    refs = (f"HEAD:refs/heads/{branch.name}", f"HEAD:{branch.seen}")
    with _clone(branch) as clone:
        refused = 0
        before = _fetch(clone, branch)
        for attempt in range(1, _MAX_PUSHES + 1):
            files = stage(clone)
            if not files:
                return False
            _git(clone, "add", "--", *files)
            if not _capture(clone, "status", "--porcelain", "--", *files).strip():
                return False
            _git(clone, *_AUTHOR, "commit", "--quiet", "--message", message)
            try:
                _git(clone, "push", "--quiet", "--atomic", "origin", *refs)
            except CommandError as error:
                sleep(random.uniform(0, _WAIT_S * attempt))  # noqa: S311 (jitter, not a secret)
                tip = _fetch(clone, branch)
                refused = 0 if tip != before else refused + 1
                if refused == _MAX_REFUSED or attempt == _MAX_PUSHES:
                    raise PublishError(
                        f"{files[0]} could not be pushed to {branch.name}: {error}", hint=error.hint
                    ) from error
                log.info("%s: another job has pushed; adding to that", branch.name)
                before = tip
            else:
                return True
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def _clone(branch: Branch) -> Iterator[Path]:
    """Yield an empty temporary clone; the user's repository is not touched."""
    remote = processes.capture(
        ["git", "remote", "get-url", "--", branch.remote], timeout_s=_TIMEOUT_S
    )
    url = (remote or branch.remote).strip()
    if "://" not in url and Path(url).exists():
        url = str(Path(url).absolute())
    with tempfile.TemporaryDirectory(prefix="milo-perf-history-") as folder:
        clone = Path(folder, "clone")
        _git(Path(folder), "init", "--quiet", "--initial-branch=history", "clone")
        _git(clone, "config", "core.symlinks", "false")
        _git(clone, "remote", "add", "origin", url)
        yield clone


def _fetch(clone: Path, branch: Branch) -> str | None:
    """Check out the branch as it is now, and return its commit; None for a new branch."""
    tip, seen = _verified_refs(clone, branch)
    if tip is None:
        processes.capture(["git", "update-ref", "-d", "HEAD"], cwd=clone)  # of an earlier attempt
        (clone / branch.file).unlink(missing_ok=True)
        return None
    _require_regular_file(clone, tip, branch)
    _git(clone, "checkout", "--quiet", "--force", "-B", "history", tip)
    if seen and seen != tip and nightly_records.is_nightly_file(Path(branch.file)):
        _require_none_lost(clone, tip, seen, branch)
    return tip


def _verified_refs(clone: Path, branch: Branch) -> tuple[str | None, str | None]:
    """Return the commits of the branch and of our reference, if the branch was not rewritten."""
    tip, seen = _fetch_refs(clone, branch)
    if tip is None:
        if seen is not None:
            raise BaselineError(f"the branch {branch.name} is gone", hint=_hint(branch, seen))
        return None, None
    is_ancestor = ["git", "merge-base", "--is-ancestor", seen or tip, tip]
    if seen and processes.capture(is_ancestor, cwd=clone, timeout_s=_TIMEOUT_S) is None:
        raise BaselineError(
            f"the branch {branch.name} was rewritten: it no longer contains {seen[:12]}",
            hint=_hint(branch, seen),
        )
    return tip, seen


def _require_none_lost(clone: Path, tip: str, seen: str, branch: Branch) -> None:
    """Raise BaselineError if a file has lost records since our newest commit."""
    lost = _runs(clone, seen, branch.file) - _runs(clone, tip, branch.file)
    if lost:
        raise BaselineError(
            f"{branch.file} on the branch {branch.name} has lost {count(len(lost), 'record')} since"
            f" {seen[:12]}",
            hint=_hint(branch, seen),
        )


def _hint(branch: Branch, seen: str) -> str:
    return (
        f"`git push --force origin {seen}:refs/heads/{branch.name}` brings it back;"
        f" `git push origin :{branch.seen}` says that it was meant"
    )


def _regular_files(clone: Path, commit: str) -> list[str]:
    """Return the regular files of a commit that have a harmless name, sorted."""
    files = []
    for line in _ls_tree(clone, "-r", commit):
        entry, _, name = line.partition("\t")
        if entry.split()[0] in ("100644", "100755") and _HARMLESS.fullmatch(name):
            files.append(name)
    return sorted(files)


def _ls_tree(clone: Path, *arguments: str) -> list[str]:
    """Return the entries that `git ls-tree` lists, for names as they are."""
    listing = _capture(clone, "--literal-pathspecs", "ls-tree", "-z", *arguments)
    return [line for line in listing.split("\0") if line]


def _fetch_refs(clone: Path, branch: Branch) -> tuple[str | None, str | None]:
    """Fetch the branch and our reference, and return the commit of each that exists."""
    names = {_TIP: f"refs/heads/{branch.name}", _SEEN: branch.seen}
    listing = _ask_remote(clone, "ls-remote", "origin", *names.values())
    existing = {line.partition("\t")[2] for line in listing.splitlines()}
    refspecs = [f"+{name}:{ours}" for ours, name in names.items() if name in existing]
    if refspecs:  # all commits, but only the files that are read
        _ask_remote(
            clone, "fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", *refspecs
        )
    tip, seen = (
        _capture(clone, "rev-parse", "--verify", f"{ours}^{{commit}}").strip()
        if name in existing
        else None
        for ours, name in names.items()
    )
    return tip, seen


def _require_regular_file(clone: Path, commit: str, branch: Branch) -> None:
    """Refuse a path with a symbolic link in it, and a file that is too large."""
    parts = PurePosixPath(branch.file).parts
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth])
        entry = _capture(clone, "ls-tree", "--long", "-z", commit, "--", name).rstrip("\0")
        if not entry:
            return
        mode, _, _, size = entry.partition("\t")[0].split()
        expected = ("100644", "100755") if depth == len(parts) else ("040000",)
        if mode not in expected:
            what = "link" if mode == "120000" else "file of another kind"
            raise BaselineError(
                f"on the branch {branch.name}, {name} is a {what}, and not followed"
            )
        _require_size(size, f"on the branch {branch.name}, {name}")


def _require_size(size: str, what: str) -> None:
    """Raise BaselineError if a file is too large; git prints `-` for the size of a folder."""
    if size.isdecimal() and int(size) > nightly_records.MAX_BYTES:
        raise BaselineError(f"{what} is larger than {nightly_records.MAX_BYTES / 2**20:g} MiB")


def _runs(clone: Path, commit: str, file: str) -> frozenset[str]:
    """Return the runs in the file of a commit."""
    if not _capture(clone, "ls-tree", "--name-only", commit, "--", file).strip():
        return frozenset()
    _require_size(
        _capture(clone, "cat-file", "-s", f"{commit}:{file}").strip(), f"{file} in {commit[:12]}"
    )
    # surrogateescape keeps every byte as it is in the file
    text = _capture(clone, "show", f"{commit}:{file}", errors="surrogateescape")
    records = nightly_records.parse(text.encode(errors="surrogateescape"), Path(file))
    return frozenset(record.run for record in records)


def _capture(folder: Path, *arguments: str, errors: str = "replace") -> str:
    """Return what git prints to stdout, without its warnings."""
    text = processes.capture(["git", *arguments], cwd=folder, timeout_s=_TIMEOUT_S, errors=errors)
    if text is None:
        raise StorageError(f"`git {' '.join(arguments)}` failed in a fresh clone of the history")
    return text


def _ask_remote(clone: Path, *arguments: str) -> str:
    """Return what git prints when it asks the repository."""
    try:
        return _git(clone, *arguments)
    except CommandError as error:
        raise NetworkError(str(error), hint=error.hint) from error


def _git(folder: Path, *arguments: str) -> str:
    """Run git, and return what it prints, warnings included."""
    return processes.run_for_output(
        ["git", *arguments], timeout_s=_TIMEOUT_S, env={"GIT_TERMINAL_PROMPT": "0"}, cwd=folder
    )
