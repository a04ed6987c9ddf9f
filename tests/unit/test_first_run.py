"""Before a run it is said what will be built, how long that takes and why."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.subject import Product
from pipeline.system import paths
from pipeline.toolchain import build, first_run, go


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_first_run_says_what_how_long_where_and_why(nothing_built: Path) -> None:
    said = " ".join(toolchain.first_builds(("etcd", "k6"), Product.REFERENCE))
    for part in ("etcd 3.", "20 seconds", "the reference server", "minutes", "GB", "same on"):
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
    monkeypatch.setattr(first_run, "cached_path", lambda *_: tmp_path)
    assert toolchain.first_builds(("etcd",), Product.REFERENCE) == []


@pytest.mark.usefixtures("nothing_built")
@pytest.mark.parametrize(
    ("argv", "parts", "built"),
    [
        (
            [],
            ("the reference server", "3 to 9 minutes", "this happens once"),
            ["reference", "etcd"],
        ),
        (["--suite=smoke"], ("2 minutes",), ["reference", "etcd"]),
        (["--suite", "own.toml"], ("the reference server with itself, and answers",), None),
        (["--candidate=binary:./milo", "--seed", "1"], ("two builds of Milo",), ["etcd"]),
        (["--candidate", "reference?cpu=1ms"], ("the reference server",), ["reference", "etcd"]),
    ],
)
def test_before_packages_are_installed_it_says_what_will_happen(
    argv: list[str], parts: tuple[str, ...], built: list[str] | None
) -> None:
    sentences, recipes = first_run.first_screen(argv)
    said = " ".join(sentences)
    assert [part for part in parts if part not in said] == []
    assert built is None or [one.name for one in recipes] == built


@pytest.mark.usefixtures("nothing_built")
@pytest.mark.parametrize(
    "argv", [["--help"], ["--resume", "out/x"], ["--environment", "kind"], ["--suite"]]
)
def test_what_only_the_run_can_tell_is_left_to_it(argv: list[str]) -> None:
    assert first_run.first_screen(argv) == ([], [])


@pytest.mark.usefixtures("nothing_built")
def test_milo_bin_is_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toolchain.BINARY, "/x/milo")
    assert [one.name for one in first_run.first_screen([])[1]] == ["etcd"]


def test_it_needs_nothing_but_what_nox_has(nothing_built: Path) -> None:
    """The interpreter of Nox has none of our packages; filelock comes with virtualenv."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pydantic', 'rich', 'psutil', 'requests')));"
        " from pipeline.toolchain import first_run; print(len(first_run.first_screen([])[0]))"
    )
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(nothing_built)}
    said = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=paths.project_path(),
        env=environment,
    ).stdout
    assert int(said) >= 4


def test_etcd_and_the_reference_server_share_every_package_that_both_need() -> None:
    """What is compiled for one is used for the other, if its version is the same."""
    versions = [
        dict(
            re.findall(
                r"^\t(\S+) (v\S+)",
                paths.project_path("go", name, "go.mod").read_text(),
                re.MULTILINE,
            )
        )
        for name in ("etcd", "reference")
    ]
    shared = versions[0].keys() & versions[1].keys()
    assert len(shared) > 30
    differing = {name for name in shared if versions[0][name] != versions[1][name]}
    assert differing == set(), "`go get` the newer version in the other module"


def test_a_build_says_how_many_packages_are_compiled_and_what_is_left(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    assert build.progress(20, log, 40) == "20 s"
    log.write_text("go: downloading example.org/x v1.0.0\ngo: downloading example.org/y v1.0.0\n")
    assert build.progress(20, log, 40) == "20 s, downloading its source: 2 modules so far"
    log.write_text("go: downloading example.org/x v1.0.0\nruntime\n")
    assert build.progress(20, log, 40) == "20 s, 1 of about 40 packages"
    log.write_text("runtime\nnet/http\n# example.org/x\nx.go:1:2: wrong\n" * 5)
    assert build.progress(20, log, 40) == "20 s, 10 of about 40 packages, about 60 s left"
    assert build.progress(20, log, 9) == "20 s"
