"""What we write for people resolves, is short, and its examples can be used."""

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.environments import registry
from pipeline.runs import suite_file
from pipeline.system import paths

ROOT = paths.project_path()
MOST_WORDS = 17_100
"""Of README.md and docs/ together."""


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def _prose(path: Path) -> str:
    return re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", path.read_text(encoding="utf-8"))


def _anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a file."""
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize(
    "path", _tracked("*.md", ":!tests/golden"), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_link_and_anchor_resolves(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", _prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize(
    "path",
    _tracked("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/*.md"),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_path_of_the_project_that_is_named_exists(path: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))
    tops = {one.name for folder in (ROOT, ROOT / "pipeline") for one in folder.iterdir()}
    for name in re.findall(r"`([a-z][a-z0-9_]*/[a-z0-9_/.-]*)`", text):
        if name.split("/")[0] in tops:
            assert (ROOT / name).exists() or (ROOT / "pipeline" / name).exists(), name


def test_readme_and_docs_are_short() -> None:
    files = _tracked("README.md", "docs/*.md", ":!docs/results/releases")  # those are generated
    assert len(files) > 20
    words = sum(len(path.read_text(encoding="utf-8").split()) for path in files)
    assert words <= MOST_WORDS


@pytest.mark.parametrize(("name", "kind"), [("any-cluster", "remote"), ("kind", "kind")])
def test_the_example_of_an_environment_can_be_read(name: str, kind: str) -> None:
    example = ROOT / "docs" / "examples" / f"{name}.toml"
    assert registry.read_environment(str(example)).kind == kind


def test_the_example_of_a_suite_can_be_read() -> None:
    suite = suite_file.load(ROOT / "docs" / "examples" / "discovery" / "discovery.toml").suite
    assert [workload.name for workload in suite.workloads] == ["discovery"]


def test_the_glossary_has_each_term_once_in_alphabetical_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"(?m)^- \*\*(.+?)\*\*: ", text)
    assert len(terms) > 40
    assert terms == sorted(set(terms))
