"""What the worst inputs cost that each reader takes: CPU and memory of a whole command.

`python -m dev.benchmarks hostile [READER …]`; a row is the dearest input of its reader.  At most
5 s of CPU and 250 MB are meant, the interpreter and our own imports included (about 0.6 s and
50 MB).
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.model.metric import Better, Metric
from pipeline.runs.history import nightly_records
from pipeline.runs.traces import FOREIGN_BYTES
from pipeline.storage import codec, strict_json
from tests import builders, pages
from tests.hostile import shapes

CPU_S, MEMORY_MB = 5.0, 250
_TABLE = 8 * 2**20  # bytes of a CSV: those have no limit, and cost as much more as they are longer
_PIPELINE = ("-m", "pipeline")
_AGENT = """
import sys
from pathlib import Path
from pipeline.environments.load_agent import LoadAgent
from pipeline.system.errors import LoadError
data = Path(sys.argv[1]).read_bytes()
class Answer:
    proxy = lambda self, *_, **__: self
    read = lambda self, size: data[:size]
    release_conn = close = lambda self: None
try: print(LoadAgent(Answer(), "n", "p", "load pod 1 of 2", "t", 0.0).state())
except LoadError as error: print(error)
"""
_ARTIFACT = """
import sys
from pathlib import Path
from pipeline.artifact import open_artifact
from pipeline.system.errors import PipelineError
from pipeline.judge import policy
from pipeline.render.markdown import markdown
try: markdown(policy.report(open_artifact(Path(sys.argv[1]))))
except PipelineError as error: print(error)
"""

Arguments = tuple[str, ...]
Make = Callable[[Path], Arguments]


class Cost(NamedTuple):
    """What one command cost: seconds of CPU, MB at its peak, and its exit code."""

    cpu_s: float
    memory_mb: float
    exit: int


def main(argv: list[str]) -> None:
    """Print a row for each reader, and every input that costs more than is meant."""
    inputs = {name: shape for name, shape in READERS.items() if not argv or name in argv}
    print("| reader | its dearest input | CPU (s) | memory (MB) | exit |")
    print("| :-- | :-- | --: | --: | --: |")
    missed = []
    for reader, shapes_of in inputs.items():
        costs: dict[str, Cost] = {}
        for name, make in shapes_of.items():
            with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
                costs[name] = cost(make(Path(folder)), Path(folder))
            if costs[name].cpu_s > CPU_S or costs[name].memory_mb > MEMORY_MB:
                missed.append(f"{reader}, {name}: {costs[name]}")
        for name in dict.fromkeys(
            (
                max(costs, key=lambda one: costs[one].cpu_s),
                max(costs, key=lambda one: costs[one].memory_mb),
            )
        ):
            found = costs[name]
            print(
                f"| {reader} | {name} | {found.cpu_s:.1f} | {found.memory_mb:.0f} | {found.exit} |",
                flush=True,
            )
    print("\n".join(missed) or "all within what is meant")


_OF_SAMPLE = 13  # values of a sample beside those of its pairs
_LONGEST_S = 120  # CPU of a command that is given up


def cost(arguments: Arguments, folder: Path) -> Cost:
    """Run a command of Python to its end, and return what it cost."""
    state = {"XDG_STATE_HOME": str(folder / "state")}  # so that nothing was begun here
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **state},
    ) as process:
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (_LONGEST_S, _LONGEST_S))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode)


def _results(edit: Callable[[dict[str, Any]], object]) -> Make:
    def make(folder: Path) -> Arguments:
        return (*_PIPELINE, "compare", str(_folder(folder, edit)))

    return make


def _folder(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    body = json.loads(codec.RESULTS.dumps(pages.measured()))
    edit(body)
    (folder / "results.json").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
    return folder


def _most_values(metrics: int, values: int) -> Callable[[dict[str, Any]], object]:
    """Return a function that makes a run of so many metrics, and about as many values in all."""
    pairs = max(2, (values - 2 * _OF_SAMPLE * metrics) // (2 * metrics + 20))
    draw = random.Random(1)
    columns = [[draw.lognormvariate(0, 0.1) for _ in range(pairs)] for _ in range(20)]

    def edit(body: dict[str, Any]) -> None:
        rows = (
            (
                Metric(f"m{number}", "s", Better.LOWER, margin=0.05, gate=True),
                columns[number % 20],
                columns[(number + 7) % 20],
            )
            for number in range(metrics)
        )
        body.clear()
        body |= json.loads(codec.RESULTS.dumps(builders.results(*rows)))

    return edit


def _long_names(body: dict[str, Any]) -> None:
    _most_values(200, 4_000)(body)
    for samples in body["samples"].values():
        for number, sample in enumerate(samples):
            sample["metric"]["name"] = f"n{number} ".ljust(strict_json.OURS.characters, "y")


def _warnings(body: dict[str, Any]) -> None:
    _most_values(10, 2_000)(body)
    trials = body["trials"]
    each = strict_json.OURS.values * 9 // 10 // len(trials)
    for number, trial in enumerate(trials):
        trial["warnings"] = [f"w{number}-{at} of the load" for at in range(each)]


def _invalid(body: dict[str, Any]) -> None:
    _warnings(body)
    for trial in body["trials"]:
        trial["invalid"], trial["warnings"] = trial["warnings"], []


def _facts(body: dict[str, Any]) -> None:
    body["machine"]["facts"] = {f"f{number}": "\U0001f600" * 50 for number in range(18_000)}


def _unknown_keys(body: dict[str, Any]) -> None:
    body |= {f"k{number}": 0 for number in range(strict_json.OURS.values - 2_000)}


def _wrong_values(body: dict[str, Any]) -> None:
    _most_values(1_000, 60_000)(body)
    for samples in body["samples"].values():
        for sample in samples:
            sample["values"] = ["x"] * len(sample["values"])


def _page(points: Iterator[bytes] | Callable[[], Iterator[bytes]], pairs: int = 1) -> Make:
    def make(folder: Path) -> Arguments:
        shapes.run(folder, b"", pairs)
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        head = folder / "pairs" / "000" / "object-crud" / "points.csv.gz"
        with head.open("wb") as file:
            file.write(packer.compress(shapes.POINTS_HEAD))
            for part in points() if callable(points) else points:
                file.write(packer.compress(part))
            file.write(packer.flush())
        for path in folder.glob("pairs/*/object-crud/points.csv.gz"):
            if path != head:
                path.write_bytes(head.read_bytes())
        return (*_PIPELINE, "render", str(folder), "--format", "html")

    return make


def _kinds() -> Iterator[bytes]:
    lines = [
        shapes.point(at, at % 97 + 1, f"arm=baseline&phase=load&op=o{at % 1_999}")
        for at in range(50_000)
    ]
    block = b"".join(lines)
    yield from [block] * 29


def _point_blocks() -> Iterator[bytes]:
    block = b"".join(shapes.point(at, at % 97 + 1) for at in range(50_000))
    yield from [block] * 29


def _bomb() -> Iterator[bytes]:
    yield from [shapes.point() * 10_000] * 4_000


def _one_line() -> Iterator[bytes]:
    yield from [b"x" * 2**20] * 4_000


def _many_tags() -> Iterator[bytes]:
    tags = "&".join(f"t{number}=x" for number in range(60))
    block = b"".join(
        shapes.point(at, 1, f"arm=baseline&phase=load&op=o{at % 1_999}&{tags}")
        for at in range(50_000)
    )
    yield from [block] * 9


def _looks(names: int) -> Make:
    def make(folder: Path) -> Arguments:
        shapes.run(folder, shapes.point())
        place = folder / "pairs" / "000" / "object-crud" / "candidate"
        place.mkdir()
        rows = ["component,time_s,cpu_s,memory,threads,files,read,written\n"]
        rows += [f"c{n % names},{n},{n},{n},1,1,0,0\n" for n in range(500_000)]
        (place / "process.csv").write_text("".join(rows)[:FOREIGN_BYTES].rpartition("\n")[0])
        return (*_PIPELINE, "render", str(folder), "--format", "html")

    return make


def _night_lines(metrics: int) -> str:
    body = nightly_records.nightly_record(pages.measured()).model_dump(mode="json", by_alias=True)
    value = next(iter(body["metrics"].values()))
    draw = random.Random(1)
    lines: list[str] = []
    size = number = 0
    while True:
        named = {
            f"w/m{at}": {**value, "value": round(draw.lognormvariate(0, 0.05), 6)}
            for at in range(metrics)
        }
        time = f"{2000 + number // 336}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}T02:00:00Z"
        line = json.dumps({**body, "run": f"{number}", "time": time, "metrics": named}) + "\n"
        size += len(line)
        if size > nightly_records.MAX_BYTES:
            return "".join(lines)
        lines.append(line)
        number += 1


def _nights(metrics: int) -> Make:
    def make(folder: Path) -> Arguments:
        path = folder / "nights.jsonl"
        path.write_text(_night_lines(metrics))
        return (*_PIPELINE, "history", str(path))

    return make


def _branch(folder: Path) -> Arguments:
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@localhost")
    remote = folder / "remote"
    remote.mkdir()
    (remote / "nights.jsonl").write_text(_night_lines(54))
    for command in (("init", "-q", "-b", "history"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run([*git, *command], cwd=remote, check=True)
    place = ("--branch", "history", "--remote", str(remote))
    return (*_PIPELINE, "history", "nights.jsonl", *place)


def _csv(verb: str, head: str, line: Callable[[int], str]) -> Make:
    def make(folder: Path) -> Arguments:
        path = folder / "table.csv"
        with path.open("w") as file:
            size, number = file.write(head), 0
            while size < _TABLE:
                size += file.write(line(number))
                number += 1
        return (*_PIPELINE, verb, str(path))

    return make


def _pair(number: int, metric: str) -> str:
    arm = ("baseline", "candidate")[number % 2]
    return f"{number // 2},{arm},{metric},{1 + number % 97 / 1000},s\n"


def _agent(data: Callable[[], bytes]) -> Make:
    def make(folder: Path) -> Arguments:
        (folder / "answer").write_bytes(data())
        return ("-c", _AGENT, str(folder / "answer"))

    return make


def _files_kept() -> bytes:
    kept = [{"name": f"f{number}", "size": 1, "sha256": "0"} for number in range(24_000)]
    state = {"running": False, "exit": 0, "began": 1.0, "ended": 2.0, "cpu_share": 0.5}
    return json.dumps({**state, "files": kept}).encode()


def _artifact(edit: Callable[[dict[str, Any]], object]) -> Make:
    def make(folder: Path) -> Arguments:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(_folder(folder, edit) / "results.json", "results.json")
        return ("-c", _ARTIFACT, str(folder / "a.zip"))

    return make


READERS: Mapping[str, Mapping[str, Make]] = {
    "results.json (`compare`)": {
        "1,000 metrics": _results(_most_values(1_000, 78_000)),
        "one metric": _results(_most_values(1, 40_000)),
        "names of 5 kB": _results(_long_names),
        "70,000 warnings": _results(_warnings),
        "70,000 reasons why trials are invalid": _results(_invalid),
        "18,000 facts": _results(_facts),
        "78,000 unknown keys": _results(_unknown_keys),
        "60,000 wrong values": _results(_wrong_values),
    },
    "artifact (zip)": {
        "1,000 metrics": _artifact(_most_values(1_000, 49_000)),
        "40,000 wrong values": _artifact(_wrong_values),
    },
    "raw points (`render --format html`)": {
        "1.5 million points": _page(_point_blocks),
        "1.5 million points of 2,000 kinds": _page(_kinds),
        "450,000 points of 63 tags": _page(_many_tags),
        "a bomb of 2.7 GB": _page(_bomb),
        "one line of 4 GB": _page(_one_line),
        "1,000 pairs that are all too much": _page(lambda: iter([shapes.point() * 60_000]), 200),
    },
    "looks (`render --format html`)": {
        "as much as is read, of one process": _looks(1),
        "as much as is read, of 33 processes": _looks(33),
        "of more processes than are read": _looks(10**6),
    },
    "nights.jsonl (`history`)": {
        "nights of 54 metrics": _nights(54),
        "nights of one metric": _nights(1),
        "nights of 300 metrics": _nights(300),
    },
    "history branch (`history --branch`)": {"nights of 54 metrics": _branch},
    "CSV of 8 MiB (`history`)": {
        "one series": _csv("history", "time,value\n", lambda n: f"{n},{n % 97}.{n % 7}\n"),
        "1,000 series": _csv(
            "history", "time,value,series\n", lambda n: f"{n},{n % 97}.{n % 7},s{n % 1000}\n"
        ),
        "every line its own series": _csv(
            "history", "time,value,series\n", lambda n: f"{n},{n % 97}.5,s{n}\n"
        ),
    },
    "CSV of 8 MiB (`judge`)": {
        "one metric": _csv("judge", "pair,arm,metric,value,unit\n", lambda n: _pair(n, "a")),
        "1,000 metrics": _csv(
            "judge",
            "pair,arm,metric,value,unit\n",
            lambda n: _pair(n // 1000 * 2 + n % 2, f"m{n % 1000 // 2}"),
        ),
        "every pair its own metric": _csv(
            "judge", "pair,arm,metric,value,unit\n", lambda n: _pair(n, f"m{n // 2}")
        ),
    },
    "answer of a load agent": {
        "16 MiB of lists": _agent(lambda: b"[" + b"[]," * (5 * 10**6) + b"[]]"),
        "24,000 files": _agent(_files_kept),
        "16 texts of 1 MiB": _agent(lambda: json.dumps(["x" * (2**20 - 2)] * 15).encode()),
    },
}
