"""Before a run it is said what will be built, how long that takes and why."""

from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.subject import Product
from pipeline.toolchain import go, programs


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_first_run_says_what_how_long_where_and_why(nothing_built: Path) -> None:
    said = " ".join(toolchain.first_builds(("etcd", "k6"), Product.REFERENCE))
    for part in ("etcd 3.", "2 minutes", "the reference server", "5 minutes", "GB", "same on"):
        assert part in said
    assert str(nothing_built) in said


@pytest.mark.usefixtures("nothing_built")
def test_only_what_is_needed_is_built() -> None:
    said = " ".join(toolchain.first_builds(("etcd",), Product.MILO))
    assert "etcd" in said
    assert "reference" not in said


@pytest.mark.usefixtures("nothing_built")
def test_the_go_that_is_fetched_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go, "find_local", lambda _: None)
    assert f"Go {go.pinned_version()}" in toolchain.first_builds(("etcd",), Product.MILO)[-1]


def test_a_later_run_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "cached_path", lambda *_: tmp_path)
    assert toolchain.first_builds(("etcd",), Product.REFERENCE) == []
