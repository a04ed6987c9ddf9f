"""Which commit an event names; one that names none has nothing published on any."""

import os
from pathlib import Path

import pytest

from pipeline.publish import event as events
from pipeline.publish.event import ReportLinks, Runner, current_runner, read_event
from pipeline.system.errors import ConfigError
from tests.github.fake import GitHub as Fake
from tests.publishing import SLOW, Publish, finished

SHA = "c" * 40


@pytest.mark.parametrize(
    "body",
    [
        {
            "action": "created",
            "issue": {"number": 5, "pull_request": {"url": "https://api.github.com/x"}},
            "comment": {"body": "/perf"},
        },
        {"action": "labeled", "issue": {"number": 5}},
        {"action": "perf", "branch": "main", "client_payload": {"sha": "a" * 40}},
        {"action": "created", "discussion": {"number": 1}},
        {"check_run": {"head_sha": "a" * 40}},
        {"after": "0" * 40, "deleted": True, "ref": "refs/heads/x"},
        {"ref": "refs/heads/main", "workflow": "perf.yml", "inputs": {"pull": "5"}},
        {"ref": "x", "ref_type": "branch"},
        finished(event="issue_comment"),
        finished(event="repository_dispatch"),
        {
            **finished(event="workflow_dispatch", head_branch="main"),
            "repository": {"id": 1, "owner": {"login": "milo-os"}, "default_branch": "main"},
        },
    ],
)
def test_an_event_that_does_not_name_what_was_measured_publishes_on_no_commit(
    fake: Fake, publish: Publish, monkeypatch: pytest.MonkeyPatch, body: dict[str, object]
) -> None:
    monkeypatch.setenv("GITHUB_SHA", "d" * 40)
    event = {"repository": {"id": 1, "owner": {"login": "milo-os"}}, **body}
    for target in ("check", "comment"):
        for more in ((), ("--dry-run",)):
            code, out, err = publish(SLOW, "--to", target, *more, event=event)
            assert code == 2
            assert "the event does not name the commit that was measured" in err
            assert "hint: measure in a workflow of `pull_request`" in err
            assert "d" * 12 not in out
    assert publish(SLOW, "--to", "check", "--start", "--key", "pr", event=event)[0] == 2
    assert fake.checks == {}
    assert fake.bodies() == []
    code, out, _ = publish(SLOW, "--to", "summary", event=event)
    assert (code, "d" * 12 in out) == (0, False)


@pytest.mark.parametrize(
    "body",
    [
        {"after": "c" * 40, "head_commit": {"id": "c" * 40}, "ref": "refs/heads/main"},
        {"schedule": "0 3 * * *"},
        {"ref": "refs/heads/main", "workflow": "perf.yml", "inputs": None},
        {"ref": "v1", "ref_type": "tag", "master_branch": "main"},
        {"action": "published", "release": {"tag_name": "v1"}},
        {"merge_group": {"head_sha": "c" * 40}},
        finished(event="push", head_sha="c" * 40),
        finished(event="workflow_dispatch", head_sha="c" * 40, head_branch="topic"),
    ],
)
def test_an_event_that_runs_on_what_it_names_has_a_check(
    fake: Fake, publish: Publish, monkeypatch: pytest.MonkeyPatch, body: dict[str, object]
) -> None:
    sha = "d" * 40 if "merge_group" in body or "workflow_run" in body else "c" * 40
    monkeypatch.setenv("GITHUB_SHA", sha)
    event = {
        "repository": {"id": 1, "owner": {"login": "milo-os"}, "default_branch": "main"},
        **body,
    }
    code, _, err = publish(SLOW, "--to", "check", event=event)
    assert code == 0, err
    assert [check["head_sha"] for check in fake.checks.values()] == ["c" * 40]


@pytest.mark.parametrize("name", ["issue_comment", "issues", "repository_dispatch", "watch"])
def test_the_name_of_an_event_is_enough_to_refuse_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / "event.json"
    file.write_text("{}")
    runner = Runner({"GITHUB_EVENT_PATH": str(file), "GITHUB_EVENT_NAME": name, "GITHUB_SHA": SHA})
    assert events.read_event(None, runner, events.ReportLinks()).origin.head_sha == ""
    runner = Runner({**runner.variables, "GITHUB_EVENT_NAME": "push"})
    assert events.read_event(None, runner, events.ReportLinks()).origin.head_sha == SHA


@pytest.mark.parametrize(
    "url",
    [
        "http://[bad",
        "not a url",
        "file:///etc/passwd",
        "//x",
        "https://",
        "http://x:99999",
        "https://x y",
        "https://\u00fc:x",
    ],
)
def test_an_address_of_the_api_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is no http or https URL"):
        _ = Runner({"GITHUB_API_URL": url}).api_url
    good = "https://github.example/api/v3/"
    assert Runner({"GITHUB_API_URL": good}).api_url == good.rstrip("/")


@pytest.mark.parametrize("name", ["a/..", "a/.", "a/b/c", "a", "/b", "a b/c"])
def test_a_repository_is_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(ConfigError, match="is not owner/name"):
        _ = Runner({"GITHUB_REPOSITORY": name}).repository
    assert Runner({"GITHUB_REPOSITORY": "a.b/..c"}).repository == "a.b/..c"


def test_numbers_of_any_length_and_bytes_that_are_no_text_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "1" * 5000)
    monkeypatch.setenv("GITHUB_SERVER_URL", os.fsdecode(b"https://x\xff"))
    runner = current_runner()
    assert runner.number("GITHUB_RUN_ATTEMPT", 1) == 1
    runner.get("GITHUB_SERVER_URL").encode()


@pytest.mark.parametrize("text", ["[" * 5000, "[]", "{", "1"])
def test_an_event_that_is_none_is_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"the event is not JSON|is no JSON object"):
        read_event(path, Runner({}), ReportLinks())
