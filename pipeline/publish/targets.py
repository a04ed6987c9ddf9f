"""Publish a run to GitHub: from an artifact and an event to each target."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.model.publication import Publication
from pipeline.publish import answers, checks, comments, issues, outputs, pull, trusted
from pipeline.publish.answers import CheckAnswer
from pipeline.publish.event import (
    Event,
    ReportLinks,
    Runner,
    current_runner,
    event_of_pull,
    read_event,
)
from pipeline.publish.github import GitHub, RetryDelays
from pipeline.publish.options import PublishOptions, options_from, require_key
from pipeline.publish.pull import GITHUB_NOT_ASKED, NoPullRequest, PullRequest
from pipeline.render.comment import TextKind, comment
from pipeline.storage import acknowledged
from pipeline.system.errors import ConfigError, PipelineError
from pipeline.system.log import log

MAX_PULL_LOOKUPS = 20
"""Pull requests with the same commit that are looked up; answers of more count as open."""


_DELAYS = RetryDelays()
_READY_S = 10.0
"""Seconds of all retries when nothing but the readiness is asked for."""


@dataclass(frozen=True, slots=True)
class PublishJob:
    """What is published, and where.

    Attributes:
        github: Repository on GitHub; None if nothing is sent.
    """

    event: Event
    pull: PullRequest | NoPullRequest
    options: PublishOptions
    github: GitHub | None
    args: argparse.Namespace

    @property
    def answer(self) -> CheckAnswer:
        """The answer that the run is to give, without its outcome."""
        return answers.pending_answer(self.event, self.pull)


def publish(args: argparse.Namespace) -> Iterator[str]:
    """Publish to every target, and yield what is to be printed.

    A target that fails does not keep the others from being published.

    Raises:
        PipelineError: The first error of a target, after all were tried.
    """
    runner = _runner(args)
    job = _job(args, runner)
    if args.start:
        if args.to != ["check"] or not args.key:
            raise ConfigError("--start is for `--to check` alone, and needs --key")
        body = checks.started_body(require_key(args.key), _with_commit(job.event), job.answer)
        yield checks.start(job.github, args.author, body) if job.github else _json(body)
        return
    accepted = acknowledged.regressions(args.acknowledged) if args.acknowledged else ()
    facts = trusted.GitHubFacts(job.pull, lambda: _changed_files(job))
    publication = trusted.publication(args.dir, job.event, accepted, job.options, facts)
    require_key(publication.key)
    errors: list[PipelineError] = []
    for target in dict.fromkeys(args.to):
        try:
            yield from _publish_to(target, publication, job, runner)
        except PipelineError as error:
            log.error("%s: %s", target, error)
            errors.append(error)
    if errors:
        raise errors[0]


def _publish_to(
    target: str, publication: Publication, job: PublishJob, runner: Runner
) -> Iterator[str]:
    args = job.args
    if target in ("check", "comment"):
        job.event.require_commit()
    if target == "issue":
        alarms, searched = issues.read_alarms(args.dir), issues.read_search(args.dir)
        publication = replace(publication, alarms=alarms, searched=searched)
    if target == "page":
        is_dry = args.dry_run
        yield "page: not written" if is_dry else outputs.write_page(publication, args.page)
    elif job.github and target != "summary":
        yield _send(target, publication, job, job.github)
    elif target == "summary" and not args.dry_run:
        yield from _summary(publication, runner)
    else:
        text = _preview(target, publication, job)
        yield outputs.quote_commands(text, is_in_actions=runner.is_in_actions)


def _runner(args: argparse.Namespace) -> Runner:
    """Return the runner that was taken before a measurement, or that of this process."""
    taken: Runner | None = args.runner
    return taken or current_runner()


def require_ready(args: argparse.Namespace) -> None:
    """Return if a publication with these arguments could be sent now; takes seconds.

    Raises:
        ConfigError: There is no token, repository, commit or pull request.
        PipelineError: GitHub does not answer, or refuses.
    """
    job = _job(args, _runner(args), RetryDelays(total=_READY_S))
    if {"check", "comment"} & set(args.to):
        _with_commit(job.event)
    if "comment" in args.to and isinstance(job.pull, NoPullRequest):
        raise ConfigError(
            f"there is no pull request to comment on: {job.pull.reason}",
            hint="name an open one: --pull-request N; or publish another way: --publish summary",
        )


def _job(args: argparse.Namespace, runner: Runner, delays: RetryDelays = _DELAYS) -> PublishJob:
    """Return the job, with GitHub's facts about the pull request."""
    links = ReportLinks(args.report_url, args.artifact_url)
    needs_github = (not args.dry_run and args.to != ["summary"]) or args.pull_request
    github = (
        GitHub(runner.api_url, runner.repository, runner.token, args.api_version, delays)
        if needs_github
        else None
    )
    if github and args.pull_request:
        event = event_of_pull(github.get(f"/pulls/{args.pull_request}"), runner, links)
    else:
        event = read_event(args.event, runner, links)
    if args.dry_run:
        github = None
    found: PullRequest | NoPullRequest = GITHUB_NOT_ASKED
    origin = event.origin
    if github and {"check", "comment", "page"} & set(args.to):
        found = pull.find_pull(github, event)
    elif event.number and origin.base:
        found = PullRequest(event.number, frozenset(), origin.base, origin.base_sha)
    if isinstance(found, PullRequest):
        origin = replace(origin, pull=found.number, base=found.base, base_sha=found.base_sha)
        event = replace(event, origin=origin)
    return PublishJob(event, found, options_from(args), github, args)


def _changed_files(job: PublishJob) -> Sequence[str] | None:
    if job.github is None or isinstance(job.pull, NoPullRequest):
        return None
    return pull.changed_files(job.github, job.pull.number)


def _is_open(job: PublishJob, github: GitHub) -> Callable[[CheckAnswer], bool]:
    """Return a function that tells whether the pull request of an answer is still the same."""
    sha = job.event.origin.head_sha
    bases: dict[str, str | None] = {}

    def is_open(answer: CheckAnswer) -> bool:
        if not answer.asker.isdecimal():
            return True
        if answer.asker not in bases:
            if len(bases) >= MAX_PULL_LOOKUPS:
                return True
            bases[answer.asker] = pull.base_of(github, int(answer.asker), sha)
        base = bases[answer.asker]
        return base is not None and answers.digest(base) == answer.base

    return is_open


def _summary(publication: Publication, runner: Runner) -> Iterator[str]:
    path = runner.get("GITHUB_STEP_SUMMARY")
    if path:
        yield outputs.write_summary(publication, Path(path))
    else:
        text = comment(publication, TextKind.PLAIN)
        yield outputs.quote_commands(text, is_in_actions=runner.is_in_actions)
    if runner.is_in_actions:
        yield from outputs.annotation_commands(publication)


def _send(target: str, publication: Publication, job: PublishJob, github: GitHub) -> str:
    """Send a publication to GitHub, and return what was done in a sentence."""
    author = job.args.author
    match target:
        case "check":
            body = _check_body(publication, job)
            return checks.complete(github, author, body, _is_open(job, github))
        case "issue":
            return issues.send_issue(github, author, publication)
        case _:
            return comments.send_comment(
                publication, job.pull, github, author=author, when=job.args.comment
            )


def _check_body(publication: Publication, job: PublishJob) -> dict[str, Any]:
    event = _with_commit(job.event)
    return checks.completed_body(publication, event, job.answer, job.options.fail_on)


def _preview(target: str, publication: Publication, job: PublishJob) -> str:
    """Return what would be sent."""
    match target:
        case "check":
            return _json(_check_body(publication, job))
        case "issue" if issues.ends_issue(publication):
            return "issue: an open one would be closed"
        case "issue" if not issues.needs_issue(publication):
            return "issue: would not be changed, because nothing was decided"
        case "issue":
            return f"{issues.title(publication)}\n{comment(publication, TextKind.ISSUE)}"
        case "comment":
            return comment(publication)
        case _:
            return comment(publication, TextKind.PLAIN)


def _with_commit(event: Event) -> Event:
    event.require_commit()
    if not event.origin.head_sha:
        raise ConfigError(
            "the event names no commit, so there is none to check",
            hint="it is read from GITHUB_EVENT_PATH or --event, otherwise from GITHUB_SHA",
        )
    return event


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=1, ensure_ascii=False)
