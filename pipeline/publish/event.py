"""The event that a workflow was started by: which commit, of which repository, which run.

GitHub writes it, so it says who is who; but branch names in it are whatever somebody chose.

Not every event names the commit that was measured.  A workflow that a comment starts runs on the
default branch, and GITHUB_SHA is that branch's last commit whatever was measured: such an event has
no commit here, so that nothing is published on a commit that nobody measured.
"""

import json
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipeline.model.publication import Origin
from pipeline.publish.runner import Runner
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import printable, truncate

_SHA = r"^[0-9a-f]{40,64}$"
_PULL = (
    "pull_request",
    "pull_request_target",
    "pull_request_review",
    "pull_request_review_comment",
)
_NAMED = (*_PULL, "push", "merge_group", "create", "release", "schedule", "workflow_dispatch")
"""Events whose workflow runs on the commit that is meant; of all others it is the default branch.

Source: GitHub Docs, "Events that trigger workflows", column GITHUB_SHA.
"""

_COMMON = frozenset({"repository", "sender", "organization", "enterprise", "installation"})
"""Keys of every event; what has no other key is no event, and GITHUB_SHA is somebody's own word."""

_URL = re.compile(r"https?://[^\s<>()\"'\\`]+")


class _Owner(BaseModel):
    login: str


class _Repository(BaseModel):
    id: int
    owner: _Owner
    default_branch: str = ""


class _Numbered(BaseModel):
    number: int


class _Run(BaseModel):
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
    pull_requests: list[_Numbered] = []


class _Head(BaseModel):
    sha: Annotated[str, Field(pattern=_SHA)]
    ref: str
    repo: _Repository | None = None


class _Base(BaseModel):
    sha: Annotated[str, Field(pattern=_SHA)]
    ref: str


class _Pull(BaseModel):
    number: int
    head: _Head
    base: _Base | None = None


class _MergeGroup(BaseModel):
    head_sha: Annotated[str, Field(pattern=_SHA)]


class _Event(BaseModel):
    model_config = ConfigDict(extra="allow")

    repository: _Repository | None = None
    workflow_run: _Run | None = None
    pull_request: _Pull | None = None
    merge_group: _MergeGroup | None = None
    deleted: bool = False
    inputs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What was measured, and for whom.

    Attributes:
        origin: What a reader is told of it.
        is_of_pull: Whether a pull request was measured.
        number: Of the pull request; 0 when the event does not say, as that of a `workflow_run`.
        head_owner: Who owns the repository of the commit; empty when that is gone.
        head_branch: Chosen by its author: it proves nothing.
        head_repository: Id of the repository of the commit; 0 when that is gone.
        conclusion: How the workflow run that measured ended; empty while it runs.
        run: Id of the workflow run that measured; 0 outside of one.
        started_at: When this attempt of it began, UTC; None when the event does not say.
        numbers: Of pull requests that GitHub names beside the run; it names none of a fork.
        unnamed: Why the event does not name the commit that was measured; empty if it does.
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
    unnamed: str = ""

    def require_commit(self) -> None:
        """Return unless the event is known not to name the commit that was measured.

        Raises:
            ConfigError: It does not.
        """
        if self.unnamed:
            raise ConfigError(
                f"the event does not name the commit that was measured: {self.unnamed}",
                hint="measure in a workflow of `pull_request` or `push`, and publish from there or"
                " from a `workflow_run` that follows it",
            )


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses to link to; one that is no plain address is left out.

    Attributes:
        report: Of the report, where a browser opens it; empty for none.
        artifact: Of the archives of the run; empty for none.
    """

    report: str = ""
    artifact: str = ""


def read(path: Path | None, runner: Runner, links: Links) -> Event:
    """Return the event.

    Args:
        path: Its file; None for the one of the runner, or none at all outside of a workflow.
        runner: Of this job.
        links: To what somebody is to be led.

    Raises:
        ConfigError: The file cannot be read, or is no event.
    """
    named = runner.get("GITHUB_EVENT_PATH")
    file = path or (Path(named) if named else None)
    body = _body(file) if file else _Event()
    own_id = body.repository.id if body.repository else 0
    if run := body.workflow_run:
        repository = run.head_repository
        unnamed = _unnamed_run(run, body.repository)
        origin = Origin(
            head_sha="" if unnamed else run.head_sha,
            run_url=_address(run.html_url),
            run_number=run.run_number,
            attempt=run.run_attempt,
            report_url=_address(links.report),
            artifact_url=_address(links.artifact),
            is_fork=repository is None or repository.id != own_id,
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
            unnamed=unnamed,
        )
    pull = body.pull_request
    head = pull.head if pull else None
    unnamed = "" if head else _unnamed(body, runner.get("GITHUB_EVENT_NAME") if not path else "")
    sha = body.merge_group.head_sha if body.merge_group else runner.get("GITHUB_SHA")
    is_named = not unnamed and re.fullmatch(_SHA, sha) is not None
    origin = Origin(
        head_sha=head.sha if head else sha if is_named else "",
        run_url=runner.run_url,
        run_number=runner.number("GITHUB_RUN_NUMBER", 0),
        attempt=runner.number("GITHUB_RUN_ATTEMPT", 1),
        report_url=_address(links.report),
        artifact_url=_address(links.artifact),
        is_fork=head is not None and (head.repo is None or head.repo.id != own_id),
        base=pull.base.ref if pull and pull.base else "",
        base_sha=pull.base.sha if pull and pull.base else "",
    )
    own_run = runner.number("GITHUB_RUN_ID", 0)
    if pull is None or head is None:
        return Event(origin, run=own_run, unnamed=unnamed)
    return Event(
        origin=origin,
        is_of_pull=True,
        number=pull.number,
        head_owner=head.repo.owner.login if head.repo else "",
        head_branch=head.ref,
        head_repository=head.repo.id if head.repo else 0,
        run=own_run,
    )


def _address(text: str) -> str:
    """Return an address that can stand in Markdown; empty for anything else."""
    return text if _URL.fullmatch(text) else ""


def _unnamed(body: _Event, name: str) -> str:
    """Return why the commit that a job runs on need not be what was measured; empty if it is.

    Args:
        body: Of an event that is of no pull request.
        name: What GitHub calls the event; empty if only its body is known.
    """
    keys = body.model_fields_set | set(body.model_extra or {})
    if name and name not in _NAMED:
        return f"a workflow of `{name}` runs on the default branch"
    if body.deleted:
        return "a branch was deleted, and the workflow runs on the default branch"
    if "inputs" in keys and any(body.inputs.values() if body.inputs else ()):
        return "`workflow_dispatch` has inputs, which may ask for any commit"
    own = {"after", "merge_group", "master_branch", "release", "schedule", "inputs"}
    if name or keys <= _COMMON or keys & own:
        return ""
    return f"an event with `{_names(keys)}` starts its workflow on the default branch"


def _unnamed_run(run: _Run, repository: _Repository | None) -> str:
    """Return why the commit of a workflow run need not be what it measured; empty if it is."""
    if run.event not in _NAMED:
        return (
            f"its workflow was started by `{printable(run.event)}`, and ran on the default branch"
        )
    default = repository.default_branch if repository else ""
    if run.event == "workflow_dispatch" and default and run.head_branch == default:
        return "its workflow was started by hand on the default branch, maybe for another commit"
    return ""


def _names(keys: AbstractSet[str]) -> str:
    return truncate(", ".join(sorted(keys - _COMMON - {"action"})), 60)


def _body(path: Path) -> _Event:
    hint = "it is the JSON that GITHUB_EVENT_PATH names in a workflow"
    try:
        return _Event.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(
            f"{path}: the event cannot be read: {error.strerror}", hint=hint
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: not an event: {where}: {first['msg']}", hint=hint) from error
    except ValueError as error:
        raise ConfigError(f"{path}: the event is not JSON", hint=hint) from error
