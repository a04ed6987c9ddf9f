"""Reports with everything that a page can show, made of nothing but numbers."""

import math
from dataclasses import replace

from pipeline.judge import policy
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Report
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.model.traces import Distribution, Traces, Track, TrackPair
from tests.builders import results

HOSTILE = (
    "a|b`c`@team <script>pwned=1</script> <img src=x onerror=pwned=1> \x1b[31m \u202e \u05d0 ```"
)
LONG = "x<y" * 3500


def metric(name: str, unit: str = "s", margin: float = 0.05, **rest: object) -> Metric:
    usual = Metric(name, unit, Better.LOWER, margin, gate=True)
    return replace(usual, **rest)  # type: ignore[arg-type]  # any field


METRICS = (
    (metric("create_p50", "s", 0.05), 5.2e-3, 1.31),
    (metric("get_p50", "s", 0.05), 1.6e-3, 1.004),
    (metric("get_p99", "s", 0.2, gate=False), 4.1e-3, 1.02),
    (metric("rate", "1/s", 0.05, better=Better.HIGHER), 118.0, 1.002),
    (metric("server_memory", "B", 0.05), 3.1e8, 0.82),
    (metric("server_cpu", "s", 0.02), 2.4, 1.016),
    (metric("server_files", "1", 3.0, scale=Scale.DIFFERENCE), 112.0, 1.09),
    (metric("errors_share", "1", 0.002, scale=Scale.DIFFERENCE), 0.0, 1.0),
)
READS = {
    "create_p50": "http_req_duration{op=create}/p50",
    "get_p50": "http_req_duration{op=get}/p50",
    "get_p99": "http_req_duration{op=get}/p99",
    "server_memory": "server.memory_mean",
    "server_cpu": "server.cpu",
}


def wave(number: int, size: float = 0.004) -> float:
    """Return a factor near 1 that looks like noise and is the same everywhere."""
    return 1 + size * math.sin(12.9898 * (number + 1))


def measured(pairs: int = 5, invalid: int | None = 2) -> ResultSet:
    rows = []
    for at, (one, size, factor) in enumerate(METRICS):
        before = [size * wave(10 * at + pair, 0.02) for pair in range(pairs)]
        spread = 0.02 if one.name == "server_cpu" else 0.004
        after = [b * factor * wave(7 * at + pair, spread) for pair, b in enumerate(before)]
        if one.unit == "1" and size:
            before, after = ([float(round(v)) for v in values] for values in (before, after))
        rows.append((one, before, after))
    why = {} if invalid is None else {invalid: "object-crud: k6 dropped 12 iterations"}
    return results(*rows, invalid=why, specs=("reference", "reference?slow-create=20ms"))


def report() -> Report:
    return policy.report(measured())


def distribution(median: float, width: float) -> Distribution:
    shares = [(i + 1) / 101 for i in range(100)]
    values = [median * math.exp(width * math.log(s / (1 - s))) for s in shares]
    return Distribution(2500, tuple(shares), tuple(values))


def track(size: float) -> Track:
    times = [2.0 * i for i in range(20)]
    middle = [size * (1 - 0.3 * math.exp(-t / 6)) for t in times]
    low, high = ([by * v for v in middle] for by in (0.97, 1.04))
    return Track(tuple(times), tuple(low), tuple(middle), tuple(high))


def traces() -> Traces:
    def arms(median: float, factor: float) -> dict[Arm, Distribution]:
        return {
            Arm.BASELINE: distribution(median, 0.12),
            Arm.CANDIDATE: distribution(median * factor, 0.12),
        }

    def tracked(name: str, unit: str, size: float, factor: float) -> TrackPair:
        tracks = {Arm.BASELINE: track(size), Arm.CANDIDATE: track(size * factor)}
        return TrackPair("object-crud", name, unit, tracks)

    return Traces(
        reads={f"object-crud/{name}": select for name, select in READS.items()},
        distributions={
            ("object-crud", "http_req_duration{op=create}"): arms(5.2e-3, 1.31),
            ("object-crud", "http_req_duration{op=get}"): arms(1.6e-3, 1.004),
        },
        tracked=(
            tracked("server.cpu", "cores", 0.4, 1.016),
            tracked("server.memory", "B", 3.1e8, 0.82),
            tracked("server.goroutines", "1", 1277, 1.0),
        ),
        files=("results.json", "report.md", "pairs/000/object-crud/points.csv.gz"),
    )


def hostile(name: str = HOSTILE) -> tuple[Report, Traces]:
    """Return a report in which every name that is not ours is hostile."""
    run = measured()
    samples = {
        arm: tuple(
            replace(s, workload=name, metric=replace(s.metric, name=f"{s.metric.name} {name}"))
            for s in kept
        )
        for arm, kept in run.samples.items()
    }
    subjects = {arm: replace(s, spec=name, facts={name: name}) for arm, s in run.subjects.items()}
    trials = tuple(
        replace(t, warnings=(name,), invalid=(name,) if t.invalid else ()) for t in run.trials
    )
    changed = replace(run, suite=name, samples=samples, subjects=subjects, trials=trials)
    kept = traces()
    moved = replace(
        kept,
        reads={},
        distributions={},
        tracked=tuple(replace(t, workload=name, name=name) for t in kept.tracked),
        files=(f"pairs/000/{name}",),
        unread=(name,),
    )
    return policy.report(changed), moved
