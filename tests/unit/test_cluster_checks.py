"""The doctor says what a cluster would lack, and creates nothing to find out."""

from pathlib import Path

import pytest

from pipeline.environments import cluster_checks
from pipeline.environments.registry import read_environment
from pipeline.model.health import Check, Status
from tests.clusters import FakeCluster, running


def node(name: str, cpu: str, memory: str) -> dict[str, object]:
    return {
        "metadata": {"name": name},
        "spec": {},
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def checked(cluster: FakeCluster, folder: Path, more: str = "") -> dict[str, Check]:
    with running(cluster, folder) as path:
        place = folder / "place.toml"
        place.write_text(f'[environment]\nkind = "remote"\nkubeconfig = "{path}"\n{more}')
        found = read_environment(str(place)).checks()
    return {check.name: check for check in found}


def test_a_cluster_with_room_and_rights_is_fine(tmp_path: Path) -> None:
    cluster = FakeCluster(nodes=[node("a", "4", "16Gi"), node("b", "4", "16Gi")])
    found = checked(cluster, tmp_path, 'registry = "r"\nserver = { cpu = 2, memory_mib = 4096 }')
    assert found["cluster"].status is Status.OK
    assert found["rights"].status is Status.OK
    assert found["free resources"].status is Status.OK
    assert "both builds request 4.0 and 12.9" in found["free resources"].found
    assert not [line for line in cluster.asked if line.startswith(("PATCH", "DELETE"))]


def test_a_missing_right_is_named(tmp_path: Path) -> None:
    found = checked(FakeCluster(denied=("secrets",)), tmp_path)["rights"]
    assert found.status is Status.MISSING
    assert "create secrets, patch secrets" in found.found
    assert "deploy/rights.yaml" in found.fix


def test_too_little_room_is_told_before_anything_is_created(tmp_path: Path) -> None:
    cluster = FakeCluster(nodes=[node("a", "2", "8Gi")])
    there = {"containers": [{"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]}
    cluster.objects["/api/v1/pods/x"] = {
        "kind": "Pod",
        "spec": {"nodeName": "a", **there},
        "status": {"phase": "Running"},
    }
    found = checked(cluster, tmp_path)["free resources"]
    assert found.status is Status.MISSING
    assert "1 nodes have 1.5 CPU and 7.5 GB left" in found.found


def test_an_old_cluster_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_checks, "OLDEST_VERSION", (1, 99))
    assert checked(FakeCluster(), tmp_path)["cluster"].status is Status.MISSING


def test_a_pull_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = checked(FakeCluster(), tmp_path, 'pull_secret = "ci/registry"')["pull secret"]
    assert found.status is Status.MISSING
    assert "ci/registry is not there" in found.found


def test_without_a_registry_no_program_reaches_the_cluster(tmp_path: Path) -> None:
    assert checked(FakeCluster(), tmp_path)["registry"].status is Status.MISSING


def test_a_kubeconfig_that_is_not_there_is_one_check(tmp_path: Path) -> None:
    place = tmp_path / "place.toml"
    place.write_text('[environment]\nkind = "remote"\nkubeconfig = "/nonexistent"\n')
    found = {check.name: check for check in read_environment(str(place)).checks()}
    assert found["cluster"].status is Status.MISSING
    assert "rights" not in found


def test_kind_needs_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KIND_BIN", raising=False)
    found = {check.name: check for check in read_environment("kind").checks()}
    assert found["container engine"].status is Status.MISSING
    assert "is built" in found["kind"].found


def test_an_engine_that_does_not_answer_is_no_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = tmp_path / "podman"
    engine.write_text("#!/bin/sh\nexit 1\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = read_environment("kind").checks()[0]
    assert (found.status, found.found) == (
        Status.MISSING,
        "`podman info` fails",
    )


def test_processes_of_this_machine_need_no_cluster() -> None:
    assert read_environment("local").checks() == []
