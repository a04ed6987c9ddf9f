"""What the kubelet says of containers becomes the readings that a process would have given."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.environments.api import Api
from pipeline.environments.containers import find_processes, read_usage
from pipeline.environments.pods import Pods
from pipeline.model.ports import ResourceUsage, Span
from pipeline.probes import containers
from pipeline.probes.containers import ContainersProbe, summarize_containers
from pipeline.system.errors import LoadError, NetworkError
from tests.clusters import FakeCluster, running
from tests.loopback import probe_values, target

LOOKS = [
    ResourceUsage(0.0, 10.0, 100),
    ResourceUsage(10.0, 12.0, 300),
    ResourceUsage(20.0, 16.0, 200),
]


def test_cpu_is_interpolated_between_the_looks_of_the_kubelet() -> None:
    found = probe_values(summarize_containers("server", LOOKS, Span(5.0, 15.0)))
    assert found["server.cpu"] == pytest.approx(3.0)
    assert found["server.memory_mean"] == 300
    assert found["server.memory_max"] == 300
    assert found["server.memory_added"] == 100


def test_of_a_load_between_two_looks_memory_is_that_of_the_next() -> None:
    found = probe_values(summarize_containers("server", LOOKS, Span(12.0, 14.0)))
    assert found["server.cpu"] == pytest.approx(0.8)
    assert found["server.memory_mean"] == 200


@pytest.mark.parametrize("span", [Span(-1.0, 5.0), Span(5.0, 25.0)], ids=["before", "after"])
def test_a_container_that_was_not_seen_all_the_time_has_no_readings(span: Span) -> None:
    with pytest.raises(LoadError, match="has samples for a part of the load only"):
        summarize_containers("server", LOOKS, span)


def test_the_first_look_after_the_load_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_RETRY_S", 0.01)
    began = time.time()
    left = [
        ResourceUsage(began - 1, 1.0, 5),
        ResourceUsage(began - 1, 1.0, 5),
        ResourceUsage(began + 40, 2.0, 7),
    ]

    def usage() -> Mapping[str, ResourceUsage]:
        return {"server": left.pop(0) if len(left) > 1 else left[0]}

    with ContainersProbe().watch(replace(target(), usage=usage), tmp_path) as watch:
        found = probe_values(watch.readings(Span(began, began + 30)))

    assert found["server.memory_max"] == 7
    assert len((tmp_path / "containers.csv").read_text().splitlines()) == 3


def test_where_processes_are_seen_nobody_is_asked(tmp_path: Path) -> None:
    with ContainersProbe().watch(target(pid=1), tmp_path) as watch:
        assert watch.readings(Span(0.0, 1.0)) == ()
    assert not list(tmp_path.iterdir())


def pod(name: str, node: str = "node-1") -> dict[str, object]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ours"},
        "spec": {"nodeName": node},
        "status": {"containerStatuses": [{"containerID": f"containerd://{name * 8}"}]},
    }


def container(nanoseconds: int, memory: int) -> dict[str, object]:
    at = "2026-11-25T12:00:00.123456789Z"
    return {
        "cpu": {"time": at, "usageCoreNanoSeconds": nanoseconds},
        "memory": {"time": at, "workingSetBytes": memory},
    }


def test_the_summary_of_a_kubelet_is_read_for_our_pods_only(tmp_path: Path) -> None:
    cluster = FakeCluster()
    for name in ("server", "etcd"):
        cluster.objects[f"/api/v1/namespaces/ours/pods/{name}"] = pod(name)
    cluster.summaries["node-1"] = {
        "pods": [
            {
                "podRef": {"name": "server", "namespace": "ours"},
                "containers": [container(2_500_000_000, 7)],
            },
            {
                "podRef": {"name": "server", "namespace": "theirs"},
                "containers": [container(1, 1)],
            },
            {"podRef": {"name": "etcd", "namespace": "ours"}, "containers": [{"cpu": {}}]},
        ]
    }
    with running(cluster, tmp_path) as config:
        api = Api(str(config))
        found = read_usage(api, Pods(api, "ours", "baseline"), ["server", "etcd"])

    assert found == {"server": ResourceUsage(1_795_608_000.123456, 2.5, 7)}


def test_a_kubelet_that_may_not_be_asked_is_a_failed_probe(tmp_path: Path) -> None:
    cluster = FakeCluster()
    with running(cluster, tmp_path) as config:
        api = Api(str(config), retry_s=0.1)
        config.unlink()
        cluster.token = "another"
        with pytest.raises(NetworkError, match="summary cannot be read"):
            read_usage(api, Pods(api, "ours", "baseline"), ["server"])


def test_processes_of_containers_are_found_by_their_control_group(tmp_path: Path) -> None:
    for pid, group in ((7, "server" * 8), (9, "etcd" * 8), (11, "server" * 8), (12, "other")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"0::/kubelet/cri-containerd-{group}.scope\n")
    (tmp_path / "13").mkdir()  # a process that has just ended
    (tmp_path / "self").mkdir()
    pods = {name: pod(name) for name in ("server", "etcd")}
    assert find_processes(pods, tmp_path) == {"server": 7, "etcd": 9}


def test_processes_count_only_where_all_can_be_seen(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(f"0::/{'server' * 8}\n")
    assert find_processes({name: pod(name) for name in ("server", "etcd")}, tmp_path) == {}
    assert find_processes({"server": {"status": {}}}, tmp_path) == {}
