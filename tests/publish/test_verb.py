"""The verb `publish`, from a folder and an event to the state of a fake GitHub."""

import socket
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.model.results import ResultSet
from pipeline.storage import codec
from tests import pages, publications
from tests.github.fake import Fault
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD, QUIET, row, run
from tests.publishing import FAST, SLOW, Publish, finished, of_commit

INCONCLUSIVE = run(row(publications.CREATE, 5.2e-3, 1.12, 0.12), *QUIET)
TO_ALL = ("--to", "check", "--to", "comment")


def test_a_fault_turns_comment_and_check_red_and_its_repair_turns_them_green(
    fake: Fake, publish: Publish
) -> None:
    assert publish(None, "--to", "check", "--start", "--key", "mine")[0] == 0
    assert [check["status"] for check in fake.checks.values()] == ["in_progress"]
    assert publish(SLOW, *TO_ALL)[0] == 0
    assert fake.bodies()[0].splitlines()[1].startswith("## ❌ REGRESSION: create p50 +31 %")
    (check,) = fake.checks.values()
    assert (check["name"], check["conclusion"]) == ("milo-perf / mine", "failure")
    assert check["output"]["annotations_count"] == 1
    repaired = "b" * 40
    fake.add_pull(5, repaired, labels=[])
    event = finished(head_sha=repaired)
    assert publish(of_commit(FAST, repaired), *TO_ALL, event=event)[0] == 0
    assert len(fake.bodies()) == 1
    assert fake.bodies()[0].splitlines()[1].startswith("## ✅ PASS: no metric worse")
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure", "success"]


def test_to_publish_again_changes_nothing(fake: Fake, publish: Publish) -> None:
    publish(SLOW, *TO_ALL)
    before = (dict(fake.comments), dict(fake.checks), len(fake.writes()))
    code, out, _ = publish(SLOW, *TO_ALL)
    assert (dict(fake.comments), dict(fake.checks), len(fake.writes())) == before
    assert code == 0
    assert out.count("up to date") == 2


def test_a_report_that_comes_late_does_not_replace_what_a_later_run_has_written(
    fake: Fake, publish: Publish
) -> None:
    url = "https://github.example/milo-os/milo/actions/runs/"
    assert publish(SLOW, *TO_ALL, event=finished(id=80, html_url=f"{url}80"))[0] == 0
    before = fake.bodies()
    said = publish(FAST, *TO_ALL, event=finished(id=79, html_url=f"{url}79"))[1]
    assert "not changed, a later run has written it" in said
    assert fake.bodies() == before
    publish(FAST, *TO_ALL, event=finished(id=80, html_url=f"{url}80", run_attempt=2))
    assert "## ✅ PASS" in fake.bodies()[0]
    publish(SLOW, *TO_ALL, event=finished(id=80, html_url=f"{url}80"))
    assert "## ✅ PASS" in fake.bodies()[0]


def test_a_pass_has_a_check_and_a_comment_only_where_it_is_asked_for(
    fake: Fake, publish: Publish
) -> None:
    assert "nothing to say" in publish(FAST, *TO_ALL)[1]
    assert fake.comments == {}
    assert "none, as asked" in publish(SLOW, *TO_ALL, "--comment", "never")[1]
    assert fake.comments == {}
    publish(FAST, *TO_ALL, "--comment", "always")
    assert len(fake.bodies()) == 1


def test_a_label_asks_for_a_comment(fake: Fake, publish: Publish) -> None:
    fake.pulls[5]["labels"] = [
        {
            "id": 1,
            "node_id": "x",
            "url": "https://github.example/x",
            "name": "milo-perf-comment",
            "description": "",
            "color": "0",
            "default": False,
        }
    ]
    publish(FAST, "--to", "comment")
    assert len(fake.bodies()) == 1


def test_results_for_an_older_commit_change_no_comment_but_complete_its_check(
    fake: Fake, publish: Publish
) -> None:
    publish(SLOW, *TO_ALL)
    before = fake.bodies()
    fake.add_pull(5, "b" * 40)
    code, out, _ = publish(FAST, *TO_ALL)
    assert code == 0
    assert "results for an older commit" in out
    assert fake.bodies() == before
    assert [check["conclusion"] for check in fake.checks.values()] == ["success"]


@pytest.mark.parametrize(
    ("results", "conclusion"),
    [
        pytest.param(FAST, "success", id="pass"),
        pytest.param(SLOW, "failure", id="regressed"),
        pytest.param(INCONCLUSIVE, "neutral", id="inconclusive"),
        pytest.param("error: milo did not answer", "failure", id="broken"),
        pytest.param(None, "failure", id="nothing at all"),
    ],
)
def test_the_check_concludes(
    fake: Fake, publish: Publish, results: ResultSet | str | None, conclusion: str
) -> None:
    assert publish(results, "--to", "check", "--key", "mine")[0] == 0
    (check,) = fake.checks.values()
    assert (check["status"], check["conclusion"]) == ("completed", conclusion)
    assert check["details_url"] == "https://github.example/milo-os/milo/actions/runs/77"
    assert isinstance(results, ResultSet) or "did not finish" in check["output"]["title"]


@pytest.mark.parametrize("how", ["broken after", "lost after", "limited", "broken"])
def test_a_check_is_created_once_whatever_github_does(
    fake: Fake, publish: Publish, how: str
) -> None:
    fake.faults = [Fault("POST .*/check-runs", how)]
    publish(SLOW, "--to", "check")
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]
    fake.faults = [Fault("PATCH .*/check-runs", how)]
    publish(FAST, "--to", "check")
    assert [check["conclusion"] for check in fake.checks.values()] == ["success"]


def test_a_check_of_another_app_is_not_ours(fake: Fake, publish: Publish) -> None:
    publish(SLOW, "--to", "check")
    (number,) = fake.checks
    fake.checks[number]["app"]["slug"] = "other"
    publish(FAST, "--to", "check")
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure", "success"]


def test_every_check_that_is_in_progress_is_completed(fake: Fake, publish: Publish) -> None:
    publish(None, "--to", "check", "--start", "--key", "mine")
    (first,) = fake.checks.values()
    fake.checks[first["id"] + 7] = {**first, "id": first["id"] + 7}
    assert "in progress already" in publish(None, "--to", "check", "--start", "--key", "mine")[1]
    publish(FAST, "--to", "check")
    assert [check["conclusion"] for check in fake.checks.values()] == ["success", "success"]


def test_a_forged_margin_and_a_forged_gate_do_not_count(fake: Fake, publish: Publish) -> None:
    lax = pages.metric("get_p50", margin=9.0, gate=False)
    forged = run(row(lax, 1.6e-3, 1.31), *QUIET[1:])
    code, _, _ = publish(forged, *TO_ALL, suite="pr")
    assert code == 0
    (body,) = fake.bodies()
    assert "## ❌ REGRESSION: get p50 +31 %" in body
    said = "judged by our margins, not by those of its results: "
    assert "object-crud/get_p50" in body.partition(said)[2].splitlines()[0]
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]


def test_results_of_another_suite_than_was_to_be_measured_are_refused(
    fake: Fake, publish: Publish
) -> None:
    publish(FAST, *TO_ALL, "--suite", "pr", "--key", "pr", suite="smoke")
    assert "its results are of the suite smoke, not of pr" in fake.bodies()[0]
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]


def test_an_accepted_regression_is_green_until_its_day(
    fake: Fake, publish: Publish, tmp_path: Path
) -> None:
    file = tmp_path / "acknowledged.toml"
    today = datetime.now(UTC).date()

    def accept(until: object, most: str = "") -> str:
        file.write_text(
            f'[[accepted]]\nmetric = "*/create_p50"\nreason = "why"\nby = "ada"\n'
            f"until = {until}\n{most}\n"
        )
        publish(SLOW, *TO_ALL, "--comment", "always", "--acknowledged", str(file))
        (check,) = fake.checks.values()
        return str(check["conclusion"])

    assert accept(today) == "success"
    assert "🟡 `object-crud/create_p50` is accepted by `ada`" in fake.bodies()[0]
    assert accept(today - timedelta(days=1)) == "failure"
    assert "which has passed: why" in fake.bodies()[0]
    assert accept(today, "most = 0.2") == "failure"
    assert accept(today, "most = 0.5") == "success"
    assert len(fake.bodies()) == 1


def test_a_run_that_ended_early_is_broken_and_says_why(fake: Fake, publish: Publish) -> None:
    also = {"error.txt": "error: etcd was killed\n::error::`x` @team"}
    publish(FAST, *TO_ALL, also=also)
    assert "```text\nerror: etcd was killed\n::error::'x' ＠team\n```" in fake.bodies()[0]  # noqa: RUF001 (harmless)
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]


def test_results_that_are_refused_are_no_pass_and_name_no_path_of_the_runner(
    fake: Fake, publish: Publish, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "results.json").write_text('{"schema": "milo-perf.results/1", "suite": NaN}')
    publish(folder, *TO_ALL, "--key", "mine")
    assert "error: results.json: NaN is not a number" in fake.bodies()[0]
    assert str(tmp_path) not in fake.bodies()[0]
    assert [check["conclusion"] for check in fake.checks.values()] == ["failure"]


def test_a_deployment_that_is_up_is_published(fake: Fake, publish: Publish, tmp_path: Path) -> None:
    folder = tmp_path / "deployed"
    folder.mkdir()
    codec.RESULTS.write(folder / "results.json", of_commit(SLOW, HEAD))
    (folder / "candidate.kubeconfig").symlink_to("/nonexistent/private/candidate.kubeconfig")
    with chdir(folder), socket.socket(socket.AF_UNIX) as listener:  # short enough for a socket
        listener.bind("keeper.sock")
        assert publish(folder, *TO_ALL)[0] == 0
    assert "regressed" in fake.bodies()[0]
    (folder / "pairs").mkdir()
    (folder / "pairs" / "candidate.kubeconfig").symlink_to("/nonexistent")
    code, _, stderr = publish(folder, *TO_ALL)
    assert code == 2
    assert "candidate.kubeconfig` is a link" in stderr


def test_a_link_in_the_artifact_is_refused_and_said(
    fake: Fake, publish: Publish, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of the runner")
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "error.txt").symlink_to(secret)
    assert publish(folder, *TO_ALL, "--key", "mine")[0] == 0
    assert "`error.txt` is a link" in fake.bodies()[0].replace("'", "`")
    assert "a secret" not in fake.bodies()[0]
