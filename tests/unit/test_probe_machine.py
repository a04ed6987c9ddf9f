"""What the machine did is read from the kernel, and told only where the kernel tells it."""

from pathlib import Path

import pytest

from pipeline.model.ports import Span
from pipeline.probes.machine import MachineProbe, fsync_s, steal_share, throttle_count
from pipeline.system.errors import StorageError
from tests.loopback import probe_values, target


def test_stolen_time_is_a_share_of_all_processors_time() -> None:
    before = {"user": 10.0, "idle": 50.0, "steal": 1.0, "guest": 5.0}
    after = {"user": 14.0, "idle": 54.0, "steal": 3.0, "guest": 9.0}

    assert steal_share(before, after) == pytest.approx(2 / 10)
    assert steal_share(before, before) == 0


@pytest.mark.parametrize(
    ("ours", "stat", "expected"),
    [
        pytest.param("0::/\n", "usage_usec 5\nnr_periods 9\nnr_throttled 4\n", 4, id="a limit"),
        pytest.param("0::/\n", "usage_usec 5\n", None, id="no limit"),
        pytest.param("3:cpuset:/\n0::/\n", "nr_throttled 4\n", 4, id="two versions"),
        pytest.param("3:cpuset:/\n", "nr_throttled 4\n", None, id="another controller"),
        pytest.param("0::/elsewhere\n", "nr_throttled 4\n", None, id="not to be seen"),
    ],
)
def test_throttling_is_told_where_there_is_a_limit(
    tmp_path: Path, ours: str, stat: str, expected: int | None
) -> None:
    (tmp_path / "cpu.stat").write_text(stat)
    (tmp_path / "ours").write_text(ours)

    assert throttle_count(tmp_path, tmp_path / "ours") == expected


def test_throttling_is_told_by_the_first_version_of_control_groups_too(tmp_path: Path) -> None:
    (tmp_path / "cpu,cpuacct" / "us").mkdir(parents=True)
    (tmp_path / "cpu,cpuacct" / "us" / "cpu.stat").write_text("nr_periods 9\nnr_throttled 4\n")
    (tmp_path / "ours").write_text("2:cpu,cpuacct:/us\n1:memory:/us\n")

    assert throttle_count(tmp_path, tmp_path / "ours") == 4


def test_a_disk_is_timed_and_left_as_it_was(tmp_path: Path) -> None:
    assert 0 < fsync_s(tmp_path) < 10
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        fsync_s(tmp_path / "nowhere")


def test_the_probe_tells_of_this_machine(tmp_path: Path) -> None:
    with MachineProbe().watch(target(), tmp_path) as watch:
        seen = probe_values(watch.readings(Span(0, 1)))

    assert 0 <= seen["machine.steal_share"] <= 1
    assert seen["machine.load"] >= 0
    assert seen["machine.fsync"] > 0
