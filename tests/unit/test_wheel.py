"""The wheel works where no clone is: everything that a run reads is in it."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.judge import policy
from pipeline.runs import reports
from pipeline.storage import codec
from pipeline.toolchain import git
from tests import pages

ROOT = Path(__file__).parents[2]
Pipeline = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Pipeline:
    """Return what runs the wheel's own pipeline from a folder that is no clone."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PYTHONPATH": str(tmp_path / "site"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "100",
    }

    def run(*arguments: object) -> str:
        return subprocess.run(
            [sys.executable, "-P", "-m", "pipeline", *map(str, arguments)],
            cwd=tmp_path / "elsewhere",
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout

    return run


@pytest.mark.parametrize("suite", sorted(path.stem for path in (ROOT / "suites").glob("*.toml")))
def test_every_suite_can_be_planned(installed: Pipeline, suite: str) -> None:
    plan = json.loads(installed("plan", "--suite", suite, "--json"))
    assert plan["plan"]["suite"] == suite


def test_a_run_is_judged_and_rendered(installed: Pipeline, tmp_path: Path) -> None:
    codec.RESULTS.write(tmp_path / "results.json", pages.measured())
    report = policy.report(pages.measured())
    shown = reports.render(report, tmp_path, "markdown")
    assert installed("render", tmp_path, "--format", "markdown") == shown
    assert "<html" in installed("render", tmp_path, "--format", "html")


def test_stored_baselines_are_shipped_and_those_of_a_folder_come_first(
    installed: Pipeline, tmp_path: Path
) -> None:
    names = installed("baseline", "list").split()
    assert {"reference-pr", "reference-smoke"} <= set(names)
    own = tmp_path / "elsewhere" / "baselines"
    own.mkdir()
    shipped = json.loads((ROOT / "baselines" / "reference-pr.json").read_text())
    (own / "reference-pr.json").write_text(json.dumps({**shipped, "suite_digest": "sha256:mine"}))
    assert json.loads(installed("baseline", "show", "reference-pr", "--json"))["suite_digest"] == (
        "sha256:mine"
    )


def test_its_reference_is_the_one_that_stored_baselines_name(tmp_path: Path, wheel: Path) -> None:
    """So that `milo-perf run` works from an installed package, where no history is."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    files = tmp_path / "pipeline" / "_files"
    assert git.content_tree(files / "go" / "reference") == git.tree(ROOT / "go" / "reference")


def test_it_has_a_command_and_every_file_that_a_build_or_a_reader_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "milo-perf = pipeline.commands.main:main" in archive.read(points).decode()
    inside = {name.removeprefix("pipeline/_files/") for name in names if "/_files/" in name}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    needed = {
        name.replace(folder, target.removeprefix("pipeline/_files/"), 1)
        for folder, target in declared["targets"]["wheel"]["force-include"].items()
        for name in _tracked(folder)
    }
    assert inside == needed
    assert {"locks/run.txt", "schemas/results-1.schema.json", "go/reference/go.mod"} < inside


@pytest.mark.parametrize("target", ["wheel", "sdist"])
@pytest.mark.parametrize("repository", ["me/perf", None])
def test_links_of_the_readme_work_on_pypi(
    target: str, repository: str | None, tmp_path: Path
) -> None:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    if repository:
        variables |= {
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": repository,
        }
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, timeout=120)
    (built,) = tmp_path.iterdir()
    if target == "wheel":
        with zipfile.ZipFile(built) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
            text = archive.read(name).decode()
    else:
        with tarfile.open(built) as source:
            (member,) = (one for one in source.getmembers() if one.name.endswith("/PKG-INFO"))
            file = source.extractfile(member)
            assert file is not None
            text = file.read().decode()
    shown = email.message_from_string(text).get_payload()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if repository is None:
        assert shown == readme
        return
    links = re.findall(r"\]\(([^)]+)\)", str(shown))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    base = f"https://github.com/me/perf/blob/v{version}/"
    images = f"https://github.com/me/perf/raw/v{version}/"
    relative = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if ":" not in link]
    assert len(relative) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    assert {link.removeprefix(base).removeprefix(images) for link in links} >= set(relative)
    assert f"![How a pull request becomes a verdict]({images}docs/flow.svg)" in shown


def _tracked(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(listed.stdout.split())
