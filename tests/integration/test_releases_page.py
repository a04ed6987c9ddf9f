"""The page of releases in a real Chromium: it complains of nothing and asks for nothing."""

from pathlib import Path

import pytest

from pipeline.model.releases import ReleaseSeries
from pipeline.render.releases import headline
from pipeline.render.releases_page import releases_html
from tests import release_series
from tests.browser import Page, serious


def written(folder: Path, series: ReleaseSeries) -> Path:
    path = folder / "releases.html"
    path.write_text(releases_html(series), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 400], ids=["desk", "phone"])
def test_it_is_read_without_a_request_a_complaint_or_scrolling_sideways(
    chromium: Page, tmp_path: Path, width: int
) -> None:
    for series in (release_series.hostile(), release_series.of_every_kind()):
        chromium.open(written(tmp_path, series), width=width)
        chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert chromium.run("typeof pwned") == "undefined"
        assert chromium.run("document.documentElement.scrollWidth") == width
        assert chromium.requests() == []
        assert chromium.complaints() == []
    assert chromium.run("document.querySelector('h1').innerText") == headline(series)
    marked = "document.querySelectorAll('#changed .marked-cell').length"
    rows = [row for row in series.measured[0].changes if row.verdict in ("regressed", "improved")]
    assert chromium.run(marked) > len(rows)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(axe: str, chromium: Page, tmp_path: Path, *, dark: bool) -> None:
    chromium.open(written(tmp_path, release_series.of_every_kind()), dark=dark)
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    chromium.run(axe)
    assert serious(chromium) == []


def test_the_name_of_a_metric_stays_in_sight_when_its_row_is_scrolled(
    chromium: Page, tmp_path: Path
) -> None:
    chromium.open(written(tmp_path, release_series.of_every_kind()), width=400)
    chromium.run("document.querySelector('#changed .scroll').scrollLeft = 300")
    left = "document.querySelector('#changed tbody th').getBoundingClientRect().left"
    assert 0 <= chromium.run(left) < 40
