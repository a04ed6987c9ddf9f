"""The doctor's checks of the machine itself: room, limits, quiet and clocks."""

import resource
import shutil
import socket
import tempfile
import time
from pathlib import Path

from pipeline.model.health import Check, Status
from pipeline.toolchain.machine import clock_source

_OPEN_FILES = 4096
_BUSY = 0.5
_STOLEN = 0.02
_SKEW_S = 2.0
_CPUS = 2
_MEMORY_GIB = 4
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_GIB = 2**30


def port() -> Check:
    """Say whether a server can listen on loopback."""
    name = "loopback port"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return Check(name, Status.OK, f"could listen on 127.0.0.1:{server.getsockname()[1]}")
    except OSError as error:
        found = f"cannot listen on 127.0.0.1: {error.strerror}"
        return Check(name, Status.MISSING, found, "sudo ip link set lo up")


def open_files() -> Check:
    """Say whether enough files and connections can be open at once."""
    return judge_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def judge_open_files(soft: int, hard: int) -> Check:
    """Judge the two limits; -1 is no limit."""
    name, found = "open files", f"limit {_shown(soft)}, at most {_shown(hard)}"
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        return Check(name, Status.OK, found)
    found = f"{found}; a run needs {_OPEN_FILES}"
    if hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES:
        return Check(name, Status.MISSING, found, f"ulimit -n {_OPEN_FILES}")
    fix = f"sudo prlimit --pid $$ --nofile={_OPEN_FILES}:{_OPEN_FILES}"
    return Check(name, Status.MISSING, found, fix)


def room(name: str, folder: Path, need_gib: float, fix: str) -> Check:
    """Say whether a folder's disk has so many GiB free."""
    free_gib = shutil.disk_usage(folder).free / _GIB
    found = f"{free_gib:.1f} GiB free in {folder}"
    if free_gib >= need_gib:
        return Check(name, Status.OK, found)
    return Check(name, Status.MISSING, f"{found}; {need_gib:g} GiB are needed", fix)


def load(one_minute: float, cpus: float) -> Check:
    """Judge the load average of the last minute against how many CPUs there are."""
    share = one_minute / cpus
    found = f"{one_minute:.2f} on {cpus:g} CPUs ({100 * share:.0f} %)"
    if share <= _BUSY:
        return Check("load", Status.OK, found)
    fix = "stop what else runs, or wait until it is done: top -o %CPU"
    return Check("load", Status.WARNING, f"{found}; results will be noisy", fix)


def steal(share: float) -> Check:
    """Judge the share of CPU time that the hypervisor gave to others just now."""
    found = f"{100 * share:.1f} % of the CPU time just now"
    if share <= _STOLEN:
        return Check("steal", Status.OK, found)
    fix = "use a machine that is not shared, or run with more --pairs"
    return Check("steal", Status.WARNING, f"{found}; results will be noisy", fix)


def clock(folder: Path, ours: Path) -> Check:
    """Say whether time can be trusted.

    Args:
        folder: Can be written; its file system's clock is compared with ours.
        ours: A file of the past.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        skew_s = Path(file.name).stat().st_mtime - time.time()
    return judge_clock(clock_source(), skew_s, time.time() - ours.stat().st_mtime)


def judge_clock(source: str, skew_s: float, age_s: float) -> Check:
    """Judge the clock.

    Args:
        source: What the kernel reads time from; empty where unknown.
        skew_s: By how many seconds the file system is ahead of the wall clock.
        age_s: Age of a file of ours, in seconds; below zero when the clock is behind.
    """
    source = source or "unknown source"
    if abs(skew_s) > _SKEW_S or age_s < -_SKEW_S:
        found = f"{source}; the wall clock is {max(abs(skew_s), -age_s):.0f} s off the file system"
        return Check("clock", Status.WARNING, found, "sudo timedatectl set-ntp true")
    if source in _SLOW_CLOCKS:
        system = "/sys/devices/system/clocksource/clocksource0"
        fix = f"echo tsc | sudo tee {system}/current_clocksource"
        return Check("clock", Status.WARNING, f"{source}, which is slow to read", fix)
    return Check("clock", Status.OK, source)


def size(cpus: float, memory: int) -> Check:
    """Judge how many CPUs and how many bytes of memory there are."""
    gib = memory / _GIB
    found = f"{cpus:g} logical CPUs, {gib:.1f} GiB"
    if cpus >= _CPUS and gib >= _MEMORY_GIB * 0.9:  # a machine of 4 GiB shows a little less
        return Check("size", Status.OK, found)
    fix = f"use a machine with {_CPUS} CPUs and {_MEMORY_GIB} GiB, or the suite smoke only"
    return Check("size", Status.WARNING, f"{found}; this is little", fix)


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
