"""HTTP: the only module that imports requests."""

from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pipeline.errors import LoadError

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
        LoadError: No answer, or not 2xx.
    """
    return str(_send("GET", url, ca_file, token, None).text)


def content(url: str, *, ca_file: Path | None = None, token: str = "") -> bytes:
    """Return the body of a GET that is not text.

    Raises:
        LoadError: No answer, or not 2xx.
    """
    return bytes(_send("GET", url, ca_file, token, None).content)


def call(
    method: str, url: str, body: object = None, *, ca_file: Path | None = None, token: str = ""
) -> tuple[int, Any]:
    """Send JSON and return the status with the parsed answer; 404 and 409 are answers too.

    Raises:
        LoadError: No answer, another status that is not 2xx, or no JSON in it.
    """
    import requests

    response = _send(method, url, ca_file, token, body)
    try:
        return response.status_code, response.json()
    except requests.JSONDecodeError as error:
        raise LoadError(f"{method} {url}: the answer is not JSON") from error


def _send(method: str, url: str, ca_file: Path | None, token: str, body: object) -> Any:  # noqa: ANN401 (requests is imported late)
    import requests

    fine = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT) if body is not None else ()
    try:
        response = _session().request(
            method, url, json=body, **_options(ca_file, token, _TIMEOUT_S)
        )
    except requests.RequestException as error:
        raise LoadError(f"{method} {url}: no answer: {type(error).__name__}") from error
    if not response.ok and response.status_code not in fine:
        raise LoadError(f"{method} {url}: {response.status_code}: {response.text[:300].strip()}")
    return response


@cache
def _session() -> Any:  # noqa: ANN401 (requests is imported late)
    import requests

    session = requests.Session()
    session.trust_env = False  # a proxy or a .netrc of the user has no part in a measurement
    return session


def _options(ca_file: Path | None, token: str, timeout_s: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verify = str(ca_file) if ca_file else True
    return {"headers": headers, "timeout": timeout_s, "verify": verify}
