"""The page in a real Chromium: what a reader sees, and what the page may not do."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter

from pipeline.render import answer_line, words
from pipeline.render.html import html
from tests import pages
from tests.browser import Page, serious
from tests.conftest import GOLDEN

_BLUR = 2  # pixels: how text is smoothed differs between versions
_CHANNEL = 48  # of 255: a pixel that differs by less is the same
_SHARE = 0.001  # of all pixels may differ; between two versions of Chromium none did


@pytest.fixture
def shown(chromium: Page, tmp_path: Path) -> Page:
    path = tmp_path / "report.html"
    path.write_text(html(pages.report(), pages.traces(), '{"a": 1}'), encoding="utf-8")
    chromium.open(path)
    return chromium


def counted(shown: Page, selector: str) -> int:
    return int(shown.run(f"document.querySelectorAll({selector!r}).length"))


def visible(shown: Page, selector: str) -> int:
    return int(
        shown.run(
            f"[...document.querySelectorAll({selector!r})].filter(e => e.checkVisibility()).length"
        )
    )


def same(picture: bytes, name: str, *, update: bool) -> None:
    """Compare a picture with a golden one, but for how text is smoothed."""
    path = GOLDEN / "page" / name
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(picture)).convert("RGB").save(path, optimize=True)
    seen, wanted = (
        Image.open(source).convert("RGB").filter(ImageFilter.GaussianBlur(_BLUR))
        for source in (io.BytesIO(picture), path)
    )
    assert seen.size == wanted.size
    assert different(seen, wanted) < _SHARE


def different(one: Image.Image, other: Image.Image) -> float:
    """Return the share of pixels that differ so much that a person would see it."""
    largest = ImageChops.difference(one, other).convert("L").point(lambda v: 255 * (v > _CHANNEL))
    return largest.histogram()[255] / (one.width * one.height)


def test_it_shows_every_finding_and_the_same_words(shown: Page) -> None:
    report = pages.report()
    text = shown.run("document.body.innerText")
    assert shown.run("document.querySelector('h1').innerText").endswith(answer_line.answer(report))
    assert words.verdict_counts(report) in text
    assert words.reproduce_command(report) in text
    assert counted(shown, ".sortable tbody tr") == len(report.findings)
    assert counted(shown, "td.plot svg") >= len(report.findings)
    assert visible(shown, "#why details[open] .pictures svg") == 3  # regressed: open from the start


def test_nothing_is_asked_for_and_nothing_complains(shown: Page) -> None:
    for script in ("document.querySelectorAll('details').forEach(d => d.open = true)", "1"):
        shown.run(script)
    assert shown.requests() == []
    assert shown.complaints() == []


def test_its_policy_lets_nothing_else_run_or_load(chromium: Page, tmp_path: Path) -> None:
    body = html(pages.report(), pages.traces(), "{}")
    bad = "<script>pwned=1</script><img src='http://127.0.0.1:9/x.png'><p onclick='pwned=1'>x</p>"
    path = tmp_path / "bad.html"
    path.write_text(body.replace("<main>", f"<main>{bad}"), encoding="utf-8")
    chromium.open(path)
    chromium.run("document.querySelector('[onclick]').click()")
    assert chromium.run("typeof pwned") == "undefined"
    assert any("Content Security Policy" in said for said in chromium.complaints())


def test_it_looks_the_same_without_scripts(shown: Page, tmp_path: Path) -> None:
    with_scripts = shown.picture()
    shown.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        shown.open(tmp_path / "report.html")
        without = shown.picture()
    finally:
        shown.call("Emulation.setScriptExecutionDisabled", value=False)
    one, other = (Image.open(io.BytesIO(data)).convert("RGB") for data in (with_scripts, without))
    assert different(one, other) == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(axe: str, shown: Page, tmp_path: Path, *, dark: bool) -> None:
    shown.open(tmp_path / "report.html", dark=dark)
    shown.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    shown.run(axe)
    assert serious(shown) == []
    shown.run("document.querySelector('h1').style.color = '#888'")
    shown.run("document.querySelector('.answer').style.background = '#777'")
    assert "color-contrast" in [rule for _, rule, _ in serious(shown)]  # it can find something


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_look_as_they_did(
    shown: Page, tmp_path: Path, theme: str, request: pytest.FixtureRequest
) -> None:
    shown.open(tmp_path / "report.html", dark=theme == "dark")
    update = bool(request.config.getoption("--update-golden"))
    same(shown.picture(height=2000), f"{theme}.png", update=update)


def test_a_metric_in_a_table_leads_to_its_evidence(shown: Page) -> None:
    link = (
        "[...document.querySelectorAll('.sortable a')].find(a => a.innerText.includes('get_p99'))"
    )
    wanted = shown.run(f"{link}.getAttribute('href')")
    assert visible(shown, f"{wanted} svg") == 0
    shown.run(f"{link}.click(); new Promise(done => setTimeout(done, 300))")
    assert visible(shown, f"{wanted} svg") == 2


def test_rows_are_filtered_without_a_script(shown: Page) -> None:
    report = pages.report()
    rows = ".sortable tbody tr"
    shown.run("document.getElementById('show-gating').click()")
    assert visible(shown, rows) == len(report.gating)
    shown.run("document.getElementById('show-regressed').click()")
    assert visible(shown, rows) == sum(f.verdict == "regressed" for f in report.findings)


def test_a_table_is_sorted_by_the_keyboard(shown: Page) -> None:
    names = "[...document.querySelectorAll('.sortable tbody')][0].innerText"
    before = shown.run(names)
    shown.run("document.querySelector('.filter input').focus()")
    for _ in range(12):
        shown.press("Tab", 9)
        if shown.run("document.activeElement.innerText") == "verdict":
            break
    shown.press("Enter", 13)
    shown.run("new Promise(done => setTimeout(done, 200))")
    assert shown.run("document.activeElement.getAttribute('aria-sort')") == "descending"
    assert shown.run(names) != before
    assert re.match(r".*\n?.*unchanged", shown.run(names))


def test_a_phone_need_not_scroll_sideways(shown: Page, tmp_path: Path) -> None:
    shown.open(tmp_path / "report.html", width=390)
    shown.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert shown.run("document.documentElement.scrollWidth") == 390


def test_on_paper_the_evidence_is_unfolded_and_the_filters_are_gone(shown: Page) -> None:
    folded = "#why details:not([open]) .pictures svg"
    assert visible(shown, folded) == 0
    assert shown.pdf().startswith(b"%PDF")
    shown.call("Emulation.setEmulatedMedia", media="print")
    assert visible(shown, folded) > 5
    assert visible(shown, ".filter") == 0


@pytest.mark.parametrize("name", [pages.HOSTILE, pages.LONG], ids=["markup", "long"])
def test_a_hostile_name_is_only_a_name(chromium: Page, tmp_path: Path, name: str) -> None:
    report, traces = pages.hostile(name)
    path = tmp_path / "hostile.html"
    path.write_text(html(report, traces, "</script>"), encoding="utf-8")
    chromium.open(path, width=390)
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert chromium.run("typeof pwned") == "undefined"
    assert counted(chromium, "script") == 1
    assert counted(chromium, "img") == 0
    assert chromium.requests() == []
    assert chromium.complaints() == []
    assert name[:12] in chromium.run("document.querySelector('#all th bdi').innerText")
    assert chromium.run("document.documentElement.scrollWidth") == 390
