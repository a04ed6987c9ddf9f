"""The site of nights in a real Chromium: light, dark, on a phone, with its own files alone."""

from pathlib import Path

import pytest

from pipeline.runs.history import nightly_records
from pipeline.runs.site.build import SiteRequest, build
from tests.browser import Page
from tests.pages import HOSTILE
from tests.unit.test_site import night, write

KINDS = (
    *("index.html", "nightly/index.html", "nightly/metrics/*.html", "nightly/nights/*.html"),
    "results/index.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a site with a step, another reference build, and hostile texts in the last night."""
    top = tmp_path_factory.mktemp("site")
    records = [night(n, **({"reference": "sha256:old"} if n < 3 else {})) for n in range(20)]
    bad = {"answer": f"REGRESSION: {HOSTILE}", "suite": HOSTILE, "machine": {HOSTILE: HOSTILE}}
    values = records[-1].metrics
    metrics = {**values, f"{HOSTILE}/{HOSTILE}": next(iter(values.values()))}
    records[-1] = records[-1].model_copy(update={**bad, "metrics": metrics})
    build(SiteRequest((str(write(top / "h" / "nightly.jsonl", records)),), top / "site"))
    return top / "site"


def shown(site: Path, kind: str) -> Path:
    """Return the last page of a kind: of nights, the newest."""
    return max(site.glob(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_loads_its_own_style_alone_and_fits_a_phone(
    chromium: Page, site: Path, kind: str
) -> None:
    for width in (1280, 400):
        chromium.open(shown(site, kind), width=width)
        assert chromium.run("document.documentElement.scrollWidth") == width
        assert chromium.run("typeof pwned") == "undefined"
        assert chromium.run("document.querySelectorAll('script').length") == 0
        assert chromium.complaints() == []
        wanted = (f"{site.as_uri()}/style.css", f"{site.as_uri()}/results/files/", "data:")
        assert [one for one in chromium.requests() if not one.startswith(wanted)] == []
    assert chromium.run("getComputedStyle(document.querySelector('nav')).display") == "flex"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(axe: str, chromium: Page, site: Path, *, dark: bool) -> None:
    found = {}
    for kind in KINDS:
        chromium.open(shown(site, kind), dark=dark)
        chromium.run(axe)
        rules = "axe.run({preload: false}).then(r => r.violations.map(v => v.id))"
        found[kind] = chromium.run(rules)
    assert found == {kind: [] for kind in KINDS}


def test_a_dot_leads_to_its_night_and_from_there_to_every_earlier_one(
    chromium: Page, site: Path
) -> None:
    chromium.open(shown(site, "nightly/metrics/object-crud-create-p50-*.html"))
    dots = "[...document.querySelectorAll('svg circle')]"
    assert chromium.run(f"{dots}.every(d => d.getBoundingClientRect().width > 4)")
    address = chromium.run(f"{dots}.at(-1).closest('a').href.baseVal")
    last = nightly_records.night_name(night(19))
    assert address == f"../nights/{last}.html"
    chromium.open(site / "nightly" / "nights" / f"{last}.html")
    rows = "document.querySelectorAll('#earlier tbody tr').length"
    assert chromium.run(rows) == 9 + 1  # nine nights before the step, and one row for those alike
