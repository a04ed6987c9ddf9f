"""Several processes of `watch-herd` in real load agents do one load together."""

import json
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.drivers.watch_herd.driver import WatchHerdDriver
from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.model.subject import Arm
from tests.load_agents import launched, make_folder
from tests.loopback import values

pytestmark = [pytest.mark.real, pytest.mark.measuring]

LOAD = WatchHerd(
    kind="watch-herd",
    watches=31,
    projects=3,
    objects=2,
    rate=20.0,
    list_rate=4.0,
    watch_list=True,
    duration_s=2.0,
    drain_s=2.0,
    max_generator_cpu=1.0,
)


def test_pods_hold_all_watches_and_account_for_every_event(tmp_path: Path) -> None:
    out = make_folder(tmp_path / "out")
    program = toolchain.program("watch-herd")
    with launched(tmp_path, 2, program.path) as targets:
        load = WatchHerdDriver(LOAD, program).measure(targets, out, seed=3)
    assert (load.invalid, load.failed, load.failing) == ((), {}, {})
    parts = [
        json.loads((out / f"load-pod-{number}-of-2" / "herd-result.json").read_bytes())["arms"]
        for number in (1, 2)
    ]
    for arm in Arm:
        found, accounts = values(load.readings[arm]), [one[arm] for one in parts]
        assert [one["watches"] for one in accounts] == [21, 10]  # of two Projects, and of one
        assert (found["requests"], found["errors_share"]) == (40, 0)
        assert found["events_delivered"] == sum(len(one["lag_s"]) for one in accounts) > 40
        for name in ("lost", "duplicated", "out_of_order", "of_other_projects"):
            assert found[f"events_{name}"] == 0, name
        assert found["watch_lag/max"] == max(max(one["lag_s"]) for one in accounts)
        assert found["watches_synced"] == max(one["synced_s"] for one in accounts) > 0
        assert [bool(one["usage"]) for one in accounts] == [True, False]
        # The first pod reads the goroutines of all watches, once they are open in both.
        assert 1 <= found["watch_goroutines"] <= 4
        assert found["goroutines_left"] < LOAD.watches
        assert 0 < found["generator_cpu_share"] < 1
