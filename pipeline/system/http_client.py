"""HTTP: the only module that imports requests or http.client."""

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

_TIMEOUT_S = 10.0


def answers(url: str, *, ca_file: Path | None = None, token: str = "") -> bool:
    """Return whether a GET is answered with 2xx."""
    import requests

    try:
        return bool(_session().get(url, **_options(ca_file, token, 2.0)).ok)
    except requests.RequestException:
        return False


def text(url: str, *, ca_file: Path | None = None, token: str = "") -> str:
    """Return the body of a GET.

    Raises:
        NetworkError: No answer, or not 2xx.
    """
    return str(_send("GET", url, ca_file, token, None).text)


def content(url: str, *, ca_file: Path | None = None, token: str = "") -> bytes:
    """Return the body of a GET that is not text.

    Raises:
        NetworkError: No answer, or not 2xx.
    """
    return bytes(_send("GET", url, ca_file, token, None).content)


def call(
    method: str, url: str, body: object = None, *, ca_file: Path | None = None, token: str = ""
) -> tuple[int, Any]:
    """Send JSON and return the status with the parsed answer; 404 and 409 are answers too.

    Raises:
        NetworkError: No answer, another status that is not 2xx, or no JSON in it.
    """
    import requests

    response = _send(method, url, ca_file, token, body)
    try:
        return response.status_code, response.json()
    except (requests.JSONDecodeError, RecursionError) as error:
        raise NetworkError(f"{method} {url}: the answer is not JSON") from error


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a service on the internet answered, whatever its status.

    Attributes:
        status: Of HTTP.
        headers: By name in small letters.
        body: Parsed JSON; None where there is none.
        next_url: Of the page after this one, from `Link`; empty at the last.
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
    """Send JSON to a service on the internet, and return whatever it answers.

    The proxy of the environment is used.  A GET follows redirects; the token stays with the host
    that was asked.

    Args:
        method: Of HTTP.
        url: With its query.
        body: To send as JSON; None for none.
        headers: To send.
        token: Bearer token; it is in no message.
        timeout_s: Longest wait for a connection, and for a part of the answer.

    Raises:
        NetworkError: No answer, so that it is not known whether anything was done.
    """
    import requests

    def authorized(request: Any) -> Any:  # noqa: ANN401 (requests is imported late)
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    try:
        with requests.Session() as session:  # of its own: this one may use a proxy
            response = session.request(
                method,
                url,
                json=body,
                headers=dict(headers),
                auth=authorized,  # also keeps a .netrc of the user away
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
    """One connection to one server, kept open, for one thread; only `stop` is for any.

    It costs a tenth of what a request of the functions above costs, so it is for what is asked
    many times a second or comes as a stream.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        token: str = "",
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        """Open nothing yet.

        Args:
            url: Base URL, without a path.
            ca_file: PEM file of the authority that signed the server's certificate.
            token: Bearer token, or empty.
            timeout_s: Longest wait for a part of an answer.

        Raises:
            StorageError: The PEM file cannot be read.
        """
        parts = urlsplit(url)
        self._url = url
        self._timeout_s = timeout_s
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
        """Return the status and the body of an answer.

        Raises:
            NetworkError: No answer in time, or the connection was stopped.
        """
        status = self._begin(method, path, body, content_type)
        try:
            return status, self._answer().read()
        except (OSError, HTTPException) as error:
            raise self._broken(path, error) from error

    def begin(self, path: str) -> int:
        """Ask for a stream and return the status; its lines are still to come.

        Raises:
            NetworkError: No answer in time, or the connection was stopped.
        """
        status = self._begin("GET", path, "", "")
        if self._sock:
            self._sock.settimeout(None)  # a stream may be silent as long as it likes
        return status

    def lines(self) -> Iterator[bytes]:
        """Yield each line of the stream as it comes, until the server ends it or it is stopped.

        Raises:
            NetworkError: The connection broke.
        """
        try:
            while line := self._answer().readline():
                yield line
        except (OSError, HTTPException, ValueError) as error:
            if not self._stopped.is_set():
                raise self._broken("stream", error) from error

    def stop(self) -> None:
        """End a stream, and whatever is waited for, at once; nothing can be asked any more."""
        self._stopped.set()
        if self._sock:
            with suppress(OSError):  # it may be closed already
                # The socket's own: that of TLS would forget the state that a reader is using.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._http.close()

    def _begin(self, method: str, path: str, body: str, content_type: str) -> int:
        kept_open = self._http.sock is not None
        try:
            try:
                return self._send(method, path, body, content_type)
            except ConnectionError:
                # A server may close a connection that it kept open.
                if not kept_open or self._stopped.is_set():
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
            raise HTTPException("nothing was asked")
        return self._response

    def _broken(self, path: str, error: Exception) -> NetworkError:
        self._http.close()
        return NetworkError(f"{self._url}{path}: no answer: {type(error).__name__}")


def _send(method: str, url: str, ca_file: Path | None, token: str, body: object) -> Any:  # noqa: ANN401 (requests is imported late)
    import requests

    fine = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT) if body is not None else ()
    try:
        response = _session().request(
            method, url, json=body, **_options(ca_file, token, _TIMEOUT_S)
        )
    except requests.Timeout as error:
        raise NetworkError(f"{method} {url}: no answer in {_TIMEOUT_S:g} s") from error
    except requests.RequestException as error:
        raise NetworkError(f"{method} {url}: no answer: {type(error).__name__}") from error
    if not response.ok and response.status_code not in fine:
        raise NetworkError(f"{method} {url}: {response.status_code}: {response.text[:300].strip()}")
    return response


@cache
def _session() -> Any:  # noqa: ANN401 (requests is imported late)
    import requests

    session = requests.Session()
    session.trust_env = False  # a proxy or a .netrc of the user has no part in a measurement
    session.headers["Accept-Encoding"] = "identity"  # compressing would cost the server CPU
    return session


def _options(ca_file: Path | None, token: str, timeout_s: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verify = str(ca_file) if ca_file else True
    return {"headers": headers, "timeout": timeout_s, "verify": verify}
