"""Create and complete the check of a commit, which shows the worst open answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipeline.model.publication import Outcome, Publication
from pipeline.model.report import Verdict
from pipeline.publish import answers
from pipeline.publish.answers import CheckAnswer
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub, UnsureError
from pipeline.publish.options import FailOn
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
MAX_ANNOTATIONS: Final = 50
"""Number of annotations of one request; GitHub refuses more."""

_ROUNDS: Final = 8
_NO_FILE: Final = {"path": ".github", "start_line": 1, "end_line": 1}  # where annotations appear
_TITLE_SEPARATOR: Final = " | "
"""Text between the note about another answer and a check's own title."""


def name_of(key: str) -> str:
    """Return the exact name of the check, by which it can be required."""
    return f"milo-perf / {key}"


def conclusion(outcome: Outcome, fail_on: FailOn) -> str:
    """Return the conclusion of a check with a single answer."""
    usual = CONCLUSIONS[outcome]
    if fail_on is FailOn.NEVER and usual == "failure":
        return "neutral"
    if fail_on is FailOn.INCONCLUSIVE and outcome is Outcome.INCONCLUSIVE:
        return "failure"
    return usual


def started_body(key: str, event: Event, answer: CheckAnswer) -> dict[str, Any]:
    """Return the body of a check that is in progress."""
    return {**_common(key, event, answer), "status": "in_progress"}


def completed_body(
    publication: Publication, event: Event, answer: CheckAnswer, fail_on: FailOn = FailOn.REGRESSION
) -> dict[str, Any]:
    """Return the body of a check with an answer, annotations included."""
    result = conclusion(publication.outcome, fail_on)
    answer = replace(answer, outcome=publication.outcome, conclusion=result)
    return {
        **_common(publication.key, event, answer),
        "status": "completed",
        "conclusion": result,
        "output": {
            "title": publication_answer(publication),
            "summary": comment(publication, TextKind.PLAIN),
            "annotations": annotations(publication),
        },
    }


def annotations(publication: Publication) -> list[dict[str, Any]]:
    """Return an annotation for each gating regression that is not accepted."""
    regressions = [
        finding
        for finding in changed_findings(publication)
        if finding.verdict is Verdict.REGRESSED
        and finding.comparison.metric.gate
        and status(finding, publication) == "regressed"
    ]
    return [
        {**_NO_FILE, "annotation_level": "failure", "message": finding_sentence(finding)}
        for finding in regressions[:MAX_ANNOTATIONS]
    ]


def start(github: GitHub, author: str, body: Mapping[str, Any]) -> str:
    """Create a check that is in progress, and return what was done in a sentence.

    `body` is from `started_body`.  Checks of other apps than our bot, the author, are ignored.
    """
    name, new = f"check `{body['name']}`", _answer_of(body)
    for _ in range(_ROUNDS):
        if any(
            c.is_running and c.answer.order == new.order for c in _our_checks(github, author, body)
        ):
            return f"{name}: in progress already"
        try:
            github.create("/check-runs", body)
        except UnsureError:
            continue  # the next round finds it if it was created
        return f"{name}: in progress"
    raise PublishError(f"{name}: not known whether it was created", hint="run this command again")


def complete(
    github: GitHub, author: str, body: Mapping[str, Any], is_open: Callable[[CheckAnswer], bool]
) -> str:
    """Add an answer to a commit, and return what was done in a sentence.

    Every check of this name on the commit then shows the worst open answer.  Several jobs may do
    this at once: each reads the checks again after its own last change, so the last reader leaves
    all of them correct.  `body` is from `completed_body`; `is_open` tells whether the pull request
    of another answer is still open.
    """
    name, is_changed = f"check `{body['name']}`", False
    created: Mapping[str, Any] | None = None
    for _ in range(_ROUNDS):
        state = _CheckState(_our_checks(github, author, body, created), body, is_open)
        is_missing = state.is_effective and not state.own_checks
        changes = list(state.changes())
        if not changes and not is_missing:
            result = f"{name}: {state.worst.conclusion}"
            return result if is_changed else f"{result}, up to date"
        is_changed = True
        if is_missing:
            try:
                created = github.create("/check-runs", state.new_body())
            except UnsureError:
                continue  # the next round finds it if it was created
        for number, change in changes:
            github.replace(f"/check-runs/{number}", change)
    raise PublishError(f"{name}: another process keeps changing it", hint="run this command again")


@dataclass(frozen=True, slots=True)
class _Check:
    """A check of ours, and the answer stored in it."""

    run: Mapping[str, Any]
    answer: CheckAnswer

    @property
    def number(self) -> int:
        return int(self.run["id"])

    @property
    def is_running(self) -> bool:
        return bool(self.run["status"] != "completed")

    def output(self, name: str) -> str:
        text = (self.run.get("output") or {}).get(name)
        return str(text or "").replace("\r\n", "\n").strip()


class _CheckState:
    """The checks of one name on a commit, and what they must show with a new answer.

    Attributes:
        own_checks: Checks that store the new answer.
        is_effective: Whether the new answer counts for its pull request.
        worst: CheckAnswer that every check shows.
    """

    def __init__(
        self,
        existing: Sequence[_Check],
        body: Mapping[str, Any],
        is_open: Callable[[CheckAnswer], bool],
    ) -> None:
        new = _answer_of(body)
        same_run = [c for c in existing if new.run and c.answer.run == new.run]
        begun = next((c.answer for c in same_run if c.answer.asker == new.asker), new)
        self._is_base_changed = begun.base != new.base
        if self._is_base_changed:  # the result is no answer for the new base
            conclusion = max(new.conclusion, "cancelled", key=answers.SEVERITY.index)
            new = replace(new, base=begun.base, outcome=Outcome.STOPPED, conclusion=conclusion)
        slot = [c for c in existing if c.answer.slot == new.slot or c in same_run]
        before = [c for c in slot if c.answer.order <= new.order]
        rivals = [c.answer for c in slot if not c.is_running and c.answer.slot == new.slot]
        self.is_effective = answers.effective_answer((new, *rivals)) is new
        finished = [c for c in before if not c.is_running][-1:] if self.is_effective else []
        self.own_checks = [c for c in before if c.is_running] or finished
        self._existing, self._body, self._new = existing, body, new
        own = {c.number for c in self.own_checks}
        others = [c.answer for c in existing if c.number not in own and not c.is_running]
        counted = answers.open_answers(
            (*others, new),
            lambda one: is_open(one) or (one.slot == new.slot and not self._is_base_changed),
        )
        self.worst = (
            answers.worst_answer((*counted.values(), *([new] if self._is_base_changed else [])))
            or new
        )

    def new_body(self) -> dict[str, Any]:
        """Return the body of a check for the new answer."""
        title = self._title(self._new, str(self._body["output"]["title"]))
        output = {**self._body["output"], "title": title}
        return {
            **self._body,
            "external_id": self._new.mark,
            "conclusion": self.worst.conclusion,
            "output": output,
        }

    def changes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the changes of each check, by its id."""
        own = {c.number for c in self.own_checks}
        for check in self._existing:
            if check.number in own:
                change = {k: v for k, v in self.new_body().items() if k != "head_sha"}
                if not check.is_running:  # GitHub adds annotations to those there: send them once
                    change["output"].pop("annotations", None)
            elif check.is_running:
                continue
            else:
                title = check.output("title").rpartition(_TITLE_SEPARATOR)[2]
                texts = {
                    "title": self._title(check.answer, title),
                    "summary": check.output("summary"),
                }
                change = {
                    "name": self._body["name"],
                    "status": "completed",
                    "external_id": check.answer.mark,
                    "conclusion": self.worst.conclusion,
                    "output": texts,
                }
            if check.is_running or not _is_up_to_date(check, change):
                yield check.number, change

    def _title(self, answer: CheckAnswer, own: str) -> str:
        """Return the title of a check, with a note if another answer counts."""
        worst = self.worst
        if self._is_base_changed and answer == self._new:
            return f"the base branch has changed, run it again{_TITLE_SEPARATOR}{own}"
        if worst.conclusion == answer.conclusion:
            return own
        if worst.slot == answer.slot:
            whose = "another run of this pull request"
        elif worst.asker.isdecimal():
            whose = f"#{worst.asker}, which has this commit too"
        else:
            whose = "another run of this commit"
        return f"{worst.conclusion} of {whose}{_TITLE_SEPARATOR}{own}"


def _common(key: str, event: Event, answer: CheckAnswer) -> dict[str, Any]:
    link = {"details_url": event.origin.run_url} if event.origin.run_url else {}
    return {
        "name": name_of(key),
        "head_sha": event.origin.head_sha,
        "external_id": answer.mark,
        **link,
    }


def _answer_of(body: Mapping[str, Any]) -> CheckAnswer:
    answer = answers.parse_mark(body["external_id"])
    if answer is None:
        raise AssertionError("our own mark must be readable")
    return answer


def _our_checks(
    github: GitHub, author: str, body: Mapping[str, Any], created: Mapping[str, Any] | None = None
) -> list[_Check]:
    """Return our checks of this name on this commit, the newest last, with a created one.

    Checks of an older version have no mark and are not changed.
    """
    runs = github.pages(
        f"/commits/{body['head_sha']}/check-runs",
        "check_runs",
        check_name=str(body["name"]),
        filter="all",
    )
    app = author.removesuffix("[bot]")
    listed = [run for run in runs if (run.get("app") or {}).get("slug") == app]
    by_id = {run["id"]: run for run in listed if run["name"] == body["name"]}
    if created is not None:
        by_id.setdefault(created["id"], created)
    marked = (
        (run, answers.parse_mark(str(run.get("external_id") or ""))) for run in by_id.values()
    )
    checks = [_Check(run, answer) for run, answer in marked if answer]
    return sorted(checks, key=lambda check: check.number)


def _is_up_to_date(check: _Check, change: Mapping[str, Any]) -> bool:
    return (
        check.run.get("conclusion") == change["conclusion"]
        and check.run.get("external_id") == change["external_id"]
        and all(check.output(n) == change["output"][n].strip() for n in ("title", "summary"))
    )
