"""Targets and servers on loopback, for probes."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline.model.ports import Target
from pipeline.model.results import Reading
from pipeline.probes.names import reading_names
from pipeline.probes.registry import OPT_IN_PROBES

NOWHERE = Path("/nonexistent")


def target(
    url: str = "",
    *,
    pid: int = 0,
    metrics: Mapping[str, str] | None = None,
    etcd_url: str | None = None,
) -> Target:
    """Return a target at one URL, whose only process is this or that one."""
    return Target(
        url=url,
        ca_file=NOWHERE,
        token_file=NOWHERE,
        admin_token_file=NOWHERE,
        processes={"server": pid} if pid else {},
        metrics=({"etcd": f"{url}/metrics"} if url else {}) if metrics is None else metrics,
        etcd_url=url if etcd_url is None else etcd_url,
        check=lambda: None,
    )


class Request(BaseHTTPRequestHandler):
    """One request, its body read."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms
    answer: Callable[["Request", bytes], object]

    def answered(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).answer(self, body)

    def say(self, body: str | bytes, status: int = 200) -> None:
        """Answer at once, with a body."""
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Request, f"do_{_method}", Request.answered)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that goes away in the middle is what some tests are about


@contextmanager
def answering(
    answer: Callable[[Request, bytes], object],
    wrap: Callable[[ThreadingHTTPServer], None] | None = None,
) -> Iterator[str]:
    """Serve on loopback, with TLS where `wrap` puts it there; inside, the base URL."""
    handler = type("Handler", (Request,), {"answer": staticmethod(answer)})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.block_on_close = False
        if wrap:
            wrap(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'s' if wrap else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving(*answers: str) -> Iterator[str]:
    """Answer each request with the next body, the last one again and again."""
    left = list(answers)
    with answering(lambda one, _: one.say(left.pop(0) if len(left) > 1 else left[0])) as url:
        yield url


def values(readings: tuple[Reading, ...]) -> dict[str, float]:
    """Return the value of each reading by its name, each name once."""
    found = {reading.name: reading.value for reading in readings}
    assert len(found) == len(readings)
    return found


def probe_values(readings: tuple[Reading, ...]) -> dict[str, float]:
    """Return the value of each reading of a probe, which are all declared, by its name."""
    units = reading_names(OPT_IN_PROBES).units
    assert {reading.name: reading.unit for reading in readings}.items() <= units.items()
    return values(readings)
