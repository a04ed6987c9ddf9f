"""Data with known answers: equal builds on real machines, and a model of a launch's requests."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

HIGHER = ("redis", "perf_epoll", "sysbench")
"""Series of which more is better: taken as 1 / value, so that everywhere less is better."""


@dataclass(frozen=True, slots=True)
class Series:
    """Runs of one program on one machine, in the order of time; nothing changed between them.

    Attributes:
        name: Name of the program.
        machine: Number of the virtual machine.
        costs: Shape (n,), above 0, less is better.
    """

    name: str
    machine: str
    costs: Values

    @property
    def spread(self) -> float:
        """Return the standard deviation of neighbours, as a ratio."""
        return float(np.diff(np.log(self.costs))[::2].std(ddof=1) / np.sqrt(2))


def azure(data: Path) -> list[Series]:
    """Return the series of the machines that were kept: `azure-vm-noise` in the folder of data."""
    found = []
    for path in sorted((data / "azure-vm-noise").glob("*__long__*.csv.gz")):
        table = pd.read_csv(path)
        table["at"] = pd.to_datetime(table["starttime"], format="mixed")
        name = path.name.partition("__")[0]
        for machine, part in table.sort_values("at").groupby("VM_id"):
            values = part["value"].to_numpy(dtype=float)
            values = 1 / values if name.startswith(HIGHER) else values
            found.append(Series(name, str(machine), values))
    return found


def windows(
    series: Series, pairs: int, random: np.random.Generator
) -> Iterator[tuple[Values, Values]]:
    """Yield (before, after) of neighbouring runs in random order, each of shape (pairs,)."""
    for start in range(0, len(series.costs) - 2 * pairs + 1, 2 * pairs):
        both = series.costs[start : start + 2 * pairs].reshape(pairs, 2)
        first = random.integers(0, 2, pairs)
        yield both[np.arange(pairs), first], both[np.arange(pairs), 1 - first]


def duet(data: Path) -> dict[str, Values]:
    """Return log ratios of real launches of two equal builds at once, by metric: `milo-runs`.

    One iteration at a time went to either build; slices of time are left out.
    """
    found: dict[str, list[float]] = {}
    for line in (data / "milo-runs" / "duet" / "duet-aa.jsonl").read_text().splitlines():
        launch = json.loads(line)
        if str(launch["slice"]) != "0":
            continue
        for op in ("create", "get", "list", "update", "delete"):
            ratio = launch[f"B.{op}"]["med"] / launch[f"A.{op}"]["med"]
            found.setdefault(f"{op}_p50", []).append(float(np.log(ratio)))
        for name, process in (("server_cpu", "apiserver"), ("etcd_cpu", "etcd")):
            before, after = launch["cpu"][process]
            found.setdefault(name, []).append(float(np.log(after / before)))
    return {name: np.array(values) for name, values in found.items()}


def launches(
    random: np.random.Generator, runs: int, requests: int, spread: float, shift: float = 0.0
) -> Values:
    """Return requests of launches: a level of each, correlated within, with a lognormal tail.

    Args:
        random: Source of chance.
        runs: Number of launches.
        requests: Number of requests of each launch.
        spread: Standard deviation of the level between launches, on logarithms.
        shift: Shift of every level, on the logarithmic scale.

    Returns:
        Shape (runs, requests); within a launch, logarithms follow an autoregression of order 1
        with coefficient 0.5 and standard deviation 0.5.
    """
    noise = random.normal(0, np.sqrt(1 - 0.5**2), (runs, requests + 50))
    within = 0.5 * lfilter([1.0], [1.0, -0.5], noise, axis=1)[:, 50:]
    levels = random.normal(shift, spread, (runs, 1))
    return np.exp(levels + within)


def milo(data: Path) -> dict[str, tuple[Values, Values]]:
    """Return v0.29.3 and v0.30.0 of Milo by metric, ten pairs one after the other: `milo-runs`."""
    found: dict[str, list[list[float]]] = {}
    for path in sorted((data / "milo-runs").glob("pair*-*/row.json")):
        run = json.loads(path.read_text())
        arm = int(run["version"] == "v0.30.0")
        server = run["loaded"]["apiserver"]
        values = {
            "server_files": server["fds"],
            "server_goroutines": run["goroutines"]["apiserver"],
            "server_memory": server["rss_mb"],
            "server_cpu": server["cpu_s"] - run["idle"]["apiserver"]["cpu_s"],
            **{f"{op}_p50": run["ops"][op]["med"] for op in run["ops"]},
            **{f"{op}_p95": run["ops"][op]["p(95)"] for op in run["ops"]},
        }
        for name, value in values.items():
            found.setdefault(name, [[], []])[arm].append(float(value))
    return {name: (np.array(a), np.array(b)) for name, (a, b) in found.items()}
