"""Which answer of several counts for a commit.

GitHub looks up a required check by its name on a commit, and several pull requests may have the
same commit: a copied branch, or one branch with two bases.  So each answer is kept in a check of
its own, marked with the pull request, its base and the workflow run; and every check of one name
on a commit shows the worst answer that is still open.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from pipeline.model.publication import Outcome
from pipeline.publish.event import Event
from pipeline.publish.pull import Pull

COMMIT: Final = "commit"
"""Who an answer is for where no pull request was measured, such as a push."""

UNKNOWN: Final = "?"
"""Who an answer is for where several pull requests, or none that is open, could be meant."""

SEVERITY = ("success", "neutral", "action_required", "cancelled", "failure")
"""Conclusions of a check, the best first.  A required check passes with the first two."""

_MARK = re.compile(
    r"milo-perf/1 for=(?P<asker>commit|\?|[1-9]\d{0,17}) base=(?P<base>[0-9a-f]{12}|-)"
    r" head=(?P<head>[0-9a-f]{12}|-) run=(?P<run>\d{1,20})\.(?P<attempt>\d{1,9})"
    r" outcome=(?P<outcome>[a-z]+|-) conclusion=(?P<conclusion>[a-z_]+|-)"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one workflow run says, and which pull request it says it of.

    Attributes:
        asker: Number of the pull request, `COMMIT` or `UNKNOWN`.
        base: Digest of the name of the branch that the pull request is for; `-` when unknown.
        head: Digest of the repository and the branch of the commit; `-` when unknown.
        run: Id of the workflow run: a later run has a larger one.
        attempt: Of that run, from 1.
        outcome: None while the run is in progress.
        conclusion: Of a check that has only this answer; empty while in progress.
    """

    asker: str
    base: str
    head: str
    run: int
    attempt: int
    outcome: Outcome | None = None
    conclusion: str = ""

    @property
    def mark(self) -> str:
        """The `external_id` of its check."""
        return (
            f"milo-perf/1 for={self.asker} base={self.base} head={self.head}"
            f" run={self.run}.{self.attempt}"
            f" outcome={self.outcome or '-'} conclusion={self.conclusion or '-'}"
        )

    @property
    def slot(self) -> tuple[str, str, int]:
        """What it has in common with the answers that it may replace."""
        return self.asker, self.base, self.run if self.asker == UNKNOWN else 0

    @property
    def order(self) -> tuple[int, int]:
        """By which a later answer is known."""
        return self.run, self.attempt

    @property
    def severity(self) -> int:
        """How bad its conclusion is."""
        return SEVERITY.index(self.conclusion)


def parse(mark: str) -> Answer | None:
    """Return the answer that a check is marked with; None where the mark is not ours."""
    found = _MARK.fullmatch(mark)
    if found is None:
        return None
    outcome, conclusion = found["outcome"], found["conclusion"]
    if (outcome == "-") != (conclusion == "-"):
        return None
    if outcome != "-" and (outcome not in list(Outcome) or conclusion not in SEVERITY):
        return None
    return Answer(
        asker=found["asker"],
        base=found["base"],
        head=found["head"],
        run=int(found["run"]),
        attempt=int(found["attempt"]),
        outcome=None if outcome == "-" else Outcome(outcome),
        conclusion="" if conclusion == "-" else conclusion,
    )


def asked(event: Event, there: Pull | str) -> Answer:
    """Return the answer that a run is to give, without its outcome.

    Args:
        event: What was measured.
        there: The pull request of the event, or why it cannot be told.
    """
    head = digest(f"{event.head_repository}:{event.head_branch}") if event.is_of_pull else "-"
    asker, base = COMMIT, "-"
    if isinstance(there, Pull):
        asker, base = f"{there.number}", digest(there.base)
    elif event.is_of_pull:
        asker = UNKNOWN
    return Answer(asker, base, head, event.run, event.origin.attempt)


def digest(text: str) -> str:
    """Return a short digest of a name that somebody else chose."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def standing(answers: Iterable[Answer]) -> Answer | None:
    """Return the answer of one slot that counts.

    A run that measured nothing never replaces a result: of results the latest counts, and of
    answers without a result the latest that says why nobody has measured.
    """
    return max(
        (one for one in answers if one.outcome is not None),
        key=lambda one: (
            one.outcome is not None and one.outcome.is_result,
            one.outcome is not Outcome.STOPPED,
            one.order,
        ),
        default=None,
    )


def open_answers(
    answers: Collection[Answer], is_open: Callable[[Answer], bool]
) -> dict[tuple[str, str, int], Answer]:
    """Return the answers that count for a commit, by slot.

    Left out are those of pull requests that are not open any more; of runs whose pull request
    could not be told, once a later result of the same branch is certain; and of runs that
    measured nothing, where another pull request for the same base was measured.

    Args:
        answers: All of one commit.
        is_open: Whether the pull request of an answer is still open with this commit and base.
    """
    slots: dict[tuple[str, str, int], list[Answer]] = {}
    for one in answers:
        slots.setdefault(one.slot, []).append(one)
    found = {slot: best for slot, those in slots.items() if (best := standing(those))}
    found = {slot: one for slot, one in found.items() if is_open(one)}
    results = [one for one in found.values() if one.outcome and one.outcome.is_result]
    sure = [one for one in results if one.asker != UNKNOWN]

    def counts(one: Answer) -> bool:
        if one.asker == UNKNOWN:
            return not any(s.head == one.head and s.order > one.order for s in sure)
        if one.outcome is None or one.outcome.is_result:
            return True
        return not any(s.base == one.base and s.slot != one.slot for s in sure)

    return {slot: one for slot, one in found.items() if counts(one)}


def worst(answers: Iterable[Answer]) -> Answer | None:
    """Return the answer with the worst conclusion; of several, that of the latest run."""
    return max(answers, key=lambda one: (one.severity, one.order), default=None)
