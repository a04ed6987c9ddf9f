"""The herd of watches accounts for every event, of a server in memory and of the real reference."""

from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.drivers.watch_herd.driver import WatchHerdDriver
from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.environments.bootstrap import API
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.model.ports import FIRST_ORGANIZATION
from pipeline.model.subject import Arm, parse_spec
from pipeline.system import http_client
from tests.gotests import go_tests
from tests.loopback import values

FAULTS = "lose-event=1%&foreign-event=1%&delay-events=200ms&leak-watchers=1"
LOAD = WatchHerd(
    kind="watch-herd",
    watches=40,
    projects=2,
    objects=5,
    rate=40.0,
    list_rate=8.0,
    watch_timeout_s=2,
    duration_s=4.0,
    drain_s=1.0,
)


def test_the_go_tests_of_the_herd_of_watches_pass(tmp_path: Path) -> None:
    assert "ok  " in go_tests("watch-herd", tmp_path, "-count=1", ".")


@pytest.mark.real
def test_each_fault_of_watches_is_seen_in_the_build_that_has_it(tmp_path: Path) -> None:
    specs = {Arm.BASELINE: "reference", Arm.CANDIDATE: f"reference?{FAULTS}"}
    artifacts = {arm: toolchain.artifact(parse_spec(spec)) for arm, spec in specs.items()}
    driver = WatchHerdDriver(LOAD, toolchain.program("watch-herd"))
    environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
    with environment.launch(artifacts, tmp_path) as targets:
        load = driver.measure(targets, tmp_path, seed=1)
        for target in targets.values():  # nothing of the load is left
            _, body = http_client.call(
                "GET",
                f"{target.url}{API}/organizations",
                ca_file=target.ca_file,
                token=target.admin_token(),
            )
            names = {one["metadata"]["name"] for one in body["items"]}
            assert names == {FIRST_ORGANIZATION}
    assert (load.failed, load.failing) == ({}, {})
    sound, faulty = values(load.readings[Arm.BASELINE]), values(load.readings[Arm.CANDIDATE])
    for name in ("events_lost", "events_duplicated", "events_out_of_order"):
        assert sound[name] == 0, name
    assert sound["events_of_other_projects"] == 0
    assert 0.005 < faulty["events_lost"] < 0.02
    assert 0.005 < faulty["events_of_other_projects"] < 0.02
    assert faulty["watch_lag/p50"] > sound["watch_lag/p50"]
    assert sound["goroutines_left"] < LOAD.watches <= faulty["goroutines_left"]
    assert sound["watch_bookmarks"] > 0
    assert sound["watch_goroutines"] > 0
    assert sound["watch_heap"] > 0
