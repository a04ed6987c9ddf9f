"""One open issue for a suite that is watched every night: while something is wrong, no longer."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from pipeline.model.publication import Alarm, Outcome, Publication
from pipeline.publish import upsert
from pipeline.publish.github import GitHub
from pipeline.render.comment import TextKind, comment_bodies, marker, publication_answer
from pipeline.render.numbers import percent
from pipeline.storage import artifact, strict_json
from pipeline.system.errors import ConfigError

STEPS = "steps.json"
"""What `history --json` prints, beside the results of the night."""


class _Step(BaseModel):
    time: Annotated[str, Field(max_length=100)] = ""
    commit: str | None = None
    commit_before: str | None = None
    commit_latest: str | None = None
    change: float
    worse: bool
    acknowledged: str | None = None


class _Series(BaseModel):
    series: str
    scale: str
    changes: list[_Step]


class _Steps(BaseModel):
    series: list[_Series]


def alarms(folder: Path) -> tuple[Alarm, ...]:
    """Return the steps that alarm, from the file beside a night's results; none without a file.

    Raises:
        ConfigError: The file is not what `history --json` prints.
    """
    data = artifact.member(folder, STEPS)
    if data is None:
        return ()
    hint = "write it with `history FILE.jsonl --json`"
    try:
        found = _Steps.model_validate(strict_json.loads(data, strict_json.OURS))
    except ValidationError as error:
        raise ConfigError(f"{STEPS}: {strict_json.sentence(error)}", hint=hint) from error
    except ValueError as error:
        raise ConfigError(f"{STEPS}: {error}", hint=hint) from error
    return tuple(
        Alarm(series.series, _sentence(series, step))
        for series in found.series
        for step in series.changes
        if step.worse and not step.acknowledged
    )


def is_wrong(publication: Publication) -> bool:
    """Whether somebody should look: inconclusive nights are only noise.

    Nor is it news each night that an environment does not report a metric.
    """
    return bool(publication.alarms) or publication.outcome in (
        Outcome.REGRESSED,
        Outcome.BROKEN,
    )


def title(publication: Publication) -> str:
    """Return the title of the issue."""
    return f"Performance of {publication.key}: {publication_answer(publication)}"


def send(github: GitHub, author: str, publication: Publication) -> str:
    """Open, update or close the issue, and return what was done in a sentence.

    Raises:
        PipelineError: GitHub does not answer, or does not let us.
    """
    mark = marker(TextKind.ISSUE, publication.key)
    bodies = comment_bodies(publication, TextKind.ISSUE)
    wrong = is_wrong(publication)

    def close(number: int, reason: str) -> None:
        github.replace(f"/issues/{number}", {"state": "closed", "state_reason": reason})

    place = upsert.Place(
        what="issue",
        listed=lambda: (
            one for one in github.pages("/issues", state="open") if not one.get("pull_request")
        ),
        create=lambda body: github.create("/issues", {"title": title(publication), "body": body}),
        replace=lambda number, body: github.replace(
            f"/issues/{number}", {"title": title(publication), "body": body}
        ),
        drop=lambda number: close(number, "not_planned"),
        number="number",
    )
    said = upsert.upsert(place, mark, author, bodies, may_create=wrong)
    if wrong:
        return said
    numbers = [int(one["number"]) for one in place.listed() if upsert.is_ours(one, mark, author)]
    for number in numbers:
        close(number, "completed")
    return f"issue: closed {', '.join(f'#{n}' for n in numbers)}" if numbers else said


def _sentence(series: _Series, step: _Step) -> str:
    size = percent(step.change) if series.scale == "ratio" else f"{step.change:+.3g}"
    latest = step.commit_latest or step.commit
    between = f", {(step.commit_before or '?')[:12]}..{latest[:12]}" if latest else ""
    return f"{size} since {step.time}{between}"
