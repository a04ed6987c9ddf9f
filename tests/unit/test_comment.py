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

from pipeline.model.metric import Metric
from pipeline.model.publication import Acceptance, Alarm, Outcome, Publication
from pipeline.model.report import Change, Comparison, Finding, Verdict
from pipeline.model.results import Failure
from pipeline.model.subject import Arm
from pipeline.render import answer_line
from pipeline.render import comment as rendered
from pipeline.render.comment import TextKind, comment, comment_bodies, marker, status
from pipeline.render.escape import code_block, code_span
from tests import pages, publications
from tests.publications import ORIGIN, SLOW, STATES, TODAY, published, run

OURS = {
    *("h2", "p", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "details"),
    *("summary", "ul", "li", "a", "sub", "span"),
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


def test_the_example_in_the_docs_is_what_is_written(
    section: Callable[[str, str, str], None],
) -> None:
    first = comment(STATES["mixed"](), TextKind.PLAIN).split("\nReproduce")[0]
    quoted = "\n".join(f"> {line}".rstrip() for line in first.strip().splitlines())
    section("../../docs/howto/read-a-comment.md", "example", quoted)


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
    for table in re.findall(r"<table>(.*?)</table>", page, re.DOTALL):
        widths = [
            len(re.findall(r"<t[hd]\b", row))
            for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        ]
        assert set(widths) in ({3}, {9}, {10})


@pytest.mark.parametrize("name", STATES)
def test_the_first_line_says_what_the_rows_say(name: str) -> None:
    publication = STATES[name]()
    body = comment(publication)
    gating = publication.report.gating if publication.report else ()
    found = [status(finding, publication) for finding in gating]
    line = body.splitlines()[1]
    assert line.startswith("## ")
    if publication.outcome is Outcome.BROKEN:
        assert "⚠️" in line
        assert re.search("ERROR|INVALID", line)
        return
    if publication.report is None:
        assert re.search("SKIPPED|WAITING|STOPPED", line)
        return
    assert ("❌ REGRESSION: " in line) == ("regressed" in found)
    assert ("🟡 ACCEPTED: " in line) == ("accepted" in found and "regressed" not in found)
    is_pass = set(found) <= {"unchanged", "improved"}
    assert ("✅" in line) == is_pass
    assert ("PASS: " in line) == (is_pass and "improved" not in found)
    assert ("✅ IMPROVED: " in line) == (is_pass and "improved" in found)
    (counts,) = (one for one in body.splitlines() if one.startswith("**gating"))
    counted = re.findall(r"(\d+) [a-z]+[,* ]", counts.split("· suite")[0])
    assert sum(map(int, counted)) == len(publication.report.findings)
    shown_reds = body.split("<details>")[0].count("❌ regressed")
    assert shown_reds == min(10, sum(s == "regressed" for s in _all(publication)))


@pytest.mark.parametrize("name", STATES)
def test_the_first_line_is_the_answer_of_every_format(name: str) -> None:
    publication = STATES[name]()
    report = publication.report
    if publication.accepted or publication.lacking or not report:
        return
    if publication.outcome is Outcome.BROKEN:  # but for what an artifact says in sentences
        assert answer_line.answer(report).startswith(rendered.publication_answer(publication))
        return
    assert rendered.publication_answer(publication) == answer_line.answer(report)


@pytest.mark.parametrize("name", STATES)
def test_the_first_screen_has_what_moved_the_links_and_the_command(name: str) -> None:
    publication = STATES[name]()
    first, *folded = comment(publication).split("<details")
    moved = (
        rendered.changed_findings(publication) if publication.outcome is not Outcome.BROKEN else []
    )
    assert first.count("\n| `") == min(10, len(moved))
    assert f"[Open the report]({ORIGIN.report_url})" in first
    assert first.index("Open the report") < first.index("suite `pr`")
    is_plain_pass = publication.outcome is Outcome.PASSED and not moved
    assert ("```sh" in first) == bool(publication.command and not is_plain_pass)
    assert "❓ inconclusive" not in first
    doubtful = rendered.inconclusive_findings(publication)
    if doubtful and publication.outcome is not Outcome.BROKEN and name != "truncated":
        (fold,) = (part for part in folded if "inconclusive metric" in part.split("</summary>")[0])
        assert sum("| `" in line for line in fold.splitlines()) == len(doubtful)


def finding(metric: Metric, change: float, **rest: object) -> Finding:
    one = Comparison("w", metric, 1.0, 1.0, Change(change, change, change), None, None, None, 5)
    return Finding(replace(one, **rest), Verdict.REGRESSED)  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize(
    ("metric", "change", "expected"),
    [
        (publications.CREATE, 0.05, "█"),
        (publications.CREATE, 0.06, "█"),
        (publications.CREATE, 0.11, "██"),
        (publications.CREATE, 9.0, "██████"),
        (publications.CREATE, -0.09, "░░"),
        (publications.CREATE, 0.0, ""),
        (publications.RATE, -0.10, "██"),
        (publications.RATE, 0.10, "░░"),
        (publications.ERRORS, 0.004, "██"),
        (publications.ERRORS, -0.004, "░░"),
    ],
)
def test_a_bar_has_a_block_for_each_margin(metric: Metric, change: float, expected: str) -> None:
    assert rendered.change_blocks(finding(metric, change).comparison) == expected


@given(st.floats(-0.99, 50, allow_nan=False))
@settings(deadline=None)
def test_a_bar_is_short_and_says_which_way(change: float) -> None:
    drawn = rendered.change_blocks(finding(publications.CREATE, change).comparison)
    assert len(drawn) <= 6
    assert set(drawn) <= ({"█"} if change > 0 else {"░"} if change < 0 else set())


def test_a_verdict_that_is_kept_says_from_how_many_pairs_and_shows_their_change() -> None:
    publication = published(run(*SLOW))
    assert publication.report
    (red,) = (f for f in publication.report.gating if f.verdict is Verdict.REGRESSED)
    early = replace(red.comparison, pairs=3, change=Change(0.4, 0.41, 0.42))
    findings = tuple(replace(f, kept=early) if f is red else f for f in publication.report.findings)
    kept = replace(publication, report=replace(publication.report, findings=findings))
    first = comment(kept).split("<details")[0]
    assert "| +41\u00a0% (40\u00a0to\u00a042\u00a0%) <span" in first
    assert "❌ regressed, found at 3 pairs |" in first
    assert "REGRESSION: create p50 +41 % (40 to 42 %) at 3 pairs" in first
    assert "found at" not in comment(publication)


def test_a_build_that_failed_says_in_how_many_pairs() -> None:
    results = run(*SLOW)
    trials = tuple(
        replace(t, failures=(Failure("it died"),)) if t.arm is Arm.CANDIDATE else t
        for t in results.trials
    )
    first = comment(published(replace(results, trials=trials))).split("<details")[0]
    assert "| `failed trials` | failed\u00a0in\u00a05\u00a0of\u00a05\u00a0pairs <span" in first


def _all(publication: Publication) -> list[str]:
    findings = publication.report.findings if publication.report else ()
    return [status(finding, publication) for finding in findings]


@pytest.mark.parametrize("name", STATES)
def test_it_fits_and_keeps_its_marker_on_every_rung(name: str) -> None:
    publication = STATES[name]()
    is_pass = publication.outcome is Outcome.PASSED and not rendered.changed_findings(publication)
    most = rendered.MAX_BYTES_OF_A_PASS if is_pass else rendered.MAX_BYTES
    bodies = list(comment_bodies(publication))
    assert len(bodies[0].encode()) <= most
    sizes = [len(body) for body in bodies]
    assert sizes == sorted(sizes, reverse=True)
    assert {body.splitlines()[0] for body in bodies} == {marker(TextKind.COMMENT, "pr")}
    assert {body.splitlines()[1] for body in bodies} == {bodies[0].splitlines()[1]}


def test_a_pass_of_60_metrics_with_long_names_stays_short() -> None:
    rows = [publications.row(pages.metric(f"{n:02}_{'x' * 70}"), 5e-3) for n in range(60)]
    publication = published(run(*rows, warnings=("w" * 600,)))
    assert publication.outcome is Outcome.PASSED
    assert len(comment(publication).encode()) <= rendered.MAX_BYTES_OF_A_PASS
    assert len(comment(publication, TextKind.PLAIN).encode()) > 10_000


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
    for kind in TextKind:
        assert len(comment(publication, kind).encode()) <= rendered.MAX_BYTES


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
    assert "REGRESSION: list p50 +40 % (39 to 41 %); 1 regression accepted" in comment(found)


def test_an_acceptance_makes_no_inconclusive_run_a_pass() -> None:
    unsure = publications.row(publications.CPU, 7e-4, 1.0, 0.2)
    found = published(run(*SLOW, unsure), publications.accepted())
    assert found.outcome is Outcome.INCONCLUSIVE
    assert re.search(
        "INCONCLUSIVE: server CPU per request .*; 1 regression accepted", comment(found)
    )


NASTY = st.text(
    st.one_of(
        st.sampled_from("`|<>@#\r\n\u202e\u200b\u2066\u05d0-!&[]()*_~$\\\x00\x1b"), st.characters()
    ),
    max_size=120,
)


@given(NASTY)
@settings(max_examples=100, deadline=None)
def test_a_name_is_one_code_span_whatever_it_is(text: str) -> None:
    page = shown(f"| a | b |\n| - | - |\n| {code_span(text)} | end |\n")
    found = [tag for tag, _ in _Elements(page).found]
    assert found == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "code", "td"]
    assert "<td>end</td>" in page
    assert not set(code_span(text)[1:-1]) & set("`|<>@#\r\n\u202e\u200b\u2066\x00\x1b\u05d0")


@given(NASTY)
@settings(max_examples=100, deadline=None)
def test_a_reason_is_one_block_of_code_whatever_it_is(text: str) -> None:
    page = shown(comment(Publication("pr", Outcome.BROKEN, ORIGIN, reason=f"x{text}")))
    assert [tag for tag, _ in _Elements(page).found].count("pre") == 1
    assert page.count("What next") == 1 + code_block(text).count("What next")
    assert _Elements(page).comments == [" milo-perf:comment v=1 key=pr "]
