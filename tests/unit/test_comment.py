"""What GitHub shows of a run: the exact text, and that no name in it can do anything."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import acceptance
from pipeline.model.publication import Acceptance, Alarm, Outcome, Publication
from pipeline.render import comment as rendered
from pipeline.render.comment import Kind, comment, marker, shorter
from pipeline.render.foreign import block, code
from pipeline.render.rows import status
from tests import pages, publications
from tests.publications import ORIGIN, SLOW, STATES, TODAY, published, run

OURS = {
    *("h2", "p", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "details"),
    *("summary", "ul", "li", "a", "sub"),
}


class _Elements(HTMLParser):
    """What a page is made of: its elements with their attributes, and its comments."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def shown(body: str) -> str:
    """Return the HTML that GitHub's own Markdown makes of a body."""
    return str(cmarkgfm.github_flavored_markdown_to_html(body, Options.CMARK_OPT_UNSAFE))


@pytest.mark.parametrize("name", STATES)
def test_a_comment(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"comment/{name}.md", comment(STATES[name]()))


@pytest.mark.parametrize("name", STATES)
def test_what_github_makes_of_it_has_no_element_that_is_not_ours(name: str) -> None:
    found = _Elements(shown(comment(STATES[name]())))
    assert {tag for tag, _ in found.found} <= OURS
    assert found.comments == [" milo-perf:comment v=1 key=pr "]
    links = [attributes["href"] for tag, attributes in found.found if tag == "a"]
    assert set(links) <= {ORIGIN.run_url, ORIGIN.artifact_url, ORIGIN.report_url}


@pytest.mark.parametrize("name", STATES)
def test_every_row_of_its_tables_is_whole(name: str) -> None:
    page = shown(comment(STATES[name]()))
    for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL):
        assert len(re.findall(r"<t[hd]", row)) == 7


@pytest.mark.parametrize("name", STATES)
def test_the_verdict_line_says_what_the_rows_say(name: str) -> None:
    publication = STATES[name]()
    body = comment(publication)
    gating = publication.report.gating if publication.report else ()
    found = [status(finding, publication) for finding in gating]
    line = body.splitlines()[1]
    if publication.outcome is Outcome.BROKEN:
        assert "⚠️" in line
        return
    if publication.outcome in (Outcome.SKIPPED, Outcome.WAITING, Outcome.STOPPED):
        assert "not measured" in line
        return
    assert ("❌" in line) == ("regressed" in found)
    assert ("🟡" in line) == ("accepted" in found and "regressed" not in found)
    assert ("✅" in line) == (set(found) <= {"unchanged", "improved"})
    counts = body.splitlines()[3]
    assert sum(int(n) for n in re.findall(r"(\d+) [a-z]+[,* ]", counts.split("· suite")[0])) == len(
        publication.report.findings if publication.report else ()
    )
    shown_reds = body.split("<details>")[0].count("❌ regressed")
    assert shown_reds == min(10, sum(s == "regressed" for s in _all(publication)))


def _all(publication: Publication) -> list[str]:
    findings = publication.report.findings if publication.report else ()
    return [status(finding, publication) for finding in findings]


@pytest.mark.parametrize("name", STATES)
def test_it_fits_and_keeps_its_marker_on_every_rung(name: str) -> None:
    publication = STATES[name]()
    is_pass = publication.outcome is Outcome.PASSED
    most = rendered.MOST_BYTES_OF_A_PASS if is_pass else rendered.MOST_BYTES
    bodies = list(shorter(publication))
    assert len(bodies[0].encode()) <= most
    sizes = [len(body) for body in bodies]
    assert sizes == sorted(sizes, reverse=True)
    assert {body.splitlines()[0] for body in bodies} == {marker(Kind.COMMENT, "pr")}
    assert {body.splitlines()[1] for body in bodies} == {bodies[0].splitlines()[1]}


def test_a_pass_of_60_metrics_with_long_names_stays_short() -> None:
    rows = [publications.row(pages.metric(f"{n:02}_{'x' * 70}"), 5e-3) for n in range(60)]
    publication = published(run(*rows, warnings=("w" * 600,)))
    assert publication.outcome is Outcome.PASSED
    assert len(comment(publication).encode()) <= rendered.MOST_BYTES_OF_A_PASS
    assert len(comment(publication, Kind.PLAIN).encode()) > 10_000


def test_a_body_that_could_not_be_shortened_still_fits() -> None:
    wide = "ￃ" * 2_000
    many = [pages.metric(f"{number:03}{wide}") for number in range(40)]
    rows = [publications.row(of, 5e-3, 1.5) for of in many]
    known = [Acceptance(f"*/{n:03}*", wide, wide, date(2025, 1, 1)) for n in range(40)]
    publication = replace(
        published(run(*rows, warnings=(wide,)), *known),
        notes=(wide,) * 3,
        alarms=tuple(Alarm(wide, wide) for _ in range(300)),
        origin=replace(ORIGIN, is_fork=True),
    )
    for kind in Kind:
        assert len(comment(publication, kind).encode()) <= rendered.MOST_BYTES


def test_the_same_publication_gives_the_same_bytes() -> None:
    first, again = (published(run(*SLOW), publications.accepted()) for _ in range(2))
    assert first is not again
    assert comment(first) == comment(again)


def test_a_regression_that_grew_beyond_what_was_accepted_is_red() -> None:
    results = run(*SLOW)
    small = publications.accepted(most=0.3)
    assert published(results, small).outcome is Outcome.REGRESSED
    assert published(results, publications.accepted(most=0.4)).outcome is Outcome.ACCEPTED
    assert published(results, small, publications.accepted()).outcome is Outcome.ACCEPTED


def test_the_suite_is_named_as_the_results_name_it_whatever_the_key() -> None:
    body = comment(published(run(*SLOW), key="both/first"))
    assert body.startswith("<!-- milo-perf:comment v=1 key=both/first -->")
    assert "suite `pr`" in body


def test_an_acceptance_counts_on_its_last_day_and_not_after() -> None:
    assert published(run(*SLOW), publications.accepted(TODAY)).outcome is Outcome.ACCEPTED
    over = published(run(*SLOW), publications.accepted(date(2026, 1, 1)))
    assert over.outcome is Outcome.REGRESSED
    assert len(over.expired) == 1


def test_an_acceptance_hides_no_other_regression() -> None:
    other = publications.row(pages.metric("list_p50"), 2e-2, 1.4)
    found = published(run(*SLOW, other), publications.accepted())
    assert found.outcome is Outcome.REGRESSED
    assert "1 regression among 6 gating metrics, 1 more accepted" in comment(found)


def test_an_acceptance_makes_no_inconclusive_run_a_pass() -> None:
    unsure = publications.row(publications.CPU, 7e-4, 1.0, 0.2)
    found = published(run(*SLOW, unsure), publications.accepted())
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "could not judge 1 of 6 gating metrics" in comment(found)


NASTY = st.text(
    st.one_of(
        st.sampled_from("`|<>@#\r\n\u202e\u200b\u2066\u05d0-!&[]()*_~$\\\x00\x1b"), st.characters()
    ),
    max_size=120,
)


@given(NASTY)
@settings(max_examples=100, deadline=None)
def test_a_name_is_one_code_span_whatever_it_is(text: str) -> None:
    page = shown(f"| a | b |\n| - | - |\n| {code(text)} | end |\n")
    found = [tag for tag, _ in _Elements(page).found]
    assert found == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "code", "td"]
    assert "<td>end</td>" in page
    assert not set(code(text)[1:-1]) & set("`|<>@#\r\n\u202e\u200b\u2066\x00\x1b\u05d0")


@given(NASTY)
@settings(max_examples=100, deadline=None)
def test_a_reason_is_one_block_of_code_whatever_it_is(text: str) -> None:
    page = shown(comment(acceptance.broken("pr", ORIGIN, f"x{text}")))
    assert [tag for tag, _ in _Elements(page).found].count("pre") == 1
    assert page.count("What next") == 1 + block(text).count("What next")
    assert _Elements(page).comments == [" milo-perf:comment v=1 key=pr "]
