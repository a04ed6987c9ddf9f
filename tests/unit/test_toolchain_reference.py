"""A subject knows which source it was built from, and can be built from it again."""

import subprocess
from pathlib import Path

import pytest

from pipeline.model.ports import Artifact
from pipeline.model.subject import Subject, parse_spec
from pipeline.system.errors import BaselineError, ConfigError, Exit
from pipeline.toolchain import git, pin
from pipeline.toolchain.reference import build_reference

# Answers like Go; what it builds is main.go.
GO = """#!/bin/sh
case "$1" in
env) echo '{"GOVERSION": "go1.26.8", "GOARCH": "amd64"}' ;;
build) while [ "$1" != -o ]; do shift; done; cat main.go > "$2" ;;
esac
"""


def ask(folder: Path, *arguments: str) -> str:
    """Run git with nothing of this machine's settings."""
    argv = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(source: Path, text: str) -> None:
    (source / "main.go").write_text(text)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder reference/ of a clone with two commits, and a fake Go on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "go").write_text(GO)
    (tools / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "clone" / "reference"
    (folder / "internal").mkdir(parents=True)
    (folder / "go.mod").write_text("module reference\n\ngo 1.24\n")
    (folder / "internal" / "a.go").write_text("package internal\n")
    (folder.parent / ".gitignore").write_text("*.log\n")
    ask(folder.parent, "init", "--quiet")
    for text in ("first", "second"):
        change(folder, text)
        ask(folder.parent, "add", "--all")
        ask(folder.parent, "commit", "--quiet", "--message", text)
    return folder


def committed(source: Path, revision: str = "HEAD") -> str:
    return ask(source, "rev-parse", f"{revision}:reference").strip()


def artifact(source: Path, spec: str) -> Artifact:
    return build_reference(parse_spec(spec), source)


def test_the_tree_of_committed_source_is_that_of_git(source: Path) -> None:
    assert git.tree(source) == committed(source)
    facts = artifact(source, "reference").subject.facts
    assert facts == {"tree": committed(source), "modified": "no", "go": "1.26.8"}


def test_a_change_that_is_not_committed_has_the_tree_that_a_commit_would_give(
    source: Path,
) -> None:
    change(source, "third")
    (source / "new.go").write_text("package main\n")
    (source / "internal" / "a.go").unlink()
    found = artifact(source, "reference").subject
    assert found.facts["modified"] == "yes"
    ask(source, "add", "--all")
    ask(source, "commit", "--quiet", "--message", "third")
    assert found.facts["tree"] == committed(source)


def test_asking_for_the_tree_changes_nothing_in_the_clone(source: Path) -> None:
    change(source, "third")
    (source.parent / "staged").write_text("")
    ask(source.parent, "add", "staged")
    before = files_of(source.parent)
    git.tree(source)
    assert files_of(source.parent) == before


def test_what_git_ignores_is_not_in_the_tree(source: Path) -> None:
    (source / "server.log").write_text("noise")
    assert git.tree(source) == committed(source)


def test_source_outside_a_clone_builds_and_is_no_baseline(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = committed(source)
    (source.parent / ".git").rename(source.parent / "elsewhere")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(source.parent.parent))
    found = artifact(source, "reference")
    assert found.subject.facts == {"tree": tree, "modified": "unknown", "go": "1.26.8"}
    with pytest.raises(BaselineError, match="outside a git clone"):
        pin(found.subject)
    with pytest.raises(BaselineError, match="not in a git clone"):
        artifact(source, f"reference@{'0' * 40}")


def test_an_installed_package_has_the_source_of_a_stored_baseline(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = committed(source)
    (source.parent / ".git").rename(source.parent / "elsewhere")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(source.parent.parent))
    found = artifact(source, f"reference@{tree}").subject.facts
    assert found == {"tree": tree, "modified": "no", "go": "1.26.8"}


def test_the_tree_of_content_is_that_of_git(source: Path) -> None:
    (source / "a").mkdir()
    (source / "a.b").write_text("")  # sorts before the folder `a`, whose name ends with `/`
    (source / "a" / "run").write_text("é")
    (source / "a" / "run").chmod(0o755)
    (source / "a" / "link").symlink_to("run")
    (source / "empty" / "inside").mkdir(parents=True)
    assert git.content_tree(source) == git.tree(source)


def test_a_clone_before_its_first_commit_has_a_tree(source: Path) -> None:
    expected = committed(source)
    ask(source, "update-ref", "-d", "HEAD")
    assert git.tree(source) == expected
    assert artifact(source, "reference").subject.facts["modified"] == "yes"


def test_a_tree_id_builds_the_source_of_then(source: Path) -> None:
    past = artifact(source, f"reference@{committed(source, 'HEAD~1')}?cpu=1ms")
    assert past.binary.read_text() == "first"
    assert past.arguments == ("--fault=cpu=1ms",)
    assert past.subject.facts["tree"] == committed(source, "HEAD~1")
    assert artifact(source, "reference").binary.read_text() == "second"


def test_the_present_source_by_its_tree_id_is_the_same_binary(source: Path) -> None:
    now = artifact(source, "reference")
    again = artifact(source, f"reference@{committed(source)}")
    assert again.binary == now.binary
    assert again.subject.digest == now.subject.digest


def test_the_same_tree_from_the_clone_is_the_same_binary(source: Path) -> None:
    now = artifact(source, "reference")
    tree = committed(source)
    change(source, "third")
    assert artifact(source, f"reference@{tree}").subject.digest == now.subject.digest


def test_a_tree_that_is_not_in_the_clone_is_a_missing_baseline(source: Path) -> None:
    with pytest.raises(BaselineError) as caught:
        artifact(source, f"reference@{'1' * 40}")
    assert caught.value.exit_code is Exit.NO_BASELINE
    assert caught.value.hint == "git fetch --unshallow"


def test_a_commit_is_not_a_tree(source: Path) -> None:
    commit = ask(source, "rev-parse", "HEAD").strip()
    with pytest.raises(BaselineError):
        artifact(source, f"reference@{commit}")


def test_faults_become_arguments_in_the_order_written(source: Path) -> None:
    found = artifact(source, "reference?slow-create=20ms&errors=0.5%&cpu=200us")
    assert found.arguments == (
        "--fault=slow-create=20ms",
        "--fault=errors=0.5%",
        "--fault=cpu=200us",
    )
    assert found.subject.spec == "reference?slow-create=20ms&errors=0.5%&cpu=200us"


def test_an_unknown_fault_builds_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        artifact(source, "reference?slow=20ms")
    assert not (tmp_path / "cache").exists()


def test_a_pinned_subject_can_be_built_again_after_the_source_has_moved_on(source: Path) -> None:
    before = artifact(source, "reference?cpu=1ms").subject
    kept = pin(before)
    assert kept.spec == f"reference@{committed(source)}?cpu=1ms"
    assert pin(kept) == kept
    change(source, "third")
    again = artifact(source, kept.spec).subject
    assert (again.digest, again.facts) == (before.digest, before.facts)


def test_source_that_is_not_committed_cannot_be_pinned(source: Path) -> None:
    change(source, "third")
    with pytest.raises(BaselineError) as caught:
        pin(artifact(source, "reference").subject)
    assert caught.value.hint == "commit the folder go/reference/, then measure again"


def test_a_subject_that_says_nothing_of_its_source_cannot_be_pinned() -> None:
    with pytest.raises(BaselineError):
        pin(Subject("reference", "sha256:0"))
