"""What the gateway adds to a request, and what it costs, against the same requests without it."""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pipeline import toolchain, web
from pipeline.drivers.monitoring import monitored
from pipeline.environments.local import Local
from pipeline.model.subject import Arm, parse_spec
from pipeline.ports import Target
from pipeline.toolchain.monitoring import gateway
from tests.loopback import answering

_PAIRS = 3000
_RATE = 200.0  # requests/s
_RATED_S = 20.0
_PATH = "/api/v1/namespaces/default"
_TARGETS = (
    '{"data":{"activeTargets":['
    + ",".join(['{"labels":{"job":"x"},"scrapeUrl":"","health":"up","lastError":""}'] * 4)
    + "]}}"
)


def main(_argv: list[str]) -> None:
    """Print the latency of pairs of one request each way, and the CPU at a rate."""
    artifacts = {Arm.CANDIDATE: toolchain.reference(parse_spec("reference"))}
    programs = {"gateway": gateway()}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("environment", "out", "private"):
            (Path(folder) / name).mkdir()
        environment = Local().environment(toolchain.etcd())
        with (
            environment.launch(artifacts, Path(folder) / "environment") as targets,
            answering(lambda request, _: request.say(_TARGETS)) as prometheus_url,
            monitored(
                targets[Arm.CANDIDATE],
                programs,
                Path(folder) / "out",
                Path(folder) / "private",
                scrape_s=1,
                prometheus_url=prometheus_url,
            ) as door,
        ):
            target = targets[Arm.CANDIDATE]
            direct = _connection(target, target.url, target.ca_file)
            through = _connection(target, door.url, door.ca_file)
            latency(direct, through)
            cpu(through, str(programs["gateway"].path))


def latency(direct: web.Connection, through: web.Connection) -> None:
    """Ask one request each way, in random order, and print what the way through adds."""
    draw = random.Random(1)
    seconds: dict[web.Connection, list[float]] = {direct: [], through: []}
    for number in range(_PAIRS):
        for connection in draw.sample(list(seconds), 2):
            taken = _asked(connection)
            if number >= _PAIRS // 10:  # the first are for warming up
                seconds[connection].append(taken)
    added = [b - a for a, b in zip(seconds[direct], seconds[through], strict=True)]
    deciles = statistics.quantiles(added, n=10)
    print(
        f"a GET of a namespace: direct {1e3 * statistics.median(seconds[direct]):.2f} ms, through"
        f" the gateway {1e3 * statistics.median(seconds[through]):.2f} ms; added"
        f" {1e3 * statistics.median(added):.2f} ms (median of {len(added)} pairs,"
        f" 10 % to 90 %: {1e3 * deciles[0]:.2f} to {1e3 * deciles[-1]:.2f} ms)"
    )


def cpu(through: web.Connection, path: str) -> None:
    """Ask at a rate, and print the CPU of the gateway, less what it takes when nobody asks."""
    (process,) = [
        child for child in psutil.Process().children(recursive=True) if path in child.cmdline()[:1]
    ]

    def used_s() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    began_s, began = used_s(), time.monotonic()
    count = 0
    while (now := time.monotonic()) < began + _RATED_S:
        if (wait := began + count / _RATE - now) > 0:
            time.sleep(wait)
        _asked(through)
        count += 1
    passed = time.monotonic() - began
    used = used_s() - began_s
    print(
        f"CPU of the gateway at {count / passed:.0f} requests/s: {used / passed:.1%} of one core,"
        f" {1e3 * used / count:.3f} ms per request; memory {process.memory_info().rss / 1e6:.0f} MB"
    )


def _connection(target: Target, url: str, ca_file: Path) -> web.Connection:
    return web.Connection(url, ca_file=ca_file, token=target.token_file.read_text())


def _asked(connection: web.Connection) -> float:
    began = time.perf_counter()
    status, _ = connection.ask("GET", _PATH)
    taken = time.perf_counter() - began
    if status != 200:
        sys.exit(f"the server said {status}")
    return taken


if __name__ == "__main__":
    main(sys.argv[1:])
