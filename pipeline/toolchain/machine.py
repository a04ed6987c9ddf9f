"""Say which machine this is, and what state it is in."""

import math
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.model.results import Machine
from pipeline.system import paths

_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_CGROUPS = Path("/sys/fs/cgroup")


def machine() -> Machine:
    """Return what must agree for stored numbers to be comparable, and what else is worth knowing.

    Nothing in it names the machine or its owner.
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
        "steal since boot": f"{100 * steal_share((0, 0), stolen()):.2f} %",
        "free disk": f"{shutil.disk_usage(paths.cache()).free / 2**30:.0f} GiB",
        "clock source": clock_source(),
        "governor": _read(_GOVERNOR).strip(),
    }
    return Machine(fingerprint, {name: value for name, value in facts.items() if value})


def cpu_model(cpuinfo: str) -> str:
    """Return the model that /proc/cpuinfo names, without its speed."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if found is not None:
        return re.sub(r"\s*@.*$|\s+\d[\d.]*\s*[MG]Hz\b", "", found[1]).strip()
    parts = [
        found[1]
        for name in ("implementer", "part")
        if (found := re.search(rf"^CPU {name}\s*:\s*(\S+)", cpuinfo, re.MULTILINE)) is not None
    ]
    return f"part {'/'.join(parts)}" if parts else "unknown"  # as Arm has it


def cpus() -> float:
    """Return how many logical CPUs we may use, by affinity and by the quota of our cgroups."""
    most = float(len(os.sched_getaffinity(0)))
    for text in _limits("cpu.max"):
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit():
            most = min(most, int(quota) / int(period))
    return most


def memory() -> int:
    """Return how many bytes of memory we may use."""
    import psutil

    limits = [int(text) for text in _limits("memory.max") if text.isdigit()]
    return min([psutil.virtual_memory().total, *limits])


def available() -> float:
    """Return how many bytes of memory programs can still get, within the limits of our cgroups."""
    import psutil

    return min([float(psutil.virtual_memory().available), *map(left_in, _groups())])


def left_in(group: Path) -> float:
    """Return how many bytes of memory a cgroup may still take, what is only cached included.

    Args:
        group: Its folder; without a limit in it, the answer is infinite.
    """
    most, used = (_read(group / f"memory.{name}").strip() for name in ("max", "current"))
    if not (most.isdigit() and used.isdigit()):
        return math.inf
    cached = re.search(r"^inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    return max(0.0, float(int(most) - int(used) + (int(cached[1]) if cached else 0)))


def clock_source() -> str:
    """Return what the kernel reads time from, such as `tsc`; empty where it does not say."""
    return _read(_CLOCK_SOURCE).strip()


def stolen() -> tuple[float, float]:
    """Return the CPU time since boot that others took from this machine, and all CPU time, in s."""
    import psutil

    times = psutil.cpu_times()
    return float(getattr(times, "steal", 0.0)), float(sum(times))


def steal_share(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return the share of CPU time stolen between two answers of `stolen`; 0.05 is 5 %."""
    passed_s = after[1] - before[1]
    return (after[0] - before[0]) / passed_s if passed_s > 0 else 0.0


def _operating_system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return f"{release['ID']} {release.get('VERSION_ID', '')}".strip()


def _limits(name: str) -> Iterator[str]:
    """Yield what a file says in our cgroup and in each one above it (version 2)."""
    for group in _groups():
        if text := _read(group / name).strip():
            yield text


def _groups() -> Iterator[Path]:
    """Yield the folder of our cgroup and of each one above it (version 2)."""
    found = re.search(r"^0::/(.*)$", _read(Path("/proc/self/cgroup")), re.MULTILINE)
    folder = _CGROUPS / (found[1] if found else "")
    for group in (folder, *folder.parents):
        if group.is_relative_to(_CGROUPS):
            yield group


def _read(path: Path) -> str:
    """Return a small file of the kernel's, or nothing where this kernel has none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
