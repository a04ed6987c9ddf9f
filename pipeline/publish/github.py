"""Call GitHub's REST API, with retries, waits and errors that say what to do.

Source:
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from pipeline.system import http_client
from pipeline.system.errors import NetworkError, PipelineError, PublishError
from pipeline.system.http_client import HttpResponse
from pipeline.system.log import log

_SERVER_ERRORS = (500, 502, 503, 504)
_TOO_LONG = re.compile(r"too long|maximum is|maxlength", re.IGNORECASE)
_LIMITED = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_PERMISSIONS = (
    (r"/check-runs", "checks: write"),
    (r"/issues/(comments/\d+|\d+/comments)$", "pull-requests: write"),
    (r"/issues(/\d+)?$", "issues: write"),
    (r"/pulls(/\d+)?$", "pull-requests: read"),
)


class GoneError(PublishError):
    """The requested object does not exist, or no longer."""


class TooLongError(PublishError):
    """GitHub refuses a text because it is too long."""


class UnsureError(NetworkError):
    """It is unknown whether an object was created: check before creating it again."""


@dataclass(frozen=True, slots=True)
class RetryDelays:
    """Delays and timeouts in seconds.

    Attributes:
        total: Longest time of all delays together.
        limited: Delay after reaching GitHub's rate limit, unless it names one; doubles.
        broken: Delay after no answer or a server error; doubles.
        between: Delay between two changes, which GitHub asks for.
        answer: Timeout of each part of an answer.
    """

    total: float = 600.0
    limited: float = 60.0
    broken: float = 2.0
    between: float = 1.0
    connect: float = 5.0
    answer: float = 30.0


@dataclass(slots=True)
class GitHub:
    """A repository on GitHub, with a token.

    Every call raises a PipelineError if GitHub does not answer or refuses.

    Attributes:
        api_url: URL without a trailing slash; on GitHub Enterprise Server it has a path.
        token: Token of the workflow; it appears in no message.
        version: Version of the API, a date.
    """

    api_url: str
    repository: str
    token: str = field(repr=False)
    version: str
    delays: RetryDelays = RetryDelays()
    sleep: Callable[[float], None] = time.sleep
    _waited: float = 0.0
    _changed: bool = False

    def get(self, path: str) -> Mapping[str, Any]:
        """Return the object at a path below the repository.

        Raises:
            GoneError: There is none.
        """
        body = self._request("GET", self._url(path)).body
        if not isinstance(body, dict):
            raise NetworkError(f"GET {self._url(path)}: no object in the answer")
        return body

    def pages(self, path: str, key: str = "", **query: str) -> Iterator[Any]:
        """Yield every entry of a list, page by page; `key` is that of the list in a page."""
        url = f"{self._url(path)}?{urlencode({'per_page': '100', **query})}"
        while url:
            if urlsplit(url)[:2] != urlsplit(self.api_url)[:2]:
                raise NetworkError(f"{self._url(path)}: the next page is on another host")
            answer = self._request("GET", url)
            entries = answer.body.get(key) if key and isinstance(answer.body, dict) else answer.body
            if not (isinstance(entries, list) and all(isinstance(one, dict) for one in entries)):
                raise NetworkError(f"GET {url}: no list of objects in the answer")
            yield from entries
            url = answer.next_url

    def create(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (JSON)
        """Create an object, and return it.

        Raises:
            UnsureError: The object may have been created; a delay has passed since.
            TooLongError: A text is too long.
        """
        answer = self._request("POST", self._url(path), body)
        if not isinstance(answer.body, dict) or "id" not in answer.body:
            raise UnsureError(
                f"POST {self._url(path)}: the answer does not name the created object"
            )
        return answer.body

    def replace(self, path: str, body: Mapping[str, Any]) -> None:
        """Change an object; a repeated change has no effect."""
        self._request("PATCH", self._url(path), body)

    def delete(self, path: str) -> None:
        """Delete an object; it may be deleted already."""
        try:
            self._request("DELETE", self._url(path))
        except GoneError:
            log.info("%s was deleted already", path)

    def _url(self, path: str) -> str:
        return f"{self.api_url}/repos/{self.repository}{path}"

    def _request(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": self.version,
            "User-Agent": "milo-perf",
        }
        broken, limited = self.delays.broken, self.delays.limited
        if method != "GET":
            if self._changed:
                self.sleep(self.delays.between)
            self._changed = True
        while True:
            try:
                answer = http_client.exchange(
                    *(method, url, body),
                    headers=headers,
                    token=self.token,
                    timeout_s=(self.delays.connect, self.delays.answer),
                )
            except NetworkError as error:
                self._wait(broken, str(error))
                if method == "POST":
                    raise UnsureError(str(error)) from error
                broken *= 2
                continue
            if answer.status < 300:
                return answer
            problem = f"{method} {url}: {answer.status}{_message(answer)}"
            if _is_limited(answer):
                self._wait(_retry_delay(answer, limited), problem)
                limited *= 2
            elif answer.status in _SERVER_ERRORS:
                self._wait(_retry_delay(answer, broken), problem)
                if method == "POST":
                    raise UnsureError(problem)
                broken *= 2
            else:
                raise _error_for(answer, url, problem)

    def _wait(self, seconds: float, why: str) -> None:
        if self._waited + seconds > self.delays.total:
            raise NetworkError(
                f"{why}; gave up, because another {seconds:.0f} s would exceed the limit of"
                f" {self.delays.total:.0f} s",
                hint="run this job again later; nothing is posted twice",
            )
        log.warning("%s; retrying in %.0f s", why, seconds)
        self._waited += seconds
        self.sleep(seconds)


def _is_limited(answer: HttpResponse) -> bool:
    """Return whether GitHub refused the request because of its rate limit."""
    if answer.status == 429:
        return True
    return answer.status == 403 and (
        "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
        or bool(_LIMITED.search(_message(answer)))
    )


def _retry_delay(answer: HttpResponse, default: float) -> float:
    """Return the delay that GitHub asks for, in seconds.

    A limit that was to end in the past, by a clock that is wrong, has the default delay.
    """
    after = answer.headers.get("retry-after", "")
    if re.fullmatch(r"\d{1,9}", after):
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{1,12}", reset):
        left_s = float(reset) - time.time()
        return max(1.0, left_s) if left_s > 0 else default
    return default


def _message(answer: HttpResponse) -> str:
    """Return GitHub's error message after a space."""
    if not isinstance(answer.body, dict) or not answer.body.get("message"):
        return ""
    errors = answer.body.get("errors")
    return f" {answer.body['message']}{f': {errors}' if errors else ''}"[:500]


def _error_for(answer: HttpResponse, url: str, problem: str) -> PipelineError:
    """Return the error for a refused request, with a hint."""
    match answer.status:
        case 401:
            return PublishError(f"{problem}: the token is not accepted", hint="is it still valid?")
        case 403:
            hint = (
                "a job's `permissions:` can only reduce its caller's; workflows of forks only read"
            )
            return PublishError(f"{problem}{_missing_permission(url)}", hint=hint)
        case 404 | 410:
            hint = "GitHub also answers so if the token may not see the object"
            return GoneError(problem, hint=hint)
        case 422 if _TOO_LONG.search(_message(answer)):
            return TooLongError(problem)
        case 301 | 302 | 307 | 308:
            return PublishError(
                f"{problem}: the repository has moved", hint="set GITHUB_REPOSITORY"
            )
        case _:
            return PublishError(problem)


def _missing_permission(url: str) -> str:
    """Return the permission that a refused request needs; empty if unknown."""
    path = urlsplit(url).path
    permission = next((name for pattern, name in _PERMISSIONS if re.search(pattern, path)), "")
    return f": the job needs the permission `{permission}`" if permission else ""
