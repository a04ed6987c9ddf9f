"""A binary is built once, whole, and from the source that it says."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.system.errors import Exit, LaunchError, StorageError
from pipeline.toolchain import build, go

# Answers like Go; a build writes a line to `builds` beside the program, and copies main.go.
GO = """#!/bin/sh
here="${0%/*}"
case "$1" in
env) echo '{"GOVERSION": "go1.26.8", "GOARCH": "amd64"}' ;;
build)
  echo built >> "$here/builds"
  test -e "$here/fails" && { seq 1 40; echo 'main.go:3:1: syntax error'; exit 1; }
  while [ "$1" != -o ]; do shift; done
  printf 'half' > "$2"
  test -e "$here/slow" && sleep "$(cat "$here/slow")"
  cat main.go > "$2" ;;
esac
"""
PROGRAM = """
import sys
from pathlib import Path
from pipeline.system import log
from pipeline.toolchain import build, go
log.configure(verbose=False)
recipe = build.Recipe("server", "the server", Path(sys.argv[1]), ".", "a moment")
print(build.build(recipe, go.find("1.26")).digest)
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a fake Go that is the only one on the path, beside a cache that is empty."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "go").write_text(GO)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "go.mod").write_text("module hello\n\ngo 1.26\n")
    (folder / "main.go").write_text("package main\n")
    return folder


def builds(tools: Path) -> int:
    path = tools / "builds"
    return len(path.read_text().splitlines()) if path.exists() else 0


def built(source: Path) -> build.Binary:
    recipe = build.Recipe("server", "the server", source, ".", "a moment")
    return build.build(recipe, go.find("1.26"))


def start(source: Path) -> "subprocess.Popen[str]":
    """Start another process that builds, as a second run would."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def wait_for(path: Path, name: str) -> Path:
    deadline = time.monotonic() + 10
    while not (found := list(path.rglob(name))):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found[0]


def test_a_second_build_comes_from_the_cache(tools: Path, source: Path) -> None:
    assert built(source) == built(source)
    assert builds(tools) == 1


@pytest.mark.usefixtures("tools")
def test_a_binary_is_what_go_wrote_and_its_digest_is_recorded_for_sha256sum(source: Path) -> None:
    binary = built(source)
    assert binary.path.read_text() == "package main\n"
    assert binary.digest == build.digest(binary.path)
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "server.sha256"], cwd=binary.path.parent, check=True
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("main.go", 2, id="source"),
        pytest.param("types.yaml", 2, id="a file that may be embedded"),
        pytest.param("go.sum", 2, id="sums"),
        pytest.param("main_test.go", 1, id="a test"),
        pytest.param("README.md", 1, id="documentation"),
        pytest.param(".main.go.swp", 1, id="an editor's file"),
    ],
)
def test_only_what_is_compiled_decides_whether_to_build(
    tools: Path, source: Path, name: str, expected: int
) -> None:
    built(source)
    (source / name).write_text("package main // changed\n")
    built(source)
    assert builds(tools) == expected


def test_another_go_version_builds_again(tools: Path, source: Path) -> None:
    built(source)
    (tools / "go").write_text(GO.replace("1.26.8", "1.27.0"))
    built(source)
    assert builds(tools) == 2


@pytest.mark.usefixtures("tools")
def test_the_same_source_elsewhere_is_the_same_binary(source: Path) -> None:
    before = built(source)
    moved = source.rename(source.with_name("moved"))
    assert built(moved) == before


@pytest.mark.usefixtures("tools")
def test_a_changed_binary_is_built_again_aloud(
    source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    binary = built(source)
    binary.path.write_text("rotten")
    assert built(source) == binary
    assert binary.path.read_text() == "package main\n"
    assert "is not what was built: building it again" in caplog.text


def test_a_binary_without_a_record_is_built_again(tools: Path, source: Path) -> None:
    binary = built(source)
    binary.path.with_suffix(".sha256").unlink()
    built(source)
    assert builds(tools) == 2


def test_a_failing_build_shows_the_last_lines_and_leaves_no_binary(
    tools: Path, source: Path, tmp_path: Path
) -> None:
    (tools / "fails").touch()
    with pytest.raises(LaunchError) as caught:
        built(source)
    assert caught.value.exit_code is Exit.NOT_STARTED
    assert str(source) in str(caught.value)
    assert "main.go:3:1: syntax error" in caught.value.hint
    assert "GOTOOLCHAIN=local" in caught.value.hint
    assert not list((tmp_path / "cache").rglob("server*/server*"))


def test_two_processes_build_once_and_the_second_says_that_it_waits(
    tools: Path, source: Path, tmp_path: Path
) -> None:
    (tools / "slow").write_text("1.5")
    first = start(source)
    wait_for(tmp_path / "cache", "server.partial")
    second = start(source)
    said = [process.communicate(timeout=20) for process in (first, second)]
    assert said[0][0] == said[1][0] != ""
    assert "another process is building the server; waiting" in said[1][1]
    assert builds(tools) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_binary_and_the_next_one_works(
    tools: Path, source: Path, tmp_path: Path, how: signal.Signals
) -> None:
    (tools / "slow").write_text("30")
    process = start(source)
    partial = wait_for(tmp_path / "cache", "server.partial")
    os.kill(process.pid, how)
    process.communicate(timeout=10)
    assert not partial.with_suffix("").exists()
    (tools / "slow").unlink()
    assert built(source).path.read_text() == "package main\n"
    assert not partial.exists()


def test_source_that_changes_during_a_build_is_refused(
    tools: Path, source: Path, tmp_path: Path
) -> None:
    (tools / "go").write_text(GO.replace("cat main.go", "echo '//' >> main.go; cat main.go"))
    with pytest.raises(LaunchError, match="was changed while the server was built"):
        built(source)
    assert not list((tmp_path / "cache").rglob("server*/server*"))


@pytest.mark.usefixtures("tools")
def test_what_nobody_used_for_a_month_is_forgotten(source: Path) -> None:
    long_ago = built(source).path.parent
    os.utime(long_ago, (0, 0))
    (source / "main.go").write_text("package main // new\n")
    assert built(source).path.is_file()
    assert not long_ago.exists()


@pytest.mark.usefixtures("tools")
def test_a_cache_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / "milo-perf").mkdir(parents=True)
    (tmp_path / "cache" / "milo-perf" / "bin").write_text("in the way")
    with pytest.raises(StorageError, match=r"milo-perf/bin.*(exists|directory)"):
        built(source)
