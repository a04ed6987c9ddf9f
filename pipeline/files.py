"""Where our own files are: beside the package in a checkout, inside it when installed."""

from pathlib import Path

import platformdirs

from pipeline.errors import ConfigError

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
    folder = Path(platformdirs.user_cache_dir("milo-perf", appauthor=False))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: the cache folder cannot be made: {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder that you can write",
        ) from error
    return folder
