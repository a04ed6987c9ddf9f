import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.environments.gke import sweep as sweeping
from pipeline.environments.gke.clusters import Clusters
from pipeline.environments.gke.cost import prices
from pipeline.environments.gke.resources import labels
from pipeline.environments.gke.sweep import SweepPolicy
from pipeline.system.errors import Exit
from tests.google.commands import HOUR_S, delete, disk, night, sweep
from tests.google.fake import PROJECT, START_S, Google
from tests.google.faults import Fault

EXPIRED = labels("7-1", START_S + 2 * HOUR_S)


def left_behind(cloud: Google) -> None:
    """Put there what a night has left, and what is of others; three hours pass."""
    night(cloud, "7-1", ends_h=2)
    night(cloud, "7-2", ends_h=9)
    disk(cloud, "6-1", ends_h=2)
    for key in ("addresses", "forwardingRules"):
        cloud.thing(key, "regions/us-central1", "milo-perf-7-1-x", labels=EXPIRED)
        cloud.thing(key, "global", "milo-perf-7-1-y", labels=EXPIRED)
        cloud.thing(key, "global", f"payroll-{key}")
    cloud.cluster("payroll")
    cloud.thing("disks", "regions/us-central1", "payroll-disk", labels={"managed-by": "payroll"})
    cloud.now_s += 3 * HOUR_S


def of_others(cloud: Google) -> list[str]:
    return [name for name in cloud.names() if "7-1" not in name and "6-1" not in name]


def test_nothing_is_deleted_unless_it_is_asked_for(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    left_behind(cloud)
    before = cloud.names()
    assert sweep() == Exit.NO_REGRESSION
    assert cloud.names() == before
    assert not [asked for asked in cloud.asked if not asked.startswith("GET")]
    said = capsys.readouterr().out
    assert "payroll" not in said
    assert "3.0 h" in said


def test_what_has_expired_is_gone_and_what_is_of_others_is_not(cloud: Google) -> None:
    left_behind(cloud)
    others = of_others(cloud)
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert cloud.names() == others


def test_a_disk_that_a_cluster_held_goes_after_it(cloud: Google) -> None:
    night(cloud, "7-1", ends_h=2)
    cloud.now_s += 3 * HOUR_S
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert cloud.names() == []


def test_a_firewall_rule_that_its_cluster_left_goes_a_day_later(cloud: Google) -> None:
    night(cloud, "7-1", ends_h=2)
    cloud.things.clear()
    cloud.leaves_firewalls = True
    cloud.now_s += 3 * HOUR_S
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert cloud.names() == ["gke-milo-perf-7-1-0a1b2c3d-all"]
    cloud.now_s += 22 * HOUR_S
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert cloud.names() == []


def test_what_is_older_than_twice_its_limit_is_loud_even_when_it_is_deleted_now(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    night(cloud, "7-1", ends_h=2)
    cloud.things.clear()
    cloud.now_s += 5 * HOUR_S
    assert sweep() == Exit.NOT_STARTED
    assert sweep("--delete") == Exit.NOT_STARTED
    said = capsys.readouterr()
    assert "older than twice its lifetime: the cluster milo-perf-7-1" in said.err
    assert "OVERDUE" in said.out
    assert cloud.names() == []


def test_two_sweepers_at_once_leave_nothing_and_neither_fails(cloud: Google) -> None:
    left_behind(cloud)
    others = of_others(cloud)
    project = [sweeping.CloudProject(Clusters(PROJECT, prices())) for _ in range(2)]
    with ThreadPoolExecutor(2) as both:
        found = both.map(
            lambda one: sweeping.delete_expired(one, SweepPolicy(owner=PROJECT), pause_s=0.0),
            project,
        )
        deleted = [len(one) for one in found]
    assert sum(deleted) >= 6
    assert cloud.names() == others


def test_a_refusal_keeps_nothing_else_from_being_deleted(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    left_behind(cloud)
    others = of_others(cloud)
    cloud.faults = [Fault("DELETE .*disks/pvc-6-1", 403, "Permission denied", times=9)]
    assert sweep("--delete") == Exit.BAD_ARGUMENTS
    assert "compute.disks.delete" in capsys.readouterr().err
    assert cloud.names() == sorted([*others, "pvc-6-1"])


def test_a_zone_that_cannot_be_looked_into_stops_the_sweep(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    disk(cloud, "6-1", ends_h=-9)
    cloud.missing_zones = ["europe-west1-b"]
    assert sweep("--delete") == Exit.NOT_STARTED
    assert "europe-west1-b" in capsys.readouterr().err
    assert cloud.names() == ["pvc-6-1"]


def test_google_that_does_not_answer_is_an_error_and_deletes_nothing(
    cloud: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.environments.gke.google.RETRY_TIMEOUT_S", 0.2)
    left_behind(cloud)
    before = cloud.names()
    cloud.faults = [Fault("GET .*/firewalls", 503, times=1000)]
    assert sweep("--delete") == Exit.NETWORK
    assert cloud.names() == before


def test_a_run_is_deleted_with_what_it_left_and_again_without_harm(cloud: Google) -> None:
    left_behind(cloud)
    others = [name for name in cloud.names() if "7-2" not in name]
    assert delete(run="7-2") == Exit.NO_REGRESSION
    assert delete(run="7-2") == Exit.NO_REGRESSION
    assert cloud.names() == others


def test_the_json_says_age_cost_and_what_happens(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    disk(cloud, "6-1", ends_h=2)
    cloud.now_s += 3 * HOUR_S
    assert sweep("--json") == Exit.NO_REGRESSION
    (found,) = json.loads(capsys.readouterr().out)["found"]
    assert (found["kind"], found["age_s"], found["delete"]) == ("disk", 3 * HOUR_S, True)
    assert found["usd"] == round(3 * 100 * prices().disk_per_gib_month["pd-ssd"] / 730, 2)


def test_a_sweep_of_nowhere_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.commands import main

    assert main.main(["cluster", "sweep"]) == Exit.BAD_ARGUMENTS
    assert "--project ID" in capsys.readouterr().err
