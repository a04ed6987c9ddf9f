"""Names come from builds and suites that we do not know: in every format they are only text."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from pipeline.model.report import Report
from pipeline.render.exports import of_report
from pipeline.render.html import html
from pipeline.render.junit import junit
from pipeline.render.markdown import MAX_CHARACTERS, markdown
from pipeline.render.perfdata import perfdata
from pipeline.render.registry import EXPORTERS
from pipeline.render.text import text
from tests import pages

NAMES = [
    pytest.param("<script>pwned=1</script>", id="script"),
    pytest.param("a | b || c", id="pipe"),
    pytest.param("\x1b[31mred\x1b]0;title\x07", id="terminal"),
    pytest.param("evil\u202egnp.exe\u2066\u200f", id="direction"),
    pytest.param("line\r\nline\u2028line\x85line\x00", id="lines"),
    pytest.param("]]> &amp; '\"` {{ 7*7 }} {% raw %}", id="markup"),
    pytest.param("\ud800 lone surrogate", id="surrogate"),
    pytest.param("long<&|" * 1500, id="10 kB"),
]


FORMATS = [
    pytest.param(lambda report: html(report, pages.traces(), "{}"), id="html"),
    pytest.param(markdown, id="markdown"),
    pytest.param(lambda report: text(report, color=False), id="terminal"),
    pytest.param(junit, id="junit"),
    pytest.param(perfdata, id="perfdata"),
    *(pytest.param(lambda r, e=e: e(of_report(r)), id=name) for name, e in EXPORTERS.items()),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rendered", FORMATS)
def test_nothing_that_a_reader_s_program_would_obey_is_left(
    rendered: Callable[[Report], str], name: str
) -> None:
    shown = rendered(pages.hostile(name)[0])
    bad = [c for c in shown if not c.isprintable() and c not in "\n\u200b"]
    assert bad == []
    shown.encode()  # a lone surrogate could not be written to a file


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_no_element_that_is_not_ours(name: str) -> None:
    report, traces = pages.hostile(name)
    body = html(report, traces, "{}")
    ours = re.findall(r"<([a-z][a-z0-9]*)", html(*pages.hostile("x"), "{}"))
    found = re.findall(r"<([a-z][a-z0-9]*)", body)
    assert sorted(found) == sorted(ours)
    assert [c for c in body if not c.isprintable() and c != "\n"] == []


@pytest.mark.parametrize("name", NAMES)
def test_junit_is_well_formed_and_the_name_is_in_it(name: str) -> None:
    root = ET.fromstring(junit(pages.hostile(name)[0]))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(pages.METRICS)
    start = re.sub(r"\W.*", "", name)
    assert all(start in (case.get("classname") or "") for case in cases)


def test_a_table_of_markdown_has_as_many_cells_as_ever() -> None:
    def bars(name: str) -> list[int]:
        lines = markdown(pages.hostile(name)[0]).splitlines()
        return [line.count("|") for line in lines if line.startswith("| ")]

    assert bars("a | b") == bars("x")


def test_10_kb_in_every_name_make_no_report_too_long() -> None:
    report, traces = pages.hostile("x" * 10_240)
    assert len(markdown(report)) < MAX_CHARACTERS
    assert len(html(report, traces, "{}")) < 500_000
    assert len(junit(report)) < 500_000
    assert max(map(len, text(report, width=80).splitlines()[:-1])) <= 80
