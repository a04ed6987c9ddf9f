"""How well `history` finds steps, on data with known answers, beside apache-otava in the same run.

`python -m dev.benchmarks steps [FOLDER]`; FOLDER, or MILO_PERF_DATA, has the folders
  azure-vm-noise   *__long__*.csv.gz, `value,runtime,starttime,VM_id`: nothing changed in them
                   (Azure Public Dataset, Freischuetz and others, TUNA, EuroSys 2025; CC-BY-4.0)
  tcpd             series and annotations.json (van den Burg and Williams; MIT)
  otava            tigerbeetle.json and sample.csv of apache/otava's tests (Apache-2.0)
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dev.benchmarks import otava
from dev.benchmarks.agreement import covering, f1
from dev.benchmarks.judged import Row
from pipeline.judge.history import HistoryRule, analyze_series
from pipeline.model.history import HistorySeries
from pipeline.model.metric import Scale

Values: TypeAlias = Sequence[float]

DATA = "MILO_PERF_DATA"
"""The environment variable that names the folder of the data."""

SIZES = {100: 30, 300: 12}
"""Stretches drawn from each virtual machine, by their length."""

GROWTHS = (0.03, 0.05, 0.10)
_SEEDS = 12  # a figure of one seed may be a lucky one
_WINDOW = 30  # of otava's own golden results
_NEAR = 5  # points from a step within which a change point means it
_KIND_SERIES, _KIND_POINTS = 200, 84
_NOISE, _STEP, _BEFORE, _WITHIN, _SERIES = 0.024, 0.05, 50, 10, 200


def rows(data: Path) -> list[Row]:
    """Return every figure of steps; writes nothing but the environment of otava, in the cache.

    Args:
        data: The folder of the data.
    """
    interpreter = otava.python()
    return [
        *_equal_points(data / "azure-vm-noise", interpreter),
        *_kinds(interpreter),
        _delay(interpreter),
        *_annotated_rows(data / "tcpd", interpreter),
        *_golden_rows(data / "otava", interpreter),
        _speed(),
    ]


def main(argv: list[str]) -> None:
    """Print the figures."""
    folder = argv[0] if argv else os.environ.get(DATA, "")
    if not folder:
        sys.exit(f"which folder has the data? Name it, or set {DATA}")
    for row in rows(Path(folder)):
        print(f"{row.what} | {row.others} | {row.goal} | {row.ours}")


def _ours(series: Sequence[Values], least: float | None = None, seed: int = 0) -> list[list[int]]:
    found = []
    for values in series:
        scale = Scale.RATIO if min(values) > 0 else Scale.DIFFERENCE
        judged = analyze_series(HistorySeries("", tuple(values), scale), HistoryRule(least, seed))
        found.append([step.index for step in judged.steps])
    return found


def _theirs(interpreter: Path | None, series: Sequence[Values]) -> list[list[int]] | None:
    return None if interpreter is None else otava.steps(interpreter, series)


def _equal_points(folder: Path, interpreter: Path | None) -> list[Row]:
    """False alarms and recall on real series of one machine each, in which nothing changed."""
    draw = np.random.default_rng(5)
    machines = _machines(folder)
    made: list[Row] = []
    for size, count in SIZES.items():
        stretches, places, names = [], [], []
        for name, values in machines:
            for _ in range(count if len(values) >= size else 0):
                start = int(draw.integers(0, len(values) - size + 1))
                stretches.append(values[start : start + size])
                places.append(int(draw.integers(size // 5, 4 * size // 5)))
                names.append(name)
        grown = {
            growth: [
                [v * (1 + growth) if n >= place else v for n, v in enumerate(values)]
                for values, place in zip(stretches, places, strict=True)
            ]
            for growth in GROWTHS
        }
        told: list[str] = []
        rates: list[list[float]] = []
        for find in (_ours, lambda series: _theirs(interpreter, series)):
            flat = find(stretches)
            if flat is None:
                told.append("not installed")
                continue
            false = 100 * fmean(len(points) / size for points in flat)
            worst = max(
                100 * fmean(len(p) / size for p, n in zip(flat, names, strict=True) if n == name)
                for name in set(names)
            )
            recalls = [_recall(find(series) or [], places) for series in grown.values()]
            recall = ", ".join(
                f"+{growth:.0%} {found:.0%}" for growth, found in zip(GROWTHS, recalls, strict=True)
            )
            rates.append([false, *recalls])
            told.append(f"{false:.2f} (worst {worst:.2f}); {recall}")
        made.append(
            Row(
                f"Azure, {len(stretches)} equal series of {size}: false per 100 points; found",
                f"otava {told[1]}",
                "≤ 0.2, recall as otava",
                told[0],
                rates[0][0] <= 0.2
                and all(a >= b for a, b in zip(rates[0][1:], rates[-1][1:], strict=True)),
            )
        )
    return made


def _kinds(interpreter: Path | None) -> list[Row]:
    """False steps in series of the kinds that fool searches for steps, and drifts that are told."""
    made: list[Row] = []
    for name, (make, most_series, most_steps) in _KINDS.items():
        draws = [np.random.default_rng([seed, 11]) for seed in range(_KIND_SERIES)]
        series = [make(draw, _KIND_POINTS).tolist() for draw in draws]
        told, goals = [], []
        for found in (_ours(series), _theirs(interpreter, series)):
            if found is None:
                told.append("not installed")
                continue
            share = fmean(bool(points) for points in found)
            each = 100 * sum(map(len, found)) / (_KIND_SERIES * _KIND_POINTS)
            goals.append(share <= most_series and each <= most_steps)
            told.append(f"{share:.1%}/{each:.2f}")
        if name == _DRIFT:
            lines = [HistorySeries("", tuple(values)) for values in series]
            said = fmean(analyze_series(line, HistoryRule()).drift is not None for line in lines)
            told[0] += f"; drift {said:.1%}"
            goals[0] = goals[0] and said >= 0.9
        made.append(
            Row(
                f"false, {_KIND_SERIES} series of {_KIND_POINTS}: {name}",
                f"otava {told[1]}",
                f"≤ {most_series:.0%}/{most_steps:g}",
                told[0],
                goals[0],
            )
        )
    return made


def _noisy(draw: np.random.Generator, n: int, sd: float = 0.01) -> NDArray[np.float64]:
    values: NDArray[np.float64] = 100 * np.exp(draw.normal(0, sd, n))
    return values


def _modes(draw: np.random.Generator, n: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = _noisy(draw, n, 0.006) * np.where(draw.random(n) < 0.5, 1, 1.17)
    return values


def _spikes(draw: np.random.Generator, n: int) -> NDArray[np.float64]:
    heights = np.where(draw.random(n) < 0.08, 1 + draw.exponential(0.5, n), 1)
    values: NDArray[np.float64] = _noisy(draw, n) * heights
    return values


def _grows_at_once(draw: np.random.Generator, n: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = 100 * np.exp(
        draw.normal(0, 1, n) * np.where(np.arange(n) < n // 2, 0.007, 0.056)
    )
    return values


def _grows_slowly(draw: np.random.Generator, n: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = 100 * np.exp(draw.normal(0, 1, n) * np.geomspace(0.005, 0.04, n))
    return values


def _weekends(draw: np.random.Generator, n: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = _noisy(draw, n) * np.where(np.arange(n) % 7 >= 5, 0.6, 1)
    return values


def _drifts(draw: np.random.Generator, n: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = _noisy(draw, n) * np.exp(0.001 * np.arange(n))
    return values


_DRIFT = "drift 0.1 % a point, noise 1 %"
_KINDS: dict[
    str, tuple[Callable[[np.random.Generator, int], NDArray[np.float64]], float, float]
] = {
    "normal noise": (_noisy, 0.05, 0.1),
    "two modes 17 % apart": (_modes, 0.06, 0.1),
    "spikes in 8 %": (_spikes, 0.06, 0.1),
    "noise x 8 at once": (_grows_at_once, 0.1, 0.2),
    "noise x 8 slowly": (_grows_slowly, 0.1, 0.2),
    "weekends -40 %": (_weekends, 0.05, 0.1),
    _DRIFT: (_drifts, 0.1, 0.2),
}


def _recall(found: Sequence[Sequence[int]], places: Sequence[int]) -> float:
    return fmean(
        any(abs(point - place) <= _NEAR for point in points)
        for points, place in zip(found, places, strict=True)
    )


def _delay(interpreter: Path | None) -> Row:
    """How soon a step is seen when a point comes each night."""
    draw = np.random.default_rng(3)
    series = []
    for _ in range(_SERIES):
        values = np.exp(draw.normal(0, _NOISE, _BEFORE + _WITHIN))
        values[_BEFORE:] *= 1 + _STEP
        series.append(values.tolist())
    nights = [values[: _BEFORE + n] for values in series for n in range(1, _WITHIN + 1)]
    told: list[str] = []
    reached: list[bool] = []
    for found in (_ours(nights), _theirs(interpreter, nights)):
        if found is None:
            told.append("not installed")
            continue
        is_seen = [any(abs(point - _BEFORE) <= _NEAR for point in points) for points in found]
        delays = [
            next((n + 1 for n in range(_WITHIN) if is_seen[s * _WITHIN + n]), _WITHIN + 1)
            for s in range(_SERIES)
        ]
        share = fmean(delay <= _WITHIN for delay in delays)
        reached.append(share >= 0.9 and median(delays) <= 3.5)
        told.append(f"{share:.1%}, median {median(delays):g}, mean {fmean(delays):.1f}")
    return Row(
        f"+{_STEP:.0%} after {_BEFORE} points, CV {_NOISE:.1%}: found within {_WITHIN}; delay",
        f"otava {told[1]}",
        "≥ 90 %; median ≤ 3.5",
        told[0],
        reached[0],
    )


def _annotated_rows(folder: Path, interpreter: Path | None) -> list[Row]:
    """Agreement with human annotators, one default for all series."""
    annotations = json.loads((folder / "annotations.json").read_text())
    series, marked = [], []
    for path in sorted(folder.glob("*.json")):
        if path.name == "annotations.json":
            continue
        body = json.loads(path.read_text())
        if len(body["series"]) != 1:
            continue
        raw = body["series"][0]["raw"]
        series.append([value for value in raw if value is not None])
        missing = [n for n, value in enumerate(raw) if value is None]
        points = annotations[path.stem].values()
        marked.append([[p - sum(n < p for n in missing) for p in one] for one in points])
    told: dict[str, str] = {}
    by_seed: list[tuple[float, float]] = []
    nothing: list[list[int]] = [[] for _ in series]
    for name, found in {
        **{f"seed {seed}": _ours(series, seed=seed) for seed in range(_SEEDS)},
        "otava": _theirs(interpreter, series),
        "nothing": nothing,
    }.items():
        if found is None:
            told[name] = "not installed"
            continue
        both = list(zip(marked, found, series, strict=True))
        f = fmean(f1(people, points) for people, points, _ in both)
        c = fmean(covering(people, points, len(values)) for people, points, values in both)
        told[name] = f"{f:.3f} / {c:.3f}"
        if name.startswith("seed"):
            by_seed.append((f, c))
    (f_mean, f_low, f_high), (c_mean, c_low, c_high) = (
        (fmean(scores), min(scores), max(scores)) for scores in zip(*by_seed, strict=True)
    )
    return [
        Row(
            f"TCPD, {len(series)} series: F1 (margin 5) / covering",
            f"otava {told['otava']}; none at all {told['nothing']}",
            "≥ .73 / .70",
            f"{f_mean:.3f} / {c_mean:.3f}, {_SEEDS} seeds ({f_low:.3f} to {f_high:.3f} /"
            f" {c_low:.3f} to {c_high:.3f}); ours {told['seed 0']}",
            f_mean >= 0.73 and c_mean >= 0.70,
        )
    ]


def _golden_rows(folder: Path, interpreter: Path | None) -> list[Row]:
    """Otava's own test series: ours, asked for steps of any size, and otava in this run."""
    table = pd.read_csv(folder / "sample.csv")
    series = {
        "tigerbeetle": json.loads((folder / "tigerbeetle.json").read_text())["values"],
        **{name: table[name].tolist() for name in ("metric1", "metric2")},
    }
    ours = _ours(list(series.values()), least=0.0)
    nothing: list[list[int]] = [[] for _ in series]
    theirs = (
        otava.steps(interpreter, list(series.values()), window=_WINDOW) if interpreter else nothing
    )
    return [
        Row(
            f"otava's series `{name}`",
            f"{them}",
            "same",
            "same" if us == them else f"{us}",
            all(any(abs(point - other) <= _NEAR for point in us) for other in them),
        )
        for name, us, them in zip(series, ours, theirs, strict=True)
    ]


def _speed() -> Row:
    draw = np.random.default_rng(0)
    levels = np.exp(draw.normal(0, 0.05, (100, 10)))
    noise = np.exp(draw.normal(0, 0.02, (100, 500)))
    series = (np.repeat(levels, 50, axis=1) * noise).tolist()
    began = time.process_time()
    _ours(series)
    took = time.process_time() - began
    return Row(
        "CPU for 100 series of 500 points",
        "-",
        "≤ 60 s",
        f"{took:.1f} s",
        took <= 60,
    )


def _machines(folder: Path) -> list[tuple[str, list[float]]]:
    """Return metric and values in the order of time, for each machine that was kept."""
    found: list[tuple[str, list[float]]] = []
    for path in sorted(folder.glob("*__long__*.csv.gz")):
        table = pd.read_csv(path).sort_values("starttime", kind="stable")
        for _, rows in table.groupby("VM_id"):
            found.append((path.name.partition("__")[0], rows["value"].astype(float).tolist()))
    return found
