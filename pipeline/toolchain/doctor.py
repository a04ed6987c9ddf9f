"""Say what a run would lack on this machine, and how to get it; builds and downloads nothing."""

import importlib.util
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.model.health import Check, Status
from pipeline.system import paths, processes
from pipeline.system.errors import PipelineError
from pipeline.toolchain import condition, go, monitoring, programs
from pipeline.toolchain.build import Recipe, cached
from pipeline.toolchain.clusterloader2 import clusterloader2
from pipeline.toolchain.machine import cpus, memory, steal_share, stolen
from pipeline.toolchain.milo import BASELINE_BINARY, BINARY, identified
from pipeline.toolchain.reference import recipe

__all__ = ["Check", "Status", "checks", "is_missing", "render"]

_PYTHON = (3, 11)
_BUILD_GIB = 4.0  # Go's own caches included
_RUN_GIB = 1.0


def checks() -> list[Check]:
    """Look at everything a run needs; takes about a second."""
    before = stolen()
    found = [_python(), _git(), *_binaries(), _k6(), _clusterloader2(), *_milo()]
    found += monitoring.checks()
    found += [
        condition.port(),
        condition.open_files(),
        condition.room("disk of this folder", Path.cwd(), _RUN_GIB, "run from a larger disk"),
        condition.load(os.getloadavg()[0], cpus()),
        condition.size(cpus(), memory()),
        condition.steal(steal_share(before, stolen())),
    ]
    return found


def render(checks: Sequence[Check]) -> str:
    """Return the checks as text: a mark, what was found, and below it what to type."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        cost = f" ({check.cost})" if check.cost else ""
        lines.append(f"{check.status.value} {check.name:<{width}}  {check.found}{cost}")
        lines += [f"{'':{width + 4}}→ {line}" for line in check.fix.splitlines()]
    missing = sum(check.status is Status.MISSING for check in checks)
    lines += ["", f"{missing} missing: a run would fail" if missing else "a run can start"]
    return "\n".join([*lines, ""])


def is_missing(checks: Sequence[Check]) -> bool:
    """Say whether a run would fail."""
    return any(check.status is Status.MISSING for check in checks)


def _python() -> Check:
    version = platform.python_version()
    if sys.version_info >= _PYTHON:
        return Check("python", Status.OK, version)
    lowest = ".".join(map(str, _PYTHON))
    found = f"{version}; {lowest} is the oldest that will do"
    return Check("python", Status.MISSING, found, "sudo apt-get install python3.12 python3.12-venv")


def _git() -> Check:
    said = processes.capture(["git", "--version"])
    if said is not None:
        return Check("git", Status.OK, said.strip().removeprefix("git version "))
    found = "not found, so no baseline can be kept or measured again"
    return Check("git", Status.MISSING, found, "sudo apt-get install git")


def _binaries() -> Iterator[Check]:
    """Look at the cache, at Go, and at what is built with it."""
    try:
        cache = paths.cache()
        need = programs.needed()
        recipes = [programs.etcd_recipe(), recipe(paths.project_path("go", "reference"))]
    except PipelineError as error:
        yield Check("source and cache", Status.MISSING, str(error), error.hint)
        return
    found = go.present(need)
    built = [found is not None and cached(recipe, found) is not None for recipe in recipes]
    yield _go(found, need)
    yield from map(_binary, recipes, built)
    fix = f"export XDG_CACHE_HOME=/a/larger/disk  # or: rm -r {shlex.quote(str(cache))}"
    room_gib = _RUN_GIB if all(built) else _BUILD_GIB
    yield condition.room("disk of the cache", cache, room_gib, fix)
    yield condition.clock(cache, paths.project_path("go", "etcd", "go.mod"))


def _go(found: go.Go | None, need: str) -> Check:
    if found is not None:
        return Check("go", Status.OK, f"{found.version} ({found.path})")
    pinned = go.pinned()
    if not go.is_enough(pinned, need):
        lacks = f"{need} or newer is needed, and none is on the path"
        return Check("go", Status.MISSING, lacks, "sudo snap install go --classic")
    if importlib.util.find_spec("pip") is None:
        lacks = f"no {need} or newer on the path, and no pip to fetch {pinned} with"
        return Check("go", Status.MISSING, lacks, f"{sys.executable} -m ensurepip --upgrade")
    lacks = f"no {need} or newer on the path: the first run fetches {pinned}"
    return Check("go", Status.WARNING, lacks, cost="about 20 seconds, 220 MB")


def _binary(recipe: Recipe, is_built: bool) -> Check:  # noqa: FBT001 (mapped over)
    if is_built:
        return Check(recipe.name, Status.OK, f"{recipe.title} is in the cache")
    found = f"{recipe.title} is not built yet: the first run builds it"
    return Check(recipe.name, Status.WARNING, found, cost=recipe.usual)


def _clusterloader2() -> Check:
    """Look for ClusterLoader2, which only loads of its own want."""
    try:
        found = clusterloader2()
    except PipelineError as error:
        said = f"{error}: only workloads of ClusterLoader2 want it"
        return Check("clusterloader2", Status.WARNING, said, error.hint)
    return Check("clusterloader2", Status.OK, f"built from {found.version} ({found.path})")


def _milo() -> Iterator[Check]:
    """Look at the Milo binaries that the environment names."""
    for name in (BINARY, BASELINE_BINARY):
        if not (path := os.environ.get(name)):
            found = "not set: `reference` is measured unless a spec names a build of Milo"
            yield Check(name, Status.OK, found)
            continue
        if go.present(programs.needed()) is None:
            found = f"{path}: what it is can be told once Go is there, which the first run fetches"
            yield Check(name, Status.WARNING, found)
            continue
        try:
            info = identified(Path(path).absolute())
        except PipelineError as error:
            yield Check(name, Status.MISSING, str(error), error.hint)
        else:
            yield Check(name, Status.OK, f"Milo {info.version}, built by Go {info.go} ({path})")


def _k6() -> Check:
    try:
        found = programs.k6()
    except PipelineError as error:
        return Check("k6", Status.MISSING, str(error), error.hint)
    return Check("k6", Status.OK, f"{found.version} ({found.path})")
