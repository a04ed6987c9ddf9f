"""A comment as GitHub shows it, in a real browser: what a phone's width leaves to be seen."""

from pathlib import Path

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options

from pipeline.publish.outputs import write_page
from pipeline.render.comment import comment, publication_answer
from pipeline.system.sanitize import printable
from tests.browser import Page
from tests.publications import STATES

WIDTHS = (400, 1280)
CSS = """
body { margin: 0; font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", sans-serif; }
main { margin: 16px; padding: 16px; border: 1px solid #d1d9e0; overflow-wrap: break-word; }
main * { box-sizing: border-box; }
h2 { font-size: 1.5em; padding-bottom: .3em; border-bottom: 1px solid #d1d9e0; }
table { display: block; width: max-content; max-width: 100%; overflow: auto;
        border-collapse: collapse; border-spacing: 0; font-variant: tabular-nums; }
th, td { padding: 6px 13px; border: 1px solid #d1d9e0; }
th { font-weight: 600; }
a { color: #0969da; text-decoration: underline; }
code { padding: .2em .4em; font: 85% ui-monospace, Menlo, monospace; white-space: break-spaces;
       background: #eff1f3; border-radius: 6px; }
pre { padding: 16px; overflow: auto; font-size: 85%; background: #f6f8fa; }
pre code { padding: 0; font-size: 100%; white-space: pre; background: none; }
"""
"""What GitHub gives the body of a comment, as far as it decides what has room."""

MOVED = ("regressed", "improved", "mixed", "acknowledged", "fork", "hostile")


def shown(page: Page, name: str, folder: Path, width: int) -> None:
    """Show the comment of a state in a window of some width."""
    body = cmarkgfm.github_flavored_markdown_to_html(
        comment(STATES[name]()), Options.CMARK_OPT_UNSAFE
    )
    file = folder / f"{name}.html"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{CSS}</style><main>{body}</main></html>",
        encoding="utf-8",
    )
    page.open(file, width=width)


@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_change_of_what_moved_is_seen_without_scrolling(
    chromium: Page, tmp_path: Path, name: str, width: int
) -> None:
    shown(chromium, name, tmp_path, width)
    table = "document.querySelector('main > table')"
    seen = chromium.run(f"{table}.getBoundingClientRect().right")
    cells = chromium.run(
        f"[...{table}.querySelectorAll('tr')].map(r => [...r.cells].map(c => {{"
        " const range = document.createRange(); range.selectNodeContents(c);"
        " return [c.textContent.trim(), range.getBoundingClientRect().right]; }))"
    )
    assert cells[0][1][0] == "change"
    for row in cells:
        assert row[1][0]
        assert row[1][1] <= seen, row
    assert seen <= width
    assert chromium.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["regressed", "improved", "mixed", "acknowledged"])
def test_all_columns_of_what_moved_have_room_on_a_phone(
    chromium: Page, tmp_path: Path, name: str
) -> None:
    shown(chromium, name, tmp_path, 400)
    table = "document.querySelector('main > table')"
    assert chromium.run(f"{table}.scrollWidth") <= chromium.run(f"{table}.clientWidth")


@pytest.mark.parametrize("name", MOVED)
def test_a_bar_is_not_read_aloud(chromium: Page, tmp_path: Path, name: str) -> None:
    shown(chromium, name, tmp_path, 400)
    read = "[...document.querySelectorAll('main > table td')].map(c => [...c.childNodes].filter("
    texts = chromium.run(f"{read}n => n.ariaHidden !== 'true').map(n => n.textContent).join(''))")
    assert texts
    assert not {"█", "░"} & set("".join(texts))
    assert {"█", "░"} & set(chromium.run("document.querySelector('main > table').textContent"))


@pytest.mark.parametrize("name", STATES)
def test_what_is_read_first_is_near_the_top(chromium: Page, tmp_path: Path, name: str) -> None:
    shown(chromium, name, tmp_path, 1280)
    top = "document.querySelector('main a').getBoundingClientRect().top"
    assert chromium.run(top) < 900
    folded = chromium.run(
        "[...document.querySelectorAll('main table')].map(t => !!t.closest('details'))"
    )
    assert folded.count(False) <= 1


@pytest.mark.parametrize("name", ["regressed", "acknowledged", "fork", "hostile", "invalid-run"])
def test_the_page_that_is_linked_says_the_same_and_loads_nothing(
    chromium: Page, tmp_path: Path, name: str
) -> None:
    publication = STATES[name]()
    file = tmp_path / "milo-perf-pr.html"
    assert write_page(publication, file) == f"page: written to {file}"
    chromium.open(file, width=400)
    said = " ".join(chromium.run("document.querySelector('h1').textContent").split())
    assert said.partition(" ")[2] == " ".join(printable(publication_answer(publication)).split())
    assert chromium.requests() == []
    assert chromium.complaints() == []
    assert chromium.run("typeof pwned") == "undefined"
    shown_commands = chromium.run(
        "[...document.querySelectorAll('pre code')].map(c => c.innerText)"
    )
    assert shown_commands == ([publication.command] if publication.command else [])
