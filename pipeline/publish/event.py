"""The event that a workflow was started by: which commit, of which repository, which run.

GitHub writes it, so it says who is who; but branch names in it are whatever somebody chose.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from pipeline.errors import ConfigError
from pipeline.model.publication import Origin
from pipeline.publish.runner import Runner

_SHA = r"^[0-9a-f]{40,64}$"
_URL = re.compile(r"https?://[^\s<>()\"'\\`]+")


class _Owner(BaseModel):
    login: str


class _Repository(BaseModel):
    id: int
    owner: _Owner


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


class _Event(BaseModel):
    repository: _Repository | None = None
    workflow_run: _Run | None = None
    pull_request: _Pull | None = None


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


def read(path: Path | None, runner: Runner, artifact_url: str) -> Event:
    """Return the event.

    Args:
        path: Its file; None for the one of the runner, or none at all outside of a workflow.
        runner: Of this job.
        artifact_url: To link to; left out unless it is a plain address.

    Raises:
        ConfigError: The file cannot be read, or is no event.
    """
    named = runner.get("GITHUB_EVENT_PATH")
    file = path or (Path(named) if named else None)
    body = _body(file) if file else _Event()
    link = artifact_url if _URL.fullmatch(artifact_url) else ""
    own_id = body.repository.id if body.repository else 0
    if run := body.workflow_run:
        repository = run.head_repository
        origin = Origin(
            head_sha=run.head_sha,
            run_url=run.html_url if _URL.fullmatch(run.html_url) else "",
            run_number=run.run_number,
            attempt=run.run_attempt,
            artifact_url=link,
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
        )
    pull = body.pull_request
    head = pull.head if pull else None
    sha = runner.get("GITHUB_SHA")
    origin = Origin(
        head_sha=head.sha if head else sha if re.fullmatch(_SHA, sha) else "",
        run_url=runner.run_url,
        run_number=runner.number("GITHUB_RUN_NUMBER", 0),
        attempt=runner.number("GITHUB_RUN_ATTEMPT", 1),
        artifact_url=link,
        is_fork=head is not None and (head.repo is None or head.repo.id != own_id),
        base=pull.base.ref if pull and pull.base else "",
        base_sha=pull.base.sha if pull and pull.base else "",
    )
    own_run = runner.number("GITHUB_RUN_ID", 0)
    if pull is None or head is None:
        return Event(origin, run=own_run)
    return Event(
        origin=origin,
        is_of_pull=True,
        number=pull.number,
        head_owner=head.repo.owner.login if head.repo else "",
        head_branch=head.ref,
        head_repository=head.repo.id if head.repo else 0,
        run=own_run,
    )


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
