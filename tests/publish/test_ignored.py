"""What the patterns of ignored files cover: exactly what git says that they do."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.publish.pull import relevant_files
from tests.workflows.acting import git

PARTS = st.sampled_from(["docs", "a", "b.md", ".md", "x.go", "docs.go", "ä"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
GLOBS = st.sampled_from(["**", "*", "?", "*.md", "d*s", "***", "docs", "a", "b.md", "**x"])
PATTERNS = st.lists(GLOBS, min_size=1, max_size=4).map("/".join)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("patterns")
    git(made, "init", "--quiet")
    return made


def left_by_git(repository: Path, names: set[str], patterns: list[str]) -> list[str]:
    """Return the files that git leaves, of an index that has nothing but these."""
    (repository / ".git" / "index").unlink(missing_ok=True)
    lines = "".join(f"100644 {'0' * 39}1 0\t{name}\0" for name in sorted(names))
    subprocess.run(
        ["git", "update-index", "-z", "--index-info"],
        cwd=repository,
        input=lines.encode(),
        check=True,
    )
    excluded = [f":(top,glob,exclude){pattern}" for pattern in patterns]
    return sorted(filter(None, git(repository, "ls-files", "-z", "--", ".", *excluded).split("\0")))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.sets(NAMES, min_size=1, max_size=6), patterns=st.lists(PATTERNS, max_size=3))
def test_it_leaves_what_git_leaves(repository: Path, names: set[str], patterns: list[str]) -> None:
    names = {n for n in names if not any(other.startswith(f"{n}/") for other in names)}
    assert sorted(relevant_files(names, patterns)) == left_by_git(repository, names, patterns)


@pytest.mark.parametrize("pattern", ["", "[a-z]*", "docs\\", "docs/[", "\\*"])
def test_a_pattern_that_is_not_understood_covers_nothing(pattern: str) -> None:
    assert relevant_files(["docs/a.md", "*"], [pattern]) == ["docs/a.md", "*"]


@pytest.mark.parametrize("name", ["docs/../main.go", "main.go\n.md/x", "docs", "Docs/x.md.go"])
def test_no_odd_name_is_covered_by_accident(name: str) -> None:
    covered = not relevant_files([name], ["docs/**", "**/*.md"])
    assert covered is (name == "docs/../main.go")
