"""Read what a run's folder keeps beside its results, for the page that shows it.

Nothing here is judged by.  What is missing or damaged is said, and never keeps a page from being
made: old runs keep less, and a folder may have been copied in part.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.drivers.k6.csv_points import ReadBudget
from pipeline.model.results import Interleave, ResultSet
from pipeline.model.subject import Arm, Product, parse_spec
from pipeline.model.traces import Traces
from pipeline.runs import suite_file
from pipeline.runs.suite_file import Suite
from pipeline.runs.traces.distributions import distributions
from pipeline.runs.traces.tracks import LooksAllowance, tracked
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

SUITE = "suite.toml"
_MOST_FILES = 2000
_MOST_LOOKED_AT = 100_000
_LONGEST_NAME = 400  # characters of a path
FOREIGN_LOOKS = 2**23
"""Bytes of looks that are read of a folder from elsewhere."""

_FIRST = ("verdict.json", "results.json", "report.txt", "report.md", SUITE)


def read(out: Path, results: ResultSet, *, is_ours: bool = True) -> Traces:
    """Return what can be read in the folder of a run.

    Args:
        out: The folder.
        results: Its results, of which only the valid pairs are read.
        is_ours: Whether the run was begun here; of a folder from elsewhere, only so much is read
            as takes seconds.
    """
    points = ReadBudget() if is_ours else ReadBudget.foreign()
    looks = LooksAllowance() if is_ours else LooksAllowance(FOREIGN_LOOKS)
    unread: list[str] = []
    reads = _reads(out, results, unread)
    wanted: dict[str, set[str]] = {}
    for key, select in reads.items():
        wanted.setdefault(key.split("/")[0], set()).add(select.rpartition("/")[0])
    workloads = list(dict.fromkeys(s.workload for arm in Arm for s in results.samples.get(arm, ())))
    found, of_arm = {}, []
    for workload in workloads:
        folders = [
            folder for pair in results.valid_pairs for folder in _folders(out, pair, workload)
        ]
        for series, arms in distributions(
            folders, wanted.get(workload, set()), unread, points
        ).items():
            found[workload, series] = arms
        places = {arm: list(_places(out, results, workload, arm)) for arm in Arm}
        of_arm += tracked(workload, places, unread, looks)
    said = dict.fromkeys(sentence.replace(f"{out}/", "") for sentence in unread)
    return Traces(reads, found, tuple(of_arm), _files(out), tuple(said))


def _reads(out: Path, results: ResultSet, unread: list[str]) -> dict[str, str]:
    """Return the reading of each metric, by `workload/metric`, as the folder's suite says."""
    if not (out / SUITE).is_file():
        unread.append(f"{SUITE} is not in the folder, so raw times belong to no metric")
        return {}
    try:
        suite: Suite = suite_file.load(out / SUITE).suite.of(_product(results))
    except ConfigError as error:
        unread.append(f"{SUITE} cannot be used, so raw times belong to no metric: {error}")
        return {}
    return {f"{w.name}/{m.name}": m.select for w in suite.workloads for m in w.metrics}


def _product(results: ResultSet) -> Product:
    try:
        return parse_spec(results.subjects[Arm.CANDIDATE].spec).product
    except ValueError:  # a spec of a later version
        return Product.MILO


def _folders(out: Path, pair: int, workload: str) -> Iterator[Path]:
    """Yield where the points of a pair are: one folder of a duet, otherwise one for each arm."""
    folder = out / "pairs" / f"{pair:03}"
    for place in (folder, *(folder / arm for arm in Arm)):
        if (place / workload / "points.csv.gz").is_file():
            yield place / workload


def _places(out: Path, results: ResultSet, workload: str, arm: Arm) -> Iterator[Path]:
    """Yield where the probes of an arm wrote."""
    for pair in results.valid_pairs:
        folder = out / "pairs" / f"{pair:03}"
        place = folder if results.interleave is Interleave.REQUEST else folder / arm
        if (place / workload / arm).is_dir():
            yield place / workload / arm


def _files(out: Path) -> tuple[str, ...]:
    """Return the paths of what the folder holds, the files of the whole run first."""
    kept = [out / "pairs"] if (out / "pairs").is_dir() else []
    below = sorted(
        truncate(path.relative_to(out).as_posix(), _LONGEST_NAME)
        for folder in kept
        for path in islice(folder.rglob("*"), _MOST_LOOKED_AT)
        if path.is_file() and path.suffix != ".pem"
    )
    first = [name for name in _FIRST if (out / name).is_file()]
    return tuple([*first, *below][:_MOST_FILES])
