"""The event that started a workflow: which commit, of which repository, in which run.

GitHub writes the event and the runner's variables, so they can be trusted; but branch names in them
are chosen by anybody.

Not every event names the commit that was measured.  A workflow that a comment starts runs on the
default branch, and GITHUB_SHA is that branch's last commit whatever was measured.  Such an event
has no commit here, so that nothing is published on a commit that nobody measured.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipeline.model.publication import Origin
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import printable, truncate

_SHA = r"^[0-9a-f]{40,64}$"
_COMMIT_EVENTS = (
    *("pull_request", "pull_request_target"),
    *("pull_request_review", "pull_request_review_comment"),
    *("push", "merge_group", "create", "release", "schedule", "workflow_dispatch"),
)
"""Events whose workflow runs on the commit of the event; all others run on the default branch.

Source: GitHub Docs, "Events that trigger workflows", column GITHUB_SHA.
"""

_COMMON_KEYS = frozenset({"repository", "sender", "organization", "enterprise", "installation"})
"""Keys of every event.  A body without other keys is no event: somebody else set GITHUB_SHA."""

_COMMIT_KEYS = frozenset({"after", "merge_group", "master_branch", "release", "schedule", "inputs"})
_URL = re.compile(r"https?://[^\s<>()\"'\\`]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/(?!\.{1,2}$)[A-Za-z0-9_.-]+")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Runner:
    """The runner of a job, as its environment describes it."""

    variables: Mapping[str, str]

    def __repr__(self) -> str:
        return "Runner(…)"  # the token is in it

    @property
    def token(self) -> str:
        """The token, from GITHUB_TOKEN_FILE or GITHUB_TOKEN.

        Raises:
            ConfigError: There is none, or it cannot stand in a header.
        """
        file = self.get("GITHUB_TOKEN_FILE")
        try:
            token = Path(file).read_text("utf-8").strip() if file else self.get("GITHUB_TOKEN")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"GITHUB_TOKEN_FILE: {file} cannot be read") from error
        if not _TOKEN.fullmatch(token):
            problem = "is not a token" if token else "is not set, so nothing can be sent"
            hint = "in a workflow: `env: {GITHUB_TOKEN: ${{ github.token }}}`; or try --dry-run"
            raise ConfigError(f"GITHUB_TOKEN {problem}", hint=hint)
        return token

    @property
    def repository(self) -> str:
        """The repository as `owner/name`.

        Raises:
            ConfigError: GITHUB_REPOSITORY is not set or malformed.
        """
        name = self.get("GITHUB_REPOSITORY")
        if not _REPOSITORY.fullmatch(name):
            problem = f"`{name}` is not owner/name" if name else "is not set"
            raise ConfigError(f"GITHUB_REPOSITORY {problem}", hint="such as milo-os/milo")
        return name

    @property
    def api_url(self) -> str:
        """The URL of the API without a trailing slash, with the path of an Enterprise Server.

        Raises:
            ConfigError: GITHUB_API_URL is no such URL.
        """
        url = (self.get("GITHUB_API_URL") or "https://api.github.com").rstrip("/")
        try:
            parts = urlsplit(url)
            is_usable = bool(_URL.fullmatch(url) and parts.hostname and parts.port != 0)
        except ValueError:  # a broken address, or no such port
            is_usable = False
        if not is_usable:
            raise ConfigError(
                f"GITHUB_API_URL `{printable(url)}` is no http or https URL",
                hint="such as https://api.github.com",
            )
        return url

    @property
    def run_url(self) -> str:
        """The page of this workflow run; empty outside of one."""
        run = self.get("GITHUB_RUN_ID")
        if not run.isdecimal():
            return ""
        server = (self.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
        return f"{server}/{self.repository}/actions/runs/{run}"

    @property
    def is_in_actions(self) -> bool:
        """Whether the runner obeys workflow commands in the output."""
        return self.get("GITHUB_ACTIONS") == "true"

    def get(self, name: str) -> str:
        """Return a variable; empty if it is not set."""
        return self.variables.get(name, "")

    def number(self, name: str, default: int) -> int:
        """Return a variable as a number."""
        text = self.get(name)
        return int(text) if _NUMBER.fullmatch(text) else default


def current_runner() -> Runner:
    """Return the runner of this process; bytes that are no text are replaced."""
    environment = os.environ.items()
    return Runner({key: os.fsencode(one).decode(errors="replace") for key, one in environment})


def take_runner() -> Runner:
    """Return the runner of this process, and hide its token from programs that are started later.

    A process that measures builds and runs the code of others.
    """
    runner = current_runner()
    for name in ("GITHUB_TOKEN", "GITHUB_TOKEN_FILE"):
        os.environ.pop(name, None)
    return runner


class _Owner(BaseModel):
    login: str


class _Repository(BaseModel):
    id: int
    owner: _Owner
    default_branch: str = ""


class _PullNumber(BaseModel):
    number: int


class _WorkflowRun(BaseModel):
    id: int = 0
    event: str
    head_sha: Annotated[str, Field(pattern=_SHA)]
    head_branch: str | None = None
    head_repository: _Repository | None = None
    html_url: str = ""
    run_number: int = 0
    run_attempt: int = 1
    conclusion: str | None = None
    created_at: AwareDatetime | None = None
    run_started_at: AwareDatetime | None = None
    pull_requests: list[_PullNumber] = []


class _PullHead(BaseModel):
    sha: Annotated[str, Field(pattern=_SHA)]
    ref: str
    repo: _Repository | None = None


class _PullBody(BaseModel):
    number: int
    head: _PullHead
    base: _PullHead | None = None


class _MergeGroup(BaseModel):
    head_sha: Annotated[str, Field(pattern=_SHA)]


class _EventBody(BaseModel):
    model_config = ConfigDict(extra="allow")

    repository: _Repository | None = None
    workflow_run: _WorkflowRun | None = None
    pull_request: _PullBody | None = None
    merge_group: _MergeGroup | None = None
    deleted: bool = False
    inputs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What was measured, and for whom.

    Attributes:
        origin: Commit and links that a reader sees.
        number: Number of the pull request; 0 if the event does not name it.
        head_owner: Owner of the repository of the commit; empty if that is deleted.
        head_branch: Branch of the commit; its author chose it, so it proves nothing.
        head_repository: Id of the repository of the commit; 0 if that is deleted.
        conclusion: Conclusion of the workflow run that measured; empty while it runs.
        run: Id of the workflow run that measured; 0 outside of one.
        started_at: Start of this attempt of the run, UTC; None if the event does not say.
        numbers: Pull requests that GitHub names beside the run; it names none of a fork.
        unknown_commit: Reason why the event does not name the measured commit; None if it does.
    """

    origin: Origin
    is_of_pull: bool = False
    number: int = 0
    head_owner: str = ""
    head_branch: str = ""
    head_repository: int = 0
    conclusion: str = ""
    run: int = 0
    started_at: datetime | None = None
    numbers: frozenset[int] = frozenset()
    unknown_commit: str | None = None

    def require_commit(self) -> None:
        """Check that the event names the commit that was measured.

        Raises:
            ConfigError: The commit is unknown.
        """
        if self.unknown_commit is not None:
            raise ConfigError(
                f"the event does not name the commit that was measured: {self.unknown_commit}",
                hint="measure in a workflow of `pull_request` or `push`, and publish from there or"
                " from a `workflow_run` that follows it",
            )


@dataclass(frozen=True, slots=True)
class ReportLinks:
    """Addresses to link to; one that is not a plain URL is ignored."""

    report: str = ""
    artifact: str = ""


def read_event(path: Path | None, runner: Runner, links: ReportLinks) -> Event:
    """Return the event of a file; without a path that of the runner, or none outside of a workflow.

    Raises:
        ConfigError: The file cannot be read, or is no event.
    """
    named = runner.get("GITHUB_EVENT_PATH")
    file = path or (Path(named) if named else None)
    body = _event_body(file) if file else _EventBody()
    if body.workflow_run:
        return _workflow_run_event(body.workflow_run, body.repository, links)
    name = runner.get("GITHUB_EVENT_NAME") if not path else ""
    return _job_event(body, runner, links, name)


def event_of_pull(pull: Mapping[str, Any], runner: Runner, links: ReportLinks) -> Event:
    """Return an event of a pull request, as GitHub's API describes that.

    Raises:
        ConfigError: GitHub described something else.
    """
    try:
        body = _EventBody.model_validate({"pull_request": pull, "repository": pull["base"]["repo"]})
    except (KeyError, ValidationError) as error:
        raise ConfigError("GitHub's answer does not describe a pull request") from error
    return _job_event(body, runner, links, "pull_request")


def _job_event(body: _EventBody, runner: Runner, links: ReportLinks, name: str) -> Event:
    """Return the event of a job that measured and publishes itself; `name` is GitHub's name."""
    pull = body.pull_request
    head = pull.head if pull else None
    unknown = None if head else _unknown_commit(body, name)
    sha = body.merge_group.head_sha if body.merge_group else runner.get("GITHUB_SHA")
    is_known = unknown is None and re.fullmatch(_SHA, sha) is not None
    own_id = body.repository.id if body.repository else 0
    origin = Origin(
        head_sha=head.sha if head else sha if is_known else "",
        run_url=runner.run_url,
        run_number=runner.number("GITHUB_RUN_NUMBER", 0),
        attempt=runner.number("GITHUB_RUN_ATTEMPT", 1),
        report_url=_url(links.report),
        artifact_url=_url(links.artifact),
        is_fork=head is not None and (head.repo is None or head.repo.id != own_id),
        base=pull.base.ref if pull and pull.base else "",
        base_sha=pull.base.sha if pull and pull.base else "",
    )
    run = runner.number("GITHUB_RUN_ID", 0)
    if pull is None or head is None:
        return Event(origin, run=run, unknown_commit=unknown)
    return Event(
        origin=origin,
        is_of_pull=True,
        number=pull.number,
        head_owner=head.repo.owner.login if head.repo else "",
        head_branch=head.ref,
        head_repository=head.repo.id if head.repo else 0,
        run=run,
    )


def _workflow_run_event(run: _WorkflowRun, own: _Repository | None, links: ReportLinks) -> Event:
    repository = run.head_repository
    unknown = _unknown_commit_of_run(run, own)
    origin = Origin(
        head_sha=run.head_sha if unknown is None else "",
        run_url=_url(run.html_url),
        run_number=run.run_number,
        attempt=run.run_attempt,
        report_url=_url(links.report),
        artifact_url=_url(links.artifact),
        is_fork=repository is None or repository.id != (own.id if own else 0),
    )
    return Event(
        origin=origin,
        is_of_pull=run.event in ("pull_request", "pull_request_target"),
        head_owner=repository.owner.login if repository else "",
        head_branch=run.head_branch or "",
        head_repository=repository.id if repository else 0,
        conclusion=run.conclusion or "",
        run=run.id or run.run_number,
        started_at=run.run_started_at or run.created_at,
        numbers=frozenset(pull.number for pull in run.pull_requests),
        unknown_commit=unknown,
    )


def _url(text: str) -> str:
    """Return a URL that can stand in Markdown; empty for anything else."""
    return text if _URL.fullmatch(text) else ""


def _unknown_commit(body: _EventBody, name: str) -> str | None:
    """Return why a job's commit need not be the measured one; None if it is.

    `name` is GitHub's name of the event; empty if only its body is known.
    """
    keys = body.model_fields_set | set(body.model_extra or {})
    if name and name not in _COMMIT_EVENTS:
        return f"a workflow of `{name}` runs on the default branch"
    if body.deleted:
        return "a branch was deleted, and the workflow runs on the default branch"
    if "inputs" in keys and any(body.inputs.values() if body.inputs else ()):
        return "`workflow_dispatch` has inputs, which may ask for any commit"
    if name or keys <= _COMMON_KEYS or keys & _COMMIT_KEYS:
        return None
    names = truncate(", ".join(sorted(keys - _COMMON_KEYS - {"action"})), 60)
    return f"an event with `{names}` starts its workflow on the default branch"


def _unknown_commit_of_run(run: _WorkflowRun, repository: _Repository | None) -> str | None:
    """Return why the commit of a workflow run need not be the measured one; None if it is."""
    if run.event not in _COMMIT_EVENTS:
        return (
            f"its workflow was started by `{printable(run.event)}`, and ran on the default branch"
        )
    default = repository.default_branch if repository else ""
    if run.event == "workflow_dispatch" and default and run.head_branch == default:
        return "its workflow was started by hand on the default branch, maybe for another commit"
    return None


def _event_body(path: Path) -> _EventBody:
    hint = "it is the JSON file that GITHUB_EVENT_PATH names in a workflow"
    try:
        return _EventBody.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(
            f"{path}: the event cannot be read: {error.strerror}", hint=hint
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{where}: {first['msg']}" if where else "it is no JSON object"
        raise ConfigError(f"{path}: not an event: {why}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: the event is not JSON", hint=hint) from error
