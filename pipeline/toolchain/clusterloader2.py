"""Find ClusterLoader2: the user's own binary, as no registry serves one."""

import mmap
import os
import re
import shutil
from pathlib import Path

from pipeline.model.ports import Program
from pipeline.system import processes
from pipeline.system.errors import LoadError, PipelineError
from pipeline.toolchain import go
from pipeline.toolchain.build import digest
from pipeline.toolchain.programs import chosen, needed

BINARY = "CLUSTERLOADER2_BIN"
HOW = (
    "build it from a clone of github.com/kubernetes/perf-tests: in its folder clusterloader2,"
    f" `go build -o clusterloader2 ./cmd`; then put it on the path, or set {BINARY} to it"
)
_MODULE = "k8s.io/perf-tests/clusterloader2"


def clusterloader2() -> Program:
    """Return ClusterLoader2: that of CLUSTERLOADER2_BIN, or the first on the path.

    It has no version of its own, so what Go wrote into it stands for one: the revision that it was
    built from, or `unknown`.

    Raises:
        LoadError: There is none, or it is something else.
    """
    path = _path()
    if not _has(path, _MODULE.encode()):
        raise LoadError(f"{path} is not ClusterLoader2", hint=HOW)
    return Program(path, _version(path), digest(path))


def _path() -> Path:
    if (named := chosen(BINARY, LoadError, HOW)) is not None:
        return named
    if (on_path := shutil.which("clusterloader2")) is None:
        raise LoadError(f"ClusterLoader2 is not on the path, and {BINARY} is not set", hint=HOW)
    return Path(on_path).absolute()


def _has(path: Path, text: bytes) -> bool:
    """Return whether a file contains a text; it may be large and is not read as a whole."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(text) >= 0


def _version(path: Path) -> str:
    """Return the revision that Go noted in the binary, `unknown` where it noted none."""
    try:
        found = go.present(needed())
    except PipelineError:
        found = None
    said = processes.capture([str(found.path), "version", "-m", str(path)]) if found else None
    revision = re.search(r"vcs\.revision=([0-9a-f]{12})", said or "")
    return revision[1] if revision else "unknown"
