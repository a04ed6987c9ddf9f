"""Read the raw data in a run's folder for the HTML page.

No verdict depends on it.  Missing or damaged files are reported and never prevent a page: old runs
keep less, and a folder may have been copied in part.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.drivers.k6.csv_points import ReadBudget
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm, Product, parse_spec
from pipeline.model.traces import Traces
from pipeline.runs import suite_file
from pipeline.runs.traces.distributions import read_distributions
from pipeline.runs.traces.tracks import TextBudget, read_tracks
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

SUITE = "suite.toml"

FOREIGN_BYTES = 2**23
"""Bytes of probes' files that are read of an untrusted folder."""

_MAX_FILES = 2000
_MAX_SCANNED = 100_000
_MAX_NAME = 400  # characters of a path
_FIRST = ("verdict.json", "results.json", "report.txt", "report.md", SUITE)


def read(out: Path, results: ResultSet, *, is_ours: bool = True) -> Traces:
    """Return what can be read in the folder of a run.

    Args:
        out: Folder of the run.
        results: Results of the run; only its valid pairs are read.
        is_ours: Whether the run was started here; the amount that is read of other folders is
            limited to a few seconds.
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
            folder for pair in results.valid_pairs for folder in _point_folders(out, pair, workload)
        ]
        by_series = read_distributions(folders, series.get(workload, set()), unread, points)
        distributions.update({(workload, name): arms for name, arms in by_series.items()})
        probe_folders = {arm: list(_probe_folders(out, results, workload, arm)) for arm in Arm}
        tracks += read_tracks(workload, probe_folders, unread, texts)
    sentences = dict.fromkeys(sentence.replace(f"{out}/", "") for sentence in unread)
    return Traces(reads, distributions, tuple(tracks), _files(out), tuple(sentences))


def _selected_readings(out: Path, results: ResultSet, unread: list[str]) -> dict[str, str]:
    """Return the reading of each metric, by `workload/metric`, from the suite in the folder."""
    if not (out / SUITE).is_file():
        unread.append(f"{SUITE} is not in the folder, so raw times belong to no metric")
        return {}
    try:
        suite = suite_file.load(out / SUITE).suite.of(_product(results))
    except ConfigError as error:
        unread.append(f"{SUITE} cannot be used, so raw times belong to no metric: {error}")
        return {}
    return {f"{w.name}/{m.name}": m.select for w in suite.workloads for m in w.metrics}


def _product(results: ResultSet) -> Product:
    try:
        return parse_spec(results.subjects[Arm.CANDIDATE].spec).product
    except ValueError:  # a spec of a later version
        return Product.MILO


def _point_folders(out: Path, pair: int, workload: str) -> Iterator[Path]:
    """Yield the folders with points of a pair: one of a duet, otherwise one for each arm."""
    folder = out / "pairs" / f"{pair:03}"
    for parent in (folder, *(folder / arm for arm in Arm)):
        if (parent / workload / "points.csv.gz").is_file():
            yield parent / workload


def _probe_folders(out: Path, results: ResultSet, workload: str, arm: Arm) -> Iterator[Path]:
    """Yield the folders with the files of an arm's probes, one for each pair."""
    for pair in results.valid_pairs:
        folder = out / "pairs" / f"{pair:03}"
        parent = folder if results.interleave is Interleave.REQUEST else folder / arm
        if (parent / workload / arm).is_dir():
            yield parent / workload / arm


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
