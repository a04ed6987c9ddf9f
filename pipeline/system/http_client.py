"""HTTP clients: the only module that imports requests or http.client.

All but `answers` raise NetworkError if there is no answer, or if the connection breaks.
"""

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.system.errors import NetworkError, StorageError
from pipeline.system.sanitize import truncate

_TIMEOUT_S = 10.0
_MAX_REASON = 400  # characters of a server's message


def answers(url: str, *, ca_file: Path | None = None, token: str = "") -> bool:
    """Return True if a GET is answered with 2xx."""
    import requests

    try:
        return bool(_session().get(url, **_options(ca_file, token, 2.0)).ok)
    except requests.RequestException:
        return False


def text(url: str, *, ca_file: Path | None = None, token: str = "") -> str:
    """Return the body of a GET as text, or raise NetworkError if the status is not 2xx."""
    return str(_send("GET", url, ca_file, token, None).text)


def content(url: str, *, ca_file: Path | None = None, token: str = "") -> bytes:
    """Return the body of a GET as bytes, or raise NetworkError if the status is not 2xx."""
    return bytes(_send("GET", url, ca_file, token, None).content)


def call(
    method: str, url: str, body: object = None, *, ca_file: Path | None = None, token: str = ""
) -> tuple[int, Any]:
    """Send JSON; return the status and the parsed body.

    With a body, 409 is no error: it is there.  Nor is 404 of a DELETE: it is gone.

    Another status that is not 2xx is a NetworkError with the server's message, and so is an answer
    that is not JSON.
    """
    import requests

    response = _send(method, url, ca_file, token, body)
    try:
        return response.status_code, response.json()
    except (requests.JSONDecodeError, RecursionError) as error:
        raise NetworkError(f"{method} {url}: the answer is not JSON") from error


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Response of a service on the internet, with any status.

    Names of headers are in lower case.  The body is None without JSON; `next_url` is empty on the
    last page.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    next_url: str


def exchange(
    method: str,
    url: str,
    body: object = None,
    *,
    headers: Mapping[str, str],
    token: str,
    timeout_s: tuple[float, float],
) -> HttpResponse:
    """Send JSON to a service on the internet, and return its response.

    The proxy of the environment is used.  A GET follows redirects; the token is sent to the first
    host only, and is in no message.  The timeouts are those of the connection and of each part of
    the response.
    """
    import requests

    def authorize(request: Any) -> Any:  # noqa: ANN401 (requests is imported late)
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    try:
        with requests.Session() as session:  # not the shared one: this may use a proxy
            response = session.request(
                method,
                url,
                json=body,
                headers=dict(headers),
                auth=authorize,  # also disables .netrc
                timeout=timeout_s,
                allow_redirects=method == "GET",
            )
    except requests.RequestException as error:
        kind = type(error).__name__
        raise NetworkError(f"{method} {url}: no answer: {kind}") from None
    try:
        parsed = response.json() if response.content else None
    except (requests.JSONDecodeError, RecursionError):
        parsed = None
    return HttpResponse(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=parsed,
        next_url=str(response.links.get("next", {}).get("url", "")),
    )


class ServerConnection:
    """A keep-alive connection to one server, for one thread; `stop` may be called from any.

    A request costs a tenth of the functions above, so it is for frequent requests and streams.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        token: str = "",
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        """Prepare a connection; the first request opens it.  Each part of a response may time out.

        Raises:
            StorageError: The CA file cannot be read.
        """
        parts = urlsplit(url)
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._response: HTTPResponse | None = None
        self._sock: socket.socket | None = None
        self._stopped = threading.Event()
        host = parts.netloc
        if parts.scheme != "https":
            self._http = HTTPConnection(host, timeout=timeout_s)
            return
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise StorageError(f"{ca_file}: not an authority: {error}") from error
        self._http = HTTPSConnection(host, timeout=timeout_s, context=context)

    def ask(
        self, method: str, path: str, body: str = "", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send a request; return the status and the body."""
        status = self._begin(method, path, body, content_type)
        try:
            return status, self._answer().read()
        except (OSError, HTTPException) as error:
            raise self._broken(path, error) from error

    def download(self, path: str, limit: int) -> tuple[int, bytes]:
        """Send a GET; return the status and at most `limit` + 1 bytes of the body.

        A longer body is not read any further, and the connection is closed.
        """
        status = self._begin("GET", path, "", "")
        try:
            body = self._answer().read(limit + 1)
        except (OSError, HTTPException) as error:
            raise self._broken(path, error) from error
        if len(body) > limit:
            self._http.close()
        return status, body

    def begin(self, path: str) -> int:
        """Open a stream and return the status; `lines` returns its content."""
        status = self._begin("GET", path, "", "")
        if self._sock:
            self._sock.settimeout(None)  # a stream may be silent for any time
        return status

    def lines(self) -> Iterator[bytes]:
        """Yield each line of the stream until the server ends it or `stop` is called."""
        try:
            while line := self._answer().readline():
                yield line
        except (OSError, HTTPException, ValueError) as error:
            if not self._stopped.is_set():
                raise self._broken("stream", error) from error

    def stop(self) -> None:
        """End the stream or request that is running; no further request is possible."""
        self._stopped.set()
        if self._sock:
            with suppress(OSError):  # it may be closed already
                # Not the method of TLS, which would drop state that a reader still uses.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._http.close()

    def _begin(self, method: str, path: str, body: str, content_type: str) -> int:
        was_open = self._http.sock is not None
        try:
            try:
                return self._send(method, path, body, content_type)
            except ConnectionError:
                # A server may close an idle connection: try again with a new one.
                if not was_open or self._stopped.is_set():
                    raise
                self._http.close()
                return self._send(method, path, body, content_type)
        except (OSError, HTTPException) as error:
            raise self._broken(path, error) from error

    def _send(self, method: str, path: str, body: str, content_type: str) -> int:
        if self._http.sock is None:
            self._http.connect()
        self._sock = self._http.sock
        if self._stopped.is_set():
            raise ConnectionAbortedError
        headers = {**self._headers, **({"Content-Type": content_type} if body else {})}
        self._http.request(method, path, body.encode() or None, headers)
        self._response = self._http.getresponse()
        return self._response.status

    def _answer(self) -> HTTPResponse:
        if self._response is None:
            raise HTTPException("there was no request")
        return self._response

    def _broken(self, path: str, error: Exception) -> NetworkError:
        self._http.close()
        return NetworkError(f"{self._url}{path}: no answer: {type(error).__name__}")


def _send(method: str, url: str, ca_file: Path | None, token: str, body: object) -> Any:  # noqa: ANN401 (requests is imported late)
    import requests

    accepted = [HTTPStatus.CONFLICT] if body is not None else []
    accepted += [HTTPStatus.NOT_FOUND] if method == "DELETE" else []
    try:
        response = _session().request(
            method, url, json=body, **_options(ca_file, token, _TIMEOUT_S)
        )
    except requests.Timeout as error:
        raise NetworkError(f"{method} {url}: no answer in {_TIMEOUT_S:g} s") from error
    except requests.RequestException as error:
        raise NetworkError(f"{method} {url}: no answer: {type(error).__name__}") from error
    if not response.ok and response.status_code not in accepted:
        raise NetworkError(f"{method} {url}: {response.status_code}: {_reason(response)}")
    return response


def _reason(response: Any) -> str:  # noqa: ANN401 (requests is imported late)
    """Return the message of a Kubernetes Status, or the beginning of another answer."""
    try:
        message = response.json()["message"]
    except (KeyError, RecursionError, TypeError, ValueError):
        message = response.text
    return truncate(str(message).strip(), _MAX_REASON)


@cache
def _session() -> Any:  # noqa: ANN401 (requests is imported late)
    import requests

    session = requests.Session()
    session.trust_env = False  # no proxy and no .netrc: they would change the measurement
    session.headers["Accept-Encoding"] = "identity"  # compression would cost the server CPU
    return session


def _options(ca_file: Path | None, token: str, timeout_s: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verify = str(ca_file) if ca_file else True
    return {"headers": headers, "timeout": timeout_s, "verify": verify}
