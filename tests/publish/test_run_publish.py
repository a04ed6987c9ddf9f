"""`run --publish`: refused in seconds where it cannot be sent, and otherwise sent after the run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.judge import policy
from pipeline.model.report import Report
from pipeline.model.request import RunRequest
from pipeline.model.results import ResultSet
from pipeline.runs import run
from pipeline.storage import codec
from pipeline.system.errors import LoadError
from tests.github.fake import REPOSITORY, Fault
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD
from tests.publishing import FAST, SLOW, of_commit

Run = Callable[..., int]


@pytest.fixture
def run_once(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command; what is measured is an argument."""
    out = tmp_path / "out"

    def call(measured: ResultSet | None, *arguments: str, error: Exception | None = None) -> int:
        def measure(_: RunRequest, out: Path) -> Report:
            assert measured is not None, "nothing may be measured"
            assert "GITHUB_TOKEN" not in os.environ, "a build must not see the token"
            out.mkdir()
            codec.RESULTS.write(out / "results.json", measured)
            if error:
                raise error
            return policy.report(measured)

        monkeypatch.setattr(run, "run", measure)
        monkeypatch.setattr(run, "feed", lambda *_: None)
        with fake.serving() as url:
            monkeypatch.setenv("GITHUB_API_URL", url)
            return main.main(["run", "--out", f"{out}", *arguments])

    monkeypatch.setenv("GITHUB_TOKEN", "secret-token")
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    return call


COMMENT = ("--publish", "comment", "--pull-request", "5")


def test_a_pass_becomes_a_comment_of_the_pull_request(run_once: Run, fake: Fake) -> None:
    assert run_once(of_commit(FAST, HEAD), *COMMENT) == 0

    (body,) = fake.bodies()
    assert "milo-perf" in body


def test_a_regression_stays_the_exit_code_and_is_published(run_once: Run, fake: Fake) -> None:
    assert run_once(of_commit(SLOW, HEAD), *COMMENT) == 3

    (body,) = fake.bodies()
    assert "regression" in body.lower()


def test_results_of_another_commit_are_not_passed_off_as_those_of_the_pull_request(
    run_once: Run, fake: Fake
) -> None:
    run_once(of_commit(FAST, "f" * 40), *COMMENT)

    (body,) = fake.bodies()
    assert "was to be measured" in body


def test_a_run_that_breaks_after_it_has_begun_is_published_as_broken(
    run_once: Run, fake: Fake, tmp_path: Path
) -> None:
    error = LoadError("k6 was too slow", hint="use a larger machine")
    assert run_once(of_commit(FAST, HEAD), *COMMENT, error=error) == 6

    (body,) = fake.bodies()
    assert "k6 was too slow" in body
    assert (tmp_path / "out" / "error.txt").is_file()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((COMMENT, "GITHUB_TOKEN", "GITHUB_TOKEN is not set"), id="no token"),
        pytest.param((COMMENT, "GITHUB_REPOSITORY", "GITHUB_REPOSITORY"), id="no repository"),
        pytest.param((("--publish", "comment"), "", "no pull request"), id="no pull request"),
        pytest.param((("--pull-request", "5"), "", "needs --publish"), id="nothing to publish"),
    ],
)
def test_what_cannot_be_published_is_refused_before_anything_is_built(
    run_once: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[tuple[str, ...], str, str],
) -> None:
    arguments, variable, text = case
    monkeypatch.setenv("GITHUB_SHA", HEAD)
    if variable:
        monkeypatch.delenv(variable)

    assert run_once(None, *arguments) == 2
    assert text in capsys.readouterr().err


def test_a_pull_request_that_github_does_not_have_is_refused(
    run_once: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_once(None, "--publish", "comment", "--pull-request", "404") == 10
    assert "404" in capsys.readouterr().err


def test_an_answer_that_github_refuses_is_still_the_answer(
    run_once: Run, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.faults.append(Fault("POST .*/comments", "forbidden"))
    assert run_once(of_commit(FAST, HEAD), *COMMENT) == 10
    assert "not published" in capsys.readouterr().err
