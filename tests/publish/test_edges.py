"""`publish` where something is missing, where nothing is sent, and to issues and summaries."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.model.publication import Outcome, Publication
from pipeline.model.results import ResultSet
from pipeline.publish import checks, issues, outputs
from tests import pages, publications
from tests.github.answers import BOT
from tests.github.fake import Fault
from tests.github.fake import GitHub as Fake
from tests.publications import CREATE, HEAD, QUIET, row, run
from tests.publishing import FAST, SLOW, Publish, finished

MARKER = "<!-- milo-perf:issue v=1 key=mine -->"
PULL = dict.fromkeys(("url", "html_url", "diff_url", "patch_url"), "https://github.example/x")
STEPS = {
    "series": [
        {
            "series": "object-crud/get_p50",
            "scale": "ratio",
            "changes": [
                {
                    "time": "2026-01-01",
                    "change": 0.12,
                    "worse": True,
                    "commit": "c" * 40,
                    "commit_before": "b" * 40,
                    "acknowledged": None,
                },
                {"time": "2026-01-01", "change": 0.3, "worse": True, "acknowledged": "known"},
                {"time": "2026-01-01", "change": -0.3, "worse": False},
            ],
        }
    ]
}


def test_an_issue_is_opened_kept_and_closed(fake: Fake, publish: Publish) -> None:
    publish(FAST, "--to", "issue")
    assert fake.issues == {}
    publish(SLOW, "--to", "issue")
    publish(SLOW, "--to", "issue")
    (issue,) = fake.issues.values()
    assert issue["title"] == "Performance of mine: REGRESSION: create p50 +31 % (30 to 32 %)"
    assert issue["body"].startswith(f"{MARKER}\n## ❌ REGRESSION: create p50 +31 %")
    assert len(fake.writes()) == 1
    publish("error: etcd did not start", "--to", "issue", "--key", "mine")
    assert "etcd did not start" in fake.issues[1]["body"]
    assert "closed #1" in publish(FAST, "--to", "issue")[1]
    assert (fake.issues[1]["state"], fake.issues[1]["state_reason"]) == ("closed", "completed")
    publish(SLOW, "--to", "issue")
    assert fake.issues[2]["state"] == "open"


UNDECIDED = run(row(CREATE, 5.2e-3, 1.31, 0.2), *QUIET)


@pytest.mark.parametrize(
    ("night", "event"),
    [
        pytest.param(UNDECIDED, finished(), id="inconclusive"),
        pytest.param(SLOW, finished(conclusion="cancelled"), id="cancelled"),
        pytest.param(None, finished(conclusion="cancelled"), id="nothing"),
    ],
)
def test_a_night_that_decides_nothing_leaves_an_open_issue_as_it_is(
    night: ResultSet | None, event: Mapping[str, Any], fake: Fake, publish: Publish
) -> None:
    """Only a night in which nothing regressed ends a regression."""
    publish(SLOW, "--to", "issue", "--key", "mine")
    before = dict(fake.issues[1])
    _, printed, _ = publish(night, "--to", "issue", "--key", "mine", event=event)
    assert "nothing was decided" in printed
    assert fake.issues == {1: before}
    fake.issues.clear()
    publish(night, "--to", "issue", "--key", "mine", event=event)
    assert fake.issues == {}


def test_a_night_that_was_measured_ends_the_issue_of_one_that_broke(
    fake: Fake, publish: Publish
) -> None:
    publish("error: etcd did not start", "--to", "issue", "--key", "mine")
    stopped = finished(conclusion="cancelled")
    publish(None, "--to", "issue", "--key", "mine", event=stopped)
    assert fake.issues[1]["state"] == "open"
    publish(UNDECIDED, "--to", "issue", "--key", "mine")
    assert fake.issues[1]["state"] == "closed"


def test_a_step_of_the_history_opens_an_issue_though_the_night_passed(
    fake: Fake, publish: Publish
) -> None:
    publish(FAST, "--to", "issue", also={"steps.json": json.dumps(STEPS)})
    (issue,) = fake.issues.values()
    assert issue["title"] == (
        "Performance of mine: REGRESSION in the history: object-crud/get_p50 +12.0 % since"
        " 2026-01-01, bbbbbbbbbbbb..cccccccccccc"
    )
    assert (
        "📉 `object-crud/get_p50`: +12.0 % since 2026-01-01, bbbbbbbbbbbb..cccccccccccc"
        in (issue["body"])
    )


def test_issues_of_others_and_pull_requests_are_left_alone(fake: Fake, publish: Publish) -> None:
    for number, (login, extra) in enumerate([("mallory", {}), (BOT, {"pull_request": PULL})]):
        fake.put_issue("", {"title": "x", "body": MARKER, **extra})
        fake.issues[number + 1]["user"]["login"] = login
    publish(FAST, "--to", "issue")
    assert [issue["state"] for issue in fake.issues.values()] == ["open", "open"]


def test_steps_that_are_no_history_are_an_error(publish: Publish) -> None:
    code, _, err = publish(FAST, "--to", "issue", also={"steps.json": "[]"})
    assert code == 2
    assert "steps.json" in err


def test_a_file_of_steps_that_is_nested_without_end_is_refused(publish: Publish) -> None:
    code, _, err = publish(FAST, "--to", "issue", also={"steps.json": "[" * 100_000})
    assert code == 2
    assert "steps.json: it is nested more than" in err


def test_a_dry_run_prints_everything_and_asks_nothing(
    fake: Fake, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    to = ("--to", "check", "--to", "comment", "--to", "issue", "--to", "summary")
    code, out, _ = publish(SLOW, *to, "--dry-run")
    assert code == 0
    assert fake.asked == []
    assert '"conclusion": "failure"' in out
    assert "<!-- milo-perf:comment v=1 key=mine -->" in out
    assert MARKER in out
    assert (
        "in_progress" in publish(SLOW, "--to", "check", "--start", "--key", "mine", "--dry-run")[1]
    )
    assert "would be closed" in publish(FAST, "--to", "issue", "--dry-run")[1]
    assert fake.asked == []


def test_the_summary_is_added_to_what_is_there(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, out, _ = publish(SLOW, "--to", "summary")
    assert file.read_text().startswith("before\n## ❌ REGRESSION: create p50 +31 %")
    assert "::error title=Performance::object-crud/create_p50: 5.14 ms to" in out
    assert (
        "::error title=Performance::ERROR: the benchmark did not finish"
        in publish("error: x", "--to", "summary", "--key", "mine")[1]
    )
    file.write_text("x" * 2**20)
    assert publish(SLOW, "--to", "summary")[0] == 2


def test_no_text_in_a_log_is_a_command_to_the_runner() -> None:
    said = outputs.quote_commands("::error::x\n##[error]y", is_in_actions=True).splitlines()
    token = said[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    assert said[1:] == ["::error::x", "##[error]y", f"::{token}::"]


def test_at_most_ten_annotations_are_written_and_fifty_sent() -> None:
    rows = [
        publications.row(pages.metric(f"create_{number}_p50"), 5e-3, 1.5) for number in range(70)
    ]
    found = publications.published(publications.run(*rows))
    assert len(outputs.annotation_commands(found)) == 10
    assert len(checks.annotations(found)) == 50


@pytest.mark.parametrize(
    ("missing", "said"),
    [("GITHUB_TOKEN", "GITHUB_TOKEN is not set"), ("GITHUB_REPOSITORY", "GITHUB_REPOSITORY is")],
)
def test_what_is_missing_in_the_environment_is_named(
    publish: Publish, monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    monkeypatch.delenv(missing)
    code, _, err = publish(SLOW, "--to", "comment")
    assert code == 2
    assert said in err


def test_a_token_may_come_in_a_file(
    fake: Fake, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    (tmp_path / "token").write_text("secret-token\n")
    monkeypatch.setenv("GITHUB_TOKEN_FILE", str(tmp_path / "token"))
    assert publish(SLOW, "--to", "comment")[0] == 0
    assert len(fake.bodies()) == 1


def test_a_token_that_no_header_could_carry_is_not_shown(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret-token\nX-Other: 1")
    code, _, err = publish(SLOW, "--to", "comment")
    assert code == 2
    assert "is not a token" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--to", "comment", "--start", "--key", "x"), "--start is for", id="start"),
        pytest.param(("--to", "check", "--start"), "--start is for", id="start without key"),
        pytest.param(("--to", "check", "--key", "a b"), "cannot be a key", id="key"),
        pytest.param(("--to", "check", "--key", "x -->"), "cannot be a key", id="marker"),
        pytest.param(("--to", "check", "--suite", "none"), "no suite `none`", id="suite"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(
    fake: Fake, publish: Publish, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = publish(SLOW, *arguments)
    assert code == 2
    assert said in err
    assert fake.writes() == []


def test_a_folder_of_no_suite_needs_a_key(publish: Publish) -> None:
    code, _, err = publish(None, "--to", "comment")
    assert code == 2
    assert "without --key the suite is unknown" in err


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"workflow_run": 5}', id="another shape"),
        pytest.param(json.dumps(finished(head_sha="$(id)")), id="a commit that is none"),
    ],
)
def test_an_event_that_cannot_be_read_is_refused(fake: Fake, publish: Publish, text: str) -> None:
    code, _, err = publish(SLOW, "--to", "comment", event=text)
    assert code == 2
    assert "event" in err
    assert fake.asked == []


def test_an_event_of_a_pull_request_names_its_number(fake: Fake, publish: Publish) -> None:
    head = {"sha": HEAD, "ref": "main", "repo": {"id": 2000, "owner": {"login": "mallory"}}}
    event = {"number": 5, "pull_request": {"number": 5, "head": head}}
    publish(SLOW, "--to", "comment", event=event)
    assert len(fake.bodies()) == 1
    assert "GET /repos/milo-os/milo/pulls/5" in fake.asked


def test_a_push_has_a_check_and_no_comment(
    fake: Fake, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_SHA", "c" * 40)
    code, out, _ = publish(SLOW, "--to", "check", "--to", "comment", event={})
    assert code == 0
    assert "not of a pull request" in out
    assert [check["head_sha"] for check in fake.checks.values()] == ["c" * 40]


def test_one_target_that_fails_does_not_keep_the_others_from_being_told(
    fake: Fake, publish: Publish
) -> None:
    fake.faults = [Fault("POST .*/comments", "forbidden")]
    code, out, err = publish(SLOW, "--to", "comment", "--to", "check")
    assert code == 10
    assert "permission `pull-requests: write`" in err
    assert "check `milo-perf / mine`: failure" in out
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]


def test_a_github_that_does_not_answer_is_exit_9(fake: Fake, publish: Publish) -> None:
    fake.faults = [Fault("GET", "limited", seconds=3600)]
    code, _, err = publish(SLOW, "--to", "comment")
    assert code == 9
    assert "another 3600 s" in err


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("POST .*/check-runs", "checks: write"),
        ("POST .*/issues$", "issues: write"),
        ("GET .*/pulls", "pull-requests: read"),
        ("GET .*/comments", "pull-requests: write"),
    ],
)
def test_the_missing_permission_is_named(
    fake: Fake, publish: Publish, path: str, permission: str
) -> None:
    fake.faults = [Fault(path, "forbidden")]
    to = ("--to", "check", "--to", "comment", "--to", "issue")
    code, _, err = publish(SLOW, *to)
    assert code == 10
    assert f"needs the permission `{permission}`" in err


def test_a_night_that_only_could_not_be_judged_opens_no_issue() -> None:
    inconclusive = publications.STATES["inconclusive"]()
    broken = Publication("pr", Outcome.BROKEN, publications.ORIGIN, reason="x")
    assert [issues.needs_issue(one) for one in (inconclusive, broken)] == [False, True]
