"""Build Go programs, and keep each binary in the cache under a digest of all its inputs."""

import hashlib
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError, StorageError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log
from pipeline.system.progress import format_duration
from pipeline.toolchain.go import Go

_TIMEOUT_S = 3600.0
_LOG_PERIOD_S = 10.0
_KEPT_S = 30 * 86_400.0
_MIN_PROGRESS = 0.1
"""Share of the packages after which the remaining time is estimated."""

FLAGS = ("-trimpath", "-buildvcs=false")
"""Flags of `go build` and `go test`."""

_DOWNLOADING = "go: downloading "
_PACKAGE = re.compile(r"[a-z][\w.-]*(?:/[\w.~-]+)*")
"""Line of `go build -v`: the import path of a package that is compiled."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Go program to build.

    Attributes:
        name: Name of the binary.
        title: Name in messages, such as `etcd 3.6.16`.
        module: Folder with the go.mod.
        package: Package of the program, as an argument of `go build`.
        cost: Usual cost of a first build, such as `about 2 minutes, 500 MB`.
        packages: Number of packages that a first build compiles, for its progress; 0 if unknown.
        version: Version; `ours` for a program of this project.
        tree: Git tree of a module that is in its folder only while it is built; empty otherwise.
    """

    name: str
    title: str
    module: Path
    package: str
    cost: str
    packages: int = 0
    version: str = "ours"
    tree: str = ""


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary in the cache, with its digest (`sha256:…`)."""

    path: Path
    digest: str


def build(recipe: Recipe, go: Go) -> Binary:
    """Return a binary: from the cache, or built if it is missing or damaged."""

    def make(partial: Path, folder: Path) -> None:
        _compile(recipe, go, partial, folder / "build.log")
        if _folder(recipe, go) != folder:
            raise LaunchError(
                f"{recipe.module} was changed while {recipe.title} was built from it",
                hint="run again once the source is as you want it",
            )

    return build_once(_folder(recipe, go) / recipe.name, recipe.title, make)


def build_once(binary: Path, title: str, make: Callable[[Path, Path], None]) -> Binary:
    """Return a binary of the cache; call `make` if it is missing or damaged.

    Args:
        binary: Path in the cache, see `cache_folder`.
        title: Name in messages.
        make: Function that writes the binary to the first path; the second is a folder for logs.

    Raises:
        LaunchError: The binary cannot be built.
        StorageError: The cache cannot be written.
    """
    folder = binary.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # used today: see _remove_old
        with exclusive_lock(folder / "lock", f"building {title}"):
            return Binary(binary, _verified_digest(binary) or _make(binary, make))
    except OSError as error:
        raise StorageError(
            f"{title} could not be built: {error.filename}: {error.strerror}",
            hint="`milo-perf doctor` shows how much room the cache has, and where it is",
        ) from error


def cached_path(recipe: Recipe, go: Go) -> Path | None:
    """Return the path of a binary in the cache, or None; its digest is not checked."""
    path = _folder(recipe, go) / recipe.name
    return path if path.is_file() else None


def source_digest(folder: Path) -> str:
    """Return a digest of the files of a module that a binary can contain.

    Tests, documentation and hidden files are left out; any other file may be embedded.
    """
    hashed = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        if is_hidden or inside.suffix == ".md" or inside.name.endswith("_test.go"):
            continue
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            hashed.update(f"{content} {inside.as_posix()}\n".encode())
    return hashed.hexdigest()


def digest(path: Path) -> str:
    """Return the digest of a file, `sha256:…`."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def cache_folder(name: str, *inputs: str) -> Path:
    """Return the folder of a binary in the cache, given everything that it depends on."""
    key = hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]
    return paths.cache() / "bin" / f"{name}-{key}"


def progress_logger(
    title: str, output: Path | None = None, packages: int = 0
) -> Callable[[], None]:
    """Return a function that logs every ten seconds how far a build is.

    Args:
        title: Name in messages.
        output: Log of `go build -v`, which names each package that is compiled.
        packages: Number of packages that a first build compiles; 0 if unknown.
    """
    began = last = time.monotonic()

    def tick() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LOG_PERIOD_S:
            last = now
            log.info("still building %s (%s)", title, progress(now - began, output, packages))

    return tick


def progress(elapsed_s: float, output: Path | None, packages: int) -> str:
    """Return how far a build is, in words: its time, its packages, and the time that is left.

    Args:
        elapsed_s: Seconds since the build began.
        output: Log of `go build -v`; None for another command.
        packages: Number of packages that a first build compiles; 0 if unknown.
    """
    lines = _lines(output) if output else []
    done = len(_compiled(lines))
    if not done and (fetched := sum(line.startswith(_DOWNLOADING) for line in lines)):
        return f"{elapsed_s:.0f} s, downloading its source: {fetched} modules so far"
    if not 0 < done <= packages:
        return f"{elapsed_s:.0f} s"
    counted = f"{elapsed_s:.0f} s, {done} of about {packages} packages"
    if done < _MIN_PROGRESS * packages:
        return counted
    return f"{counted}, about {format_duration(elapsed_s * (packages - done) / done)} left"


def _compiled(lines: Iterable[str]) -> list[str]:
    """Return the packages that the log of `go build -v` names."""
    return [line for line in lines if _PACKAGE.fullmatch(line)]


def _lines(path: Path) -> list[str]:
    """Return the lines of a log; none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _make(binary: Path, make: Callable[[Path, Path], None]) -> str:
    """Make a binary, record its digest, and return that."""
    partial = binary.with_suffix(".partial")
    partial.unlink(missing_ok=True)  # of a build that was killed
    try:
        make(partial, binary.parent)
        actual = digest(partial)
        sha = actual.removeprefix("sha256:")
        _record(binary).write_text(f"{sha}  {binary.name}\n", encoding="ascii")
        partial.replace(binary)
    finally:
        partial.unlink(missing_ok=True)
    _remove_old(binary.parent)
    return actual


def _verified_digest(binary: Path) -> str | None:
    """Return the digest of a binary in the cache, or None if it is missing or damaged."""
    if not binary.is_file():
        return None
    actual = digest(binary)
    try:
        recorded = _record(binary).read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError):
        recorded = []
    if recorded[:1] == [actual.removeprefix("sha256:")]:
        return actual
    log.warning("%s is not what was built: building it again", binary)
    return None


def _compile(recipe: Recipe, go: Go, out: Path, output: Path) -> None:
    argv = [*_command(recipe, go)]
    argv[-1:-1] = ["-o", str(out)]
    output.unlink(missing_ok=True)
    log.info("building %s with Go %s (the first time: %s)", recipe.title, go.version, recipe.cost)
    began = time.monotonic()
    try:
        processes.run(
            [*argv[:-1], "-v", argv[-1]],
            output=output,
            timeout_s=_TIMEOUT_S,
            env=dict(go.environment),
            cwd=recipe.module,
            tick=progress_logger(recipe.title, output, recipe.packages),
        )
    except processes.CommandError as error:
        again = shlex.join([*(f"{name}={value}" for name, value in go.environment), *argv])
        by_hand = "" if recipe.tree else f"\nto try it by hand, in that folder: env {again}"
        place = f"of the git tree {recipe.tree}" if recipe.tree else f"in {recipe.module}"
        raise LaunchError(
            f"{recipe.title} could not be built {place}: {error}",
            hint=f"{_problem(error, output)}{by_hand}",
        ) from error
    log.info("built %s in %.0f s", recipe.title, time.monotonic() - began)


def _problem(error: processes.CommandError, output: Path) -> str:
    """Return the last lines of a failed build, without the packages that were compiled."""
    if error.status is None:
        return error.hint
    lines = _lines(output)
    compiled = set(_compiled(lines))
    kept = [f"{line}\n" for line in lines if line not in compiled]
    output.write_text("".join(kept), encoding="utf-8")
    return processes.log_tail(output)


def _folder(recipe: Recipe, go: Go) -> Path:
    inputs = [
        source_digest(recipe.module),
        go.version,
        *(f"{name}={value}" for name, value in go.settings),
        *_command(recipe, go)[1:],
    ]
    return cache_folder(recipe.name, *inputs)


def _command(recipe: Recipe, go: Go) -> tuple[str, ...]:
    return (str(go.path), "build", *FLAGS, recipe.package)


def _record(binary: Path) -> Path:
    return binary.with_suffix(".sha256")


def _remove_old(folder: Path) -> None:
    """Remove binaries that were not used for a month."""
    for other in folder.parent.iterdir():
        with suppress(FileNotFoundError):
            if other != folder and time.time() - other.stat().st_mtime > _KEPT_S:
                shutil.rmtree(other, ignore_errors=True)
