"""The check of a commit: in progress from the start, always completed."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import LoadError
from pipeline.model.publication import Outcome, Publication
from pipeline.model.report import Verdict
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub, UnsureError
from pipeline.render import rows
from pipeline.render.comment import Kind, comment, headline

CONCLUSIONS = {
    Outcome.PASSED: "success",
    Outcome.REGRESSED: "failure",
    Outcome.ACCEPTED: "success",
    Outcome.UNDECIDED: "neutral",
    Outcome.BROKEN: "failure",
    Outcome.SKIPPED: "neutral",
    Outcome.WAITING: "action_required",
}
MOST_ANNOTATIONS = 50
"""Of one request; GitHub refuses more."""

_ROUNDS = 4
_PLACE = {"path": ".github", "start_line": 1, "end_line": 1}  # of a finding that is of no file


def name_of(key: str) -> str:
    """Return the name of the check, which a required check matches to the letter."""
    return f"milo-perf / {key}"


def started(key: str, event: Event) -> dict[str, Any]:
    """Return what is sent when the measuring begins."""
    return {**_common(key, event), "status": "in_progress"}


def completed(publication: Publication, event: Event) -> dict[str, Any]:
    """Return what is sent when there is an answer, annotations included."""
    answer = headline(publication)
    return {
        **_common(publication.key, event),
        "status": "completed",
        "conclusion": CONCLUSIONS[publication.outcome],
        "output": {
            "title": f"{answer.found} - {answer.advice}",
            "summary": comment(publication, Kind.PLAIN),
            "annotations": annotations(publication),
        },
    }


def annotations(publication: Publication) -> list[dict[str, Any]]:
    """Return one annotation for each regression that gates and is not accepted."""
    reds = [
        finding
        for finding in rows.changed(publication)
        if finding.verdict is Verdict.REGRESSED
        and finding.comparison.metric.gate
        and rows.status(finding, publication) == "regressed"
    ]
    return [
        {**_PLACE, "annotation_level": "failure", "message": rows.sentence(finding)}
        for finding in reds[:MOST_ANNOTATIONS]
    ]


def send(github: GitHub, author: str, body: Mapping[str, Any]) -> str:
    """Create or complete the check, and return what was done in a sentence.

    Args:
        github: Where.
        author: Login of the bot that we are; a check of another app is not ours.
        body: Of `started` or `completed`.

    Raises:
        PipelineError: GitHub does not answer, or does not let us.
    """
    said = f"check `{body['name']}`"
    for _ in range(_ROUNDS):
        ours = _ours(github, author, body)
        running = [run for run in ours if run["status"] != "completed"]
        if body["status"] != "completed" and running:
            return f"{said}: in progress already"
        try:
            if body["status"] != "completed" or not ours:
                github.create("/check-runs", body)
                return f"{said}: {body.get('conclusion', 'in progress')}"
        except UnsureError:
            continue  # and look whether it is there
        if not running and _says(ours[-1], body):
            return f"{said}: says it already"
        for run in running or ours[-1:]:
            github.replace(f"/check-runs/{run['id']}", _change(body, is_new=bool(running)))
        return f"{said}: {body['conclusion']}"
    raise LoadError(f"{said}: nobody knows whether it was created", hint="run this again")


def _common(key: str, event: Event) -> dict[str, Any]:
    link = {"details_url": event.origin.run_url} if event.origin.run_url else {}
    return {"name": name_of(key), "head_sha": event.origin.head_sha, **link}


def _ours(github: GitHub, author: str, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return our checks of this name on this commit, the newest last."""
    runs = github.pages(
        f"/commits/{body['head_sha']}/check-runs",
        "check_runs",
        check_name=str(body["name"]),
        filter="all",
    )
    app = author.removesuffix("[bot]")
    found = [run for run in runs if (run.get("app") or {}).get("slug") == app]
    return sorted((run for run in found if run["name"] == body["name"]), key=lambda run: run["id"])


def _says(run: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    output, wanted = run.get("output") or {}, body["output"]
    return run.get("conclusion") == body["conclusion"] and all(
        str(output.get(name) or "").replace("\r\n", "\n").strip() == wanted[name].strip()
        for name in ("title", "summary")
    )


def _change(body: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    """Return what changes a check; annotations are added to those there, so they are sent once."""
    output = {k: v for k, v in body["output"].items() if is_new or k != "annotations"}
    return {**{k: v for k, v in body.items() if k != "head_sha"}, "output": output}
