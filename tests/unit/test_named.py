"""How a file is named in a command that others may read."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.judge import policy
from pipeline.publish.options import PublishOptions
from pipeline.publish.options import reproduce_command as recommended
from pipeline.render.words import reproduce_command
from pipeline.runs.run import ENVIRONMENT
from pipeline.system import paths
from tests.builders import LATENCY, results
from tests.publications import ORIGIN


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("written", "kept", "named"),
    [
        ("suites/mine.toml", "out/x/suite.toml", "suites/mine.toml"),
        ("../mine.toml", "out/x/suite.toml", "../mine.toml"),
        ("{here}/suites/mine.toml", "out/x/suite.toml", "suites/mine.toml"),
        ("{here}/../mine.toml", "out/x/suite.toml", "out/x/suite.toml"),
        ("/home/me/mine.toml", "out/x/suite.toml", "out/x/suite.toml"),
        ("~/mine.toml", "out/x/suite.toml", "out/x/suite.toml"),
        ("/home/me/mine.toml", "/tmp/x/suite.toml", "mine.toml"),
        ("/home/me/mine.toml", None, "mine.toml"),
    ],
)
def test_no_path_tells_of_a_machine(here: Path, written: str, kept: str | None, named: str) -> None:
    found = paths.portable_name(written.format(here=here), Path(kept) if kept else None)
    assert found == named
    assert not Path(found).is_absolute()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ("", ""),
        ("kind", "kind"),
        ("ours.toml", "ours.toml"),
        ("{here}/ours.toml", "ours.toml"),
        ("{here}/../ours.toml", "out/x/environment.toml"),
    ],
)
def test_an_environment_is_named_by_a_file_that_is_there(
    here: Path, environment: str, named: str
) -> None:
    copy = Path("out/x", ENVIRONMENT)
    assert paths.portable_name(environment.format(here=here), copy) == named
    assert Path(named).name in ("", "kind", "ours.toml", ENVIRONMENT)


def test_the_command_names_what_was_given() -> None:
    run = results((LATENCY, [1.0] * 5, [1.0] * 5))
    run = replace(run, suite_path="suites/mine.toml", place="ours.toml", environment="kind")
    command = reproduce_command(policy.report(run))
    assert "run --suite suites/mine.toml " in command
    assert "--environment ours.toml " in command


def test_the_suites_own_environment_is_not_named() -> None:
    run = replace(results((LATENCY, [1.0] * 5, [1.0] * 5)), environment="kind", place="")
    assert "--environment" not in reproduce_command(policy.report(run))


def test_a_run_that_was_made_longer_is_repeated_with_all_its_pairs() -> None:
    run = results((LATENCY, [1.0] * 5, [1.0] * 5))
    assert "--pairs 5 " in reproduce_command(policy.report(replace(run, looks=(3, 5), added=1)))
    assert "--pairs auto " in reproduce_command(policy.report(replace(run, looks=(3, 5))))


def test_what_is_published_names_no_path_of_a_machine(here: Path) -> None:
    assert "--suite suites/mine.toml " in recommended(
        PublishOptions(suite=f"{here}/suites/mine.toml"), ORIGIN
    )
    assert "--suite mine.toml " in recommended(PublishOptions(suite="/home/me/mine.toml"), ORIGIN)


def test_load_pods_that_were_asked_for_are_named() -> None:
    run = replace(results((LATENCY, [1.0] * 5, [1.0] * 5)), place="kind", load_pods=2)
    assert "--environment kind --load-pods 2 " in reproduce_command(policy.report(run))
