"""The pull request of a run is the open one with its commit and its repository, or none."""

from dataclasses import replace

import pytest

from pipeline.publish import pull
from pipeline.publish.event import Event
from pipeline.publish.github import GitHub, RetryDelays
from pipeline.publish.pull import NoPullRequest, PullRequest
from tests.github.fake import BASE
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD, ORIGIN

FORK = 2000
EVENT = Event(
    ORIGIN,
    is_of_pull=True,
    head_owner="mallory",
    head_branch="main",
    head_repository=FORK,
)


def client(url: str) -> GitHub:
    return GitHub(url, "milo-os/milo", "secret-token", "2022-11-28", RetryDelays(), lambda _: None)


def found(fake: Fake, event: Event = EVENT) -> PullRequest | str:
    with fake.serving() as url:
        result = pull.find_pull(client(url), event)
    return result.reason if isinstance(result, NoPullRequest) else result


def test_the_pull_request_is_found_by_its_commit_and_repository(fake: Fake) -> None:
    fake.add_pull(6, HEAD, repository=3000)  # the same branch name and commit in another fork
    fake.pulls[5]["labels"] = []
    assert found(fake) == PullRequest(5, frozenset(), "main", BASE)
    assert found(fake, replace(EVENT, number=5)) == PullRequest(5, frozenset(), "main", BASE)


@pytest.mark.parametrize("number", [0, 5])
def test_results_for_an_older_commit_are_not_commented_on(fake: Fake, number: int) -> None:
    fake.add_pull(5, "b" * 40)
    said = found(fake, replace(EVENT, number=number))
    assert "older commit, a1b2c3d4a1b2" in str(said)
    assert "#5 to bbbbbbbbbbbb" in str(said)


@pytest.mark.parametrize("number", [0, 5])
def test_a_closed_pull_request_is_not_commented_on(fake: Fake, number: int) -> None:
    fake.pulls[5]["state"] = "closed"
    assert "no open pull request" in str(found(fake, replace(EVENT, number=number)))


@pytest.mark.parametrize("number", [0, 5])
def test_a_pull_request_whose_fork_is_gone_is_not_commented_on(fake: Fake, number: int) -> None:
    fake.pulls[5]["head"]["repo"] = None
    assert "no open pull request" in str(found(fake, replace(EVENT, number=number)))
    assert "is deleted" in str(found(fake, replace(EVENT, head_repository=0)))


def test_two_pull_requests_with_one_commit_are_both_left_alone(fake: Fake) -> None:
    fake.add_pull(7, HEAD)
    assert "#5, #7" in str(found(fake))


def test_the_one_that_github_names_beside_the_run_is_it(fake: Fake) -> None:
    fake.add_pull(7, HEAD, base="release", labels=[])
    named = replace(EVENT, numbers=frozenset({7}))
    assert found(fake, named) == PullRequest(7, frozenset(), "release", BASE)
    assert "#5, #7" in str(found(fake, replace(EVENT, numbers=frozenset({5, 7}))))
    assert "#5, #7" in str(found(fake, replace(EVENT, numbers=frozenset({99}))))


def test_a_run_of_no_pull_request_asks_nothing(fake: Fake) -> None:
    assert "not of a pull request" in str(found(fake, Event(ORIGIN)))
    assert fake.asked == []
