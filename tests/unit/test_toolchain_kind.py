"""kind is the user's own where there is one, and built by name where there is none."""

from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.system.errors import LaunchError
from pipeline.toolchain.programs import KIND, KUBECTL, recipe, user_kind


def script(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for name in (KIND, KUBECTL):
        monkeypatch.delenv(name, raising=False)


def test_kind_of_the_path_is_taken(tmp_path: Path) -> None:
    path = script(tmp_path / "kind", "kind v0.32.1 go1.26.0 linux/amd64")
    found = toolchain.program("kind")
    assert (found.path, found.version) == (path, "0.32.1")
    assert found.digest.startswith("sha256:")


def test_a_chosen_kind_goes_before_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(tmp_path / "kind", "kind v0.1.0 x")
    monkeypatch.setenv(KIND, str(script(tmp_path / "mine", "kind v0.33.0 x")))
    assert toolchain.program("kind").version == "0.33.0"


def test_what_does_not_answer_like_kind_is_refused(tmp_path: Path) -> None:
    script(tmp_path / "kind", "hello")
    with pytest.raises(LaunchError, match="does not answer like kind"):
        toolchain.program("kind")


@pytest.mark.parametrize("name", [KIND, KUBECTL])
def test_a_chosen_program_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/nonexistent")
    with pytest.raises(LaunchError, match=f"{name} is /nonexistent"):
        toolchain.program("kind" if name == KIND else "kubectl")


def test_without_kind_one_is_built_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert user_kind() is None
    built = recipe("kind")
    assert built.title == "kind 0.33.0"
    assert built.package == "sigs.k8s.io/kind"
    assert (built.module / "go.sum").is_file()


def test_kubectl_says_its_version(tmp_path: Path) -> None:
    script(tmp_path / "kubectl", '{"clientVersion": {"gitVersion": "v1.34.4"}}')
    assert toolchain.program("kubectl").version == "1.34.4"


def test_without_kubectl_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="kubectl is not on the path") as caught:
        toolchain.program("kubectl")
    assert "install it" in caught.value.hint
