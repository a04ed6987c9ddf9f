"""Build Go programs, each once: a binary is kept under a digest of all that decides it."""

import hashlib
import os
import shlex
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log
from pipeline.toolchain.go import Go

_TIMEOUT_S = 3600.0
_SAID_S = 10.0
_KEPT_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build.

    Attributes:
        name: Of the binary.
        title: For people, such as `etcd 3.6.16`.
        module: Folder with the go.mod.
        package: Of the program, as `go build` takes it.
        usual: What a first build costs, such as `about 2 minutes, 500 MB`.
    """

    name: str
    title: str
    module: Path
    package: str
    usual: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that was built: where it is, and `sha256:…` of it."""

    path: Path
    digest: str


def build(recipe: Recipe, go: Go) -> Binary:
    """Return the binary, from the cache where it is there and whole.

    Raises:
        LaunchError: It cannot be built; the hint has the last lines of Go's output.
    """

    def make(partial: Path, folder: Path) -> None:
        _compile(recipe, go, partial, folder / "build.log")
        _check_unchanged(recipe, go, folder)

    return once(_folder(recipe, go) / recipe.name, recipe.title, make)


def once(binary: Path, title: str, make: Callable[[Path, Path], None]) -> Binary:
    """Return a binary of the cache, made if it is not there or not whole.

    Args:
        binary: Where it belongs, in a folder of its own that is named by what decides it.
        title: For people.
        make: Writes the binary to the first path; the second is the folder, for logs.

    Raises:
        LaunchError: It cannot be made.
    """
    try:
        return _once(binary, title, make)
    except OSError as error:
        raise LaunchError(
            f"{title} could not be built: {error.filename}: {error.strerror}",
            hint="`milo-perf doctor` shows how much room the cache has, and where it is",
        ) from error


def cached(recipe: Recipe, go: Go) -> Path | None:
    """Return where the binary is if nothing needs to be built; its digest is not checked."""
    path = _folder(recipe, go) / recipe.name
    return path if path.is_file() else None


def source_digest(folder: Path) -> str:
    """Return a digest of everything in a module that can end up in its program.

    Tests, documentation and hidden files cannot; whatever else is there might be embedded.
    """
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if _is_compiled(inside) and path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{content} {inside.as_posix()}\n".encode())
    return found.hexdigest()


def digest(path: Path) -> str:
    """Return `sha256:…` of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def folder_of(name: str, *decides: str) -> Path:
    """Return the folder in the cache of a binary, given everything that decides it."""
    key = hashlib.sha256("\n".join(decides).encode()).hexdigest()[:16]
    return paths.cache() / "bin" / f"{name}-{key}"


def elapsed(title: str) -> Callable[[], None]:
    """Return what says, every ten seconds, that a build still goes on."""
    began = said = time.monotonic()

    def tick() -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _SAID_S:
            said = now
            log.info("still building %s (%.0f s)", title, now - began)

    return tick


def _once(binary: Path, title: str, make: Callable[[Path, Path], None]) -> Binary:
    folder = binary.parent
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)  # used today: see _forget
    with exclusive_lock(folder / "lock", f"building {title}"):
        kept = _whole(binary)
        if kept is None:
            partial = binary.with_suffix(".partial")
            partial.unlink(missing_ok=True)  # of a build that was killed
            try:
                make(partial, folder)
                kept = digest(partial)
                _record(binary).write_text(
                    f"{kept.removeprefix('sha256:')}  {binary.name}\n", encoding="ascii"
                )
                partial.replace(binary)
            finally:
                partial.unlink(missing_ok=True)
            _forget(folder)
    return Binary(binary, kept)


def _check_unchanged(recipe: Recipe, go: Go, folder: Path) -> None:
    """Refuse a binary of which nobody could say which source it is from."""
    if _folder(recipe, go) != folder:
        raise LaunchError(
            f"{recipe.module} was changed while {recipe.title} was built from it",
            hint="run again once the source is as you want it",
        )


def _whole(binary: Path) -> str | None:
    """Return the digest of a cached binary, or None where there is none that can be used."""
    if not binary.is_file():
        return None
    found = digest(binary)
    try:
        recorded = _record(binary).read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError):
        recorded = []
    if recorded[:1] == [found.removeprefix("sha256:")]:
        return found
    log.warning("%s is not what was built: building it again", binary)
    return None


def _compile(recipe: Recipe, go: Go, out: Path, output: Path) -> None:
    argv = [*_command(recipe, go)]
    argv[-1:-1] = ["-o", str(out)]
    output.unlink(missing_ok=True)
    log.info("building %s with Go %s (the first time: %s)", recipe.title, go.version, recipe.usual)
    began = time.monotonic()
    try:
        processes.run(
            argv,
            output=output,
            timeout_s=_TIMEOUT_S,
            env=dict(go.environment),
            cwd=recipe.module,
            tick=elapsed(recipe.title),
        )
    except processes.CommandError as error:
        again = shlex.join([*(f"{name}={value}" for name, value in go.environment), *argv])
        raise LaunchError(
            f"{recipe.title} could not be built in {recipe.module}: {error}",
            hint=f"{error.hint}\nto try it by hand, in that folder: env {again}",
        ) from error
    log.info("built %s in %.0f s", recipe.title, time.monotonic() - began)


def _folder(recipe: Recipe, go: Go) -> Path:
    decides = [
        source_digest(recipe.module),
        go.version,
        *(f"{name}={value}" for name, value in go.settings),
        *_command(recipe, go)[1:],
    ]
    return folder_of(recipe.name, *decides)


def _command(recipe: Recipe, go: Go) -> tuple[str, ...]:
    return (str(go.path), "build", "-trimpath", "-buildvcs=false", recipe.package)


def _is_compiled(inside: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return not hidden and inside.suffix != ".md" and not inside.name.endswith("_test.go")


def _record(binary: Path) -> Path:
    return binary.with_suffix(".sha256")


def _forget(folder: Path) -> None:
    """Remove what nobody has used for a month, so that the cache does not grow for ever."""
    for other in folder.parent.iterdir():
        with suppress(FileNotFoundError):
            if other != folder and time.time() - other.stat().st_mtime > _KEPT_S:
                shutil.rmtree(other, ignore_errors=True)
