"""Let a script restart a build: an HTTP endpoint on loopback for each arm."""

import queue
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.model.ports import Target
from pipeline.model.subject import Arm
from pipeline.system import tls

_ANSWER_S = 55.0  # the script waits a little longer


@dataclass(frozen=True, slots=True)
class RestartRequest:
    """A request to restart a build, and the event that is set once that was done."""

    arm: Arm
    done: threading.Event


@dataclass(frozen=True, slots=True)
class RestartEndpoint:
    """Requests of a script, carried out by the thread that calls `handle`.

    Programs must be started from the main thread, and HTTP requests arrive in others.

    Attributes:
        variables: Environment variables of the script: the URL for each arm.
        targets: Targets by arm.
        requests: Requests that were not carried out yet.
    """

    variables: Mapping[str, str]
    targets: Mapping[Arm, Target]
    requests: "queue.SimpleQueue[RestartRequest]"

    def handle(self) -> None:
        """Carry out the requests that wait.

        Raises:
            CommandError: A component could not be started again.
        """
        while not self.requests.empty():
            request = self.requests.get()
            if restart := self.targets[request.arm].restart:
                restart()
                request.done.set()


@contextmanager
def serve_restarts(targets: Mapping[Arm, Target]) -> Iterator[RestartEndpoint]:
    """Yield an endpoint for a POST that restarts the controllers of a target.

    The answer is 200 once the new process was started, see `Target.restart`.

    Args:
        targets: Targets that may be restarted; if there are none, nothing is served.
    """
    requests: queue.SimpleQueue[RestartRequest] = queue.SimpleQueue()
    arms = {f"/{secrets.token_urlsafe()}": arm for arm in targets}
    if not arms:
        yield RestartEndpoint({}, {}, requests)
        return

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = HTTPStatus.NOT_FOUND
            if (arm := arms.get(self.path)) is not None:
                request = RestartRequest(arm, threading.Event())
                requests.put(request)
                is_done = request.done.wait(_ANSWER_S)
                status = HTTPStatus.OK if is_done else HTTPStatus.SERVICE_UNAVAILABLE
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing, because the path is a secret."""

    with ThreadingHTTPServer((tls.ADDRESS, 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, name="restarts", daemon=True)
        thread.start()
        try:
            yield RestartEndpoint(
                {
                    f"{arm.upper()}_RESTART_URL": f"http://{tls.ADDRESS}:{server.server_port}{path}"
                    for path, arm in arms.items()
                },
                targets,
                requests,
            )
        finally:
            server.shutdown()
            thread.join()
