"""A run that measured nothing, or did not come to its end, and says why."""

import pytest

from tests.github.fake import GitHub as Fake
from tests.publishing import SLOW, Publish

EVERYTHING = ("--to", "check", "--to", "comment", "--key", "pr", "--comment", "always")


@pytest.mark.parametrize(
    ("note", "conclusion"),
    [("skipped.txt", "neutral"), ("waiting.txt", "action_required")],
)
def test_the_check_says_why_and_a_comment_is_left_as_it_was(
    note: str, conclusion: str, publish: Publish, fake: Fake
) -> None:
    publish(SLOW, *EVERYTHING)
    before = fake.bodies()
    fake.checks.clear()
    code, printed, _ = publish(None, *EVERYTHING, also={note: "because of <b>this</b>"})
    assert code == 0
    (check,) = fake.checks.values()
    assert check["conclusion"] == conclusion
    assert "because of" in check["output"]["summary"]
    assert "nothing was measured" in printed
    assert fake.bodies() == before


def test_a_note_beside_results_changes_nothing(publish: Publish, fake: Fake) -> None:
    publish(SLOW, "--to", "check", "--key", "pr", also={"skipped.txt": "do not look"})
    (check,) = fake.checks.values()
    assert check["conclusion"] == "failure"


def test_a_run_that_did_not_end_is_broken_whatever_its_first_pairs_said(
    publish: Publish, fake: Fake
) -> None:
    said = "error: the candidate did not answer in pair 7"
    publish(SLOW, "--to", "check", "--key", "pr", also={"error.txt": said})
    (check,) = fake.checks.values()
    assert check["conclusion"] == "failure"
    assert "did not finish" in check["output"]["title"]
    assert "in pair 7" in check["output"]["summary"]
