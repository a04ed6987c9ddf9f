"""Whatever a stranger sends is refused in one sentence, or is only text."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from markdown_it import MarkdownIt

from pipeline.judge import acceptance, policy
from pipeline.model.report import Report
from pipeline.render.comment import comment
from pipeline.render.html import html
from pipeline.render.junit import junit
from pipeline.render.markdown import markdown
from pipeline.render.text import text
from pipeline.storage.artifact import open_artifact
from pipeline.system.errors import BaselineError, Exit
from tests import pages, publications
from tests.hostile.case import Case
from tests.hostile.containers import FOLDERS, ZIPS
from tests.hostile.inert import FREE, LIES
from tests.hostile.texts import JSON, NAMES, VALUES

CASES = [*ZIPS, *FOLDERS, *JSON, *VALUES, *NAMES, *FREE, *LIES]
REFUSED = [case for case in CASES if case.said]
READ = [case for case in CASES if not case.said]


def _names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@cache
def _refusal(number: int) -> str:
    """Return what a refusal says, without the path; made once for two tests."""
    with TemporaryDirectory(prefix="hostile-") as folder, pytest.raises(BaselineError) as caught:
        open_artifact(REFUSED[number].make(Path(folder)))
    assert caught.value.exit_code is Exit.NO_BASELINE
    return str(caught.value).replace(folder, "").removeprefix("/artifact.zip")[2:]


@pytest.mark.parametrize("case", REFUSED, ids=_names(REFUSED))
def test_it_is_refused_in_one_sentence(case: Case) -> None:
    said = _refusal(REFUSED.index(case))
    assert case.said in said
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize("case", READ, ids=_names(READ))
def test_it_is_only_text_and_the_numbers_decide(case: Case, tmp_path: Path) -> None:
    report = policy.report(open_artifact(case.make(tmp_path)))
    assert report.verdict is case.verdict
    _only_text(report)


def _only_text(report: Report) -> None:
    harmless = pages.report()
    said = _comment(report)
    for shown, other in ((markdown(report), markdown(harmless)), (said, _comment(harmless))):
        assert shown.count("<!-- milo-perf:") == 1
        markup, prose = _parsed(shown)
        assert markup <= _parsed(other)[0]
        assert not re.search(r"(?<!\w)@\w|(?<!\w)#\d|GH-\d|://|www\.", prose)
    page = html(report, pages.traces(), "{}")
    assert _tags(page) <= _tags(html(harmless, pages.traces(), "{}"))
    ET.fromstring(junit(report))
    for one in (markdown(report), said, page, text(report, color=False), junit(report)):
        assert [c for c in one if not c.isprintable() and c not in "\n\u200b\xa0"] == []
        assert not re.search(r"(?m)^::", one)
        one.encode()


def _comment(report: Report) -> str:
    found = acceptance.publication_of("pr", publications.ORIGIN, report, today=publications.TODAY)
    return comment(found)


def _parsed(shown: str) -> tuple[set[str], str]:
    """Return what Markdown makes of a report: kinds of tokens and raw HTML, and the text."""
    markup: set[str] = set()
    prose: list[str] = []
    for block in MarkdownIt("gfm-like", {"linkify": False}).parse(shown):
        for token in block.children or (block,):
            is_raw = token.type in ("html_block", "html_inline")
            tags = "".join(re.findall(r"<[^>]*>", token.content)) if is_raw else ""
            markup.add(token.type + tags)
            if token.type == "text":
                prose.append(token.content)
    return markup, "\n".join(prose)


def _tags(page: str) -> set[str]:
    return set(re.findall(r"<([a-z][a-z0-9]*)", page))


def test_the_list_is_long_enough_and_names_each_case_once() -> None:
    assert sorted(set(_names(CASES))) == sorted(_names(CASES))
    assert len(CASES) >= 100


def test_the_table_is_what_became_of_them(
    section: Callable[[str, str, str], None],
) -> None:
    rows = ["| artifact | | by | it says |", "| :-- | :-- | :-- | :-- |"]
    for case in CASES:
        said = _refusal(REFUSED.index(case)) if case.said else ""
        became = "refused" if case.said else "only text" if case in FREE else "no effect"
        cells = (case.name, became, case.by, said)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    section("hostile-artifacts.md", "hostile", "\n".join(rows))
