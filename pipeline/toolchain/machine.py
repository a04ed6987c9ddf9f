"""Facts of this machine: its fingerprint, its state, and the resources that it has left."""

import math
import os
import platform
import re
import resource
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.model.headroom import Headroom
from pipeline.model.results import Machine
from pipeline.system import paths

_CPUINFO = Path("/proc/cpuinfo")
_MEMORY = Path("/proc/meminfo")
_STAT = Path("/proc/stat")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_CGROUPS = Path("/sys/fs/cgroup")
_STEAL = 7  # position in a line of /proc/stat: user nice system idle iowait irq softirq steal


def read_machine() -> Machine:
    """Return the fingerprint and other facts of this machine; none names the machine or its owner.

    Stored numbers are comparable only between machines with the same fingerprint.
    """
    fingerprint = {
        "cpu": cpu_model(_read(_CPUINFO)),
        "architecture": platform.machine(),
        "logical cpus": f"{cpus():g}",
        "memory": f"{round(memory() / 2**30)} GiB",
        "os": _operating_system(),
        "kernel": ".".join(platform.release().split(".")[:2]),
    }
    facts = {
        "load": f"{os.getloadavg()[0]:.2f}",
        "steal since boot": f"{100 * steal_share((0, 0), steal_times()):.2f} %",
        "free disk": f"{shutil.disk_usage(paths.cache()).free / 2**30:.0f} GiB",
        "clock source": clock_source(),
        "governor": _read(_GOVERNOR).strip(),
    }
    return Machine(fingerprint, {name: value for name, value in facts.items() if value})


def cpu_model(cpuinfo: str) -> str:
    """Return the CPU model in /proc/cpuinfo, without its clock speed."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if match is not None:
        return re.sub(r"\s*@.*$|\s+\d[\d.]*\s*[MG]Hz\b", "", match[1]).strip()
    parts = [
        match[1]
        for name in ("implementer", "part")
        if (match := re.search(rf"^CPU {name}\s*:\s*(\S+)", cpuinfo, re.MULTILINE)) is not None
    ]
    return f"part {'/'.join(parts)}" if parts else "unknown"  # as Arm has it


def cpus() -> float:
    """Return the logical CPUs that we may use, by affinity and by the quota of our cgroups."""
    count = float(len(os.sched_getaffinity(0)))
    for text in _limits("cpu.max"):
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit():
            count = min(count, int(quota) / int(period))
    return count


def memory() -> int:
    """Return the bytes of memory that we may use, by the limits of our cgroups."""
    limits = [int(text) for text in _limits("memory.max") if text.isdigit()]
    return min([_memory_line("MemTotal"), *limits])


def available() -> float:
    """Return the bytes of memory that are still available, by the limits of our cgroups."""
    return min([float(_memory_line("MemAvailable")), *map(available_in, _groups())])


def available_in(group: Path) -> float:
    """Return the bytes of memory that a cgroup may still use; its page cache counts as available.

    Args:
        group: Folder of the cgroup; without a limit in it, the result is infinite.
    """
    limit, used = (_read(group / f"memory.{name}").strip() for name in ("max", "current"))
    if not (limit.isdigit() and used.isdigit()):
        return math.inf
    cached = re.search(r"^inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    return max(0.0, float(int(limit) - int(used) + (int(cached[1]) if cached else 0)))


def headroom(folder: Path, processes: Mapping[str, int] | None = None) -> Headroom:
    """Return the resources that this machine has left.

    The output folder need not exist yet; a process that has ended is skipped.
    """
    import psutil

    open_files: dict[str, int] = {}
    for component, pid in (processes or {}).items():
        with suppress(psutil.Error):
            open_files[component] = psutil.Process(pid).num_fds()
    return Headroom(
        memory=available(),
        memory_total=memory(),
        disk=shutil.disk_usage(_existing(folder)).free,
        files=files_limit(),
        open_files=open_files,
    )


def files_limit() -> float:
    """Return the open file limit of a process: the hard one, to which Go programs raise theirs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        return float(hard)
    return float(Path("/proc/sys/fs/nr_open").read_text(encoding="utf-8"))


def clock_source() -> str:
    """Return the kernel's clock source, such as `tsc`; empty if it does not name one."""
    return _read(_CLOCK_SOURCE).strip()


def steal_times() -> tuple[float, float]:
    """Return the stolen CPU time since boot, and all CPU time, in clock ticks."""
    line = _read(_STAT).partition("\n")[0]
    times = [float(ticks) for ticks in line.split()[1:9]]  # what follows is part of user and nice
    return (times[_STEAL] if len(times) > _STEAL else 0.0), sum(times)


def steal_share(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return the share of CPU time stolen between two results of `steal_times`; 0.05 is 5 %."""
    passed_s = after[1] - before[1]
    return (after[0] - before[0]) / passed_s if passed_s > 0 else 0.0


def _memory_line(name: str) -> int:
    """Return the bytes of a line of /proc/meminfo, which has kilobytes."""
    match = re.search(rf"^{name}:\s*(\d+) kB$", _read(_MEMORY), re.MULTILINE)
    return 1024 * int(match[1]) if match else 0


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _operating_system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return f"{release['ID']} {release.get('VERSION_ID', '')}".strip()


def _limits(name: str) -> Iterator[str]:
    """Yield the content of a file in our cgroup and in each one above it (version 2)."""
    for group in _groups():
        if text := _read(group / name).strip():
            yield text


def _groups() -> Iterator[Path]:
    """Yield the folder of our cgroup and of each one above it (version 2)."""
    match = re.search(r"^0::/(.*)$", _read(Path("/proc/self/cgroup")), re.MULTILINE)
    folder = _CGROUPS / (match[1] if match else "")
    for group in (folder, *folder.parents):
        if group.is_relative_to(_CGROUPS):
            yield group


def _read(path: Path) -> str:
    """Return a small file of the kernel; empty if this kernel does not have it."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
