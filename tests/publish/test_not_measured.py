"""A run that measured nothing, or did not come to its end, and says why."""

import pytest

from tests.github.fake import GitHub as Fake
from tests.publications import HEAD
from tests.publishing import FAST, SLOW, Publish, finished

EVERYTHING = ("--to", "check", "--to", "comment", "--key", "pr", "--comment", "always")
OUR_OWN = finished(head_repository={"id": 1000, "owner": {"login": "milo-os"}})


def concluded(fake: Fake) -> str:
    (check,) = fake.checks.values()
    return str(check["conclusion"])


@pytest.mark.parametrize(
    ("note", "conclusion", "said"),
    [
        ("skipped.txt", "neutral", "only ignored files were changed"),
        ("waiting.txt", "action_required", "a maintainer must review"),
    ],
)
def test_the_check_says_why_in_our_words_and_a_comment_is_left_as_it_was(
    note: str, conclusion: str, said: str, publish: Publish, fake: Fake
) -> None:
    fake.change(5, "docs/guide.md", "README.md")
    publish(SLOW, *EVERYTHING)
    before = fake.bodies()
    fake.checks.clear()
    code, printed, _ = publish(None, *EVERYTHING, also={note: "because of a lie"})
    assert code == 0
    (check,) = fake.checks.values()
    assert check["conclusion"] == conclusion
    assert said in check["output"]["summary"]
    assert "a lie" not in check["output"]["summary"]
    assert "not changed" in printed
    assert fake.bodies() == before


@pytest.mark.parametrize(
    ("changed", "previous", "ignore"),
    [
        pytest.param("main.go", {}, None, id="code"),
        pytest.param("docs/main.go", {"previous_filename": "main.go"}, None, id="moved away"),
        pytest.param("docs/guide.md", {}, "", id="nothing is ignored"),
        pytest.param("docs/guide.md", {}, "other/**", id="something else is ignored"),
    ],
)
def test_a_note_alone_does_not_leave_out_the_measuring(
    changed: str, previous: dict[str, str], ignore: str | None, publish: Publish, fake: Fake
) -> None:
    fake.change(5, "README.md")
    fake.change(5, changed, **previous)
    more = () if ignore is None else ("--ignore", ignore)
    publish(None, *EVERYTHING, *more, also={"skipped.txt": "only files that are ignored"})
    assert concluded(fake) == "failure"
    assert "files were changed that count" in fake.bodies()[0]


def test_a_pull_request_of_more_files_than_github_lists_is_not_left_out(
    publish: Publish, fake: Fake
) -> None:
    fake.change(5, *(f"docs/{number}.md" for number in range(3_000)))
    publish(None, *EVERYTHING, also={"skipped.txt": "no code"})
    assert concluded(fake) == "failure"


def test_a_pull_request_that_cannot_be_told_is_not_left_out(publish: Publish, fake: Fake) -> None:
    fake.add_pull(6, HEAD, base="release")
    publish(None, *EVERYTHING, also={"skipped.txt": "no code"})
    assert concluded(fake) == "failure"


def test_only_a_fork_waits(publish: Publish, fake: Fake) -> None:
    fake.add_pull(5, HEAD, repository=1000)
    publish(None, *EVERYTHING, event=OUR_OWN, also={"waiting.txt": "for godot"})
    assert concluded(fake) == "failure"


@pytest.mark.parametrize("label", ["perf", "bug"])
def test_results_of_a_fork_count_once_the_label_is_on_its_pull_request(
    label: str, publish: Publish, fake: Fake
) -> None:
    names = {"id": 1, "node_id": "x", "url": "https://github.example/x", "color": "0"}
    fake.pulls[5]["labels"] = [{**names, "name": label, "description": "", "default": False}]
    publish(FAST, "--to", "check", "--key", "pr", "--fork-label", "perf")
    assert concluded(fake) == ("success" if label == "perf" else "action_required")


def test_documentation_of_a_fork_needs_no_label(publish: Publish, fake: Fake) -> None:
    asked = ("--to", "check", "--key", "pr", "--fork-label", "perf")
    fake.change(5, "docs/guide.md")
    publish(None, *asked, also={"skipped.txt": "no code"})
    assert concluded(fake) == "neutral"
    fake.change(5, "main.go")
    publish(None, *asked, also={"skipped.txt": "no code"})
    assert concluded(fake) == "action_required"


@pytest.mark.parametrize("ended", ["cancelled", "skipped"])
def test_a_run_that_was_stopped_is_no_pass_whatever_it_left(
    ended: str, publish: Publish, fake: Fake
) -> None:
    publish(FAST, "--to", "check", "--key", "pr", event=finished(conclusion=ended))
    assert concluded(fake) == "cancelled"


def test_a_note_beside_results_changes_nothing(publish: Publish, fake: Fake) -> None:
    publish(SLOW, "--to", "check", "--key", "pr", also={"skipped.txt": "do not look"})
    assert concluded(fake) == "failure"


def test_a_run_that_did_not_end_is_broken_whatever_its_first_pairs_said(
    publish: Publish, fake: Fake
) -> None:
    said = "error: the candidate did not answer in pair 7"
    publish(SLOW, "--to", "check", "--key", "pr", also={"error.txt": said})
    (check,) = fake.checks.values()
    assert check["conclusion"] == "failure"
    assert "did not finish" in check["output"]["title"]
    assert "in pair 7" in check["output"]["summary"]
