"""The HTML report that the trusted job makes, and the link to it."""

import re
from pathlib import Path

import pytest

from pipeline.model.results import ResultSet
from tests.github.fake import BASE
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD
from tests.publish.test_recommended import ASKED, EVIL, OWN, hostile
from tests.publishing import FAST, SLOW, Publish, finished

NAMED = "https://github.example/milo-os/milo/actions/runs/78/artifacts/5"


def page(
    publish: Publish,
    folder: Path,
    results: ResultSet | str | Path | None,
    *more: str,
    **rest: object,
) -> str | None:
    """Return the page that is written; None where there is none."""
    file = folder / "page" / "milo-perf-pr.html"
    arguments = ("--to", "page", "--page", str(file), "--key", "pr", *more)
    assert publish(results, *arguments, **rest)[0] == 0
    return file.read_text() if file.exists() else None


def shell(text: str) -> list[str]:
    """Return what a reader would copy into a shell."""
    return re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", text, re.DOTALL)


def test_a_page_of_a_fork_has_no_command_and_says_whose_numbers_they_are(
    fake: Fake, publish: Publish, tmp_path: Path
) -> None:
    text = page(publish, tmp_path, hostile(), *ASKED, suite="pr")
    assert text
    assert shell(text) == []
    assert "Measured by code that this pull request controls" in text
    assert fake.writes() == []


def test_a_page_of_our_own_pull_request_has_the_command_of_the_comment(
    fake: Fake, publish: Publish, tmp_path: Path
) -> None:
    fake.add_pull(5, HEAD, repository=1000, labels=[])
    text = page(publish, tmp_path, hostile(), *ASKED, event=OWN, suite="pr")
    assert text
    (command,) = shell(text)
    assert f"--candidate source:.@{HEAD} --against source:.@$(git merge-base {BASE}" in command
    assert EVIL not in command
    assert "Measured by code that this pull request controls" not in text


def test_a_page_and_a_report_in_the_artifact_are_not_passed_on(
    publish: Publish, tmp_path: Path
) -> None:
    also = {"report.html": "<script>pwned</script>", "verdict.json": '{"verdict": "unchanged"}'}
    text = page(publish, tmp_path, SLOW, also=also)
    assert text
    assert "pwned" not in text
    assert "regress" in text.split("<h1")[1].split("</h1>")[0].lower()


@pytest.mark.parametrize(
    ("results", "also", "ended"),
    [
        pytest.param("error: milo did not answer", {}, "failure", id="broken"),
        pytest.param(None, {"waiting.txt": "why"}, "success", id="waiting"),
        pytest.param(FAST, {}, "cancelled", id="stopped"),
    ],
)
def test_where_nothing_is_decided_there_is_no_page(
    publish: Publish,
    tmp_path: Path,
    results: ResultSet | str | None,
    also: dict[str, str],
    ended: str,
) -> None:
    assert page(publish, tmp_path, results, also=also, event=finished(conclusion=ended)) is None


def test_results_of_a_fork_without_its_label_have_no_page(
    fake: Fake, publish: Publish, tmp_path: Path
) -> None:
    assert page(publish, tmp_path, FAST, "--fork-label", "perf") is None
    assert fake.writes() == []


def test_a_page_without_a_file_and_one_that_cannot_be_written_are_refused(
    publish: Publish, tmp_path: Path
) -> None:
    code, _, err = publish(SLOW, "--to", "page")
    assert code == 2
    assert "add --page FILE" in err
    (tmp_path / "file").write_text("")
    code, _, err = publish(SLOW, "--to", "page", "--page", str(tmp_path / "file" / "x.html"))
    assert code == 8
    assert "cannot be written" in err


def test_the_link_opens_the_page_and_otherwise_says_that_it_is_an_archive(
    fake: Fake, publish: Publish
) -> None:
    archives = "https://github.example/milo-os/milo/actions/runs/77#artifacts"
    links = ("--artifact-url", archives, "--report-url", NAMED)
    publish(SLOW, "--to", "comment", *links)
    assert f"[Open the report]({NAMED})" in fake.bodies()[0]
    assert f"[Data (zip)]({archives})" in fake.bodies()[0]
    publish(SLOW, "--to", "comment", *links[:2], "--report-url", "")
    assert "Open the report" not in fake.bodies()[0]
    assert f"[Report and data (zip)]({archives})" in fake.bodies()[0]


@pytest.mark.parametrize("url", ["javascript:x", "https://x/)y", "https://x y", "<https://x>"])
def test_what_is_no_plain_address_is_not_linked(fake: Fake, publish: Publish, url: str) -> None:
    publish(SLOW, "--to", "comment", "--report-url", url)
    assert "Open the report" not in fake.bodies()[0]
