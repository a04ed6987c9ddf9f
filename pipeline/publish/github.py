"""GitHub's REST API, as far as we call it: what is repeated, how long we wait, what an error means.

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

_BROKEN = (500, 502, 503, 504)
_TOO_LONG = re.compile(r"too long|maximum is|maxlength", re.IGNORECASE)
_PERMISSIONS = (
    (r"/check-runs", "checks: write"),
    (r"/issues/(comments/\d+|\d+/comments)$", "pull-requests: write"),
    (r"/issues(/\d+)?$", "issues: write"),
    (r"/pulls(/\d+)?$", "pull-requests: read"),
)


class GoneError(PublishError):
    """What is asked for is not there, or is not there any more."""


class TooLongError(PublishError):
    """GitHub refuses a text because of its length."""


class UnsureError(NetworkError):
    """Nobody knows whether something was created: look before it is asked for again."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How patient we are, in seconds.

    Attributes:
        total: Longest that all waits may take together.
        limited: After GitHub's limit was reached, where it does not say how long; doubles.
        broken: After no answer or a broken one; doubles.
        between: From one change to the next, as GitHub asks for.
        connect: For a connection.
        answer: For each part of an answer.
    """

    total: float = 600.0
    limited: float = 60.0
    broken: float = 2.0
    between: float = 1.0
    connect: float = 5.0
    answer: float = 30.0


@dataclass(slots=True)
class GitHub:
    """One repository, spoken to with one token.

    Attributes:
        api_url: Without a last slash; that of a GitHub Enterprise Server has a path.
        repository: `owner/name`.
        token: Of the workflow; it is in no message.
        version: Of the API, a date.
        waits: See there.
        sleep: Of `time`; another one in tests.
    """

    api_url: str
    repository: str
    token: str = field(repr=False)
    version: str
    waits: Waits = Waits()
    sleep: Callable[[float], None] = time.sleep
    _waited: float = 0.0
    _changed: bool = False

    def get(self, path: str) -> Mapping[str, Any]:
        """Return what is below the repository at a path.

        Raises:
            GoneError: Nothing is.
            PublishError: The token may not see it.
            NetworkError: GitHub does not answer.
        """
        body = self._ask("GET", self._url(path)).body
        if not isinstance(body, dict):
            raise NetworkError(f"GET {self._url(path)}: no object in the answer")
        return body

    def pages(self, path: str, key: str = "", **query: str) -> Iterator[Any]:
        """Yield every entry of a list, page by page, to the last.

        Args:
            path: Below the repository.
            key: Of the list in each page; empty where a page is a list.
            **query: What to ask for.

        Raises:
            PipelineError: As `get`; or a page is not what it should be.
        """
        url = f"{self._url(path)}?{urlencode({'per_page': '100', **query})}"
        while url:
            if urlsplit(url)[:2] != urlsplit(self.api_url)[:2]:
                raise NetworkError(f"{self._url(path)}: the next page is on another host")
            answer = self._ask("GET", url)
            found = answer.body.get(key) if key and isinstance(answer.body, dict) else answer.body
            if not isinstance(found, list):
                raise NetworkError(f"GET {url}: no list in the answer")
            yield from found
            url = answer.next_url

    def create(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (JSON)
        """Create something, and return it.

        Raises:
            UnsureError: It may have been created; some time has passed since.
            TooLongError: See there.
            PublishError: It is refused.
            NetworkError: GitHub does not let us, for longer than we wait.
        """
        answer = self._ask("POST", self._url(path), body)
        if not isinstance(answer.body, dict) or "id" not in answer.body:
            raise UnsureError(f"POST {self._url(path)}: the answer does not say what was created")
        return answer.body

    def replace(self, path: str, body: Mapping[str, Any]) -> None:
        """Change what is there; the same change again changes nothing more.

        Raises:
            PipelineError: As `get` and `create`.
        """
        self._ask("PATCH", self._url(path), body)

    def delete(self, path: str) -> None:
        """Delete something; it is no error that it is gone already.

        Raises:
            PipelineError: As `get`.
        """
        try:
            self._ask("DELETE", self._url(path))
        except GoneError:
            log.info("%s was gone already", path)

    def _url(self, path: str) -> str:
        return f"{self.api_url}/repos/{self.repository}{path}"

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> HttpResponse:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": self.version,
            "User-Agent": "milo-perf",
        }
        broken, limited = self.waits.broken, self.waits.limited
        if method != "GET":
            self._apart()
        while True:
            try:
                answer = http_client.exchange(
                    *(method, url, body),
                    headers=headers,
                    token=self.token,
                    timeout_s=(self.waits.connect, self.waits.answer),
                )
            except NetworkError as error:
                self._wait(broken, str(error))
                if method == "POST":
                    raise UnsureError(str(error)) from error
                broken *= 2
                continue
            if answer.status < 300:
                return answer
            said = f"{method} {url}: {answer.status}{_message(answer)}"
            if _is_limited(answer):
                self._wait(_asked(answer, limited), said)
                limited *= 2
            elif answer.status in _BROKEN:
                self._wait(_asked(answer, broken), said)
                if method == "POST":
                    raise UnsureError(said)
                broken *= 2
            else:
                raise _refused(answer, url, said)

    def _apart(self) -> None:
        """Keep changes apart; not the first one."""
        if self._changed:
            self.sleep(self.waits.between)
        self._changed = True

    def _wait(self, seconds: float, why: str) -> None:
        if self._waited + seconds > self.waits.total:
            raise NetworkError(
                f"{why}; to wait {seconds:.0f} s more is longer than"
                f" {self.waits.total:.0f} s in all",
                hint="run this job again later; nothing is posted twice",
            )
        log.warning("%s; again in %.0f s", why, seconds)
        self._waited += seconds
        self.sleep(seconds)


def _is_limited(answer: HttpResponse) -> bool:
    """Whether we are too fast for GitHub, which then has done nothing."""
    if answer.status == 429:
        return True
    return answer.status == 403 and (
        "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
        or "secondary rate limit" in _message(answer).lower()
    )


def _asked(answer: HttpResponse, otherwise: float) -> float:
    """Return the seconds that GitHub asks to wait."""
    after = answer.headers.get("retry-after", "")
    if re.fullmatch(r"\d{1,9}", after):
        return float(after)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{1,12}", reset):
        return max(1.0, float(reset) - time.time())
    return otherwise


def _message(answer: HttpResponse) -> str:
    """Return what GitHub says is wrong, after a space."""
    if not isinstance(answer.body, dict) or not answer.body.get("message"):
        return ""
    errors = answer.body.get("errors")
    return f" {answer.body['message']}{f': {errors}' if errors else ''}"[:500]


def _refused(answer: HttpResponse, url: str, said: str) -> PipelineError:
    """Return what it means that GitHub refuses something, and what to try."""
    match answer.status:
        case 401:
            found = PublishError(f"{said}: the token is not accepted", hint="is it still valid?")
        case 403:
            hint = "`permissions:` of a job can only shrink what its caller gives; forks read only"
            found = PublishError(f"{said}{_needed(url)}", hint=hint)
        case 404 | 410:
            hint = "a token that may not see something is told that it is not there"
            found = GoneError(said, hint=hint)
        case 422 if _TOO_LONG.search(_message(answer)):
            found = TooLongError(said)
        case 301 | 302 | 307 | 308:
            found = PublishError(f"{said}: the repository has moved", hint="set GITHUB_REPOSITORY")
        case _:
            found = PublishError(said)
    return found


def _needed(url: str) -> str:
    """Return which permission a refused request needs, where we know."""
    path = urlsplit(url).path
    needed = next((what for how, what in _PERMISSIONS if re.search(how, path)), "")
    return f": the job needs the permission `{needed}`" if needed else ""
