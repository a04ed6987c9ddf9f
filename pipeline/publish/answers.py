"""Choose which of several answers counts for a commit.

GitHub looks up a required check by its name on a commit, and several pull requests may have the
same commit: a copied branch, or one branch with two bases.  So each answer is stored in a check of
its own, marked with the pull request, its base and the workflow run.  Every check of one name on a
commit shows the worst answer that is still open.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from pipeline.model.publication import Outcome
from pipeline.publish.event import Event
from pipeline.publish.pull import NoPullRequest, PullRequest

COMMIT: Final = "commit"
"""Asker of an answer if no pull request was measured, for example after a push."""

UNKNOWN: Final = "?"
"""Asker of an answer if no open pull request, or several, may be meant."""

SEVERITY = ("success", "neutral", "action_required", "cancelled", "failure")
"""Conclusions of a check, the best first.  A required check passes with the first two."""

_MARK = re.compile(
    r"milo-perf/1 for=(?P<asker>commit|\?|[1-9]\d{0,17}) base=(?P<base>[0-9a-f]{12}|-)"
    r" head=(?P<head>[0-9a-f]{12}|-) run=(?P<run>\d{1,20})\.(?P<attempt>\d{1,9})"
    r" outcome=(?P<outcome>[a-z]+|-) conclusion=(?P<conclusion>[a-z_]+|-)"
)


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """The answer of one workflow run, and the pull request that it is for.

    Attributes:
        asker: Number of the pull request, `COMMIT` or `UNKNOWN`.
        base: Digest of the name of the base branch; `-` if unknown.
        head: Digest of the repository and the branch of the commit; `-` if unknown.
        run: Id of the workflow run; a later run has a larger one.
        attempt: Attempt of that run, from 1.
        conclusion: Conclusion of a check with only this answer; empty while in progress.
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
        """The key that it shares with the answers that it may replace."""
        return self.asker, self.base, self.run if self.asker == UNKNOWN else 0

    @property
    def order(self) -> tuple[int, int]:
        """The sort key of answers in time."""
        return self.run, self.attempt

    @property
    def severity(self) -> int:
        """The rank of its conclusion in `SEVERITY`."""
        return SEVERITY.index(self.conclusion)


def parse_mark(mark: str) -> CheckAnswer | None:
    """Return the answer that a check is marked with; None if the mark is not ours."""
    match = _MARK.fullmatch(mark)
    if match is None:
        return None
    outcome, conclusion = match["outcome"], match["conclusion"]
    if (outcome == "-") != (conclusion == "-"):
        return None
    if outcome != "-" and (outcome not in list(Outcome) or conclusion not in SEVERITY):
        return None
    return CheckAnswer(
        asker=match["asker"],
        base=match["base"],
        head=match["head"],
        run=int(match["run"]),
        attempt=int(match["attempt"]),
        outcome=None if outcome == "-" else Outcome(outcome),
        conclusion="" if conclusion == "-" else conclusion,
    )


def pending_answer(event: Event, pull: PullRequest | NoPullRequest) -> CheckAnswer:
    """Return the answer that a run is to give, without its outcome."""
    head = digest(f"{event.head_repository}:{event.head_branch}") if event.is_of_pull else "-"
    asker, base = COMMIT, "-"
    if isinstance(pull, PullRequest):
        asker, base = f"{pull.number}", digest(pull.base)
    elif event.is_of_pull:
        asker = UNKNOWN
    return CheckAnswer(asker, base, head, event.run, event.origin.attempt)


def digest(text: str) -> str:
    """Return a short digest of a name that somebody else chose."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def effective_answer(answers: Iterable[CheckAnswer]) -> CheckAnswer | None:
    """Return the answer of one slot that counts.

    A run that measured nothing never replaces a result.  Of several results the latest counts; of
    answers without a result, the latest that says why nothing was measured.
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
    answers: Collection[CheckAnswer], is_open: Callable[[CheckAnswer], bool]
) -> dict[tuple[str, str, int], CheckAnswer]:
    """Return the answers that count for a commit, by slot.

    An answer does not count if its pull request is closed (`is_open`: still open with this commit
    and base); if its pull request is unknown and a later result of the same branch has a known one;
    or if its run measured nothing and another pull request for the same base was measured.
    """
    slots: dict[tuple[str, str, int], list[CheckAnswer]] = {}
    for one in answers:
        slots.setdefault(one.slot, []).append(one)
    effective = {slot: best for slot, those in slots.items() if (best := effective_answer(those))}
    effective = {slot: one for slot, one in effective.items() if is_open(one)}
    results = [one for one in effective.values() if one.outcome and one.outcome.is_result]
    known = [one for one in results if one.asker != UNKNOWN]

    def counts(one: CheckAnswer) -> bool:
        if one.asker == UNKNOWN:
            return not any(s.head == one.head and s.order > one.order for s in known)
        if one.outcome is None or one.outcome.is_result:
            return True
        return not any(s.base == one.base and s.slot != one.slot for s in known)

    return {slot: one for slot, one in effective.items() if counts(one)}


def worst_answer(answers: Iterable[CheckAnswer]) -> CheckAnswer | None:
    """Return the answer with the worst conclusion; of equals, that of the latest run."""
    return max(answers, key=lambda one: (one.severity, one.order), default=None)
