"""What the probes cost us: seconds for a Prometheus text, and CPU while they watch one server."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.environments.credentials import create_credentials
from pipeline.model.ports import Probe, Span, Target
from pipeline.probes.curated import CURATED_METRICS, Reduction
from pipeline.probes.prometheus import select_lines
from pipeline.probes.registry import default_probes, opt_in_probes

_RUNS = 9
_WATCHED_S = 20.0
_SERVER_SIZE, _ETCD_SIZE = 2_300_000, 170_000  # bytes, of Milo v0.30.0 with five Projects
_VERBS = ("GET", "LIST", "POST", "PUT", "PATCH", "DELETE")
_BOUNDS = (*(0.005 * 1.5**step for step in range(22)), "+Inf")
_RESOURCES = ("secrets", "configmaps", "projects", "namespaces", "leases", "users")

# All that the probes ask of a server and of etcd: a process of its own, so that only our CPU is
# ours.  A Project comes and goes ten times a second.
_SERVER = """
import itertools, json, ssl, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
text, pair = Path(sys.argv[1]).read_bytes(), sys.argv[2:]
class Handler(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "watch=true" in self.path: return self.watch()
        if self.path == "/metrics": return self.say(text)
        self.say(b'{"count":"9","dbSize":"9","metadata":{"resourceVersion":"1"},"kvs":[]}')
    def do_POST(self): self.do_GET()
    def do_PATCH(self): self.do_GET()
    def say(self, body):
        self.send_response(201 if self.command == "POST" and "configmaps" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def watch(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in itertools.count():
            for kind in ("ADDED", "MODIFIED", "MODIFIED", "DELETED"):
                metadata = {"uid": str(number), "resourceVersion": "2", "managedFields": "x" * 2000}
                event = {"type": kind, "object": {"metadata": metadata, "status": {}}}
                line = json.dumps(event).encode() + b"\\n"
                self.wfile.write(f"{len(line):x}\\r\\n".encode() + line + b"\\r\\n")
            time.sleep(0.1)
    def log_message(self, *arguments): pass
class Server(ThreadingHTTPServer):
    daemon_threads = True
    def handle_error(self, *arguments): pass
server = Server(("127.0.0.1", 0), Handler)
if pair:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


def main(_argv: list[str]) -> None:
    """Print the time of the texts of both servers of a duet, then the CPU of the probes."""
    text = metrics(_SERVER_SIZE)
    seconds = []
    for _ in range(_RUNS):
        began = time.process_time()
        for _arm in range(2):
            select_lines("server", text)
        seconds.append(time.process_time() - began)
    size = f"{len(text) / 1e6:.1f} MB, {text.count(chr(10))} lines"
    print(f"two texts of an API server ({size} each): {statistics.median(seconds):.3f} s")
    with tempfile.TemporaryDirectory() as folder, serve(text, Path(folder)) as target:
        shares = {
            **{name: cpu([probe], target, Path(folder)) for name, probe in opt_in_probes().items()},
            "those that always watch": cpu(default_probes(), target, Path(folder)),
            "all together": cpu(
                [*default_probes(), *opt_in_probes().values()], target, Path(folder)
            ),
        }
    for name, (share, once_s) in shares.items():
        print(f"{name}: {share:.2%} of one core for each arm, and {once_s:.2f} s before and after")


def cpu(probes: Sequence[Probe], target: Target, out: Path) -> tuple[float, float]:
    """Return the share of one core while probes watch, and CPU seconds before and after."""
    came = time.process_time()
    with ExitStack() as stack:
        watches = [stack.enter_context(probe.watch(target, out)) for probe in probes]
        began, began_s = time.time(), time.process_time()
        time.sleep(_WATCHED_S)
        ended, ended_s = time.time(), time.process_time()
        for watch in watches:
            watch.readings(Span(began, ended, (began + 1, began + 2, ended)))
    left = time.process_time()
    return (ended_s - began_s) / (ended - began), began_s - came + left - ended_s


@contextmanager
def serve(text: str, folder: Path) -> Iterator[Target]:
    """Start a server with TLS, and one without that stands for etcd; inside, the target."""
    made = create_credentials(folder / "pki")
    with (
        _start(folder / "server", text, str(made.certificate), str(made.key)) as server,
        _start(folder / "etcd", text[: text.index("\n", _ETCD_SIZE) + 1]) as etcd,
    ):
        yield Target(
            url=f"https://127.0.0.1:{server.port}",
            ca_file=made.ca,
            token_file=made.load_token,
            admin_token_file=made.admin_token,
            processes={"server": server.pid, "etcd": etcd.pid},
            metrics={
                "server": f"https://127.0.0.1:{server.port}/metrics",
                "etcd": f"http://127.0.0.1:{etcd.port}/metrics",
            },
            etcd_url=f"http://127.0.0.1:{etcd.port}",
            check=lambda: None,
        )


class _Process(NamedTuple):
    pid: int
    port: int


@contextmanager
def _start(file: Path, text: str, *pair: str) -> Iterator[_Process]:
    file.write_text(text)
    command = [sys.executable, "-c", _SERVER, str(file), *pair]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield _Process(process.pid, int(process.stdout.readline()))
        finally:
            process.terminate()


def metrics(size: int) -> str:
    """Return a Prometheus text of about as many bytes: what is read, among much that is not."""
    lines = ["# TYPE process_start_time_seconds gauge", "process_start_time_seconds 1.8e+09"]
    lines += ["# TYPE go_memstats_heap_alloc_bytes gauge", "go_memstats_heap_alloc_bytes 1e+08"]
    for family in sorted({one.family for one in CURATED_METRICS}):
        kinds = {one.reduction for one in CURATED_METRICS if one.family == family}
        if kinds & {Reduction.MEAN, Reduction.P99}:
            lines += _histogram(family)
        elif Reduction.COUNT in kinds:
            lines.append(f"# TYPE {family} counter")
            lines += [f"{family}{{{labels}}} 5" for labels in _labels()]
        else:
            lines += [f"# TYPE {family} gauge", f"{family} 5"]
    number, length = 0, sum(map(len, lines)) + len(lines)
    while length < size:
        more = _histogram(f"other_{number}_seconds")
        number, length = number + 1, length + sum(map(len, more)) + len(more)
        lines += more
    return "\n".join(lines) + "\n"


def _labels() -> Iterator[str]:
    for verb in _VERBS:
        for resource in _RESOURCES:
            yield (
                f'code="200",component="apiserver",dry_run="",group="",resource="{resource}",'
                f'scope="resource",subresource="",verb="{verb}",version="v1"'
            )


def _histogram(family: str) -> list[str]:
    lines = [f"# HELP {family} What it is of.", f"# TYPE {family} histogram"]
    for labels in _labels():
        lines += [f'{family}_bucket{{{labels},le="{bound}"}} 40' for bound in _BOUNDS]
        lines += [f"{family}_sum{{{labels}}} 0.25", f"{family}_count{{{labels}}} 40"]
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
