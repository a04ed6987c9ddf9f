"""What fuzzing begins with: an input or two for each reader, from tests/golden and builders."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from dev.fuzz.mutate import FILE
from pipeline.judge.spreads import run_spreads
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.results import Interleave
from pipeline.model.spreads import Conditions, SpreadHistory
from pipeline.model.subject import Product
from pipeline.probes.curated import CURATED_METRICS, Reduction
from pipeline.runs.history import nightly_records
from pipeline.storage import codec
from pipeline.system import paths
from tests import builders, pages

_GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
_LINES = 40  # of the points of k6

_JUDGE = """\
pair,arm,metric,value,unit,better,family,floor,margin,scale,of
1,baseline,p50,0.010,s,lower,crud,0.001,5%,ratio,
1,candidate,p50,0.011,s,lower,crud,0.001,5%,ratio,
2,baseline,p50,0.012,s,lower,crud,0.001,5%,ratio,
2,candidate,p50,0.013,s,lower,crud,0.001,5%,ratio,
3,baseline,p50,0.010,s,lower,crud,0.001,5%,ratio,
3,candidate,p50,0.014,s,lower,crud,0.001,5%,ratio,
,baseline,errors,0.01,1,lower,other,,0.002,difference,1000
,candidate,errors,0.02,1,lower,other,,0.002,difference,900
,baseline,errors,0.00,1,lower,other,,0.002,difference,1000
,candidate,errors,0.03,1,lower,other,,0.002,difference,1000
"""
_HISTORY = "time,value,series,commit,scale,better\n" + "".join(
    f"2026-01-{day:02}T02:17:00Z,{1 + (day > 15) + day / 500},crud,c{day},ratio,lower\n"
    for day in range(1, 31)
)
_PROCESS = "component,time_s,cpu_s,memory,threads,files,read,written\n" + "".join(
    f"{component},{1.8e9 + at / 2},{at / 10},{10**8 + at},9,7,0,{at}\n"
    for at in range(20)
    for component in ("server", "etcd")
)
_SERIES = "series,time_s,value\n" + "".join(
    f"{name},{1.8e9 + at},{at}\n" for at in range(20) for name in ("server.heap", "etcd.keys")
)
_STATE = {
    "running": False,
    "exit": 0,
    "began": 1.8e9,
    "ended": 1.8e9 + 60,
    "cpu_share": 0.25,
    "files": [{"name": "k6.log", "size": 9, "sha256": "0" * 64}],
}
_SETUP = {"data": {"attributes": {"data": {"names": ["a", "b"]}}}}
_PLACE = """\
[environment]
kind = "remote"
kubeconfig = "/tmp/kubeconfig"
load_pods = 2
node_selector = { pool = "server" }
tolerations = [{ key = "pool", value = "server", effect = "NoSchedule" }]
"""
_ACKNOWLEDGED = """\
[[acknowledged]]
series = "object-crud/create_p50"
commit = "4f1c2ab"
reason = "audit log switched on"
"""


def seeds(reader: str) -> list[bytes]:
    """Return the seeds of a reader."""
    return _SEEDS[reader]()


def _results() -> list[bytes]:
    share = Metric("errors_share", "1", Better.LOWER, 0.002, gate=True, scale=Scale.DIFFERENCE)
    counted = builders.results((share, [0.0, 0.01, 0.0], [0.02, 0.0, 0.01]))
    samples = {
        arm: tuple(replace(one, denominators=(1000.0, 900.0, 1000.0)) for one in kept)
        for arm, kept in counted.samples.items()
    }
    runs = [
        replace(counted, samples=samples, looks=(2, 3)),
        pages.measured(),
        builders.results((builders.LATENCY, [0.1, 0.2, None], [0.1, 0.3, 0.2])),
    ]
    return [codec.RESULTS.dumps(run).encode() for run in runs]


def _prometheus(count: int) -> str:
    """Return the text of a component that has every family that is read."""
    lines = [f"process_start_time_seconds 1.7e+09\ngo_goroutines {count}77"]
    for one in CURATED_METRICS:
        lines.append(f"# TYPE {one.family} {'histogram' if len(one.selections) > 1 else 'gauge'}")
        labels = ",".join(f'{k}="{v[0].replace("*", "00")}"' for k, v in one.labels.items())
        bounds = ("0.005", "0.1", "+Inf") if one.reduction is Reduction.P99 else ("",)
        for selection in one.selections:
            for number, bound in enumerate(bounds):
                both = ",".join(filter(None, (labels, f'le="{bound}"' if bound else "")))
                lines.append(f"{selection.sample}{{{both}}} {count * (number + 1)}")
    return "\n".join(lines)


def _with_times(time: str) -> str:
    """Return the history with other times, in which backslash 1 is the day."""
    return re.sub(r"2026-01-(..)T02:17:00Z", time, _HISTORY)


def _quote(table: str) -> bytes:
    return re.sub(r"([^,\n]+)", r'"\1"', table).replace("\n", "\r\n").encode()


def _zip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", data)
        archive.writestr("pairs/000/k6.log", "nothing\n")
    return packed.getvalue()


def _points(path: Path) -> bytes:
    with gzip.open(path) as file:
        lines = file.readlines()
    # Some of them all, because the first ones are all of the set-up.
    return b"".join([lines[0], *islice(lines[1:], 0, None, max(1, len(lines) // _LINES))])


def _spreads() -> list[bytes]:
    conditions = Conditions("pr", Product.MILO, "local", Interleave.REQUEST, "sha256:load")
    run = run_spreads(pages.measured())
    runs = tuple(replace(run, run=f"{at}", time=run.time + timedelta(hours=at)) for at in range(12))
    return [codec.SPREADS.dumps(SpreadHistory(conditions, runs)).encode(), *_nights()]


def _nights() -> list[bytes]:
    body = nightly_records.nightly_record(pages.measured()).model_dump(mode="json", by_alias=True)
    later = {**body, "run": "another", "time": "2026-02-02T03:04:05Z"}
    return ["".join(json.dumps(one) + "\n" for one in (body, later)).encode()]


_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "results": _results,
    "artifact": lambda: [_zip(data) for data in _results()],
    "points": lambda: [_points(path) for path in sorted((_GOLDEN / "k6").glob("*.csv.gz"))],
    "looks": lambda: [_PROCESS.encode(), _SERIES.encode()],
    "agent": lambda: [json.dumps(body).encode() for body in (_STATE, _SETUP)],
    "suite": lambda: [(paths.project_path("suites") / "smoke.toml").read_bytes(), _PLACE.encode()],
    "prometheus": lambda: [f"{_prometheus(3)}\n---\n{_prometheus(9)}".encode()],
    "judge": lambda: [_JUDGE.encode(), _JUDGE.encode("utf-16"), _quote(_JUDGE)],
    "history": lambda: [
        *(
            _with_times(time).encode()
            for time in (r"\g<0>", r"\1", r"v1.\1", r"1740787200.0000000\1")
        ),
        _with_times(r"\1/01/2026 3:04 PM").encode("utf-16"),
        _quote(_with_times(r"\1 Jan 2026 10:00")),
    ],
    "nights": _nights,
    "spreads": _spreads,
    "clusterloader2": lambda: [
        b"".join(
            FILE + path.name.encode() + b"\n" + path.read_bytes()
            for path in sorted(folder.iterdir())
        )
        for folder in sorted(path for path in (_GOLDEN / "cl2").iterdir() if path.is_dir())
    ],
    "acknowledged": lambda: [
        _ACKNOWLEDGED.encode(),
        b'{"acknowledged": [{"series": "a", "reason": "b"}]}',
    ],
}
