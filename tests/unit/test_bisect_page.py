"""The page, the Markdown and the text of a search for a commit; and its file."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.model.bisect import Commit
from pipeline.model.publication import Origin, Outcome, Publication
from pipeline.model.results import PROFILE, Machine
from pipeline.publish.issues import read_search
from pipeline.render.bisect import (
    bisect_markdown,
    bisect_text,
    causes,
    command_of,
    evidence_rows,
    headline,
    notes,
)
from pipeline.render.bisect_page import bisect_html
from pipeline.render.comment import TextKind, comment
from pipeline.storage import codec
from tests import bisections, pages
from tests.bisections import SimulatedJudge, bisection, step_at
from tests.builders import COUNT, THROUGHPUT

SEARCH = bisections.of_every_kind()
PAGE = bisect_html(SEARCH)
HOSTILE = bisections.hostile(pages.HOSTILE)


class Tags(HTMLParser):
    """Collects every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]


def test_the_page_has_no_script_and_loads_nothing_whatever_a_commit_is_called() -> None:
    for body in (PAGE, bisect_html(HOSTILE)):
        found = Tags()
        found.feed(body)
        assert [name for name in found.names if name == "style" or name.startswith("on")] == []
        assert not {"script", "img", "iframe", "object"} & set(found.tags)
        assert "@import" not in body
        assert "url(" not in body
        assert "\x1b" not in body


def test_markdown_and_text_are_inert_too() -> None:
    markdown, text = bisect_markdown(HOSTILE), bisect_text(HOSTILE)
    assert "<script>" not in markdown
    assert not re.search(r"(?<![\w\u200b])@\w", markdown)
    assert "\x1b" not in markdown + text


def test_every_link_within_it_leads_somewhere() -> None:
    targets = re.findall(r'id="([^"]*)"', PAGE)
    assert set(re.findall(r'href="#([^"]*)"', PAGE)) <= set(targets)
    assert len(targets) == len(set(targets))


def test_the_answer_names_commit_change_share_pull_request_and_rest() -> None:
    (cause,) = causes(SEARCH)
    assert headline(SEARCH) == (
        f"{SEARCH.commits[20].id[:12]} changed object-crud/create_p50 by {cause.change}"
    )
    assert cause.pull == "https://host.invalid/milo-os/milo/pull/720"
    assert cause.link.endswith(f"/commit/{SEARCH.commits[20].id}")
    assert "`--rest` finds them" in cause.rest
    low, high = re.findall(r"(\d+)", cause.share)[1:]
    assert int(low) < 100 * 4 / 5.5 < int(high)
    for text in (cause.share, SEARCH.commits[20].subject, "#720", cause.link):
        assert text in PAGE


def test_the_command_measures_the_commit_against_the_one_before_it() -> None:
    command = command_of(SEARCH, 20)
    assert command == (
        f"milo-perf run --candidate source:../milo@{SEARCH.commits[20].id} --against"
        f" source:../milo@{SEARCH.commits[19].id} --build 'go build -o {{out}} ./cmd/milo'"
        " --suite pr"
    )
    production = Machine({PROFILE: "production"}, {})
    assert command_of(replace(SEARCH, machine=production), 20) == f"{command} --profile production"
    settings = command_of(replace(SEARCH, repository="../milo?flag.x=1", place="kind"), 20)
    assert f"@{SEARCH.commits[20].id}?flag.x=1'" in settings
    assert settings.endswith("--suite pr --environment kind")


def test_each_commit_that_was_tried_is_a_row_and_a_skipped_one_a_note() -> None:
    rows = evidence_rows(SEARCH)
    assert [row.position for row in rows] == sorted(row.position for row in rows)
    assert len(rows) == len(SEARCH.evidence) + 1
    states = {row.state.partition(":")[0] for row in rows}
    assert {"the good end", "measured", "does not build", "no numbers"} <= states
    assert any(row.state.startswith("the build of") for row in rows)
    assert sum("is skipped" in note for note in notes(SEARCH)) == 2
    assert PAGE.count('class="estimate"') == len([row for row in rows if row.change])


@pytest.mark.parametrize("metric", [THROUGHPUT, COUNT], ids=["higher", "count"])
def test_a_metric_of_any_direction_and_scale_is_drawn(metric: object) -> None:
    found, _ = SimulatedJudge(step_at(5)).search(bisection(8, metric))  # type: ignore[arg-type]
    (cause,) = causes(found)
    assert cause.change.startswith("−" if metric is THROUGHPUT else "+")
    assert "is-regressed" in bisect_html(found)


@pytest.mark.parametrize(
    ("simulated", "answer"),
    [
        (SimulatedJudge(lambda _: 0.0, 0.2), "v1.0.0 and v1.1.0 do not differ in"),
        (SimulatedJudge(step_at(4), most=1), "were not compared in enough pairs"),
        (SimulatedJudge(step_at(4), most=5), "not decided: one of 8 commits after"),
        (SimulatedJudge(step_at(8), skipped=frozenset({7, 8})), "one of 3 commits changed"),
        (SimulatedJudge(lambda at: at / 8, 0.3, most=600), "and none stands out"),
    ],
    ids=["same", "begun", "undecided", "skipped", "spread"],
)
def test_what_is_not_found_is_said(simulated: SimulatedJudge, answer: str) -> None:
    found, _ = simulated.search(bisection(16))
    assert answer in headline(found)
    assert answer in bisect_text(found)
    assert answer.partition("<")[0] in bisect_markdown(found)
    assert "None." in bisect_html(found)


@pytest.mark.parametrize(
    ("subject", "pull"),
    [
        ("perf: share clients (#669)", 669),
        ("Merge pull request #12 from a/b", 12),
        ("fix #12", None),
        ("(#1) x", None),
        ("x (#99999999999)", None),
    ],
)
def test_a_pull_request_is_read_from_the_subject(subject: str, pull: int | None) -> None:
    assert bisections.commit(1, subject=subject).pull == pull


def test_the_file_is_read_as_it_was_written_and_a_wrong_one_is_refused() -> None:
    text = codec.BISECT.dumps(SEARCH)
    assert codec.BISECT.parse(text.encode()) == SEARCH
    for key, value, message in (
        ("url", "http://x", "an https address"),
        ("prior_freedom", 0.5, "prior_variance, prior_freedom"),
        ("found", [{"commit": 999, "files": [], "more_files": 0}], "found: it must be"),
        ("evidence", SEARCH.evidence[1:] and [json.loads(text)["evidence"][1]], "the first must"),
    ):
        body = {**json.loads(text), key: value}
        with pytest.raises(ValueError, match=message):
            codec.BISECT.parse(json.dumps(body).encode())
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        Commit("HEAD", "", "", SEARCH.commits[0].authored_at, "")


def test_the_file_of_the_most_commits_can_be_read_again() -> None:
    from pipeline.runs.bisect.request import MAX_COMMITS

    long = bisection(MAX_COMMITS)
    long = replace(long, commits=tuple(replace(one, subject="x" * 200) for one in long.commits))
    assert codec.BISECT.parse(codec.BISECT.dumps(long).encode()) == long


# The issue of a night


def issue(search: object, url: str = "https://github.example/milo/milo/actions/runs/77") -> str:
    origin = Origin(run_url=url)
    searched = search if isinstance(search, tuple) else ()
    return comment(
        Publication("nightly", Outcome.BROKEN, origin, reason="x", searched=searched),
        TextKind.ISSUE,
    )


def test_the_issue_names_the_commit_and_its_pull_request(tmp_path: Path) -> None:
    url = "https://github.example/milo-os/milo"
    codec.BISECT.write(tmp_path / "bisect.json", replace(SEARCH, url=url))
    text = issue(read_search(tmp_path))
    commit = SEARCH.commits[20]
    assert f"[`{commit.id[:12]}`]({url}/commit/{commit.id})" in text
    assert f"[#720]({url}/pull/720)" in text
    assert "of the change" in text


@pytest.mark.parametrize(
    "url", ["https://evil.example/milo-os/milo", "https://github.example/a)(b"]
)
def test_an_address_of_another_server_is_no_link(tmp_path: Path, url: str) -> None:
    codec.BISECT.write(tmp_path / "bisect.json", replace(SEARCH, url=url))
    text = issue(read_search(tmp_path))
    assert SEARCH.commits[20].id[:12] in text
    assert url not in text


def test_hostile_subjects_are_inert_in_an_issue(tmp_path: Path) -> None:
    codec.BISECT.write(tmp_path / "bisect.json", HOSTILE)
    text = issue(read_search(tmp_path))
    assert "<script>" not in text
    assert not re.search(r"(?<![\w\u200b])@\w", text)


@pytest.mark.parametrize("edit", ["{", '{"schema": "milo-perf.bisect/1"}'])
def test_a_file_that_cannot_be_used_is_a_sentence(tmp_path: Path, edit: str) -> None:
    (tmp_path / "bisect.json").write_text(edit)
    assert "left a file that cannot be used" in issue(read_search(tmp_path))


def test_numbers_of_a_stranger_raise_nothing(tmp_path: Path) -> None:
    body = json.loads(codec.BISECT.dumps(SEARCH))
    for value in (0.0, 1e18, -1e18, 1e-300):
        for one in body["evidence"]:
            one["differences"] = [value for _ in one["differences"]]
        (tmp_path / "bisect.json").write_text(json.dumps(body))
        assert read_search(tmp_path)
    (tmp_path / "bisect.json").unlink()
    assert read_search(tmp_path) == ()
