"""The site of nights: what is read, what is written again, and what a stranger's text can do."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.commands.main import main
from pipeline.runs.history import branch, nightly_records
from pipeline.runs.history.branch import Branch
from pipeline.runs.history.nightly_records import NightlyRecord, NightlyValue
from pipeline.runs.site import document, folder, places
from pipeline.runs.site.build import SiteRequest, build
from pipeline.runs.site.folder import MANIFEST, SiteFile, write_site
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, ConfigError
from tests import release_series
from tests.pages import HOSTILE
from tests.unit.test_nights import folder as run_folder
from tests.unit.test_nights import run
from tests.workflows.acting import git

LATENCY, FILES = "object-crud/create_p50", "object-crud/files"
STEP = 12
"""First night after a change of the latency."""


def night(number: int, **changed: object) -> NightlyRecord:
    """Return a night: the latency is worse from `STEP` on, and never quite the same."""
    ratio = (1.0 if number < STEP else 1.3) * (1 + 0.004 * ((7 * number) % 5 - 2))
    record = nightly_records.nightly_record(run(number, ratio))
    return record.model_copy(update={"commit": f"{number:040x}", **changed})


def write(path: Path, records: list[NightlyRecord]) -> Path:
    """Write a file of nights, and return its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [r.model_dump_json(by_alias=True, exclude_none=True) + "\n" for r in records]
    path.write_text("".join(lines))
    return path.parent


def pages(site: Path) -> dict[str, bytes]:
    """Return every file of a site but its list."""
    files = (path for path in site.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in files}


def text(site: Path, pattern: str) -> str:
    (found,) = site.glob(pattern)
    return found.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a history of twenty nights, the newest with its results."""
    top = tmp_path_factory.mktemp("history")
    records = [night(number) for number in range(20)]
    place = write(top / "nightly.jsonl", records)
    (place / "nightly").mkdir()
    name = nightly_records.night_name(records[-1])
    codec.RESULTS.write(place / "nightly" / f"{name}.json", run(19, 1.3))
    return place


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of the product with a release in the middle of the nights."""
    top = tmp_path_factory.mktemp("clone")
    git(top, "init", "--quiet")
    git(top, "remote", "add", "origin", "git@github.com:milo-os/milo.git")
    git(top, "commit", "--quiet", "--allow-empty", "-m", "x")
    at = run(10).taken_at.isoformat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", at)
        git(top, "tag", "-a", "-m", "x", "v1.2.0")
    return top


@pytest.fixture(scope="module")
def site(kept: Path, clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "site"
    build(SiteRequest((str(kept),), out, source=clone))
    return out


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_every_link_leads_to_a_page_of_the_site_or_to_the_repository(site: Path) -> None:
    for path in site.rglob("*.html"):
        if "files" in path.parts:  # reports of this repository, as they are
            continue
        for name, value in Elements(path.read_text(encoding="utf-8")).attributes:
            if name not in ("href", "src") or value.startswith(("#", "data:")):
                continue
            if value.startswith("https://"):
                assert name == "href"
                continue
            assert (path.parent / value.partition("#")[0]).is_file(), (path, value)


def test_no_page_has_a_script_or_a_style_in_place(site: Path) -> None:
    for path in site.rglob("*.html"):
        if {"files", "reports"} & set(path.parts):
            continue
        page = path.read_text(encoding="utf-8")
        found = Elements(page)
        assert not {"script", "iframe", "object", "style"} & set(found.tags)
        assert not [n for n, _ in found.attributes if n == "style" or n.startswith("on")]
        assert "default-src 'none'; style-src 'self'; img-src 'self' data:;" in page


def test_the_first_page_has_the_answer_of_the_last_night(site: Path) -> None:
    last = night(19)
    assert last.answer is not None
    page = text(site, "index.html")
    assert last.answer.partition(": ")[2] in page
    assert f"nightly/nights/{nightly_records.night_name(last)}.html" in page
    assert "1 unacknowledged regression in 1 of 2 series" in page


def test_a_night_is_compared_with_every_earlier_one(site: Path) -> None:
    page = text(site, f"nightly/nights/{nightly_records.night_name(night(19))}.html")
    earlier = page.partition('id="earlier"')[2]
    for number in range(19):
        name = f"{nightly_records.night_name(night(number))}.html"
        if number < STEP:
            (row,) = re.findall(rf"<tr><td><a href=\"{name}\">.*", earlier)
            assert re.search(r"<td>1 worse<td><bdi>object-crud/create_p50 \+[23]\d\.\d %", row)
    assert f"{19 - STEP} nights: nothing beyond chance" in earlier


def test_of_few_nights_nothing_is_said_about_chance(site: Path) -> None:
    page = text(site, f"nightly/nights/{nightly_records.night_name(night(3))}.html")
    assert "There are fewer than 9 nights" in page
    assert "▶" not in page.partition("<tbody>")[2].partition("</table>")[0]


def test_a_metric_has_its_step_with_date_commits_and_release(site: Path) -> None:
    page = text(site, "nightly/metrics/object-crud-create-p50-*.html")
    (row,) = re.findall(r"<tr><td><a href=\"[^\"]*\">2026-.*▲.*", page)
    url = f"https://github.com/milo-os/milo/compare/{STEP - 1:040x}...{STEP:040x}"
    assert f'<a href="{url}">' in row
    assert ">v1.2.0</text>" in page
    assert page.count("<circle") == 20
    assert "lower is better" in page


def test_a_night_links_to_its_commit_and_its_full_report(site: Path) -> None:
    name = nightly_records.night_name(night(19))
    page = text(site, f"nightly/nights/{name}.html")
    assert f'href="https://github.com/milo-os/milo/commit/{19:040x}"' in page
    assert f'href="../../nightly/reports/{name}.html"' in page
    assert "create_p50" in text(site, f"nightly/reports/{name}.html")
    assert "first night with v1.2.0" in page


def test_nothing_is_written_again_without_a_change(kept: Path, clone: Path, site: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
    done = build(SiteRequest((str(kept),), site, source=clone))
    assert (done.written, done.removed) == (0, 0)
    after = {p: p.stat().st_mtime_ns for p in site.rglob("*") if p.is_file() and p.name != MANIFEST}
    assert after == {path: at for path, at in before.items() if path.name != MANIFEST}


def test_one_more_night_leaves_the_others_alone_and_gives_the_site_of_a_new_build(
    tmp_path: Path,
) -> None:
    records = [night(number) for number in range(12)]
    place, out = write(tmp_path / "h" / "nightly.jsonl", records[:-1]), tmp_path / "site"
    build(SiteRequest((str(place),), out))
    before = pages(out)
    write(tmp_path / "h" / "nightly.jsonl", records)
    build(SiteRequest((str(place),), out))
    fresh = tmp_path / "fresh"
    build(SiteRequest((str(place),), fresh))
    after = pages(out)
    assert after == pages(fresh)
    changed = {path for path in after if after[path] != before.get(path)}
    nights = {f"nightly/nights/{nightly_records.night_name(one)}.html" for one in records[-2:]}
    assert {path for path in changed if "/nights/" in path} == nights


def test_a_night_that_was_removed_disappears(tmp_path: Path) -> None:
    records = [night(number) for number in range(3)]
    place, out = write(tmp_path / "h" / "nightly.jsonl", records), tmp_path / "site"
    build(SiteRequest((str(place),), out))
    write(tmp_path / "h" / "nightly.jsonl", records[:1])
    done = build(SiteRequest((str(place),), out))
    assert done.removed == 2
    assert len(list((out / "nightly" / "nights").iterdir())) == 1


@pytest.mark.parametrize("name", ["<b>", "../../etc", 'x" onload="y', "a&b", HOSTILE])
def test_a_hostile_history_adds_no_element_and_leaves_the_folder_no_way(
    name: str, tmp_path: Path
) -> None:
    def built(word: str, where: str) -> tuple[Path, list[str]]:
        first = night(0)
        metrics = {f"{word}/{word}": first.metrics[LATENCY]}
        changed = {"run": word, "commit": word, "suite": word, "machine": {word: word}}
        records = [
            night(number, metrics=metrics, answer=f"PASS: {word}", reference_commit=word, **changed)
            for number in range(2)
        ]
        out = tmp_path / where / "site"
        build(SiteRequest((str(write(tmp_path / where / "h" / "n.jsonl", records)),), out))
        return out, [
            tag
            for path in sorted(
                (out / "n").rglob("*.html"), key=lambda p: p.relative_to(out).parts[:2]
            )
            for tag in Elements(path.read_text(encoding="utf-8")).tags
        ]

    (_, tame), (out, found) = built("x", "tame"), built(name, "hostile")
    assert sorted(found) == sorted(tame)
    assert {path.name for path in (tmp_path / "hostile").iterdir()} == {"h", "site"}
    for path in (out / "n").rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert [c for c in page if not c.isprintable() and c != "\n"] == []


def test_nights_against_another_reference_are_shown_apart(tmp_path: Path) -> None:
    records = [night(n, reference="sha256:old" if n < 10 else "sha256:new") for n in range(20)]
    out = tmp_path / "site"
    build(SiteRequest((str(write(tmp_path / "h" / "nightly.jsonl", records)),), out))
    page = text(out, "nightly/metrics/object-crud-create-p50-*.html")
    assert page.count("another reference build</title>") == 1
    last = text(out, f"nightly/nights/{nightly_records.night_name(records[-1])}.html")
    assert nightly_records.night_name(records[9]) not in last


def test_a_reference_that_comes_back_is_marked_where_it_does(tmp_path: Path) -> None:
    records = [night(n, reference="sha256:b" if 8 <= n < 12 else "sha256:a") for n in range(20)]
    out = tmp_path / "site"
    build(SiteRequest((str(write(tmp_path / "h" / "nightly.jsonl", records)),), out))
    page = text(out, "nightly/metrics/object-crud-create-p50-*.html")
    assert page.count("another reference build</title>") == 2


def test_amounts_in_two_units_are_in_no_drawing_together(tmp_path: Path) -> None:
    def amount(number: int) -> NightlyRecord:
        is_old = number < 10
        key, unit = ("sha256:old", "s") if is_old else ("sha256:new", "B")
        values = {"value": float(number), "scale": "difference", "better": "lower", "unit": unit}
        metric = NightlyValue.model_validate({**values, "pairs": 3})
        return night(number, reference=key, metrics={"w/m": metric})

    out, records = tmp_path / "site", [amount(number) for number in range(20)]
    build(SiteRequest((str(write(tmp_path / "h" / "nightly.jsonl", records)),), out))
    assert "w/m: 10 nights" in text(out, "nightly/metrics/w-m-*.html")


def test_an_acknowledged_step_raises_no_alarm(kept: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text(
        f'[[acknowledged]]\nseries = "{LATENCY}"\ncommit = "{STEP:040x}"\nreason = "audit log"\n'
    )
    build(SiteRequest((str(kept),), tmp_path / "site", acknowledged=known))
    page = text(tmp_path / "site", "nightly/index.html")
    assert "no unacknowledged regression in 2 series" in page
    assert "audit log" in text(tmp_path / "site", "nightly/metrics/object-crud-create-p50-*.html")


def test_folders_of_runs_are_a_history_of_their_suite(tmp_path: Path) -> None:
    for number in range(2):
        run_folder(tmp_path / "out" / f"run-{number}", run(number))
    (tmp_path / "out" / "broken").mkdir()
    (tmp_path / "out" / "broken" / "results.json").write_text("{}")
    done = main(["site", "--history", str(tmp_path / "out"), "--out", str(tmp_path / "site")])
    assert done == 0
    assert len(list((tmp_path / "site" / "pr" / "reports").iterdir())) == 2


def test_measured_releases_have_their_page_with_the_reports_that_are_there(tmp_path: Path) -> None:
    place = tmp_path / "out" / "releases"
    series = release_series.of_every_kind()
    run_folder(place / "0-v0.30.0", run())
    steps = [
        replace(one, folder="../0-v0.30.0") if n == 5 else one for n, one in enumerate(series.steps)
    ]
    codec.RELEASES.write(place / "releases.json", replace(series, steps=tuple(steps)))
    build(SiteRequest((str(tmp_path / "out"),), tmp_path / "site"))
    (page,) = (tmp_path / "site" / "releases").glob("*/index.html")
    links = set(re.findall(r'href="([^"#:,]+)[#"]', page.read_text(encoding="utf-8")))
    assert {link.rpartition("/")[2] for link in links} == {
        *("releases.csv", "releases.json", "report.html")
    }
    assert all((page.parent / link).is_file() for link in links)
    assert not (tmp_path / "0-v0.30.0").exists()


def test_releases_that_are_kept_on_a_branch_have_their_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, remote = tmp_path / "releases", tmp_path / "remote.git"
    place.mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    series = release_series.of_every_kind()
    codec.RELEASES.write(place / "releases.json", series)
    run_folder(place / "0-v0.30.0", run())
    push = ["releases", "--push", str(place), "--branch", "history", "--remote", str(remote)]
    assert main(push) == 0
    assert "its releases are pushed to the branch history" in capsys.readouterr().out
    assert main(push) == 0
    assert "already on the branch" in capsys.readouterr().out
    for step in series.steps:
        if step.folder:
            run_folder(place / step.folder, run())
    assert main(push) == 0
    (place / "0-v0.30.0" / "results.json").unlink()
    assert main(push) == 0
    names = git(remote, "ls-tree", "-r", "--name-only", "history").split()
    assert "releases/releases.json" in names
    assert "releases/0-v0.30.0/results.json" not in names, "the newest measurement is there alone"
    assert len(names) > 2
    build(SiteRequest(("history",), tmp_path / "site", str(remote)))
    assert len(list((tmp_path / "site" / "releases").glob("*/index.html"))) == 1


def test_no_page_takes_the_place_of_another(tmp_path: Path) -> None:
    places = [tmp_path / one / "releases" for one in "ab"]
    for place in places:
        place.mkdir(parents=True)
        codec.RELEASES.write(place / "releases.json", release_series.of_every_kind())
    with pytest.raises(ConfigError, match=r"the same page releases/releases-.*/index.html"):
        build(SiteRequest(tuple(map(str, places)), tmp_path / "site"))
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--push", "none", "--branch", "b"), "none: no such folder"),
        (("--push", "none"), "--push needs --branch"),
        (("--push", "none", "--branch", "b", "a=binary:b"), "--push measures nothing"),
        (("--branch", "b", "a=binary:b", "c=binary:d"), "need --push"),
    ],
)
def test_releases_that_cannot_be_kept_are_one_clear_error(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main(["releases", *words]) in (2, 7)
    assert message in capsys.readouterr().err


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    place = Branch(str(tmp_path / "remote.git"), "history", "nightly.jsonl")
    for number in range(2):
        results = codec.RESULTS.dumps(run(number))
        branch.append(place, night(number), results=results)
    return tmp_path / "remote.git"


def test_a_branch_is_read_with_the_results_that_were_kept_on_it(
    remote: Path, tmp_path: Path
) -> None:
    command = ["site", "--history", "history", "--remote", str(remote)]
    assert main([*command, "--out", str(tmp_path / "site")]) == 0
    assert len(list((tmp_path / "site" / "nightly" / "reports").iterdir())) == 2


def _rewritten(remote: Path) -> None:
    git(remote, "update-ref", "refs/heads/history", "history~1")


def _gone(remote: Path) -> None:
    git(remote, "update-ref", "-d", "refs/heads/history")


def _truncated(remote: Path) -> None:
    """Push a commit that keeps one of two records."""
    clone = remote.parent / "clone"
    git(remote.parent, "clone", "--quiet", "--branch", "history", str(remote), str(clone))
    path = clone / "nightly.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    git(clone, "commit", "--quiet", "-am", "cut")
    git(clone, "push", "--quiet", "origin", "history")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_rewritten, "the branch history was rewritten"),
        (_gone, "the branch history is gone"),
        (_truncated, "has lost 1 record since"),
    ],
)
def test_a_branch_that_lost_nights_is_one_clear_error_and_the_site_stays(
    change: Callable[[Path], None],
    said: str,
    remote: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["site", "--history", "history", "--remote", str(remote)]
    command += ["--out", str(tmp_path / "site")]
    assert main(command) == 0
    before = pages(tmp_path / "site")
    change(remote)
    capsys.readouterr()
    assert main(command) == 7
    error = capsys.readouterr().err
    assert said in error
    assert "hint: " in error
    assert pages(tmp_path / "site") == before


def test_a_branch_that_is_not_there_names_what_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    command = ["site", "--history", "history", "--remote", str(tmp_path / "remote.git")]
    assert main([*command, "--out", str(tmp_path / "site")]) == 7
    assert "the first nightly run that keeps its record makes it" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_an_empty_history_is_a_page_that_says_so(tmp_path: Path) -> None:
    place = write(tmp_path / "h" / "nightly.jsonl", [])
    build(SiteRequest((str(place),), tmp_path / "site"))
    assert "no night yet" in text(tmp_path / "site", "index.html")
    assert "there is no record in this history yet" in text(tmp_path / "site", "nightly/index.html")


def test_a_last_line_that_was_cut_off_is_left_out_and_a_line_of_another_schema_is_an_error(
    tmp_path: Path,
) -> None:
    place = write(tmp_path / "h" / "nightly.jsonl", [night(0), night(1)])
    file = place / "nightly.jsonl"
    whole = file.read_text()
    file.write_text(whole[:-40])
    build(SiteRequest((str(place),), tmp_path / "site"))
    assert len(list((tmp_path / "site" / "nightly" / "nights").iterdir())) == 1
    file.write_text(whole.replace("milo-perf.night/1", "milo-perf.night/9", 1))
    with pytest.raises(BaselineError, match=r"nightly.jsonl:1: schema"):
        build(SiteRequest((str(place),), tmp_path / "site"))


def test_a_history_and_a_page_of_the_same_name_have_two_folders(tmp_path: Path) -> None:
    place = write(tmp_path / "h" / "results.jsonl", [night(0)])
    build(SiteRequest((str(place),), tmp_path / "site"))
    assert "Milo" in text(tmp_path / "site", "results/index.html")
    assert night(0).commit[:12] in text(tmp_path / "site", "results-*/index.html")


def test_a_run_without_enough_pairs_keeps_its_words(tmp_path: Path) -> None:
    record = night(0, verdict=None, answer="INVALID: 1 of 3 pairs is valid")
    build(SiteRequest((str(write(tmp_path / "h" / "n.jsonl", [record])),), tmp_path / "site"))
    assert "1 of 3 pairs is valid" in text(tmp_path / "site", "index.html")


@pytest.mark.parametrize("name", ["..", "link"])
def test_results_outside_of_a_folder_of_releases_are_not_read(name: str, tmp_path: Path) -> None:
    place = tmp_path / "releases"
    run_folder(tmp_path, run())
    run_folder(tmp_path / "else", run())
    place.mkdir()
    (place / "link").symlink_to(tmp_path / "else")
    series = release_series.of_every_kind()
    steps = tuple(replace(one, folder=name) for one in series.steps)
    codec.RELEASES.write(place / "releases.json", replace(series, steps=steps))
    assert places.read_releases(place)[1] == {}
    assert places.contents([("x", place)]).results == {}


def test_a_link_in_a_history_is_not_followed(tmp_path: Path) -> None:
    place = write(tmp_path / "h" / "nightly.jsonl", [night(0)])
    (place / "other.jsonl").symlink_to(write(tmp_path / "x" / "x.jsonl", [night(1)]) / "x.jsonl")
    build(SiteRequest((str(place),), tmp_path / "site"))
    assert not (tmp_path / "site" / "other").exists()


def test_a_folder_that_is_no_site_is_left_alone(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="did not make it"):
        build(SiteRequest((str(kept),), tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("bad", ["../mine.txt", "/etc/x", "a/../../mine.txt", ".git/config", ""])
def test_a_list_of_files_cannot_name_a_file_that_is_not_the_sites(bad: str, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(out, [SiteFile("a.html", (), lambda: "a")])
    (tmp_path / "mine.txt").write_text("mine")
    listed = json.loads((out / MANIFEST).read_text())
    listed["files"][bad] = ""
    (out / MANIFEST).write_text(json.dumps(listed))
    with pytest.raises(ConfigError, match="is no file of a site"):
        write_site(out, [SiteFile("b.html", (), lambda: "b")])
    assert (tmp_path / "mine.txt").exists()


def test_a_build_that_was_killed_leaves_nothing_that_a_later_one_does_not_know(
    tmp_path: Path,
) -> None:
    def killed() -> str:
        raise KeyboardInterrupt

    files = [SiteFile("a.html", (), lambda: "a"), SiteFile("b.html", (), killed)]
    with pytest.raises(KeyboardInterrupt):
        write_site(tmp_path / "site", files)
    assert (tmp_path / "site" / "a.html").is_file()
    done = write_site(tmp_path / "site", [SiteFile("c.html", (), lambda: "c")])
    assert done.removed == 2
    assert pages(tmp_path / "site") == {"c.html": b"c"}


def test_a_document_shows_no_foreign_markup_and_copies_only_files_of_the_docs(
    tmp_path: Path,
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "secret.csv").write_text("secret")
    (docs / "a.csv").write_text("1")
    (docs / "README.md").write_text(
        "# Results\n\n<script>x</script>\n\n[a](a.csv) [s](../secret.csv) [m](other.md)"
        " [j](javascript:x)\n\n| n |\n|--:|\n| 1 |\n"
    )
    found = document.read_document(docs / "README.md", docs)
    assert found.title == "Results"
    assert found.files == {"files/a.csv": docs / "a.csv"}
    assert '<a href="files/a.csv">a</a>' in found.body
    for gone in ("<script", "secret.csv", "other.md", 'href="javascript', "style="):
        assert gone not in found.body
    assert '<td class="number">1</td>' in found.body


def test_the_committed_schema_is_that_of_the_list(golden: Callable[[str, str], None]) -> None:
    schema = folder.SiteManifest.model_json_schema(mode="serialization", by_alias=True)
    golden(
        "../../docs/schemas/site-1.schema.json",
        json.dumps(schema, indent=1, sort_keys=True) + "\n",
    )
