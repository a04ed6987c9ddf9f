"""The page of a history in a real Chromium: it complains of nothing and asks for nothing."""

from pathlib import Path

import pytest

from pipeline.judge.history import HistoryRule
from pipeline.render.history_page import headline, history_html
from tests import histories
from tests.browser import Page, serious


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "history.html"
    body = history_html(histories.of_every_kind(), HistoryRule())
    written.write_text(body, encoding="utf-8")
    return written


@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_it_is_read_without_a_request_a_complaint_or_scrolling_sideways(
    chromium: Page, path: Path, width: int
) -> None:
    chromium.open(path, width=width)
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = headline(histories.of_every_kind()).answer
    assert chromium.run("document.querySelector('h1').innerText") == found
    assert chromium.run("typeof pwned") == "undefined"
    assert chromium.run("document.querySelectorAll('img, script').length") == 0
    drawn = "[...document.querySelectorAll('svg')].filter(e => e.checkVisibility()).length"
    assert chromium.run(drawn) == len(histories.of_every_kind())
    assert chromium.run("document.documentElement.scrollWidth") == width
    assert chromium.requests() == []
    assert chromium.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(axe: str, chromium: Page, path: Path, *, dark: bool) -> None:
    chromium.open(path, dark=dark)
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    chromium.run(axe)
    assert serious(chromium) == []


def test_its_policy_lets_nothing_else_run(chromium: Page, path: Path) -> None:
    body = path.read_text(encoding="utf-8")
    path.write_text(body.replace("<main>", "<main><script>pwned=1</script>"), encoding="utf-8")
    chromium.open(path)
    assert chromium.run("typeof pwned") == "undefined"
    assert any("Content Security Policy" in said for said in chromium.complaints())
