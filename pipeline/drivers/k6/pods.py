"""Run k6 in load pods: the same script from several machines, and the points of all in one file."""

import dataclasses
import gzip
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.drivers.k6 import command
from pipeline.drivers.k6.command import CA, LOG, POINTS, SLACK_S
from pipeline.drivers.k6.csv_points import HINT, read_series
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import read_points
from pipeline.drivers.k6.validity import judge
from pipeline.drivers.pod_clocks import MAX_DELAY_S, clock_jumps, late_starts
from pipeline.model.ports import (
    FILES_IN_POD,
    RESULTS_IN_POD,
    SECRETS_IN_POD,
    Load,
    PodWork,
    Program,
    Span,
    Target,
    check_all,
)
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

_REST_ADDRESS = "127.0.0.1:6566"  # not k6's default, at which the k6-operator asks
_STOPPED = 105  # exit code of a k6 that was stopped from outside
_COMPRESSION = 1  # the file is read once or twice
_MAX_HEADER_BYTES = 1_000
_OBJECTS = ("secrets", "configmaps")


def measure_in_pods(
    settings: K6, program: Program, targets: Mapping[Arm, Target], out: Path, seed: int
) -> Load:
    """Apply a load that the pods of its targets divide; see `Driver.measure`.

    `out` receives a folder for each pod, and the points of all.
    """
    (pods,) = {id(one.pods): one.pods for one in targets.values() if one.pods}.values()
    work = _work(settings, program, targets, seed)
    results = pods.run(work, out, lambda: check_all(targets))
    left = [one for one in results if not one.lost and one.exit != _STOPPED]
    lost = [
        f"{one.name} was lost: {one.lost or 'k6 was stopped'}" for one in results if one not in left
    ]
    for one in left:
        if one.exit:
            if failed := command.setup_failures(one.folder, targets):
                now = time.time()
                return Load.without_readings(targets, Span(now, now), failed)
            log = one.folder / LOG
            raise LoadError(
                f"{one.name}: k6 {settings.script} {command.describe_exit(one.exit)}",
                hint="\n".join([*command.log_errors(log)[:3], f"its log: {log}"]),
            )
    if not left:
        raise LoadError(f"no load pod left anything: {'; '.join(lost)}")
    shares = {one.name: read_share(one.folder / POINTS) for one in left}
    merge_points([one.folder / POINTS for one in left], out / POINTS)
    for one in left:
        (one.folder / POINTS).unlink()  # the merged file has all of it
    points = read_points(out / POINTS, list(targets), is_open=settings.rate is not None)
    errors = [text for one in left for text in command.log_errors(one.folder / LOG)]
    load = judge(settings, points, max(one.cpu_share for one in left), errors)
    readings = {
        arm: (*of_arm, *pod_answers(str(arm), shares.values()))
        for arm, of_arm in load.readings.items()
    }
    clocks = [text for one in left for text in clock_jumps(one, shares[one.name].times_s)]
    uneven = uneven_shares(settings, len(targets), len(results), shares)
    invalid = (*lost, *clocks, *uneven, *load.invalid)
    return dataclasses.replace(load, readings=readings, invalid=invalid)


def _work(settings: K6, program: Program, targets: Mapping[Arm, Target], seed: int) -> PodWork:
    script = settings.script
    inside = {
        arm: dataclasses.replace(
            target, url=target.url_in_pods, token_file=SECRETS_IN_POD / f"{arm}.token"
        )
        for arm, target in targets.items()
    }
    tokens = {
        inside[arm].token_file.name: one.token_file.read_bytes() for arm, one in targets.items()
    }
    return PodWork(
        name=script,
        program=program,
        args=(tuple(command.arguments(FILES_IN_POD / script)[1:]),),
        log=LOG,
        variables=command.environment(settings, inside, SECRETS_IN_POD, seed, RESULTS_IN_POD),
        files={name: path.read_bytes() for name, path in settings.tree().items()},
        secrets={**tokens, CA: command.authorities(targets).encode()},
        timeout_s=settings.longest_s + SLACK_S,
        control_address=_REST_ADDRESS,
        operator_resource="testruns.k6.io",
    )


@dataclass(frozen=True, slots=True)
class PodShare:
    """One pod's share of a load, by its points.

    Attributes:
        iterations: Number of iterations that ended under load, of all arms together.
        dropped: Number of iterations that k6 could not start.
        start_s: Unix time of its first request under load; None if it sent none.
        answers: Number of answers about Secrets and ConfigMaps by arm and class of status, such as
            `2xx`, in all phases but setup; `reads` counts the requests for one object.
        times_s: Unix time of its first and of its last point; None if it wrote none.
    """

    iterations: int
    dropped: int
    start_s: float | None
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    times_s: tuple[float, float] | None = None


def read_share(path: Path) -> PodShare:
    """Return the share of the pod that wrote a file of points; see `read_series` for errors."""
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
            of_arm = answers.setdefault(series.tags.get("arm", ""), Counter())
            of_arm[f"{series.status[:1]}xx"] += len(series.measured)
            if series.tags.get("op", "").startswith("get"):
                of_arm["reads"] += len(series.measured)
    return PodShare(
        iterations,
        dropped,
        min(starts) / 1e6 if starts else None,
        answers,
        (min(firsts) / 1e6, max(lasts) / 1e6) if firsts else None,
    )


def pod_answers(arm: str, shares: Iterable[PodShare]) -> Iterator[Reading]:
    """Yield the answers that all pods got from a build, for a comparison with its own counters."""
    total: Counter[str] = Counter()
    for one in shares:
        total.update(one.answers.get(arm, {}))
    for what in ("2xx", "4xx", "5xx"):
        yield Reading(f"pods.answers{{code={what}}}", float(total[what]), "1")
    yield Reading("pods.reads", float(total["reads"]), "1")


def uneven_shares(
    settings: K6, arms: int, pods: int, shares: Mapping[str, PodShare]
) -> Iterator[str]:
    """Yield a sentence for each pod that did not do its share, or not when the others did.

    k6 deals out the iterations of an open load in turn.  It deals out fixed work by VU, so one pod
    may do more than another; there only the total counts.  `pods` includes those that were lost.
    """
    rate = 0.0 if settings.rate is None else arms * settings.rate / pods
    for name, one in shares.items():
        if one.dropped:
            yield f"{name} dropped {one.dropped} iterations, as all its VUs were busy"
        wanted = rate * settings.duration_s
        if rate and abs(one.iterations - wanted) > settings.max_rate_error * wanted + arms:
            yield f"{name} ended {one.iterations} iterations, and its share is {wanted:.0f}"
    starts_s = {name: one.start_s for name, one in shares.items() if one.start_s is not None}
    yield from late_starts(starts_s, MAX_DELAY_S + (1 / rate if rate else 0.0))


def merge_points(paths: Sequence[Path], out: Path) -> None:
    """Write the points of files with equal columns to one, without holding them in memory."""
    try:
        with gzip.open(out, "wb", compresslevel=_COMPRESSION) as merged:
            columns = b""
            for path in paths:
                columns = _append(path, merged, columns)
    except OSError as error:
        raise LoadError(
            f"{out}: the points of the pods cannot be put together: {error.strerror or error}"
        ) from error


def _append(path: Path, merged: gzip.GzipFile, columns: bytes) -> bytes:
    """Append a file without its header, unless it is the first; return the header."""
    try:
        with gzip.open(path, "rb") as part:
            head = part.readline(_MAX_HEADER_BYTES)
            if not head.endswith(b"\n") or head != (columns or head):
                raise LoadError(f"{path}: its columns are not those of the first pod", hint=HINT)
            if not columns:
                merged.write(head)
            shutil.copyfileobj(part, merged, 1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LoadError(f"{path}: the file is cut off or damaged", hint=HINT) from error
    return head
