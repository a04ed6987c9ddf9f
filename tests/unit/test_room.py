"""What a machine has left is read within all its limits, and a reserve is never spent."""

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.headroom import Headroom, HeadroomExhaustedError, remaining, require_reserves
from pipeline.toolchain.machine import available_in

ROOM = Headroom(
    memory=10e9, memory_total=20e9, disk=50e9, files=20_000, open_files={"server": 50, "etcd": 40}
)


def test_what_is_left_leaves_the_reserves_alone() -> None:
    assert remaining(ROOM) == {
        "memory": 8e9,
        "db": 50e9 - 2**30,
        "files(server)": 17_950,
        "files(etcd)": 17_960,
    }
    require_reserves(ROOM)


@pytest.mark.parametrize(
    ("room", "said"),
    [
        pytest.param(
            replace(ROOM, memory=1.9e9),
            "the machine has 1.9 GB of memory left, and the reserve is 10% of its 20.0 GB",
            id="memory",
        ),
        pytest.param(replace(ROOM, disk=1e9), "the disk has 1.0 GB left", id="disk"),
        pytest.param(
            replace(ROOM, open_files={"server": 50, "etcd": 18_001}),
            "the etcd has 18001 files open, and the limit of a process is 20000",
            id="files",
        ),
    ],
)
def test_a_reserve_that_is_used_up_is_named(room: Headroom, said: str) -> None:
    with pytest.raises(HeadroomExhaustedError, match=f"^{re.escape(said)}"):
        require_reserves(room)


def test_this_machine_has_something_left(tmp_path: Path) -> None:
    found = toolchain.headroom(tmp_path / "not" / "yet", {"us": os.getpid(), "nobody": 2**22 + 1})
    assert 0 < found.memory <= found.memory_total
    assert found.disk > 0
    assert found.files > 100
    assert list(found.open_files) == ["us"]


def test_memory_that_a_cgroup_may_still_take_counts_its_cache(tmp_path: Path) -> None:
    assert available_in(tmp_path) == math.inf
    for name, text in {
        "memory.max": "1000000\n",
        "memory.current": "900000\n",
        "memory.stat": "active_file 5\ninactive_file 300000\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert available_in(tmp_path) == 400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_in(tmp_path) == math.inf
