"""The verb `publish`: from an artifact and an event to what GitHub shows."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import acknowledged
from pipeline.errors import ConfigError, PipelineError
from pipeline.log import log
from pipeline.model.publication import Outcome, Publication
from pipeline.publish import checks, event, issues, pull, runner, summary, trusted, upsert
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub
from pipeline.publish.keys import checked
from pipeline.publish.runner import Runner
from pipeline.render.comment import Kind, comment, marker, shorter

LABEL = "milo-perf-comment"
"""Of a pull request whose author wants a comment even where there is nothing to look at."""


def publish(args: argparse.Namespace) -> Iterator[str]:
    """Publish to every target, and yield what is to be printed.

    What one target refuses does not keep the others from being told.

    Raises:
        PipelineError: The first that a target met, after all had their turn.
    """
    here = runner.here()
    of = event.read(args.event, here, args.artifact_url)
    github = None if args.dry_run or args.to == ["summary"] else _github(args, here)
    if args.start:
        yield from _start(args, of, github)
        return
    accepted = acknowledged.regressions(args.acknowledged) if args.acknowledged else ()
    found = trusted.publication(args.dir, of, accepted, key=args.key, suite=args.suite)
    checked(found.key)
    targets: dict[str, Callable[[], Iterator[str]]] = {
        "summary": lambda: _summary(found, here, is_dry=args.dry_run),
        "check": lambda: _check(found, of, github, args),
        "comment": lambda: _comment(found, of, github, args),
        "issue": lambda: _issue(found, github, args),
    }
    errors: list[PipelineError] = []
    for name in dict.fromkeys(args.to):
        try:
            yield from targets[name]()
        except PipelineError as error:
            log.error("%s: %s", name, error)
            errors.append(error)
    if errors:
        raise errors[0]


def _github(args: argparse.Namespace, here: Runner) -> GitHub:
    return GitHub(here.api_url, here.repository, here.token, args.api_version)


def _start(args: argparse.Namespace, of: Event, github: GitHub | None) -> Iterator[str]:
    if args.to != ["check"] or not args.key:
        raise ConfigError("--start is for `--to check` alone, and needs --key")
    body = checks.started(checked(args.key), _measured(of))
    yield checks.send(github, args.author, body) if github else _dry("check", body)


def _summary(found: Publication, here: Runner, *, is_dry: bool) -> Iterator[str]:
    path = here.get("GITHUB_STEP_SUMMARY")
    if path and not is_dry:
        yield summary.write(found, Path(path))
    else:
        text = comment(found, Kind.PLAIN)
        yield summary.quoted(text, is_in_actions=here.is_in_actions)
    if here.is_in_actions:
        yield from summary.commands(found)


def _check(
    found: Publication, of: Event, github: GitHub | None, args: argparse.Namespace
) -> Iterator[str]:
    body = checks.completed(found, _measured(of))
    yield checks.send(github, args.author, body) if github else _dry("check", body)


def _comment(
    found: Publication, of: Event, github: GitHub | None, args: argparse.Namespace
) -> Iterator[str]:
    if args.comment == "never":
        yield "comment: none, as asked"
        return
    if github is None:
        yield _dry("comment", {"body": comment(found)})
        return
    there = pull.find(github, of)
    if isinstance(there, str):
        yield f"comment: none: {there}"
        return
    asked = args.comment == "always" or LABEL in there.labels
    yield upsert.upsert(
        comments_of(github, there.number),
        marker(Kind.COMMENT, found.key),
        args.author,
        shorter(found),
        may_create=asked or found.outcome is not Outcome.PASSED,
    )


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


def _issue(found: Publication, github: GitHub | None, args: argparse.Namespace) -> Iterator[str]:
    found = replace(found, alarms=issues.alarms(args.dir))
    if github is not None:
        yield issues.send(github, args.author, found)
    elif issues.is_wrong(found):
        body = comment(found, Kind.ISSUE)
        yield _dry("issue", {"title": issues.title(found), "body": body})
    else:
        yield "issue: an open one would be closed"


def _measured(of: Event) -> Event:
    if not of.origin.head_sha:
        raise ConfigError(
            "the event names no commit, so there is none to check",
            hint="it is read from GITHUB_EVENT_PATH or --event, otherwise from GITHUB_SHA",
        )
    return of


def _dry(what: str, body: Mapping[str, Any]) -> str:
    texts = [str(body[name]) for name in ("title", "body") if name in body]
    return f"would send this {what}:\n" + (
        "\n".join(texts) or json.dumps(body, indent=1, ensure_ascii=False)
    )
