"""A GitHub on loopback: it keeps what it is sent, and breaks when it is told to.

Every request and every answer that GitHub's OpenAPI file describes is checked against it.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.github.answers import BOT, TOO_LONG, app, refusal, user
from tests.github.described import complaint, instance
from tests.loopback import Request, answering

REPOSITORY, REPOSITORY_ID = "milo-os/milo", 1000
LONGEST = 65_536  # characters of a comment
BASE = "9f8e7d6c" * 5  # commit that pull requests are for
_PREFIX = "/api/v3"  # as on a GitHub Enterprise Server
_Answer = tuple[int, Any]


@dataclass
class Fault:
    """Something that goes wrong with the next requests that fit.

    Attributes:
        fits: Searched in `METHOD /path`.
        how: `broken after`, `lost after`, `slow`, `moved`, or one of `refusal`.
        times: How often.
        seconds: Of `slow`; or what `limited` asks to wait.
    """

    fits: str
    how: str
    times: int = 1
    seconds: int = 0


@dataclass
class GitHub:
    """The state of one repository.

    Attributes:
        pulls: By number.
        files: That a pull request changes, by its number.
        comments: By id.
        checks: By id.
        issues: By number.
        faults: To come, in order.
        asked: Every request as `METHOD /path`, in order.
        complaints: What does not fit GitHub's description.
        elsewhere: Where `moved` leads.
        before: Called with `METHOD /path` before a request has its effect.
        page: Entries on a page, at most.
    """

    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    checks: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    elsewhere: str = ""
    before: Callable[[str], None] = lambda _: None
    page: int = 100
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 100

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; inside, the base URL of the API, which has a path."""
        with answering(self._answer) as url:
            yield url + _PREFIX

    def writes(self) -> list[str]:
        """Return the requests that change something."""
        return [one for one in self.asked if not one.startswith("GET ")]

    def add_pull(
        self, number: int, sha: str, *, repository: int = 2000, base: str = "main", **parts: object
    ) -> None:
        """Open a pull request, of a fork unless the repository is ours."""
        repo = instance("repository", id=repository, owner=user("mallory"))
        head = {"sha": sha, "repo": repo, "ref": "main"}
        self.pulls[number] = instance(
            "pull-request",
            **{"number": number, "head": head, "state": "open", **parts},
            base={"ref": base, "sha": BASE},
        )

    def change(self, number: int, *names: str, **parts: object) -> None:
        """Let a pull request change files."""
        changed = [instance("diff-entry", filename=name, **parts) for name in names]
        self.files.setdefault(number, []).extend(changed)

    def add_comment(self, number: int, body: str, login: str = BOT) -> int:
        """Write a comment as somebody, and return its id."""
        self._last += 1
        where = {"issue_url": f"https://github.example/issues/{number}"}
        self.comments[self._last] = instance(
            "issue-comment", id=self._last, body=body, user=user(login), **where
        )
        return self._last

    def bodies(self, login: str = BOT) -> list[str]:
        """Return the comments of somebody."""
        return [c["body"] for c in self.comments.values() if c["user"]["login"] == login]

    def _answer(self, request: Request, body: bytes) -> None:
        parts = urlsplit(request.path)
        path, method = parts.path.removeprefix(_PREFIX), request.command
        asked = f"{method} {path}"
        self.asked.append(asked)
        fault = self._fault(asked)
        if fault == "moved":
            _say(request, 301, {"message": "Moved"}, {"Location": self.elsewhere})
            return
        early = refusal(fault)
        if early:
            _say(request, *early)
            return
        self.before(asked)
        if not request.headers.get("X-GitHub-Api-Version"):
            self.complaints.append(f"{asked}: no version of the API")
        if request.headers.get("Authorization") != "Bearer secret-token":
            _say(request, 401, {"message": "Bad credentials"})
            return
        wrong = complaint(method, path, parts.query, body)
        if wrong:
            self.complaints.append(wrong)
            _say(request, 422, {"message": "Validation Failed", "errors": [wrong]})
            return
        with self._lock:
            status, found = self._done(method, path, parts.query, json.loads(body or b"{}"))
        if fault == "broken after":
            _say(request, 502, {"message": "Server Error"})
        elif fault == "lost after":
            request.close_connection = True
        else:
            self._described(request, body, status, found)

    def _described(self, request: Request, body: bytes, status: int, found: Any) -> None:  # noqa: ANN401 (JSON)
        parts = urlsplit(request.path)
        headers: dict[str, str] = {}
        if isinstance(found, list) or (isinstance(found, dict) and "check_runs" in found):
            found, headers = self._page(request, found)
        path = parts.path.removeprefix(_PREFIX)
        answer = b"" if found is None else json.dumps(found).encode()
        args = (request.command, path, parts.query, body)
        is_gone = any(pull["head"]["repo"] is None for pull in self.pulls.values())  # undescribed
        if not is_gone and (wrong := complaint(*args, status=status, answer=answer)):
            self.complaints.append(f"our own answer: {wrong}")
        _say(request, status, found, headers)

    def _page(self, request: Request, found: Any) -> tuple[Any, dict[str, str]]:  # noqa: ANN401 (JSON)
        """Return a page of a list, and the header that links to the next one."""
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        size, number = min(self.page, int(query.get("per_page", 30))), int(query.get("page", 1))
        every = found if isinstance(found, list) else found["check_runs"]
        shown = every[(number - 1) * size : number * size]
        headers = {}
        if number * size < len(every):
            host = request.headers["Host"]
            link = f"http://{host}{parts.path}?per_page={size}&page={number + 1}&opaque=1"
            headers["Link"] = f'<{link}>; rel="next", <{link}>; rel="last"'
        return (shown if isinstance(found, list) else {**found, "check_runs": shown}), headers

    def _fault(self, asked: str) -> str:
        fault = next((f for f in self.faults if re.search(f.fits, asked)), None)
        if fault is None:
            return ""
        fault.times -= 1
        if not fault.times:
            self.faults.remove(fault)
        if fault.how == "slow":
            time.sleep(fault.seconds)
        return f"limited {fault.seconds}" if fault.how == "limited" else fault.how

    def _done(self, method: str, path: str, query: str, body: dict[str, Any]) -> _Answer:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        below = path.removeprefix(f"/repos/{REPOSITORY}")
        for how, shape, route in _ROUTES:
            found = re.fullmatch(shape, below) if how == method else None
            if found:
                return route(self, found[1] if found.groups() else "", {**asked, **body})
        return _GONE

    def list_pulls(self, _: str, asked: dict[str, Any]) -> _Answer:
        """Return pull requests by their branch, as names: two repositories may have the same."""
        branch = asked["head"].partition(":")[2]
        found = [p for p in self.pulls.values() if p["state"] == asked["state"]]
        return 200, [p for p in found if p["head"]["ref"] == branch]

    def get_pull(self, number: str, _: dict[str, Any]) -> _Answer:
        """Return a pull request."""
        found = self.pulls.get(int(number))
        return (200, found) if found else _GONE

    def list_files(self, number: str, _: dict[str, Any]) -> _Answer:
        """Return the files that a pull request changes."""
        return 200, self.files.get(int(number), [])

    def list_comments(self, number: str, _: dict[str, Any]) -> _Answer:
        """Return the comments on an issue or a pull request."""
        where = f"https://github.example/issues/{number}"
        return 200, [c for c in self.comments.values() if c["issue_url"] == where]

    def post_comment(self, number: str, body: dict[str, Any]) -> _Answer:
        """Write a comment as the bot."""
        if len(body["body"]) > LONGEST:
            return TOO_LONG
        return 201, self.comments[self.add_comment(int(number), body["body"])]

    def patch_comment(self, number: str, body: dict[str, Any]) -> _Answer:
        """Replace a comment."""
        comment = self.comments.get(int(number))
        if comment is None or len(body["body"]) > LONGEST:
            return _GONE if comment is None else TOO_LONG
        comment["body"] = body["body"]
        return 200, comment

    def delete_comment(self, number: str, _: dict[str, Any]) -> _Answer:
        """Delete a comment."""
        return (204, None) if self.comments.pop(int(number), None) else _GONE

    def list_checks(self, sha: str, asked: dict[str, Any]) -> _Answer:
        """Return the checks of a commit by their name."""
        found = [
            check
            for check in self.checks.values()
            if check["head_sha"] == sha and check["name"] == asked["check_name"]
        ]
        return 200, {"total_count": len(found), "check_runs": found}

    def put_check(self, number: str, body: dict[str, Any]) -> _Answer:
        """Create a check, or change it."""
        if body["status"] == "completed" and "conclusion" not in body:
            return 422, {"message": "a completed check has a conclusion"}
        self._last += 1
        old = self.checks.get(int(number or 0)) or instance(
            "check-run", id=self._last, app=app(BOT), output={"annotations_count": 0}
        )
        output = dict(body.get("output", {}))
        added = len(output.pop("annotations", ()))  # to those that are there
        count = old["output"]["annotations_count"] + added
        new = {**old, **body, "output": {**old["output"], **output, "annotations_count": count}}
        self.checks[new["id"]] = new
        return (200 if number else 201), new

    def list_issues(self, _: str, asked: dict[str, Any]) -> _Answer:
        """Return issues by their state."""
        return 200, [i for i in self.issues.values() if i["state"] == asked["state"]]

    def put_issue(self, number: str, body: dict[str, Any]) -> _Answer:
        """Open an issue, or change it."""
        which = int(number or len(self.issues) + 1)
        old = self.issues.get(which)
        new = old or instance("issue", number=which, id=which, state="open", user=user(BOT))
        self.issues[which] = {**new, **body}
        return (200 if old else 201), self.issues[which]


_GONE = (404, {"message": "Not Found"})
_ROUTES: tuple[tuple[str, str, Callable[[GitHub, str, dict[str, Any]], _Answer]], ...] = (
    ("GET", r"/pulls", GitHub.list_pulls),
    ("GET", r"/pulls/(\d+)", GitHub.get_pull),
    ("GET", r"/pulls/(\d+)/files", GitHub.list_files),
    ("GET", r"/issues/(\d+)/comments", GitHub.list_comments),
    ("POST", r"/issues/(\d+)/comments", GitHub.post_comment),
    ("PATCH", r"/issues/comments/(\d+)", GitHub.patch_comment),
    ("DELETE", r"/issues/comments/(\d+)", GitHub.delete_comment),
    ("GET", r"/commits/([0-9a-f]+)/check-runs", GitHub.list_checks),
    ("POST", r"/check-runs", GitHub.put_check),
    ("PATCH", r"/check-runs/(\d+)", GitHub.put_check),
    ("GET", r"/issues", GitHub.list_issues),
    ("POST", r"/issues", GitHub.put_issue),
    ("PATCH", r"/issues/(\d+)", GitHub.put_issue),
)


def _say(
    request: Request,
    status: int,
    body: object,
    headers: dict[str, str] | None = None,
) -> None:
    data = b"" if body is None else json.dumps(body).encode()
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Type", "application/json; charset=utf-8")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
