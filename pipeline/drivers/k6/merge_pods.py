"""Raw points that several load pods wrote: what each did of its share, and one file of them all."""

import gzip
import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.drivers.k6.csv_points import HINT, read_series
from pipeline.drivers.k6.settings import K6
from pipeline.model.ports import PodResult
from pipeline.model.results import Reading
from pipeline.system.errors import LoadError

_LATE_S = 1.0
"""How much later than the first a pod may begin: they are told one after the other."""

_LEVEL = 1  # of compression: the file is read once or twice
_OBJECTS = ("secrets", "configmaps")
_LINE = 1_000  # more bytes than the names of columns take


@dataclass(frozen=True, slots=True)
class Share:
    """What one pod did.

    Attributes:
        iterations: That ended under load, of all arms together.
        dropped: Iterations that k6 could not start.
        start_s: Unix time at which its first request under load began; None where it sent none.
        answers: About Secrets and ConfigMaps, in all phases but setup: how many by arm and class of
            code, such as `2xx`, and `reads` of one object.
        times_s: Unix time of its first and of its last point; None where it wrote none.
    """

    iterations: int
    dropped: int
    start_s: float | None
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    times_s: tuple[float, float] | None = None


def share_of(path: Path) -> Share:
    """Return what the points of one pod say of its share.

    Raises:
        LoadError: The file is missing, cut off or not what k6 writes.
    """
    iterations = dropped = 0
    starts: list[float] = []
    answers: dict[str, Counter[str]] = {}
    firsts, lasts = [], []
    for series in read_series(path):
        firsts.append(float(series.times_us.min()))
        lasts.append(float(series.times_us.max()))
        is_load = series.tags.get("phase") == "load"
        if series.metric == "dropped_iterations":
            dropped += int(series.measured.sum())
        elif is_load and series.metric == "iterations" and "beside" not in series.tags:
            iterations += len(series.measured)
        elif is_load and series.metric == "http_req_duration":
            starts.append(float((series.times_us - series.measured * 1e3).min()))
        if series.metric == "http_req_duration" and series.tags.get("resource") in _OBJECTS:
            found = answers.setdefault(series.tags.get("arm", ""), Counter())
            found[f"{series.status[:1]}xx"] += len(series.measured)
            if series.tags.get("op", "").startswith("get"):
                found["reads"] += len(series.measured)
    return Share(
        iterations,
        dropped,
        min(starts) / 1e6 if starts else None,
        answers,
        (min(firsts) / 1e6, max(lasts) / 1e6) if firsts else None,
    )


def clock_was_set(share: Share, pod: PodResult) -> Iterator[str]:
    """Yield a sentence if points of a pod are from before its program began, or after it ended.

    When it ended is told by a clock that nobody can set, counted from when it began.

    Args:
        share: Of the pod.
        pod: How long its program ran.
    """
    if share.times_s is None or not pod.ended_s:
        return
    first_s, last_s = share.times_s
    off_s = max(pod.began_s - first_s, last_s - pod.ended_s)
    if off_s > _LATE_S:
        yield f"{pod.name}: the clock of its node was set by about {off_s:.1f} s under load"


def sent(arm: str, shares: Iterable[Share]) -> Iterator[Reading]:
    """Yield what all pods together say that a build answered, to be held against its own count."""
    total: Counter[str] = Counter()
    for one in shares:
        total.update(one.answers.get(arm, {}))
    for what in ("2xx", "4xx", "5xx"):
        yield Reading(f"pods.answers{{code={what}}}", float(total[what]), "1")
    yield Reading("pods.reads", float(total["reads"]), "1")


def unequal(asked: K6, arms: int, pods: int, shares: Mapping[str, Share]) -> Iterator[str]:
    """Yield a sentence for each pod that did not do its share, or not when the others did.

    Of an open load, iterations are dealt out in turn.  Fixed work is dealt out with the VUs that
    do it, of which a pod may have one more than another, or none: there only all of it counts.

    Args:
        asked: What was asked of all together.
        arms: How many had load.
        pods: How many there were, with those that were lost.
        shares: By the name of the pod.
    """
    begun = [one.start_s for one in shares.values() if one.start_s is not None]
    first_s = min(begun, default=0.0)
    rate = 0.0 if asked.rate is None else arms * asked.rate / pods
    for name, one in shares.items():
        if one.dropped:
            yield f"{name} dropped {one.dropped} iterations, as all its VUs were busy"
        wanted = rate * asked.duration_s
        if rate and abs(one.iterations - wanted) > asked.max_rate_error * wanted + arms:
            yield f"{name} ended {one.iterations} iterations, and its share is {wanted:.0f}"
        round_s = 1 / rate if rate else 0.0
        if one.start_s is not None and (late_s := one.start_s - first_s) > _LATE_S + round_s:
            yield f"{name} began {late_s:.1f} s after the first, or its node's clock is off"


def merge(paths: Sequence[Path], out: Path) -> None:
    """Write the points of several files as one, without holding them.

    Args:
        paths: Of k6's `csv` output, compressed.
        out: Of the file that is made, of the same form.

    Raises:
        LoadError: One is missing, cut off or has other columns than the first.
    """
    try:
        with gzip.open(out, "wb", compresslevel=_LEVEL) as merged:
            columns = b""
            for path in paths:
                columns = _append(path, merged, columns)
    except OSError as error:
        raise LoadError(
            f"{out}: the points of the pods cannot be put together: {error.strerror or error}"
        ) from error


def _append(path: Path, merged: gzip.GzipFile, columns: bytes) -> bytes:
    """Write the points of one file, and return its first line, which only the first one gives."""
    try:
        with gzip.open(path, "rb") as part:
            head = part.readline(_LINE)
            if not head.endswith(b"\n") or head != (columns or head):
                raise LoadError(f"{path}: its columns are not those of the first pod", hint=HINT)
            if not columns:
                merged.write(head)
            shutil.copyfileobj(part, merged, 1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LoadError(f"{path}: the file is cut off or damaged", hint=HINT) from error
    return head
