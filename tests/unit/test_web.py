"""A connection is kept, opened anew when the server closed it, and ended at once."""

import ssl
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.environments.credentials import Credentials, create_credentials
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, StorageError
from tests.loopback import NOWHERE, Request, answering


def test_requests_share_a_connection() -> None:
    ports: list[int] = []

    def answer(request: Request, body: bytes) -> None:
        ports.append(request.client_address[1])
        request.say(body.decode(), 201)

    with answering(answer) as url:
        connection = http_client.ServerConnection(url)
        assert [connection.ask("PUT", "/", text) for text in ("a", "b")] == [
            (201, b"a"),
            (201, b"b"),
        ]
        connection.close()

    assert len(set(ports)) == 1


def test_a_connection_that_the_server_closed_is_opened_anew() -> None:
    def answer(request: Request, _body: bytes) -> None:
        request.say("fine")
        request.close_connection = True  # without telling the client

    with answering(answer) as url:
        connection = http_client.ServerConnection(url)
        assert [connection.ask("GET", "/")[0] for _ in range(3)] == [200] * 3
        connection.close()


def test_a_server_that_hangs_is_given_up_after_the_timeout() -> None:
    free = threading.Event()
    with answering(lambda _request, _body: free.wait(20)) as url:
        connection = http_client.ServerConnection(url, timeout_s=0.2)
        began = time.monotonic()
        with pytest.raises(NetworkError, match="no answer: TimeoutError"):
            connection.ask("GET", "/")
        assert time.monotonic() - began < 10  # the server is silent for 20 s
        free.set()


def test_nothing_that_listens_is_an_error() -> None:
    with pytest.raises(NetworkError, match="no answer: ConnectionRefusedError"):
        http_client.ServerConnection("http://127.0.0.1:1").ask("GET", "/")


def test_an_authority_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(StorageError, match="not an authority"):
        http_client.ServerConnection("https://127.0.0.1:1", ca_file=NOWHERE)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_silent_stream_is_stopped_at_once(tmp_path: Path, *, secure: bool) -> None:
    free = threading.Event()

    def stream(request: Request, _body: bytes) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"4\r\none\n\r\n")
        free.wait(20)

    credentials = create_credentials(tmp_path / "pki")
    with answering(stream, wrap=_tls(credentials) if secure else None) as url:
        connection = http_client.ServerConnection(url, ca_file=credentials.ca)
        assert connection.begin("/") == 200
        lines = connection.lines()
        assert next(lines) == b"one\n"
        stopper = threading.Timer(0.1, connection.stop)
        stopper.start()
        began = time.monotonic()
        assert list(lines) == []
        assert time.monotonic() - began < 10  # the server is silent for 20 s
        free.set()
        connection.close()
        with pytest.raises(NetworkError, match="ConnectionAbortedError"):
            connection.ask("GET", "/")
        connection.close()


def _tls(credentials: Credentials) -> Callable[[ThreadingHTTPServer], None]:
    def wrap(server: ThreadingHTTPServer) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(credentials.certificate, credentials.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)

    return wrap
