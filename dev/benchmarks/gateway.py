"""What the gateway adds to a request, and what it costs, against the same requests without it."""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from pipeline import toolchain
from pipeline.drivers.clusterloader2.endpoint import Endpoint, monitor
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.model.ports import Target
from pipeline.model.subject import Arm, parse_spec
from pipeline.system import http_client
from tests.loopback import answering

_PAIRS = 3000
_RATE = 200.0  # requests/s
_RATED_S = 10.0
_ROUNDS = 3
_SCRIPT = """
import http from 'k6/http'
export const options = { scenarios: { rated: {
  executor: 'constant-arrival-rate', rate: RATE, timeUnit: '1s', duration: 'SECONDSs',
  preAllocatedVUs: 8, maxVUs: 8,
} } }
export default function () {
  const answer = http.get(__ENV.URL, { headers: { Authorization: `Bearer ${__ENV.TOKEN}` } })
  if (answer.proto !== 'HTTP/2.0') throw new Error(answer.proto)
}
export function handleSummary(data) {
  const { http_reqs, http_req_failed } = data.metrics
  const found = { count: http_reqs.values.count, failed: http_req_failed.values.rate }
  return { [__ENV.SUMMARY]: JSON.stringify(found) }
}
"""
_PATH = "/api/v1/namespaces/default"
_TARGETS = (
    '{"data":{"activeTargets":['
    + ",".join(['{"labels":{"job":"x"},"scrapeUrl":"","health":"up","lastError":""}'] * 4)
    + "]}}"
)


def main(_argv: list[str]) -> None:
    """Print the latency of pairs of one request each way, and the CPU at a rate."""
    artifacts = {Arm.CANDIDATE: toolchain.artifact(parse_spec("reference"))}
    programs = toolchain.programs_of(["gateway"])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("environment", "out", "private"):
            (Path(folder) / name).mkdir()
        environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
        with (
            environment.launch(artifacts, Path(folder) / "environment") as targets,
            answering(lambda request, _: request.say(_TARGETS)) as prometheus_url,
            monitor(
                targets[Arm.CANDIDATE],
                programs,
                Path(folder) / "out",
                Path(folder) / "private",
                scrape_s=1,
                prometheus_url=prometheus_url,
            ) as endpoint,
        ):
            target = targets[Arm.CANDIDATE]
            direct = _connection(target, target.url, target.ca_file)
            through = _connection(target, endpoint.url, endpoint.ca_file)
            latency(direct, through)
            cpu(through, endpoint, target, str(programs["gateway"].path), Path(folder))


def latency(direct: http_client.ServerConnection, through: http_client.ServerConnection) -> None:
    """Ask one request each way, in random order, and print what the way through adds."""
    draw = random.Random(1)
    seconds: dict[http_client.ServerConnection, list[float]] = {direct: [], through: []}
    for number in range(_PAIRS):
        for connection in draw.sample(list(seconds), 2):
            taken = _ask(connection)
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


def cpu(
    through: http_client.ServerConnection,
    endpoint: Endpoint,
    target: Target,
    path: str,
    out: Path,
) -> None:
    """Ask at a rate in both ways of HTTP, in turn, and print the CPU of the gateway for each."""
    (process,) = [
        child for child in psutil.Process().children(recursive=True) if path in child.cmdline()[:1]
    ]

    def used_s() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    asked: dict[str, Callable[[], int]] = {
        "HTTP/1.1, one connection": lambda: _one_by_one(through),
        "HTTP/2 of k6, 8 connections": lambda: _by_k6(endpoint, target, out),
    }
    used: dict[str, list[tuple[float, float, int]]] = {name: [] for name in asked}
    for _ in range(_ROUNDS):
        for name, ask in asked.items():
            before_s, began = used_s(), time.monotonic()
            count = ask()
            used[name].append((used_s() - before_s, time.monotonic() - began, count))
    for name, rounds in used.items():
        shares = sorted(cpu_s / lasted_s for cpu_s, lasted_s, _ in rounds)
        each_ms = sorted(1e3 * cpu_s / count for cpu_s, _, count in rounds)
        rate = sum(count for *_, count in rounds) / sum(lasted_s for _, lasted_s, _ in rounds)
        print(
            f"CPU of the gateway at {rate:.0f} requests/s, {name}: {shares[0]:.1%} to"
            f" {shares[-1]:.1%} of one core, {each_ms[0]:.3f} to {each_ms[-1]:.3f} ms per request"
        )
    print(f"memory of the gateway: {process.memory_info().rss / 1e6:.0f} MB")


def _one_by_one(through: http_client.ServerConnection) -> int:
    began, count = time.monotonic(), 0
    while (now := time.monotonic()) < began + _RATED_S:
        if (wait := began + count / _RATE - now) > 0:
            time.sleep(wait)
        _ask(through)
        count += 1
    return count


def _by_k6(endpoint: Endpoint, target: Target, out: Path) -> int:
    script, summary = out / "rated.js", out / "summary.json"
    script.write_text(_SCRIPT.replace("RATE", f"{_RATE:g}").replace("SECONDS", f"{_RATED_S:g}"))
    environment = {
        **os.environ,
        "URL": f"{endpoint.url}{_PATH}",
        "TOKEN": target.token_file.read_text(),
        "SSL_CERT_FILE": str(endpoint.ca_file),
        "SUMMARY": str(summary),
    }
    command = [str(toolchain.program("k6").path), "run", "--quiet", "--address=", str(script)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    found = json.loads(summary.read_text())
    if found["failed"]:
        sys.exit(f"{found['failed']:.0%} of k6's requests failed")
    return int(found["count"])


def _connection(target: Target, url: str, ca_file: Path) -> http_client.ServerConnection:
    return http_client.ServerConnection(url, ca_file=ca_file, token=target.token_file.read_text())


def _ask(connection: http_client.ServerConnection) -> float:
    began = time.perf_counter()
    status, _ = connection.ask("GET", _PATH)
    taken = time.perf_counter() - began
    if status != 200:
        sys.exit(f"the server said {status}")
    return taken


if __name__ == "__main__":
    main(sys.argv[1:])
