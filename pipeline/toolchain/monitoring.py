"""Get what ClusterLoader2 sees a server by: our gateway, which is built, and a Prometheus."""

import os
import re
import shutil
from pathlib import Path

from pipeline.model.health import Check, Status
from pipeline.model.ports import Program
from pipeline.system import paths, processes
from pipeline.system.errors import LoadError, PipelineError
from pipeline.toolchain.build import Recipe, digest
from pipeline.toolchain.expand import MODULE
from pipeline.toolchain.programs import built

PROMETHEUS = "PROMETHEUS_BIN"
_INSTALL = "sudo apt-get install prometheus && sudo systemctl disable --now prometheus"
_HINT = f"{_INSTALL}  # its service is not needed; or set {PROMETHEUS} to the path of one"


def gateway() -> Program:
    """Return the program `gateway`, built if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    return built(gateway_recipe())


def gateway_recipe() -> Recipe:
    """Return what is built for it."""
    return Recipe(
        "gateway",
        "the gateway",
        paths.project_path("go", MODULE),
        "./gateway",
        "about 20 seconds, 50 MB",
    )


def prometheus() -> Program:
    """Return Prometheus: that of PROMETHEUS_BIN, or the first on the path.

    Raises:
        LoadError: There is none, or it is something else.
    """
    return _known("prometheus", _chosen("prometheus"))


def promtool() -> Program:
    """Return promtool: the one beside PROMETHEUS_BIN, or the first on the path.

    Raises:
        LoadError: There is none, or it is something else.
    """
    return _known("promtool", _chosen("promtool"))


def checks() -> list[Check]:
    """Return what the doctor says of them: without one, only some workloads cannot be run."""
    found = []
    for name, get in (("prometheus", prometheus), ("promtool", promtool)):
        try:
            program = get()
        except PipelineError as error:
            found.append(Check(name, Status.WARNING, str(error), error.hint))
        else:
            found.append(Check(name, Status.OK, f"{program.version} ({program.path})"))
    return found


def _chosen(name: str) -> Path:
    if chosen := os.environ.get(PROMETHEUS):
        path = Path(chosen).absolute()
        if name != "prometheus":
            path = path.with_name(name)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise LoadError(
                f"{PROMETHEUS} is {chosen}, and {path} is not an executable file",
                hint=f"set {PROMETHEUS} to the path of a Prometheus that has promtool beside it",
            )
        return path
    if (on_path := shutil.which(name)) is not None:
        return Path(on_path).absolute()
    lacks = "; only workloads of ClusterLoader2 that ask one need it"
    raise LoadError(f"there is no {name} on the path{lacks}", hint=_HINT)


def _known(name: str, path: Path) -> Program:
    said = processes.capture([str(path), "--version"]) or ""
    found = re.match(rf"{name}, version (\d\S*)", said)
    if found is None:
        raise LoadError(f"`{path} --version` does not answer like {name}", hint=_HINT)
    return Program(path, found[1], digest(path))
