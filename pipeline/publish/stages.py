"""The verb `publish`: from an artifact and an event to what GitHub shows."""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.model.publication import Outcome, Publication
from pipeline.model.report import Verdict
from pipeline.publish import (
    answers,
    asked,
    checks,
    event,
    issues,
    page,
    pull,
    runner,
    summary,
    trusted,
    upsert,
)
from pipeline.publish.answers import Answer
from pipeline.publish.asked import Asked
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub
from pipeline.publish.keys import checked
from pipeline.publish.pull import Pull
from pipeline.publish.runner import Runner
from pipeline.render.comment import TextKind, comment, comment_bodies, marker
from pipeline.storage import acknowledged
from pipeline.system.errors import ConfigError, PipelineError
from pipeline.system.log import log

LABEL = "milo-perf-comment"
"""Of a pull request whose author wants a comment even where there is nothing to look at."""


MOST_OTHERS = 20
"""Pull requests with one commit that are looked up; answers of more count as open."""


_FOREIGN_BLOCK = re.compile(r"^```text\n.*?^```$", re.DOTALL | re.MULTILINE)
_OWN_LINK = re.compile(
    r"^(?:.* · )?\[Workflow run(?: \d+)?\]\((\S*/actions/runs/\d+)\)(?:, attempt (\d{1,9}))?",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class _Job:
    """What is published, of what, and where.

    Attributes:
        of: The event, with what GitHub says of its pull request.
        there: The pull request; otherwise why it cannot be told.
        wanted: What was to be measured.
        github: None where nothing is sent.
        args: Of the command line.
    """

    of: Event
    there: Pull | str
    wanted: Asked
    github: GitHub | None
    args: argparse.Namespace

    @property
    def answer(self) -> Answer:
        return answers.asked(self.of, self.there)


def publish(args: argparse.Namespace) -> Iterator[str]:
    """Publish to every target, and yield what is to be printed.

    What one target refuses does not keep the others from being told.

    Raises:
        PipelineError: The first that a target met, after all had their turn.
    """
    here = runner.here()
    job = _job(args, here)
    if args.start:
        if args.to != ["check"] or not args.key:
            raise ConfigError("--start is for `--to check` alone, and needs --key")
        body = checks.started(checked(args.key), _measured(job.of), job.answer)
        yield checks.start(job.github, args.author, body) if job.github else _json(body)
        return
    accepted = acknowledged.regressions(args.acknowledged) if args.acknowledged else ()
    known = trusted.Known(job.there, lambda: _changed(job))
    found = trusted.publication(args.dir, job.of, accepted, job.wanted, known)
    checked(found.key)
    errors: list[PipelineError] = []
    for target in dict.fromkeys(args.to):
        try:
            yield from _told(target, found, job, here)
        except PipelineError as error:
            log.error("%s: %s", target, error)
            errors.append(error)
    if errors:
        raise errors[0]


def _told(target: str, found: Publication, job: _Job, here: Runner) -> Iterator[str]:
    """Publish to one target, and yield what is to be printed.

    Raises:
        PipelineError: It cannot be published there.
    """
    if target in ("check", "comment"):
        job.of.require_commit()
    if target == "issue":
        found = replace(found, alarms=issues.alarms(job.args.dir))
    if target == "page":
        yield "page: not written" if job.args.dry_run else page.write(found, job.args.page)
    elif job.github and target != "summary":
        yield _sent(target, found, job, job.github)
    elif target == "summary" and not job.args.dry_run:
        yield from _summary(found, here)
    else:
        yield summary.quoted(_foreseen(target, found, job), is_in_actions=here.is_in_actions)


def _job(args: argparse.Namespace, here: Runner) -> _Job:
    """Return what is to be done, with what GitHub says of the pull request.

    Raises:
        PipelineError: An argument cannot be used, or GitHub does not answer.
    """
    of = event.read(args.event, here, event.Links(args.report_url, args.artifact_url))
    asks = not args.dry_run and args.to != ["summary"]
    github = GitHub(here.api_url, here.repository, here.token, args.api_version) if asks else None
    there: Pull | str = "GitHub was not asked"
    if github and {"check", "comment", "page"} & set(args.to):
        there = pull.find(github, of)
    elif of.number and of.origin.base:
        there = Pull(of.number, frozenset(), of.origin.base, of.origin.base_sha)
    if isinstance(there, Pull):
        known = replace(of.origin, pull=there.number, base=there.base, base_sha=there.base_sha)
        of = replace(of, origin=known)
    return _Job(of, there, asked.asked(args), github, args)


def _changed(job: _Job) -> Sequence[str] | None:
    if job.github is None or not isinstance(job.there, Pull):
        return None
    return pull.changed_files(job.github, job.there.number)


def _is_open(job: _Job, github: GitHub) -> Callable[[Answer], bool]:
    """Return what tells whether the pull request of an answer is still what it was."""
    sha = job.of.origin.head_sha
    bases: dict[str, str | None] = {}

    def is_open(answer: Answer) -> bool:
        if not answer.asker.isdecimal():
            return True
        if answer.asker not in bases:
            if len(bases) >= MOST_OTHERS:
                return True
            bases[answer.asker] = pull.base_of(github, int(answer.asker), sha)
        base = bases[answer.asker]
        return base is not None and answers.digest(base) == answer.base

    return is_open


def _summary(found: Publication, here: Runner) -> Iterator[str]:
    path = here.get("GITHUB_STEP_SUMMARY")
    if path:
        yield summary.write(found, Path(path))
    else:
        text = comment(found, TextKind.PLAIN)
        yield summary.quoted(text, is_in_actions=here.is_in_actions)
    if here.is_in_actions:
        yield from summary.commands(found)


def _sent(target: str, found: Publication, job: _Job, github: GitHub) -> str:
    """Tell GitHub, and return what was done in a sentence."""
    author = job.args.author
    match target:
        case "check":
            return checks.complete(github, author, _body(found, job), _is_open(job, github))
        case "issue":
            return issues.send(github, author, found)
        case _:
            return _comment(found, job, github)


def _body(found: Publication, job: _Job) -> dict[str, Any]:
    return checks.completed(found, _measured(job.of), job.answer, job.wanted.fail_on)


def _foreseen(target: str, found: Publication, job: _Job) -> str:
    """Return what would be told."""
    match target:
        case "check":
            return _json(_body(found, job))
        case "issue" if not issues.is_wrong(found):
            return "issue: an open one would be closed"
        case "issue":
            return f"{issues.title(found)}\n{comment(found, TextKind.ISSUE)}"
        case _:
            return comment(found, TextKind.COMMENT if target == "comment" else TextKind.PLAIN)


def _comment(found: Publication, job: _Job, github: GitHub) -> str:
    """Create or update the comment on the pull request, and return what was done in a sentence."""
    if job.args.comment == "never":
        return "comment: none, as asked"
    if found.outcome in (Outcome.WAITING, Outcome.STOPPED):
        return "comment: left as it is, nothing was measured"
    if isinstance(job.there, str):
        return f"comment: none: {job.there}"
    own = _run_of(found.origin.run_url, found.origin.attempt)
    is_wanted = found.outcome.is_result and (
        job.args.comment == "always" or LABEL in job.there.labels
    )

    def reason_to_keep(body: str) -> str:
        if not found.outcome.is_result and _is_of_commit(body, found.origin.head_sha):
            return "it has a result of this commit"
        return "a later run has written it" if (0, 0) < own < _written_by(body) else ""

    return upsert.upsert(
        comments_of(github, job.there.number),
        marker(TextKind.COMMENT, found.key),
        job.args.author,
        comment_bodies(found),
        may_create=is_wanted or needs_attention(found),
        reason_to_keep=reason_to_keep,
    )


def needs_attention(found: Publication) -> bool:
    """Whether a pull request without a comment of ours gets one.

    It does when a gating metric regressed and nobody has accepted it, when the run is an
    improvement as a whole, and when the run broke or lacks numbers.  A pass, an inconclusive run
    and an accepted regression only update a comment that is there; the check says the rest.
    """
    if found.outcome in (
        Outcome.REGRESSED,
        Outcome.INCOMPLETE,
        Outcome.BROKEN,
    ):
        return True
    is_improved = found.report is not None and found.report.verdict is Verdict.IMPROVED
    return found.outcome is Outcome.PASSED and is_improved


def _is_of_commit(body: str, sha: str) -> bool:
    """Whether a comment of ours is about a commit."""
    return bool(sha) and f"`{sha[:12]}`" in body


def _written_by(body: str) -> tuple[int, int]:
    """Return the workflow run that a comment of ours links to, and its attempt.

    Blocks of foreign text are left out: they could name a run that has yet to come.
    """
    links = _OWN_LINK.findall(_FOREIGN_BLOCK.sub("", body))
    return _run_of(links[-1][0], int(links[-1][1] or 1)) if links else (0, 0)


def _run_of(url: str, attempt: int) -> tuple[int, int]:
    found = re.search(r"/actions/runs/(\d{1,20})$", url)
    return (int(found[1]), attempt) if found else (0, 0)


def comments_of(github: GitHub, number: int) -> upsert.Place:
    """Return the comments of a pull request."""
    comments = f"/issues/{number}/comments"
    return upsert.Place(
        what=f"comment on #{number}",
        listed=lambda: github.pages(comments),
        create=lambda body: github.create(comments, {"body": body}),
        replace=lambda which, body: github.replace(f"/issues/comments/{which}", {"body": body}),
        drop=lambda which: github.delete(f"/issues/comments/{which}"),
    )


def _measured(of: Event) -> Event:
    of.require_commit()
    if not of.origin.head_sha:
        raise ConfigError(
            "the event names no commit, so there is none to check",
            hint="it is read from GITHUB_EVENT_PATH or --event, otherwise from GITHUB_SHA",
        )
    return of


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=1, ensure_ascii=False)
