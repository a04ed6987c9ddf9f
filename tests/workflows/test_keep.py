"""The script that keeps a night: a branch of a real repository, an issue of a fake GitHub."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.model.results import ResultSet
from pipeline.runs.history import branch, nightly_records
from pipeline.runs.history.branch import Branch
from pipeline.storage import codec
from tests import bisections
from tests.github.fake import REPOSITORY, GitHub
from tests.publishing import honest
from tests.workflows.acting import ROOT, git

SCRIPT = ROOT / ".github" / "scripts" / "keep.sh"
PLACE = "nightly.jsonl"
Keep = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def github() -> Iterator[tuple[GitHub, str]]:
    github = GitHub()
    with github.serving() as url:
        yield github, url
    assert github.complaints == []


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def keep(tmp_path: Path, github: tuple[GitHub, str], remote: Path) -> Keep:
    """Run the script on a night that began so many hours ago; None where it left no results."""

    def run(
        age_h: float | None,
        *,
        error: str = "",
        fresh: str = "",
        suite: str = "pr",
        also: Mapping[str, str] | None = None,
        search: Path | None = None,
    ) -> object:
        night = tmp_path / "night"
        shutil.rmtree(night, ignore_errors=True)
        night.mkdir()
        if age_h is not None:
            codec.RESULTS.write(night / "results.json", replace(measured(age_h), suite=suite))
        for name, text in (also or {}).items():
            (night / name).write_text(text)
        if error:
            (night / "error.txt").write_text(error)
        variables = {
            "NIGHT": night,
            "SEARCH": search or "",
            "KEY": "nightly",
            "SUITE": "pr",
            "HISTORY": PLACE,
            "BRANCH": "history",
            "REMOTE": remote,
            "FRESH": fresh,
            "ACKNOWLEDGED": "none.toml",
            "PYTHON": sys.executable,
            "PYTHONPATH": ROOT,
            "GITHUB_API_URL": github[1],
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": "secret-token",
        }
        return subprocess.run(
            [str(SCRIPT)],
            env={**os.environ, **{name: str(value) for name, value in variables.items()}},
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )

    return run  # type: ignore[return-value]  # of a test's own fixture


def measured(age_h: float) -> ResultSet:
    """Return a run that began so many hours ago."""
    found = honest()
    return replace(found, taken_at=datetime.now(UTC) - timedelta(hours=age_h))


def before(remote: Path, *ages_h: float) -> None:
    """Keep nights of the past."""
    for age_h in ages_h:
        branch.append(
            Branch(str(remote), "history", PLACE), nightly_records.nightly_record(measured(age_h))
        )


def states(github: GitHub) -> list[str]:
    return [issue["state"] for issue in github.issues.values()]


def kept(remote: Path) -> int:
    with branch.checked_out(Branch(str(remote), "history", PLACE)) as path:
        return len(path.read_text().splitlines())


def test_a_night_that_broke_opens_the_issue_and_the_next_good_one_closes_it(
    keep: Keep, github: tuple[GitHub, str], remote: Path
) -> None:
    before(remote, 60)
    keep(None, error="error: etcd did not start")
    assert states(github[0]) == ["open"]
    assert "etcd did not start" in github[0].issues[1]["body"]
    assert kept(remote) == 1
    keep(0)
    assert states(github[0]) == ["closed"]
    assert kept(remote) == 2


def test_a_history_that_was_rewritten_is_said_in_the_issue(
    keep: Keep, github: tuple[GitHub, str], remote: Path
) -> None:
    before(remote, 60, 30)
    git(remote, "update-ref", "refs/heads/history", "history~1")
    keep(0)
    assert states(github[0]) == ["open"]
    assert "the branch history was rewritten" in github[0].issues[1]["body"]


def test_a_silence_is_said_in_the_issue_and_a_fresh_night_is_not(
    keep: Keep, github: tuple[GitHub, str], remote: Path
) -> None:
    before(remote, 60)
    keep(None, fresh="61")
    assert states(github[0]) == []
    keep(None, fresh="48")
    assert states(github[0]) == ["open"]
    assert "the newest record is 60 h old" in github[0].issues[1]["body"]


def test_a_night_of_the_future_is_said_in_the_issue_and_ends_no_silence(
    keep: Keep, github: tuple[GitHub, str], remote: Path
) -> None:
    before(remote, 60)
    keep(-24 * 365)
    assert states(github[0]) == ["open"]
    assert "is in the future" in github[0].issues[1]["body"]
    assert kept(remote) == 1
    keep(None, fresh="48")
    assert "the newest record is 60 h old" in github[0].issues[1]["body"]


def test_steps_and_suite_of_a_night_are_not_what_its_files_say(
    keep: Keep, github: tuple[GitHub, str], remote: Path
) -> None:
    before(remote, 60)
    keep(0, also={"steps.json": "[]"})
    assert states(github[0]) == []
    keep(0, suite="smoke")
    assert states(github[0]) == ["open"]
    assert "of the suite smoke, not of pr" in github[0].issues[1]["body"]
    assert kept(remote) == 2


def test_the_issue_names_the_commit_that_the_search_found_and_none_that_the_night_says(
    keep: Keep, github: tuple[GitHub, str], remote: Path, tmp_path: Path
) -> None:
    before(remote, 60)
    search = bisections.of_every_kind()
    found = search.commits[20].id[:12]
    keep(None, error="error: etcd did not start", also={"bisect.json": codec.BISECT.dumps(search)})
    assert found not in github[0].issues[1]["body"]
    folder = tmp_path / "search"
    folder.mkdir()
    codec.BISECT.write(folder / "bisect.json", search)
    keep(None, error="error: etcd did not start", search=folder)
    assert f"`{found}`" in github[0].issues[1]["body"]


def test_the_search_of_a_night_is_kept_with_it(keep: Keep, remote: Path, tmp_path: Path) -> None:
    before(remote, 60)
    search = bisections.of_every_kind()
    folder = tmp_path / "search"
    folder.mkdir()
    codec.BISECT.write(folder / "bisect.json", search)
    keep(0, search=folder)
    name = f"nightly/searches/{search.workload}.{search.metric.name}.json"
    assert codec.BISECT.parse(git(remote, "show", f"history:{name}").encode()) == search
    assert kept(remote) == 2
    (folder / "bisect.json").write_text("{")
    assert "the search is not kept" in keep(-1 / 60, search=folder).stderr
