"""Names and units of all readings of our probes; a suite that selects another one is refused."""

from collections.abc import Collection, Iterator
from itertools import product

from pipeline.judge.stats.summary import timing_units
from pipeline.model.reading_names import ReadingNames, with_unit
from pipeline.probes.curated import CURATED_METRICS, Reduction

_COMPONENTS = ("server", "manager", "etcd")
_PROCESS = {
    "cpu": "s",
    **with_unit("B", ("memory_mean", "memory_max", "memory_added", "read", "written")),
    **with_unit("1", ("threads", "files", "files_added", "restarts")),
}
_ETCD = {
    **with_unit("1", ("keys_added", "keys_left", "revisions", "names_left")),
    **with_unit("B", ("db_bytes", "db_bytes_added", "db_used_bytes")),
}
_MACHINE = {"steal_share": "1", "load": "1", "throttled": "1", "fsync": "s"}
_AVAILABILITY = {"ready_share": "1", "write_share": "1", "longest_gap": "s"}
_PROJECTS = {
    **with_unit("1", ("created", "never_ready", "never_ready_share", "never_gone", "gaps")),
    **with_unit("1", ("gone_late",)),
    **timing_units("ready"),
    **timing_units("gone"),
}
_SERIES = {"goroutines": "1", "heap": "B", "memory": "B", "files": "1"}
_OF_ETCD = {"keys": "1", "db": "B"}  # beside `_SERIES`


def reading_names(opt_in: Collection[str]) -> ReadingNames:
    """Return the names of the readings of the probes of every workload, and of some opt-in ones."""
    units = {
        **{f"{c}.{name}": unit for c in _COMPONENTS for name, unit in _PROCESS.items()},
        **{f"etcd.{name}": unit for name, unit in _ETCD.items()},
        **{f"machine.{name}": unit for name, unit in _MACHINE.items()},
        **dict(_curated()),
    }
    for probe in opt_in:
        units |= OPT_IN_READINGS[probe]
    return ReadingNames(units)


def probe_of(name: str) -> str:
    """Return the opt-in probe that reports a reading; empty if none does."""
    return next((probe for probe, units in OPT_IN_READINGS.items() if name in units), "")


def _curated() -> Iterator[tuple[str, str]]:
    for one in CURATED_METRICS:
        suffixes = ("_p99", "_p99_width") if one.reduction is Reduction.P99 else ("",)
        components = (one.component,) if one.component else _COMPONENTS
        for component, suffix in product(components, suffixes):
            yield f"{component}.{one.name}{suffix}", one.unit


def _slopes() -> Iterator[tuple[str, str]]:
    series = {f"{c}.{name}": unit for c in _COMPONENTS for name, unit in _SERIES.items()}
    series |= {f"etcd.{name}": unit for name, unit in _OF_ETCD.items()}
    for (name, unit), end in product(series.items(), ("", "_low", "_high")):
        yield f"{name}_slope{end}", unit


OPT_IN_READINGS = {
    "availability": {f"availability.{name}": unit for name, unit in _AVAILABILITY.items()},
    "heap": {f"{c}.{name}": "B" for c in ("server", "manager") for name in ("heap", "heap_added")},
    "projects": {f"projects.{name}": unit for name, unit in _PROJECTS.items()},
    "series": dict(_slopes()),
}
"""Unit of each reading of each opt-in probe, by the probe's name in a suite."""
