"""Paths of the project's files, of the user's cache, and of the folders of runs."""

import os
import shlex
import tempfile
from pathlib import Path

from pipeline.system.errors import BaselineError, ConfigError, StorageError

RESULTS, CAPACITY, EVALUATION = "results.json", "capacity.json", "evaluation.json"
RELEASES, SOAK = "releases.json", "soak.json"
BISECT = "bisect.json"
"""Result file of each kind of output folder."""

_KINDS = {
    RESULTS: ("run", "compare"),
    CAPACITY: ("search of a capacity", "capacity --resume"),
    EVALUATION: ("evaluation", "evaluate --resume"),
    RELEASES: ("measurement of releases", "releases --resume"),
    SOAK: ("soak", "soak --resume"),
    BISECT: ("search for a commit", "bisect --resume"),
}
_SUGGESTIONS = 3  # folders named in one hint

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "_files"
_ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent


def project_path(*parts: str) -> Path:
    """Return the path of one of the project's files, such as that of `"suites", "pr.toml"`."""
    return _ROOT.joinpath(*parts)


def baselines() -> Path:
    """Return the folder of stored baselines: in the checkout, or `baselines` if installed."""
    return Path("baselines") if _INSTALLED.is_dir() else _ROOT / "baselines"


def shipped_baselines() -> Path | None:
    """Return the folder of the baselines in an installed package; None in a checkout."""
    return _INSTALLED / "baselines" if _INSTALLED.is_dir() else None


def package_version() -> str:
    """Return the version of this package."""
    from importlib import metadata

    try:
        return metadata.version("milo-perf")
    except metadata.PackageNotFoundError:
        return "not installed"


def cache() -> Path:
    """Return the user's cache folder for milo-perf, created if needed."""
    return _user_folder("cache", "XDG_CACHE_HOME", ".cache")


def state() -> Path:
    """Return the user's state folder for milo-perf, created if needed."""
    return _user_folder("state", "XDG_STATE_HOME", ".local/state")


def _user_folder(what: str, variable: str, default: str) -> Path:
    """Return our folder below the one of the XDG Base Directory Specification, created if needed.

    Not by platformdirs: `doctor` works before any package is installed.
    """
    folder = Path(os.environ.get(variable, ""))
    try:
        base = folder if folder.is_absolute() else Path.home() / default
        folder = base / "milo-perf"
        folder.mkdir(parents=True, exist_ok=True)
    except RuntimeError as error:  # there is no home folder
        raise StorageError(
            f"the {what} folder is unknown: {error}",
            hint=f"set {variable} to a folder that you can write",
        ) from error
    except OSError as error:
        raise StorageError(
            f"{folder}: the {what} folder cannot be created: {error.strerror}",
            hint=f"set {variable} to a folder that you can write",
        ) from error
    return folder


def require_current_folder() -> None:
    """Raise StorageError if the current folder was deleted, or cannot be read."""
    try:
        Path.cwd()
    except OSError as error:
        raise StorageError(
            f"the current folder cannot be used: {error.strerror}", hint="change to another folder"
        ) from error


def expand(text: str | Path) -> Path:
    """Return a path whose `~` is a home folder.

    Raises:
        ConfigError: The home folder is unknown.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{text}: the home folder of `~` is unknown") from error


def quote(path: Path) -> str:
    """Return a path as one word of a shell that is no option, also if its name is no text."""
    text = os.fspath(path)
    text = f"./{text}" if text.startswith("-") else text
    if _is_text(text):
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, os.fsencode(text))) + "'"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return text.isprintable()


def _escaped(byte: int) -> str:
    character = chr(byte)
    is_plain = 32 <= byte < 127 and character not in "\\'"
    return character if is_plain else f"\\x{byte:02x}"


def require_new_folder(folder: Path, *, resume: str) -> None:
    """Return if an output folder can be created, before hours are spent on its content.

    `resume` is the command that continues an existing folder.

    Raises:
        ConfigError: The folder is not empty.
        StorageError: The folder is a file, or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(
                f"{folder} is not empty, and nothing that was measured is ever overwritten",
                hint=f"leave out --out to get a new folder, or go on with"
                f" `milo-perf {resume} {quote(folder)}`",
            )
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass  # permissions do not tell: root may write anywhere, but not on a read-only disk
    except OSError as error:
        raise StorageError(
            f"{folder}: the folder for the results cannot be used: {error.strerror}",
            hint="give --out a new folder in a place that you can write",
        ) from error


def result_file(folder: Path, name: str) -> Path:
    """Return the path of the result file in an output folder.

    Raises:
        BaselineError: The folder has none; the hint names the folder that is probably meant.
    """
    path = folder / name
    if path.exists():
        return path
    kind, _ = _KINDS[name]
    if folder.is_file():
        holder = folder.absolute().parent
        is_inside = (holder / name).exists()
        hint = f"name the folder that it is in: {quote(folder.parent)}" if is_inside else ""
        raise BaselineError(f"{folder}: is a file, and the folder of a {kind} is wanted", hint=hint)
    if not folder.exists():
        raise BaselineError(f"{folder}: no such folder", hint=_nearest(folder.parent, name))
    for other, (what, command) in _KINDS.items():
        if (folder / other).exists():
            raise BaselineError(
                f"{folder}: is the folder of a {what}, and that of a {kind} is wanted",
                hint=f"`milo-perf {command} {quote(folder)}`",
            )
    raise BaselineError(
        f"{folder}: is no folder of a {kind}: there is no {name} in it", hint=_nearest(folder, name)
    )


def portable_name(path: str, copy: Path | None = None) -> str:
    """Return a path for a command that other people may read; it is never absolute.

    Args:
        path: Path that a person typed.
        copy: Copy of the file, which is named if `path` is outside of the current folder.
    """
    given = Path(path)
    if not (given.is_absolute() or path.startswith("~")):
        return path
    here = Path.cwd()
    for one in (expand(given), copy):
        whole = one and Path(os.path.normpath(one.absolute()))
        if whole and whole.is_relative_to(here):
            return str(whole.relative_to(here))
    return given.name


def _nearest(place: Path, name: str) -> str:
    """Return a hint with the newest folders in a folder, or in `out/`, that have a result file."""
    kind, _ = _KINDS[name]
    for holder in (place, Path("out")):
        try:
            files = sorted(holder.glob(f"*/{name}"), key=lambda path: -path.stat().st_mtime)
        except OSError:
            continue
        if files:
            names = ", ".join(quote(path.parent) for path in files[:_SUGGESTIONS])
            return f"did you mean one of these, newest first: {names}"
    return f"a {kind} says at its end where its folder is; by default it is below out/"
