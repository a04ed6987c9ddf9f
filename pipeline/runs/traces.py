"""Read the raw data in a run's folder for the HTML page.

No verdict depends on it.  Missing or damaged files are reported and never prevent a page: old runs
keep less, and a folder may have been copied in part.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.drivers.k6.csv_points import PointSeries, ReadBudget, read_series
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm, Product, parse_spec
from pipeline.model.traces import Distribution, Traces, Track, TrackPair
from pipeline.runs import suite_file
from pipeline.runs.suite_file import SUITE
from pipeline.system.errors import ConfigError, LoadError
from pipeline.system.sanitize import truncate

MAX_STEPS = 200
"""Steps of one curve: more are not visible on a page."""

_REQUEST = "http_req_duration"
_TAIL = 0.1  # share of the values that gets half of the steps

BINS = 60
"""Bins of the time axis: half a minute has one sample every half second."""

MAX_NAMES = 100
"""Most quantities in one file: ours have at most 18."""

Points = list[tuple[float, float]]
"""Unix time in s, and a value."""

_UNITS = {"cpu": "cores", "memory": "B", "heap": "B", "db": "B"}
_COMPONENTS = ("server", "manager", "etcd")
_QUANTITIES = ("cpu", "memory", "goroutines", "heap", "files", "keys", "db")
_MAX_ERROR = 200  # characters

# Column and quantity of each file of a probe; None for files of `series,time_s,value`.  A quantity
# in two files is read from the last one, which samples more often.
_FILES: Mapping[str, Mapping[str, str] | None] = {
    "goroutines.csv": None,
    "containers.csv": {"cpu_s": "cpu", "memory": "memory"},
    "process.csv": {"cpu_s": "cpu", "memory": "memory", "files": "files"},
    "series.csv": None,
}

FOREIGN_BYTES = 2**23
"""Bytes of probes' files that are read of an untrusted folder."""

_MAX_FILES = 2000
_MAX_SCANNED = 100_000
_MAX_NAME = 400  # characters of a path
_FIRST = ("verdict.json", "results.json", "report.txt", "report.md", SUITE)


def read(out: Path, results: ResultSet, *, is_ours: bool = True) -> Traces:
    """Return what can be read in the folder of a run.

    Only valid pairs are read, and of the folder of others only as much as takes a few seconds.
    """
    points = ReadBudget() if is_ours else ReadBudget.foreign()
    texts = TextBudget() if is_ours else TextBudget(FOREIGN_BYTES)
    unread: list[str] = []
    reads = _selected_readings(out, results, unread)
    series: dict[str, set[str]] = {}
    for key, select in reads.items():
        series.setdefault(key.split("/")[0], set()).add(select.rpartition("/")[0])
    distributions, tracks = {}, []
    for workload in dict.fromkeys(s.workload for arm in Arm for s in results.samples.get(arm, ())):
        folders = [
            folder for pair in results.valid_pairs for folder in point_folders(out, pair, workload)
        ]
        by_series = read_distributions(folders, series.get(workload, set()), unread, points)
        distributions.update({(workload, name): arms for name, arms in by_series.items()})
        probe_folders = {
            arm: [
                folder
                for pair in results.valid_pairs
                if (folder := probe_folder(out, results, pair, workload, arm)).is_dir()
            ]
            for arm in Arm
        }
        tracks += read_tracks(workload, probe_folders, unread, texts)
    sentences = dict.fromkeys(sentence.replace(f"{out}/", "") for sentence in unread)
    return Traces(reads, distributions, tuple(tracks), _files(out), tuple(sentences))


def _selected_readings(out: Path, results: ResultSet, unread: list[str]) -> dict[str, str]:
    """Return the reading of each metric, by `workload/metric`, from the suite in the folder."""
    if not (out / SUITE).is_file():
        unread.append(f"{SUITE} is not in the folder, so raw times belong to no metric")
        return {}
    try:
        product = parse_spec(results.subjects[Arm.CANDIDATE].spec).product
    except ValueError:  # a spec of a later version
        product = Product.MILO
    try:
        suite = suite_file.load(out / SUITE).suite.of(product)
    except ConfigError as error:
        unread.append(f"{SUITE} cannot be used, so raw times belong to no metric: {error}")
        return {}
    return {key: metric.select for key, metric in suite.keyed_metrics()}


def point_folders(out: Path, pair: int, workload: str) -> Iterator[Path]:
    """Yield the folders with points of a pair: one of a duet, otherwise one for each arm."""
    folder = out / "pairs" / f"{pair:03}"
    for parent in (folder, *(folder / arm for arm in Arm)):
        if (parent / workload / "points.csv.gz").is_file():
            yield parent / workload


def probe_folder(out: Path, results: ResultSet, pair: int, workload: str, arm: Arm) -> Path:
    """Return the folder with the files of an arm's probes in one pair; it may not exist."""
    folder = out / "pairs" / f"{pair:03}"
    parent = folder if results.interleave is Interleave.REQUEST else folder / arm
    return parent / workload / arm


def _files(out: Path) -> tuple[str, ...]:
    """Return the paths of the files in the folder, those of the whole run first."""
    pairs = out / "pairs"
    below = sorted(
        truncate(path.relative_to(out).as_posix(), _MAX_NAME)
        for path in islice(pairs.rglob("*") if pairs.is_dir() else (), _MAX_SCANNED)
        if path.is_file() and path.suffix != ".pem"
    )
    first = [name for name in _FIRST if (out / name).is_file()]
    return tuple([*first, *below][:_MAX_FILES])


def read_distributions(
    folders: Sequence[Path], names: Collection[str], unread: list[str], budget: ReadBudget
) -> dict[str, dict[Arm, Distribution]]:
    """Return the times of the named series in each arm, over all folders.

    `unread` gets a sentence for each file that cannot be read.
    """
    if not names:
        return {}
    values: dict[str, dict[Arm, list[NDArray[np.float64]]]] = {}
    for number, folder in enumerate(folders):
        try:
            series = list(read_series(folder / "points.csv.gz", budget))
        except LoadError as error:
            unread.append(str(error))
            if not budget.is_spent:
                continue
            if rest := len(folders) - number - 1:
                unread.append(f"raw times of {rest} more files are not read")
            break
        for one in series:
            if (arm := _arm(one)) is None:
                continue
            for name in (one.metric, f"{one.metric}{{op={one.tags.get('op')}}}"):
                if name in names:
                    values.setdefault(name, defaultdict(list))[arm].append(one.measured)
    return {
        name: {arm: distribution(np.concatenate(parts) / 1e3) for arm, parts in arms.items()}
        for name, arms in sorted(values.items())
    }


def distribution(values: NDArray[np.float64]) -> Distribution:
    """Return the quantiles of values, closer together towards the largest.

    Args:
        values: Times in s, shape (n,), n >= 1.
    """
    count = int(values.size)
    if count <= MAX_STEPS:
        shares = np.arange(1, count + 1) / count
        quantiles = np.sort(values)
    else:
        body = np.linspace(0, 1 - _TAIL, MAX_STEPS // 2, endpoint=False)
        tail = 1 - np.geomspace(_TAIL, 1 / count, MAX_STEPS // 2 - 1)
        shares = np.concatenate([body, tail, [1.0]])
        quantiles = np.quantile(values, shares)
    return Distribution(count, tuple(map(float, shares)), tuple(map(float, quantiles)))


def _arm(series: PointSeries) -> Arm | None:
    """Return the arm of a series; None if it is not of the load, or not a time."""
    is_time = series.metric == _REQUEST or "unit" in series.tags
    is_load = series.tags.get("phase") == "load" and not series.is_deferred
    arm = series.tags.get("arm")
    return Arm(arm) if is_time and is_load and arm in set(Arm) else None


class TextBudget:
    """Number of bytes of probes' files that may still be read."""

    def __init__(self, size: int = 2**40) -> None:
        """Allow `size` bytes."""
        self.size = size

    def read(self, path: Path) -> str:
        """Return the text of a file, and reduce the budget by its size.

        Raises:
            ValueError: The file exceeds the budget, or is not UTF-8.
            OSError: The file cannot be read.
        """
        self.size -= path.stat().st_size
        if self.size < 0:
            raise ValueError("too large to be read")
        return path.read_bytes().decode()


def read_tracks(
    workload: str, folders: Mapping[Arm, Sequence[Path]], unread: list[str], budget: TextBudget
) -> list[TrackPair]:
    """Return every quantity that the probes recorded over time, in one folder for each pair.

    `unread` gets a sentence for each file that cannot be read.
    """
    by_name: dict[str, dict[Arm, list[Points]]] = {}
    for arm, arm_folders in folders.items():
        for folder in arm_folders:
            for name, points in read_points(folder, unread, budget).items():
                if len(points) > 1:
                    by_name.setdefault(name, {}).setdefault(arm, []).append(points)
    pairs = []
    for name in sorted(by_name, key=_order):
        unit = _UNITS.get(name.rpartition(".")[2], "1")
        tracks = {
            arm: track(points, is_counter=unit == "cores") for arm, points in by_name[name].items()
        }
        pairs.append(TrackPair(workload, name, unit, tracks))
    return pairs


def track(pairs: Sequence[Points], *, is_counter: bool) -> Track:
    """Return the median and the extremes of the pairs at each time.

    Each pair begins at its own first sample.  Times with samples of fewer than half of the pairs
    are left out, because one late pair does not show the shape of all.

    Args:
        pairs: Points of at least one pair, at least two each.
        is_counter: Whether the values count seconds of CPU, so that their rate is taken.
    """
    bins = max(2, min(BINS, max(len(points) for points in pairs) - 1))
    longest = max(points[-1][0] - points[0][0] for points in pairs)
    edges = np.linspace(0.0, max(longest, 1e-9), bins + 1)
    rows = np.vstack([_bin_values(points, edges, is_counter=is_counter) for points in pairs])
    is_used = np.isfinite(rows).sum(axis=0) * 2 >= len(pairs)
    centres = (edges[:-1] + edges[1:]) / 2 if bins > 2 else edges[[0, -1]]
    rows, times = rows[:, is_used], centres[is_used]
    return Track(
        times_s=tuple(map(float, times)),
        low=tuple(map(float, np.nanmin(rows, axis=0))),
        middle=tuple(map(float, np.nanmedian(rows, axis=0))),
        high=tuple(map(float, np.nanmax(rows, axis=0))),
    )


def _bin_values(
    points: Points, edges: NDArray[np.float64], *, is_counter: bool
) -> NDArray[np.float64]:
    """Return one value for each bin; NaN if the pair has no sample in it."""
    times = np.array([time_s for time_s, _ in points]) - points[0][0]
    values = np.array([value for _, value in points])
    if is_counter:
        counted = np.interp(edges, times, values, right=np.nan)
        rates: NDArray[np.float64] = np.diff(counted) / np.diff(edges)
        return rates
    where = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    sums, counts = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    np.add.at(sums, where, values)
    np.add.at(counts, where, 1)
    means = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def read_points(folder: Path, unread: list[str], budget: TextBudget) -> dict[str, Points]:
    """Return the points in the files of one folder, by component and quantity."""
    points: dict[str, Points] = {}
    for name, columns in _FILES.items():
        path = folder / name
        if not path.is_file():
            continue
        try:
            rows = csv.DictReader(io.StringIO(budget.read(path), newline=""))
            points |= _read_rows(rows, columns)
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            reason = truncate(f"{error!r}", _MAX_ERROR)
            unread.append(f"{path.parent.name}/{name} cannot be read: {reason}")
    return points


def _read_rows(
    rows: Iterable[dict[str, str]], columns: Mapping[str, str] | None
) -> dict[str, Points]:
    points: dict[str, Points] = defaultdict(list)
    for row in rows:
        if columns is None:
            values = {row["series"]: row["value"]}
        else:
            values = {f"{row['component']}.{name}": row[key] for key, name in columns.items()}
        for name, text in values.items():
            if columns is not None and not text:  # the probe could not read it
                continue
            point = (float(row["time_s"]), float(text))
            if not all(map(math.isfinite, point)):
                raise ValueError(f"{name} is not a number")
            points[name].append(point)
        if len(points) > MAX_NAMES:
            raise ValueError(f"more than {MAX_NAMES} quantities")
    return dict(points)


def _order(name: str) -> tuple[int, int, str]:
    component, _, quantity = name.rpartition(".")
    ranks = [
        known.index(one) if one in known else len(known)
        for one, known in ((component, _COMPONENTS), (quantity, _QUANTITIES))
    ]
    return ranks[0], ranks[1], name
