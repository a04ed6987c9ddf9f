"""Where our own files are, and what to do about a folder that cannot be written."""

import os
import shlex
import tempfile
from pathlib import Path

import platformdirs

from pipeline.system.errors import BaselineError, ConfigError, StorageError

RESULTS, CAPACITY, EVALUATION = "results.json", "capacity.json", "evaluation.json"
"""What each kind of folder that is measured into holds, by which it is known."""

_KINDS = {
    RESULTS: ("run", "compare"),
    CAPACITY: ("search of a capacity", "capacity --resume"),
    EVALUATION: ("evaluation", "evaluate --resume"),
}
_SHOWN = 3  # folders named in one hint

MOST_BYTES = 2**19
"""Of a suite or another file of settings; ours have 12 kB."""

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "_files"
_ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent


def project_path(*parts: str) -> Path:
    """Return the path of one of the project's files, such as `ours("suites", "pr.toml")`."""
    return _ROOT.joinpath(*parts)


def baselines() -> Path:
    """Return the folder of the stored baselines: the checkout's, or the current folder's own."""
    return Path("baselines") if _INSTALLED.is_dir() else _ROOT / "baselines"


def cache() -> Path:
    """Return the user's cache folder for this program, made if needed.

    Raises:
        StorageError: It cannot be written.
    """
    folder = platformdirs.user_cache_dir("milo-perf", appauthor=False)
    return _made(Path(folder), "cache", "XDG_CACHE_HOME")


def state() -> Path:
    """Return the user's folder for what this program notes of its runs, made if needed.

    Raises:
        StorageError: It cannot be written.
    """
    folder = platformdirs.user_state_dir("milo-perf", appauthor=False)
    return _made(Path(folder), "state", "XDG_STATE_HOME")


def _made(folder: Path, what: str, variable: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: the {what} folder cannot be made: {error.strerror}",
            hint=f"set {variable} to a folder that you can write",
        ) from error
    return folder


def require_new_folder(folder: Path, *, resume: str) -> None:
    """Make sure that a new folder can be made here, before hours are spent on what goes into it.

    Args:
        folder: To be made; it may be there already if it is empty.
        resume: Command that goes on with what is in a folder, such as `run --resume`.

    Raises:
        ConfigError: It is not empty.
        StorageError: It is no folder, or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(
                f"{folder} is not empty, and nothing that was measured is ever overwritten",
                hint=f"leave --out away to get a new folder, or go on with `{resume}`",
            )
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass  # root may write anywhere by its permissions, but not on a read-only disk
    except OSError as error:
        raise StorageError(
            f"{folder}: the folder for the results cannot be used: {error.strerror}",
            hint="give --out a new folder in a place that you can write",
        ) from error


def result_file(folder: Path, name: str) -> Path:
    """Return the file in a folder that holds what was measured, such as `results.json`.

    Args:
        folder: Of a run, of a search or of an evaluation.
        name: `RESULTS`, `CAPACITY` or `EVALUATION`.

    Raises:
        BaselineError: There is none; the hint names what is probably meant.
    """
    path = folder / name
    if path.exists():
        return path
    kind, _ = _KINDS[name]
    if folder.is_file():
        holder = folder.absolute().parent
        is_inside = (holder / name).exists()
        hint = (
            f"name the folder that it is in: {shlex.quote(str(folder.parent))}" if is_inside else ""
        )
        raise BaselineError(f"{folder}: is a file, and the folder of a {kind} is wanted", hint=hint)
    if not folder.exists():
        raise BaselineError(f"{folder}: no such folder", hint=_nearest(folder.parent, name))
    for other, (what, command) in _KINDS.items():
        if (folder / other).exists():
            raise BaselineError(
                f"{folder}: is the folder of a {what}, and that of a {kind} is wanted",
                hint=f"`{command} {shlex.quote(str(folder))}`",
            )
    raise BaselineError(
        f"{folder}: is no folder of a {kind}: there is no {name} in it",
        hint=_nearest(folder, name),
    )


def portable_name(written: str, kept: Path | None = None) -> str:
    """Return how to name a file in a command that others may read: never by an absolute path.

    Args:
        written: The path that a person gave.
        kept: A copy of the file, which is named where that path tells of a machine; None where
            there is none.
    """
    given = Path(written)
    if not (given.is_absolute() or written.startswith("~")):
        return written
    here = Path.cwd()
    for path in (given.expanduser(), kept):
        whole = path and Path(os.path.normpath(path.absolute()))
        if whole and whole.is_relative_to(here):
            return str(whole.relative_to(here))
    return given.name


def _nearest(place: Path, name: str) -> str:
    """Return a hint on the newest folders in a place, or in `out/`, that hold what is wanted."""
    kind, _ = _KINDS[name]
    for holder in (place, Path("out")):
        try:
            found = sorted(holder.glob(f"*/{name}"), key=lambda path: -path.stat().st_mtime)
        except OSError:
            continue
        if found:
            shown = ", ".join(shlex.quote(f"{path.parent}") for path in found[:_SHOWN])
            return f"did you mean one of these, newest first: {shown}"
    return f"a {kind} says at its end where its folder is; by default it is below out/"
