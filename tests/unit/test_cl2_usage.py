"""ClusterLoader2's summaries of use, from processes here or from what kubelets say."""

import dataclasses
import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2.usage import Use, watched
from pipeline.model.ports import ResourceUsage, Target
from pipeline.system.errors import LoadError
from tests.loopback import serving, target

ETCD = """\
# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 5
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 5
# TYPE etcd_mvcc_db_total_size_in_bytes gauge
etcd_mvcc_db_total_size_in_bytes 4096
"""


@pytest.fixture
def here() -> Iterator[Target]:
    with serving(ETCD) as url:
        yield target(url, pid=os.getpid())


def summary(use: Use, folder: Path) -> dict[str, list[dict[str, object]]]:
    use.write(folder, "object-crud")
    (path,) = folder.glob("ResourceUsageSummary_*.json")
    found: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
    return found


def test_a_process_of_this_machine_is_looked_at(here: Target, tmp_path: Path) -> None:
    with watched(here) as use:
        sum(range(100_000))
    (server,) = summary(use, tmp_path)["100"]
    assert server["Name"] == "server"
    assert isinstance(server["Mem"], int)
    assert server["Mem"] > 1_000_000


def test_containers_of_a_cluster_are_told_by_kubelets(here: Target, tmp_path: Path) -> None:
    ticks = count()

    def usage() -> dict[str, ResourceUsage]:
        at = next(ticks) // 2  # a kubelet says the same for a while
        return {"server": ResourceUsage(1000.0 + 10 * at, 2.0 + 5 * at, 7_000_000)}

    remote = dataclasses.replace(here, processes={}, usage=usage)
    with watched(remote) as use:
        assert use.every_s == 5
    (server,) = summary(use, tmp_path)["50"]
    assert server == {"Name": "server", "CPU": 0.5, "Mem": 7_000_000}


def test_a_kubelet_that_does_not_answer_at_times_is_asked_again(
    here: Target, tmp_path: Path
) -> None:
    ticks = count()

    def usage() -> dict[str, ResourceUsage]:
        if (at := next(ticks)) == 1:
            raise LoadError("no kubelet answers")
        return {"server": ResourceUsage(1000.0 + at, 2.0 + at, 7)}

    with watched(dataclasses.replace(here, processes={}, usage=usage)) as use:
        pass
    assert len(summary(use, tmp_path)["50"]) == 1


def test_a_component_that_is_dead_already_is_no_crash(here: Target, tmp_path: Path) -> None:
    with watched(dataclasses.replace(here, processes={"server": 2**22 + 1})) as use:
        pass
    with pytest.raises(LoadError, match="server was seen 0 times"):
        summary(use, tmp_path)


def test_kubelets_that_never_answer_are_no_empty_summary(here: Target, tmp_path: Path) -> None:
    def usage() -> dict[str, ResourceUsage]:
        raise LoadError("no kubelet answers")

    with watched(dataclasses.replace(here, processes={}, usage=usage)) as use:
        pass
    with pytest.raises(LoadError, match="no kubelet has said"):
        summary(use, tmp_path)


def test_a_target_of_which_nobody_says_anything_is_refused(here: Target) -> None:
    with pytest.raises(LoadError, match="neither process nor kubelet"):
        Use(dataclasses.replace(here, processes={}))
