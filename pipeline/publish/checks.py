"""The check of a commit: in progress from the start, always completed, never better than it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipeline.model.publication import Outcome, Publication
from pipeline.model.report import Verdict
from pipeline.publish import answers
from pipeline.publish.answers import Answer
from pipeline.publish.asked import FailOn
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub, UnsureError
from pipeline.render.comment import (
    TextKind,
    changed_findings,
    comment,
    finding_sentence,
    publication_answer,
    status,
)
from pipeline.system.errors import PublishError

CONCLUSIONS: Final = {
    Outcome.PASSED: "success",
    Outcome.REGRESSED: "failure",
    Outcome.ACCEPTED: "success",
    Outcome.INCONCLUSIVE: "neutral",
    Outcome.INCOMPLETE: "failure",
    Outcome.BROKEN: "failure",
    Outcome.SKIPPED: "neutral",
    Outcome.WAITING: "action_required",
    Outcome.STOPPED: "cancelled",
}
MOST_ANNOTATIONS: Final = 50
"""Of one request; GitHub refuses more."""

_ROUNDS: Final = 8
_PLACE: Final = {"path": ".github", "start_line": 1, "end_line": 1}  # of a finding without a file
_ALSO: Final = " | "
"""Between what another answer adds to the title of a check and its own title."""


def name_of(key: str) -> str:
    """Return the name of the check, which a required check matches to the letter."""
    return f"milo-perf / {key}"


def conclusion(outcome: Outcome, fail_on: FailOn) -> str:
    """Return the conclusion of a check that has one answer only."""
    usual = CONCLUSIONS[outcome]
    if fail_on is FailOn.NEVER and usual == "failure":
        return "neutral"
    if fail_on is FailOn.INCONCLUSIVE and outcome is Outcome.INCONCLUSIVE:
        return "failure"
    return usual


def started(key: str, event: Event, answer: Answer) -> dict[str, Any]:
    """Return what is sent when the measuring begins."""
    return {**_common(key, event, answer), "status": "in_progress"}


def completed(
    publication: Publication, event: Event, answer: Answer, fail_on: FailOn = FailOn.REGRESSION
) -> dict[str, Any]:
    """Return what is sent when there is an answer, annotations included."""
    found = conclusion(publication.outcome, fail_on)
    answer = replace(answer, outcome=publication.outcome, conclusion=found)
    return {
        **_common(publication.key, event, answer),
        "status": "completed",
        "conclusion": found,
        "output": {
            "title": publication_answer(publication),
            "summary": comment(publication, TextKind.PLAIN),
            "annotations": annotations(publication),
        },
    }


def annotations(publication: Publication) -> list[dict[str, Any]]:
    """Return one annotation for each regression that gates and is not accepted."""
    reds = [
        finding
        for finding in changed_findings(publication)
        if finding.verdict is Verdict.REGRESSED
        and finding.comparison.metric.gate
        and status(finding, publication) == "regressed"
    ]
    return [
        {**_PLACE, "annotation_level": "failure", "message": finding_sentence(finding)}
        for finding in reds[:MOST_ANNOTATIONS]
    ]


def start(github: GitHub, author: str, body: Mapping[str, Any]) -> str:
    """Create a check that is in progress, and return what was done in a sentence.

    Args:
        github: Where.
        author: Login of the bot that we are; a check of another app is not ours.
        body: Of `started`.

    Raises:
        PipelineError: GitHub does not answer, or does not let us.
    """
    said, new = f"check `{body['name']}`", _answer_of(body)
    for _ in range(_ROUNDS):
        if any(c.is_running and c.answer.order == new.order for c in _ours(github, author, body)):
            return f"{said}: in progress already"
        try:
            github.create("/check-runs", body)
        except UnsureError:
            continue  # and look whether it is there
        return f"{said}: in progress"
    raise PublishError(f"{said}: nobody knows whether it was created", hint="run this again")


def complete(
    github: GitHub, author: str, body: Mapping[str, Any], is_open: Callable[[Answer], bool]
) -> str:
    """Give a commit an answer, and return what was done in a sentence.

    Every check of this name on the commit then shows the worst answer that is open.  Several of
    us may do this at once: each looks again after its own last change, so whoever looks last
    leaves all of them right.

    Args:
        github: Where.
        author: Login of the bot that we are; a check of another app is not ours.
        body: Of `completed`.
        is_open: Whether the pull request of another answer is still open with this commit.

    Raises:
        PipelineError: GitHub does not answer, or does not let us.
    """
    said, is_changed = f"check `{body['name']}`", False
    made: Mapping[str, Any] | None = None
    for _ in range(_ROUNDS):
        state = _State(_ours(github, author, body, made), body, is_open)
        is_missing = state.stands and not state.mine
        changes = state.changes()
        if not changes and not is_missing:
            shown = f"{said}: {state.worst.conclusion}"
            return shown if is_changed else f"{shown}, says it already"
        is_changed = True
        if is_missing:
            try:
                made = github.create("/check-runs", state.new_body())
            except UnsureError:
                continue  # and look whether it is there
        for number, change in changes:
            github.replace(f"/check-runs/{number}", change)
    raise PublishError(f"{said}: somebody changes it as fast as we do", hint="run this again")


@dataclass(frozen=True, slots=True)
class _Check:
    """A check of ours, and the answer that it keeps."""

    run: Mapping[str, Any]
    answer: Answer

    @property
    def number(self) -> int:
        return int(self.run["id"])

    @property
    def is_running(self) -> bool:
        return bool(self.run["status"] != "completed")

    def output(self, name: str) -> str:
        said = (self.run.get("output") or {}).get(name)
        return str(said or "").replace("\r\n", "\n").strip()


class _State:
    """The checks of one name on a commit, and what they are to show once there is a new answer.

    Attributes:
        mine: Checks that are to keep the new answer.
        stands: Whether the new answer counts for its pull request.
        worst: The answer that every check shows.
    """

    def __init__(
        self, found: Sequence[_Check], body: Mapping[str, Any], is_open: Callable[[Answer], bool]
    ) -> None:
        new = _answer_of(body)
        of_run = [c for c in found if new.run and c.answer.run == new.run]
        begun = next((c.answer for c in of_run if c.answer.asker == new.asker), new)
        self._is_moved = begun.base != new.base
        if self._is_moved:  # what was measured is no answer for the new base
            conclusion = max(new.conclusion, "cancelled", key=answers.SEVERITY.index)
            new = replace(new, base=begun.base, outcome=Outcome.STOPPED, conclusion=conclusion)
        slot = [c for c in found if c.answer.slot == new.slot or c in of_run]
        before = [c for c in slot if c.answer.order <= new.order]
        rivals = [c.answer for c in slot if not c.is_running and c.answer.slot == new.slot]
        self.stands = answers.standing((new, *rivals)) is new
        finished = [c for c in before if not c.is_running][-1:] if self.stands else []
        self.mine = [c for c in before if c.is_running] or finished
        self._found, self._body, self._new = found, body, new
        kept = {c.number for c in self.mine}
        every = [c.answer for c in found if c.number not in kept and not c.is_running]
        counted = answers.open_answers(
            (*every, new),
            lambda one: is_open(one) or (one.slot == new.slot and not self._is_moved),
        )
        self.worst = answers.worst((*counted.values(), *([new] if self._is_moved else []))) or new

    def changes(self) -> list[tuple[int, dict[str, Any]]]:
        """Return what is to be changed of each check, by its id."""
        return list(self._changes())

    def new_body(self) -> dict[str, Any]:
        """Return what creates a check for the new answer."""
        output = {**self._body["output"], "title": self._title(self._new, self._own_title)}
        return {
            **self._body,
            "external_id": self._new.mark,
            "conclusion": self.worst.conclusion,
            "output": output,
        }

    @property
    def _own_title(self) -> str:
        return str(self._body["output"]["title"])

    def _changes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        mine = {c.number for c in self.mine}
        for check in self._found:
            if check.number in mine:
                change = {k: v for k, v in self.new_body().items() if k != "head_sha"}
                if not check.is_running:  # annotations are added to those there: they are sent once
                    change["output"] = {
                        k: v for k, v in change["output"].items() if k != "annotations"
                    }
            elif check.is_running:
                continue
            else:
                own = check.output("title").rpartition(_ALSO)[2]
                texts = {
                    "title": self._title(check.answer, own),
                    "summary": check.output("summary"),
                }
                change = {
                    "name": self._body["name"],
                    "status": "completed",
                    "external_id": check.answer.mark,
                    "conclusion": self.worst.conclusion,
                    "output": texts,
                }
            if check.is_running or not _says(check, change):
                yield check.number, change

    def _title(self, answer: Answer, own: str) -> str:
        """Return the title of a check, which says so when another answer counts."""
        worst = self.worst
        if self._is_moved and answer == self._new:
            return f"measured for a base that was changed since, run it again{_ALSO}{own}"
        if worst.conclusion == answer.conclusion:
            return own
        if worst.slot == answer.slot:
            whose = "another run of this pull request"
        elif worst.asker.isdecimal():
            whose = f"#{worst.asker}, which has this commit too"
        else:
            whose = "another run of this commit"
        return f"{worst.conclusion} of {whose}{_ALSO}{own}"


def _common(key: str, event: Event, answer: Answer) -> dict[str, Any]:
    link = {"details_url": event.origin.run_url} if event.origin.run_url else {}
    return {
        "name": name_of(key),
        "head_sha": event.origin.head_sha,
        "external_id": answer.mark,
        **link,
    }


def _answer_of(body: Mapping[str, Any]) -> Answer:
    found = answers.parse(body["external_id"])
    if found is None:
        raise AssertionError("our own mark is one that we can read")
    return found


def _ours(
    github: GitHub,
    author: str,
    body: Mapping[str, Any],
    made: Mapping[str, Any] | None = None,
) -> list[_Check]:
    """Return our checks of this name on this commit, the newest last; with one known to be there.

    Checks of an older version of ours carry no mark, and are left as they are.
    """
    runs = github.pages(
        f"/commits/{body['head_sha']}/check-runs",
        "check_runs",
        check_name=str(body["name"]),
        filter="all",
    )
    app = author.removesuffix("[bot]")
    listed = [run for run in runs if (run.get("app") or {}).get("slug") == app]
    found = {run["id"]: run for run in listed if run["name"] == body["name"]}
    if made is not None:
        found.setdefault(made["id"], made)
    marked = ((run, answers.parse(str(run.get("external_id") or ""))) for run in found.values())
    checks = [_Check(run, answer) for run, answer in marked if answer]
    return sorted(checks, key=lambda check: check.number)


def _says(check: _Check, change: Mapping[str, Any]) -> bool:
    return (
        check.run.get("conclusion") == change["conclusion"]
        and check.run.get("external_id") == change["external_id"]
        and all(check.output(n) == change["output"][n].strip() for n in ("title", "summary"))
    )
