"""ClusterLoader2 is told what to do without secrets, with as many clients as the rate needs."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.drivers.clusterloader2 import phases
from pipeline.drivers.clusterloader2.phases import ControlPlane, LoadStage, ProcessJob
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.model.subject import Arm
from pipeline.system.kubeconfig import kubeconfig_json


def settings(**changes: Any) -> ClusterLoader2:  # noqa: ANN401 (any field, right or wrong)
    return ClusterLoader2.model_validate(
        {"kind": "clusterloader2", "config": "object-crud", "rate": 20, "duration_s": 5} | changes
    )


def job(folder: Path, project: str = "") -> ProcessJob:
    return ProcessJob(Arm.CANDIDATE, project, Path("cl2_configs/object-crud.yaml"), folder)


def told(folder: Path, rate: float = 20) -> list[str]:
    return phases.argv(Path("/bin/clusterloader2"), job(folder), rate, has_prometheus=False)


def test_the_switches_for_a_server_without_nodes_are_always_there(tmp_path: Path) -> None:
    assert {"--nodes=1", "--skip-cluster-verification", "--enable-exec-service=false"} <= {
        *told(tmp_path)
    }


def test_its_log_never_shows_a_kubeconfig_and_its_port_never_collides(tmp_path: Path) -> None:
    assert {"--v=1", "--port=0"} <= {*told(tmp_path)}


@pytest.mark.parametrize(
    ("rate", "clients"),
    [
        pytest.param(1, 1, id="slow"),
        pytest.param(50, 1, id="100 requests a second"),
        pytest.param(51, 2, id="a little more"),
        pytest.param(400, 8, id="fast"),
    ],
)
def test_no_client_is_asked_for_more_than_it_sends(rate: float, clients: int) -> None:
    # An action is two objects and at most four requests.
    assert phases.client_count(rate) == clients


@pytest.mark.parametrize(("rate", "burst"), [(2, 1), (20, 2), (200, 20)])
def test_a_moment_of_delay_can_be_made_up_for(rate: float, burst: int) -> None:
    assert phases.burst_size(rate) == burst


def test_a_kubeconfig_names_the_file_of_the_token_and_not_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a secret")
    text = kubeconfig_json("https://127.0.0.1:1", tmp_path / "ca.crt", token, "load")
    assert "a secret" not in text
    assert json.loads(text)["users"][0]["user"] == {"tokenFile": str(token)}


def test_a_load_in_projects_makes_them_first() -> None:
    assert settings(where="projects", projects=3).stages == (
        LoadStage("projects", ControlPlane.ROOT),
        LoadStage("object-crud", ControlPlane.PROJECTS, is_measured=True),
    )


def test_garbage_collection_fills_the_projects_that_it_deletes() -> None:
    stages = settings(config="garbage-collection", projects=3).stages
    assert [stage.config for stage in stages] == ["projects", "object-fill", "garbage-collection"]
    assert [stage.is_measured for stage in stages] == [False, False, True]


def test_a_load_at_the_root_is_one_stage() -> None:
    assert settings().stages == (LoadStage("object-crud", ControlPlane.ROOT, is_measured=True),)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"where": "projects"}, id="in no Projects"),
        pytest.param({"config": "garbage-collection"}, id="nothing to delete"),
        pytest.param({"config": "../secrets"}, id="another folder"),
        pytest.param({"parameters": {"PATH": "/tmp"}}, id="not a parameter of a config"),
        pytest.param({"rate": 0}, id="no rate"),
    ],
)
def test_a_load_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_only_a_load_with_prometheus_needs_one() -> None:
    assert settings().needs == ("clusterloader2", "expand")
    assert settings(prometheus=True).needs[2:] == ("gateway", "prometheus")


def test_every_file_of_the_configs_decides_what_is_measured() -> None:
    names = {path.name for path in settings().tree().values()}
    assert {"object-crud.yaml", "objects.yaml", "secret.yaml"} <= names
    assert "README.md" not in names
