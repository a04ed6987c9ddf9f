"""The verb `publish`: from an artifact and an event to what GitHub shows."""

import argparse
import json
from collections.abc import Iterator, Mapping
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
    asks = not args.dry_run and args.to != ["summary"]
    github = GitHub(here.api_url, here.repository, here.token, args.api_version) if asks else None
    if args.start:
        if args.to != ["check"] or not args.key:
            raise ConfigError("--start is for `--to check` alone, and needs --key")
        body = checks.started(checked(args.key), _measured(of))
        yield checks.send(github, args.author, body) if github else _json(body)
        return
    accepted = acknowledged.regressions(args.acknowledged) if args.acknowledged else ()
    found = trusted.publication(args.dir, of, accepted, key=args.key, suite=args.suite)
    checked(found.key)
    errors: list[PipelineError] = []
    for target in dict.fromkeys(args.to):
        try:
            if target in ("check", "comment"):
                of.require_commit()
            told = found
            if target == "issue":
                told = replace(found, alarms=issues.alarms(args.dir))
            if github and target != "summary":
                yield _sent(target, told, of, github, args)
            elif target == "summary" and not args.dry_run:
                yield from _summary(told, here)
            else:
                said = _foreseen(target, told, of)
                yield summary.quoted(said, is_in_actions=here.is_in_actions)
        except PipelineError as error:
            log.error("%s: %s", target, error)
            errors.append(error)
    if errors:
        raise errors[0]


def _summary(found: Publication, here: Runner) -> Iterator[str]:
    path = here.get("GITHUB_STEP_SUMMARY")
    if path:
        yield summary.write(found, Path(path))
    else:
        text = comment(found, Kind.PLAIN)
        yield summary.quoted(text, is_in_actions=here.is_in_actions)
    if here.is_in_actions:
        yield from summary.commands(found)


def _sent(
    target: str, found: Publication, of: Event, github: GitHub, args: argparse.Namespace
) -> str:
    """Tell GitHub, and return what was done in a sentence."""
    match target:
        case "check":
            return checks.send(github, args.author, checks.completed(found, _measured(of)))
        case "issue":
            return issues.send(github, args.author, found)
        case _:
            return _comment(found, of, github, args)


def _foreseen(target: str, found: Publication, of: Event) -> str:
    """Return what would be told."""
    match target:
        case "check":
            return _json(checks.completed(found, _measured(of)))
        case "issue" if not issues.is_wrong(found):
            return "issue: an open one would be closed"
        case "issue":
            return f"{issues.title(found)}\n{comment(found, Kind.ISSUE)}"
        case _:
            return comment(found, Kind.COMMENT if target == "comment" else Kind.PLAIN)


def _comment(found: Publication, of: Event, github: GitHub, args: argparse.Namespace) -> str:
    if args.comment == "never":
        return "comment: none, as asked"
    if found.outcome in (Outcome.SKIPPED, Outcome.WAITING):
        return "comment: left as it is, nothing was measured"
    there = pull.find(github, of)
    if isinstance(there, str):
        return f"comment: none: {there}"
    asked = args.comment == "always" or LABEL in there.labels
    return upsert.upsert(
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
