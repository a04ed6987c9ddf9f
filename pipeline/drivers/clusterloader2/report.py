"""Read the folder that a run of ClusterLoader2 leaves: its steps, its summaries, what is missing.

Of a run it writes `junit.xml` and, for each measurement that was gathered,
`SUMMARY_CONFIG_TIME.json`; of a run that crashed it writes neither.  A measurement that found no
Prometheus writes nothing and fails nothing, so what a config asks for is compared with what is
there.
"""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pipeline.drivers.clusterloader2.files import HINT, read_json
from pipeline.drivers.clusterloader2.forms import content
from pipeline.drivers.clusterloader2.junit import read_junit
from pipeline.drivers.clusterloader2.readings import readings, warnings
from pipeline.drivers.clusterloader2.reported import (
    LATENCY,
    METHODS,
    QUERY,
    Expected,
    Report,
    Step,
    Summary,
)
from pipeline.system.errors import LoadError, StorageError

__all__ = [
    "Expected",
    "Report",
    "Step",
    "Summary",
    "make_portable",
    "read_report",
    "readings",
    "warnings",
]

MOST_FILES = 1_000
MOST_BYTES = 64 * 2**20
"""Of all files of a report together."""

# The time has `:` as ClusterLoader2 writes it, and `-` after `make_portable`.
_FILE = re.compile(
    r"(?P<name>.+)_(?P<day>\d{4}-\d\d-\d\d)T(?P<time>\d\d[:-]\d\d[:-]\d\d)"
    r"(?P<zone>Z|[+-]\d\d[:-]\d\d)\.json",
    re.ASCII | re.DOTALL,
)
_UNPORTABLE = re.compile(r'[":<>|*?\r\n]')


def read_report(folder: Path, expected: Sequence[Expected]) -> Report:
    """Return what a report says; files of measurements that we do not know are left alone.

    Args:
        folder: Of the report.
        expected: The summaries that the config asks for.  Two that share a name need two files.

    Raises:
        LoadError: A file is missing that every run leaves, or one is not what ClusterLoader2
            writes: cut off, of another version, not a number, a link, too large.
    """
    overall, steps = read_junit(folder)
    configs = [one.config for one in overall]
    names = {one.name: one.method for one in expected}
    found = []
    for path in _files(folder):
        if (parts := _named(path, configs)) is None:
            continue
        name, at = parts
        if method := _method(name, names):
            found.append(Summary(name, method, at, content(path, method, read_json(path))))
    found.sort(key=lambda summary: (summary.at, summary.name))
    missing, empty, left = [], [], list(found)
    for one in expected:
        summary = next((s for s in left if (s.name, s.method) == (one.name, one.method)), None)
        if summary is None:
            missing.append(one)
            continue
        left.remove(summary)
        if summary.is_empty:
            empty.append(one)
    return Report(overall, steps, tuple(found), tuple(missing), tuple(empty))


def make_portable(folder: Path) -> None:
    """Rename the files of a report so that every system can hold them, and GitHub keep them.

    A name with `:` makes GitHub refuse the whole artifact; a report reads the same afterwards.

    Raises:
        StorageError: A file cannot be renamed.
    """
    for path in sorted(folder.iterdir()):
        portable = path.with_name(_UNPORTABLE.sub("-", path.name))
        if portable == path:
            continue
        try:
            path.rename(portable)
        except OSError as error:
            raise StorageError(f"{path}: cannot be renamed: {error.strerror}") from error


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file of a report whose name ends as that of a summary does."""
    size = 0
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries, start=1):
            size += entry.stat(follow_symlinks=False).st_size
            if number > MOST_FILES or size > MOST_BYTES:
                raise LoadError(
                    f"{folder}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB, and no"
                    " report has so many",
                    hint=HINT,
                )
            if entry.name.endswith(".json"):
                yield Path(entry.path)


def _named(path: Path, configs: Sequence[str]) -> tuple[str, datetime] | None:
    """Return the name and the time of a summary, or None where a file is none.

    Both the name of a summary and that of a config may have `_` in them, which parts the two.
    """
    if (found := _FILE.fullmatch(path.name)) is None:
        return None
    try:
        zone = found["zone"]
        zone = zone[0] + zone[1:].replace("-", ":")
        at = datetime.fromisoformat(f"{found['day']}T{found['time'].replace('-', ':')}{zone}")
    except ValueError:
        return None
    rest = found["name"]
    for config in sorted(configs, key=len, reverse=True):
        if cut := re.fullmatch(rf"(.+)_{re.escape(config)}(?:_[^_]+)?", rest, re.DOTALL):
            return cut[1], at
    return rest.partition("_")[0], at


def _method(name: str, expected: dict[str, str]) -> str:
    """Return the measurement whose summaries are called so; empty where we know none."""
    if name in expected:
        return expected[name]
    if name.startswith(f"{QUERY} "):
        return QUERY
    if name.startswith(f"{LATENCY}_"):  # as upstream's own configs call those of a simple query
        return LATENCY
    return name if name in METHODS else ""
