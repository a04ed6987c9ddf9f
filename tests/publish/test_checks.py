"""A check belongs to a pull request and its base; a commit shows the worst answer that is open."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.publication import Outcome
from pipeline.publish import answers, checks
from pipeline.publish.answers import SEVERITY, CheckAnswer
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub
from tests.github.answers import BOT
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD, ORIGIN
from tests.publishing import FAST, SLOW, Publish, finished

CHECK = ("--to", "check", "--key", "mine")
SKIP = {"skipped.txt": "no code"}
WAIT = {"waiting.txt": "for a label"}


def of(number: int, run: int = 77, **parts: object) -> dict[str, Any]:
    """Return the event of a run, beside which GitHub names a pull request."""
    return finished(id=run, pull_requests=[{"number": number}], **parts)


def copied(run: int, **parts: object) -> dict[str, Any]:
    """Return the event of a run of pull request 9: another fork that has the same commit."""
    head = {"id": 3000, "owner": {"login": "eve"}}
    return finished(id=run, head_repository=head, **parts)


def shown(fake: Fake) -> set[str]:
    """Return what a required check of the name may see, whichever of ours GitHub looks at."""
    return {
        check["conclusion"] if check["status"] == "completed" else check["status"]
        for check in fake.checks.values()
    }


@pytest.fixture
def two(fake: Fake) -> Fake:
    """Return a repository in which one branch is to be merged into two others."""
    fake.add_pull(7, HEAD, base="release", labels=[])
    return fake


def test_two_pull_requests_of_one_commit_do_not_overwrite_each_others_check(
    two: Fake, publish: Publish
) -> None:
    publish(SLOW, *CHECK, event=of(5))
    publish(FAST, *CHECK, event=of(7, 78))
    assert shown(two) == {"failure"}
    first, second = two.checks.values()
    assert first["output"]["title"].startswith("REGRESSION: create p50")
    assert second["output"]["title"].startswith("failure of #5, which has this commit too | PASS: ")
    publish(FAST, *CHECK, event=of(5, 79))
    assert shown(two) == {"success"}
    titles = {c["output"]["title"] for c in two.checks.values()}
    assert [title.startswith("PASS: no metric worse; at worst ") for title in titles] == [True]


def test_a_later_red_turns_the_earlier_green_of_another_red(two: Fake, publish: Publish) -> None:
    publish(FAST, *CHECK, event=of(5))
    publish(SLOW, *CHECK, event=of(7, 78))
    assert shown(two) == {"failure"}
    two.pulls[7]["state"] = "closed"
    publish(FAST, *CHECK, event=of(5, 79))
    assert shown(two) == {"success"}


def test_an_answer_for_another_base_is_none_for_this_one(two: Fake, publish: Publish) -> None:
    publish(SLOW, *CHECK, event=of(7))
    publish(FAST, *CHECK, event=of(5, 78))
    assert shown(two) == {"failure"}
    two.add_pull(7, HEAD, base="old", labels=[])  # somebody has chosen another base for it
    publish(FAST, *CHECK, event=of(7, 79))
    assert shown(two) == {"success"}


def test_a_base_that_is_changed_while_it_is_measured_gets_no_answer_for_another(
    fake: Fake, publish: Publish
) -> None:
    fake.add_pull(5, HEAD, base="slow", labels=[])
    publish(None, *CHECK, "--start", event=of(5))
    fake.add_pull(5, HEAD, base="main", labels=[])
    for attempt in (1, 1, 2):
        publish(FAST, *CHECK, event=of(5, run_attempt=attempt))
        assert shown(fake) == {"cancelled"}
        (check,) = fake.checks.values()
        assert check["output"]["title"].startswith("the base branch has changed, run it again")
    publish(FAST, *CHECK, event=of(5, 78))
    assert shown(fake) == {"success"}


def test_a_base_that_is_changed_afterwards_is_not_answered_by_a_second_attempt(
    fake: Fake, publish: Publish
) -> None:
    fake.add_pull(5, HEAD, base="slow", labels=[])
    publish(FAST, *CHECK, event=of(5))
    fake.add_pull(5, HEAD, base="main", labels=[])
    publish(FAST, *CHECK, event=of(5, run_attempt=2))
    assert shown(fake) == {"cancelled"}


@pytest.mark.parametrize("note", [SKIP, WAIT])
def test_a_copy_that_was_not_measured_does_not_replace_a_result(
    fake: Fake, publish: Publish, note: dict[str, str]
) -> None:
    fake.add_pull(9, HEAD, repository=3000, labels=[])
    fake.change(9, "docs/x.md")
    publish(SLOW, *CHECK, event=of(5))
    publish(None, *CHECK, event=copied(78), also=note)
    assert shown(fake) == {"failure"}
    publish(FAST, *CHECK, event=of(5, 79))  # and for the same base, nobody has to wait for it
    assert shown(fake) == {"success"}


def test_a_copy_that_waits_for_another_base_is_not_green_by_the_answer_for_this_one(
    fake: Fake, publish: Publish
) -> None:
    fake.add_pull(9, HEAD, repository=3000, base="release", labels=[])
    publish(FAST, *CHECK, event=of(5))
    publish(None, *CHECK, event=copied(78), also=WAIT)
    assert shown(fake) == {"action_required"}


def test_where_nobody_can_tell_which_was_measured_every_run_counts(
    two: Fake, publish: Publish
) -> None:
    publish(SLOW, *CHECK, event=finished(id=77))
    publish(FAST, *CHECK, event=finished(id=78))
    assert shown(two) == {"failure"}
    publish(FAST, *CHECK, event=finished(id=77, run_attempt=2))
    assert shown(two) == {"success"}
    publish(SLOW, *CHECK, event=finished(id=79))
    two.pulls[7]["state"] = "closed"
    publish(FAST, *CHECK, event=finished(id=80))  # now it is clear what this is of
    assert shown(two) == {"success"}


@pytest.mark.parametrize("ended", ["skipped", "cancelled"])
def test_a_run_that_was_stopped_gives_back_what_was_known_before(
    fake: Fake, publish: Publish, ended: str
) -> None:
    publish(SLOW, *CHECK, event=of(5))
    publish(None, *CHECK, "--start", event=of(5, 78))
    assert shown(fake) == {"failure", "in_progress"}
    publish(None, *CHECK, event=of(5, 78, conclusion=ended))
    assert shown(fake) == {"failure"}
    publish(None, *CHECK, event=of(5, 77, conclusion=ended))
    assert shown(fake) == {"failure"}
    titles = {check["output"]["title"].split(" | ")[0] for check in fake.checks.values()}
    assert "failure of another run of this pull request" in titles


def test_an_older_run_that_reports_late_does_not_replace_a_newer_answer(
    fake: Fake, publish: Publish
) -> None:
    publish(SLOW, *CHECK, event=of(5, 80))
    publish(FAST, *CHECK, event=of(5, 79))
    assert shown(fake) == {"failure"}
    publish(FAST, *CHECK, event=of(5, 81))
    publish(SLOW, *CHECK, event=of(5, 80))
    assert shown(fake) == {"success"}


def test_a_check_is_never_created_better_than_the_commit_is(two: Fake, publish: Publish) -> None:
    publish(SLOW, *CHECK, event=of(5))
    seen: list[set[str]] = []
    two.before = lambda _: seen.append(shown(two))
    publish(FAST, *CHECK, event=of(7, 78))
    assert all(one == {"failure"} for one in seen)


def test_reports_at_the_same_time_end_with_the_worst(fake: Fake) -> None:
    both = threading.Barrier(2)
    met = threading.Semaphore(2)

    def meet(asked: str) -> None:
        if asked.startswith("POST") and met.acquire(blocking=False):
            both.wait(timeout=20)  # both have looked, and found none

    fake.before = meet
    with fake.serving() as url:
        github = [
            GitHub(url, "milo-os/milo", "secret-token", "2022-11-28", sleep=lambda _: None)
            for _ in range(2)
        ]

        def report(at: int, conclusion: str) -> None:
            outcome = Outcome.PASSED if conclusion == "success" else Outcome.REGRESSED
            answer = CheckAnswer(
                f"{5 + at}", "0" * 11 + f"{at}", "-", 77 + at, 1, outcome, conclusion
            )
            checks.complete(github[at], BOT, body(answer), lambda _: True)

        threads = [
            threading.Thread(target=report, args=one) for one in enumerate(["success", "failure"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"] * 2


def body(answer: CheckAnswer) -> dict[str, Any]:
    return {
        **checks.started_body("mine", Event(ORIGIN), answer),
        "status": "completed",
        "conclusion": answer.conclusion,
        "output": {"title": "x", "summary": "y", "annotations": []},
    }


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "x",
        "milo-perf/1 for=5 base=- head=- run=1.1 outcome=passed conclusion=-",
        "milo-perf/1 for=5 base=- head=- run=1.1 outcome=great conclusion=success",
        "milo-perf/1 for=5 base=- head=- run=1.1 outcome=passed conclusion=skipped",
        "milo-perf/1 for=0 base=- head=- run=1.1 outcome=- conclusion=-",
        "milo-perf/1 for=5 base=- head=- run=1.1 outcome=- conclusion=-\n",
    ],
)
def test_a_mark_that_is_not_ours_keeps_no_answer(mark: str) -> None:
    assert answers.parse_mark(mark) is None


DIGESTS = st.sampled_from(["0" * 12, "1" * 12])
CONCLUDED = st.sampled_from(sorted(checks.CONCLUSIONS.items()))
ANSWERS = st.builds(
    lambda asker, base, head, run, attempt, said: CheckAnswer(
        asker, base, head, run, attempt, *said
    ),
    st.sampled_from(["5", "7", answers.UNKNOWN, answers.COMMIT]),
    DIGESTS,
    DIGESTS,
    st.integers(1, 5),
    st.integers(1, 2),
    CONCLUDED,
)


@given(ANSWERS)
def test_an_answer_is_read_as_it_was_marked(answer: CheckAnswer) -> None:
    assert answers.parse_mark(answer.mark) == answer
    assert len(answer.mark) < 200


@given(st.lists(ANSWERS, max_size=8), st.sets(st.sampled_from(["5", "7"])))
def test_no_answer_of_an_open_pull_request_is_better_hidden(
    found: list[CheckAnswer], closed: set[str]
) -> None:
    def is_open(answer: CheckAnswer) -> bool:
        return answer.asker not in closed

    worst = answers.worst_answer(answers.open_answers(found, is_open).values())
    for slot in {one.slot for one in found if is_open(one) and one.asker != answers.UNKNOWN}:
        stands = answers.effective_answer([one for one in found if one.slot == slot])
        assert stands is not None
        if stands.outcome is not None and stands.outcome.is_result:
            assert worst is not None
            assert SEVERITY.index(worst.conclusion) >= SEVERITY.index(stands.conclusion)


@given(st.lists(ANSWERS, min_size=1, max_size=8))
def test_what_measured_nothing_never_stands_before_a_result(found: list[CheckAnswer]) -> None:
    stands = answers.effective_answer(found)
    assert stands is not None
    assert stands.outcome is not None
    if any(one.outcome is not None and one.outcome.is_result for one in found):
        assert stands.outcome.is_result


def test_an_answer_in_progress_does_not_stand() -> None:
    running = CheckAnswer("5", "-", "-", 9, 1)
    done = replace(running, run=1, outcome=Outcome.PASSED, conclusion="success")
    assert answers.effective_answer([running, done]) == done
    assert answers.effective_answer([running]) is None


def test_answers_of_more_pull_requests_than_are_looked_up_count(
    fake: Fake, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.publish.targets.MAX_PULL_LOOKUPS", 1)
    for number in (6, 7):
        fake.add_pull(number, HEAD, repository=3000 + number, labels=[])
        head = {"id": 3000 + number, "owner": {"login": "eve"}}
        publish(SLOW, *CHECK, event=finished(id=number, head_repository=head))
        fake.pulls[number]["state"] = "closed"
    publish(FAST, *CHECK, event=of(5))
    assert shown(fake) == {"failure"}
