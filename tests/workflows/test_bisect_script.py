"""The script that searches the commit behind a night, with a pipeline of our own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.acting import git, script

PYTHON = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$CALLS"
case $4 in
  history) exit "$HISTORY_CODE" ;;
  bisect)
    while [ $# -gt 0 ]; do
      [ "$1" != --known ] || ls "$2" >> "$CALLS"
      shift
    done
    exit "$BISECT_CODE"
    ;;
esac
"""
Search = Callable[..., tuple[list[str], str]]


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """Return a function that runs the script, and returns the calls of the pipeline and stderr."""
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    remote = tmp_path / "remote"
    remote.mkdir()
    git(remote, "init", "--quiet", "--initial-branch=main")

    def run(
        verdict: str = "unchanged",
        *,
        has_night: bool = True,
        has_history: bool = True,
        history_code: int = 0,
        bisect_code: int = 0,
        has_searches: bool = False,
    ) -> tuple[list[str], str]:
        night = tmp_path / "night"
        night.mkdir()
        if has_night:
            (night / "results.json").write_text("{}")
        if has_history:
            git(remote, "checkout", "--quiet", "--orphan", "history")
            (remote / "nightly.jsonl").write_text("{}\n")
            if has_searches:
                (remote / "nightly" / "searches").mkdir(parents=True)
                (remote / "nightly" / "searches" / "crud.create_p50.json").write_text("{}\n")
            git(remote, "add", "--all")
            git(remote, "commit", "--quiet", "-m", "a night")
        variables = {
            "NIGHT": night,
            "VERDICT": verdict,
            "SUITE": "nightly",
            "PRODUCT": "milo",
            "SUBJECT": "subject",
            "BUILD": "go build -o {out} .",
            "BUDGET": "60m",
            "HISTORY": "nightly.jsonl",
            "BRANCH": "history",
            "REMOTE": remote,
            "ACKNOWLEDGED": "none.toml",
            "OUT": "out",
            "PYTHON": python,
            "CALLS": tmp_path / "calls",
            "HISTORY_CODE": history_code,
            "BISECT_CODE": bisect_code,
        }
        done = script("bisect.sh", **variables)
        done.check_returncode()
        calls = tmp_path / "calls"
        return (calls.read_text().splitlines() if calls.exists() else []), done.stderr

    return run


TAIL = "--suite nightly --build go build -o {out} . --budget 60m --out out"


def test_a_red_night_is_searched_itself(search: Search, tmp_path: Path) -> None:
    calls, _ = search("regressed")
    assert calls == [f"-P -m pipeline bisect subject --from {tmp_path / 'night'} {TAIL}"]


@pytest.mark.parametrize(("verdict", "code"), [("regressed", 0), ("unchanged", 3)])
def test_what_was_searched_before_is_told(search: Search, verdict: str, code: int) -> None:
    calls, _ = search(verdict, history_code=code, has_searches=True)
    assert " --known " in calls[-2]
    assert calls[-1] == "crud.create_p50.json"


def test_the_newest_step_is_searched_once_the_night_is_added_to_a_copy(search: Search) -> None:
    (history, bisect), _ = search(history_code=3)
    assert "nights.jsonl --append" in history
    assert history.endswith("--suite nightly --product milo --alarm")
    assert "bisect subject --from-history" in bisect
    assert bisect.endswith(TAIL)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({}, "nothing is wrong"),
        ({"has_night": False, "verdict": "regressed"}, "no night to explain"),
        ({"has_history": False}, "there is no history yet"),
        ({"history_code": 7}, "::warning::the history cannot be judged: exit code 7"),
    ],
)
def test_nothing_is_searched_where_there_is_nothing_to_find(
    search: Search, what: dict[str, object], said: str
) -> None:
    calls, stderr = search(**what)
    assert not any(" bisect " in call for call in calls)
    assert said in stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "bisect ended with 0"),
        (4, "bisect ended with 4"),
        (5, "::warning::the search for the commit failed with exit code 5"),
    ],
)
def test_a_search_without_an_answer_is_no_failure_of_the_night(
    search: Search, code: int, said: str
) -> None:
    assert said in search("regressed", bisect_code=code)[1]
