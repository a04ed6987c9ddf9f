"""Keep one issue open for a nightly suite while something is wrong with it."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from pipeline.model.bisect import Bisection
from pipeline.model.publication import Alarm, Outcome, Publication, SearchedCommit
from pipeline.publish import upsert
from pipeline.publish.github import GitHub
from pipeline.render.bisect import FoundCause, causes, headline
from pipeline.render.comment import TextKind, comment_bodies, marker, publication_answer
from pipeline.render.numbers import percent
from pipeline.storage import artifact, codec, strict_json
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

STEPS = "steps.json"
"""Output of `history --json`, beside the results of the night."""

BISECT = "bisect.json"
"""Result of a search for the commit, beside the results of the night; it is untrusted."""

_MAX_SUBJECT = 100  # characters
_UNUSABLE = "the search for the commit left a file that cannot be used"
_REGRESSION = "REGRESSION"  # in the title of an issue about one


class _JsonStep(BaseModel):
    time: Annotated[str, Field(max_length=100)] = ""
    commit: str | None = None
    commit_before: str | None = None
    commit_latest: str | None = None
    change: float
    worse: bool
    acknowledged: str | None = None


class _JsonSeries(BaseModel):
    series: str
    scale: str
    changes: list[_JsonStep]


class _StepsFile(BaseModel):
    series: list[_JsonSeries]


def read_alarms(folder: Path) -> tuple[Alarm, ...]:
    """Return the unacknowledged regressions in the file beside a night's results, if there is one.

    Raises:
        ConfigError: The file is no output of `history --json`.
    """
    data = artifact.member(folder, STEPS)
    if data is None:
        return ()
    hint = "write it with `history FILE.jsonl --json`"
    try:
        steps = _StepsFile.model_validate(strict_json.loads(data, strict_json.OURS))
    except ValidationError as error:
        raise ConfigError(f"{STEPS}: {strict_json.sentence(error)}", hint=hint) from error
    except ValueError as error:
        raise ConfigError(f"{STEPS}: {error}", hint=hint) from error
    return tuple(
        Alarm(series.series, _sentence(series, step))
        for series in steps.series
        for step in series.changes
        if step.worse and not step.acknowledged
    )


def read_search(folder: Path) -> tuple[SearchedCommit, ...]:
    """Return the result of the search beside a night's results; empty if there was none.

    A file that cannot be used is a sentence, so that the issue is opened all the same.
    """
    data = artifact.member(folder, BISECT)
    if data is None:
        return ()
    try:
        search = codec.BISECT.parse(data)
        if not search.found:
            return (SearchedCommit(headline(search)),)
        return tuple(_searched_commit(search, cause) for cause in causes(search))
    except (ArithmeticError, LookupError, ValueError):  # numbers of a stranger
        return (SearchedCommit(_UNUSABLE),)


def needs_issue(publication: Publication) -> bool:
    """Return whether something is wrong.

    An inconclusive night is noise, and a metric that an environment never reports is no news.
    """
    return bool(publication.alarms) or publication.outcome in (Outcome.REGRESSED, Outcome.BROKEN)


def ends_issue(publication: Publication) -> bool:
    """Return whether nothing is wrong any more: a night was judged, and nothing regressed."""
    is_pass = publication.outcome in (Outcome.PASSED, Outcome.ACCEPTED)
    return is_pass and not needs_issue(publication)


def title(publication: Publication) -> str:
    """Return the title of the issue."""
    return f"Performance of {publication.key}: {publication_answer(publication)}"


def send_issue(github: GitHub, author: str, publication: Publication) -> str:
    """Open, update or close the issue, and return what was done in a sentence.

    A night that decided nothing leaves a regression as it is, which may still be there.  That
    something was measured again closes an issue about a run that broke.
    """
    mark = marker(TextKind.ISSUE, publication.key)
    bodies = comment_bodies(publication, TextKind.ISSUE)
    is_needed = needs_issue(publication)

    def close(number: int, reason: str) -> None:
        github.replace(f"/issues/{number}", {"state": "closed", "state_reason": reason})

    thread = upsert.CommentThread(
        name="issue",
        list_texts=lambda: (
            one for one in github.pages("/issues", state="open") if not one.get("pull_request")
        ),
        create=lambda body: github.create("/issues", {"title": title(publication), "body": body}),
        replace=lambda number, body: github.replace(
            f"/issues/{number}", {"title": title(publication), "body": body}
        ),
        delete=lambda number: close(number, "not_planned"),
        number_key="number",
    )
    is_over, is_result = ends_issue(publication), publication.outcome.is_result
    result = "issue: not changed, because nothing was decided"
    if is_needed or is_over:
        result = upsert.upsert(thread, mark, author, bodies, may_create=is_needed)
    if is_needed:
        return result
    numbers = [
        int(one["number"])
        for one in thread.list_texts()
        if upsert.is_ours(one, mark, author)
        and (is_over or (is_result and _REGRESSION not in one["title"]))
    ]
    for number in numbers:
        close(number, "completed")
    return f"issue: closed {', '.join(f'#{n}' for n in numbers)}" if numbers else result


def _searched_commit(search: Bisection, cause: FoundCause) -> SearchedCommit:
    """Return a cause; its sentence has the metric, the change and the share."""
    sentence = f"{search.key} {cause.change}, {cause.share} of the change"
    commit = cause.commit
    subject = f"{commit.authored_at:%Y-%m-%d} {truncate(commit.subject, _MAX_SUBJECT)}"
    return SearchedCommit(sentence, commit.id, subject, search.url, commit.pull)


def _sentence(series: _JsonSeries, step: _JsonStep) -> str:
    size = percent(step.change) if series.scale == "ratio" else f"{step.change:+.3g}"
    latest = step.commit_latest or step.commit
    between = f", {(step.commit_before or '?')[:12]}..{latest[:12]}" if latest else ""
    return f"{size} since {step.time}{between}"
