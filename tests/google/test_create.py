import sys
import time
from typing import NoReturn

import pytest

from pipeline.environments.gke import google as door
from pipeline.system.errors import Exit
from tests.google.commands import ACCOUNT, HOUR_S, create, delete, night, sweep
from tests.google.fake import PROJECT, START_S, ZONE, Google
from tests.google.faults import Fault

NAME = "milo-perf-7-1"


def test_a_cluster_is_there_with_its_labels_pools_and_end(cloud: Google) -> None:
    assert create() == Exit.NO_REGRESSION
    made = cloud.clusters[ZONE, NAME]
    assert made["status"] == "RUNNING"
    assert made["resourceLabels"] == {
        "managed-by": "milo-perf",
        "milo-perf-run": "7-1",
        "milo-perf-expires": f"{START_S + 3 * HOUR_S:.0f}",  # by Google's clock, not by ours
    }
    server, load = made["nodePools"]
    assert (server["config"].get("spot", False), load["config"]["spot"]) == (False, True)
    assert server["config"]["taints"][0]["key"] == "milo-perf/pool"
    assert "taints" not in load["config"]  # the cluster's own Pods have to go somewhere
    assert {pool["config"]["serviceAccount"] for pool in (server, load)} == {ACCOUNT}
    assert made["networkConfig"] == {"defaultEnablePrivateNodes": True}
    assert made["workloadIdentityConfig"] == {"workloadPool": f"{PROJECT}.svc.id.goog"}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param(["--dry-run"], Exit.NO_REGRESSION, id="dry run"),
        pytest.param(["--budget-usd", "3"], Exit.BAD_ARGUMENTS, id="over the budget"),
        pytest.param(["--server-type", "z9"], Exit.BAD_ARGUMENTS, id="no price"),
        pytest.param(["--expires-in", "25h"], Exit.BAD_ARGUMENTS, id="too long"),
    ],
)
def test_google_is_asked_nothing_before_the_cost_is_allowed(
    cloud: Google, more: list[str], code: Exit
) -> None:
    assert create(*more) == code
    assert cloud.asked == []


def test_the_estimate_is_printed_before_anything_is_made(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create("--budget-usd", "3") == Exit.BAD_ARGUMENTS
    assert cloud.clusters == {}
    said = capsys.readouterr()
    assert "the budget is 3.00 USD" in said.out
    assert "more than the budget of 3.00 USD" in said.err


def test_a_cluster_of_the_same_run_is_found_again(cloud: Google) -> None:
    assert create() == Exit.NO_REGRESSION
    assert create() == Exit.NO_REGRESSION
    assert sum(asked.startswith("POST") for asked in cloud.asked) == 1


def test_a_cluster_of_that_name_and_of_somebody_else_is_left_alone(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.cluster(NAME)
    assert create() == Exit.NOT_STARTED
    assert "belongs to another run" in capsys.readouterr().err
    assert (ZONE, NAME) in cloud.clusters


def test_a_cluster_that_is_going_is_no_cluster(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    night(cloud, "7-1", ends_h=1, status="STOPPING", looks=9)
    assert create() == Exit.NOT_STARTED
    assert "stopping" in capsys.readouterr().err


@pytest.mark.parametrize("status", [429, 500, 503, 0])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_request_that_breaks_is_repeated_and_makes_one_cluster(
    cloud: Google,
    status: int,
    is_after: bool,  # noqa: FBT001 (of a table)
) -> None:
    cloud.faults = [Fault("POST .*/clusters", status, times=2 - is_after, is_after=is_after)]
    assert create() == Exit.NO_REGRESSION
    assert [name for _, name in cloud.clusters] == [NAME]


@pytest.mark.parametrize(
    ("fits", "permission"),
    [
        ("GET .*/locations/-/clusters", "container.clusters.list"),
        ("POST .*/clusters", "container.clusters.create"),
        ("GET .*/operations/", "container.operations.get"),
    ],
)
def test_what_we_may_not_do_names_the_permission(
    cloud: Google, capsys: pytest.CaptureFixture[str], fits: str, permission: str
) -> None:
    cloud.faults = [Fault(fits, 403, "Permission denied on resource")]
    assert create() == Exit.BAD_ARGUMENTS
    assert f"the account needs {permission}" in capsys.readouterr().err


def test_a_quota_that_is_used_up_is_said_at_once_and_leaves_nothing(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.faults = [Fault("POST .*/clusters", 403, "Insufficient regional quota for CPUS")]
    assert create() == Exit.NOT_STARTED
    assert "a higher quota" in capsys.readouterr().err
    assert cloud.clusters == {}


def test_a_cluster_that_does_not_come_up_is_deleted_again(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.broken = "Quota CPUS exceeded"
    assert create() == Exit.NOT_STARTED
    assert "did not come up: Quota CPUS exceeded" in capsys.readouterr().err
    assert cloud.clusters[ZONE, NAME]["status"] == "STOPPING"


def test_a_pipeline_that_ends_while_a_cluster_is_made_leaves_one_that_is_swept(
    cloud: Google, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(_: float) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", killed)
        assert create() == Exit.NOT_STARTED  # and not that everything is stopped
    said = capsys.readouterr().err
    assert f"interrupted while the cluster {NAME} was created; it may still exist" in said
    assert "cluster delete --run 7-1" in said
    assert cloud.names() == [f"gke-{NAME}-0a1b2c3d-all", NAME]  # Google was too busy to delete it
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert (ZONE, NAME) in cloud.clusters
    cloud.now_s += 3.5 * HOUR_S
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert cloud.names() == []


def test_who_interrupts_once_waits_until_the_cluster_can_be_deleted(
    cloud: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def interrupted(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            raise KeyboardInterrupt

    cloud.slow = 3
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupted)
        assert create() == Exit.INTERRUPTED
    assert len(slept) > 1
    assert cloud.clusters[ZONE, NAME]["status"] == "STOPPING"


def test_a_run_is_deleted_while_its_cluster_is_still_being_made(cloud: Google) -> None:
    night(cloud, "7-1", ends_h=3, status="PROVISIONING")
    cloud.things.clear()
    cloud.operations["operation-0"] = [3, "", cloud.clusters[ZONE, NAME]]
    assert delete() == Exit.NO_REGRESSION
    assert cloud.names() == []
    assert sum(asked.startswith("DELETE") for asked in cloud.asked) > 1


def test_a_missing_library_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    monkeypatch.setitem(sys.modules, "google.cloud.container_v1", None)
    assert create() == Exit.BAD_ARGUMENTS
    assert "pip install '.[gke]'" in capsys.readouterr().err


def test_missing_credentials_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(door.ENDPOINT, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    assert create() == Exit.BAD_ARGUMENTS
    assert "gcloud auth application-default login" in capsys.readouterr().err


def test_nothing_but_loopback_stands_in_for_google(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(door.ENDPOINT, "http://google.example:80")
    assert create() == Exit.BAD_ARGUMENTS
    assert "only http://127.0.0.1:PORT" in capsys.readouterr().err
