"""Where our own files are: beside the package in a checkout, inside it when installed."""

from pathlib import Path

import platformdirs

from pipeline.errors import ConfigError

MOST_BYTES = 2**19
"""Of a suite or another file of settings; ours have 12 kB."""

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "_files"
_ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent


def ours(*parts: str) -> Path:
    """Return the path of one of the project's files, such as `ours("suites", "pr.toml")`."""
    return _ROOT.joinpath(*parts)


def baselines() -> Path:
    """Return the folder of the stored baselines: the checkout's, or the current folder's own."""
    return Path("baselines") if _INSTALLED.is_dir() else _ROOT / "baselines"


def cache() -> Path:
    """Return the user's cache folder for this program, made if needed.

    Raises:
        ConfigError: It cannot be written.
    """
    folder = platformdirs.user_cache_dir("milo-perf", appauthor=False)
    return _made(Path(folder), "cache", "XDG_CACHE_HOME")


def state() -> Path:
    """Return the user's folder for what this program notes of its runs, made if needed.

    Raises:
        ConfigError: It cannot be written.
    """
    folder = platformdirs.user_state_dir("milo-perf", appauthor=False)
    return _made(Path(folder), "state", "XDG_STATE_HOME")


def _made(folder: Path, what: str, variable: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: the {what} folder cannot be made: {error.strerror}",
            hint=f"set {variable} to a folder that you can write",
        ) from error
    return folder


def text_of(path: Path) -> str:
    """Return the text of a suite or of another file of settings.

    Raises:
        ConfigError: It is missing, too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError(f"{path}: it is larger than {MOST_BYTES / 2**20:g} MiB")
        return data.decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
