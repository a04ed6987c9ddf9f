"""Whatever a cluster does at any stage of a launch, nothing is left in it."""

from typing import Any

import pytest

from pipeline.environments.api import Api
from pipeline.environments.manifests import RUN
from pipeline.environments.namespaces import LaunchNamespace, delete_namespaces
from pipeline.model.subject import Arm
from pipeline.system.errors import LaunchError
from tests.clusters import Fault
from tests.labs import Lab

NAMESPACES = "/api/v1/namespaces/"
BUSY = {"state": {"waiting": {"reason": "ContainerCreating"}}}


STAGES = {
    "namespace": "PATCH /api/v1/namespaces/milo-perf",
    "secret": "PATCH /secrets/",
    "pod": "PATCH /pods/",
    "wait": "GET /pods",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("status", "message", "hinted"),
    [
        (403, "pods is forbidden: you may not", "deploy/rights.yaml"),
        (403, "pods is forbidden: exceeded quota: team, requested: 1", "raise the quota"),
        (409, "the object has been modified", "doctor"),
    ],
)
def test_a_refusal_at_any_stage_leaves_nothing(
    lab: Lab, stage: str, status: int, message: str, hinted: str
) -> None:
    method, part = STAGES[stage].split()
    lab.cluster.faults.append(Fault(method, part, status, message))
    with pytest.raises(LaunchError) as caught, lab.launched():
        pass

    assert f"{status}: {message}" in str(caught.value)
    assert hinted in caught.value.hint
    assert lab.is_empty()


@pytest.mark.parametrize("stage", STAGES)
def test_an_interruption_at_any_stage_leaves_nothing(
    lab: Lab, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, part = STAGES[stage].split()
    real = Api.request

    def interrupted(self: Api, how: str, path: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (any)
        if how == method and part in path:
            monkeypatch.setattr(Api, "request", real)
            raise KeyboardInterrupt
        return real(self, how, path, *args, **kwargs)

    monkeypatch.setattr(Api, "request", interrupted)
    with pytest.raises(KeyboardInterrupt), lab.launched():
        pass

    assert lab.is_empty()


def test_a_cluster_that_stays_away_is_given_up(lab: Lab) -> None:
    lab.environment.api.retry_s = 0.2
    lab.cluster.faults.append(Fault("PATCH", NAMESPACES, 0, times=1000))
    with pytest.raises(LaunchError, match=r"did not answer for 0 s: PATCH"), lab.launched():
        pass


def test_what_cannot_be_deleted_is_named(
    lab: Lab, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.system.log.log.propagate", True)
    lab.cluster.faults.append(Fault("DELETE", "-baseline", 403, "may not delete"))
    with lab.launched():
        pass

    (name,) = [one["metadata"]["name"] for one in lab.cluster.of("Namespace")]
    assert name.endswith("-baseline")  # the other one is deleted all the same
    assert f"left in the cluster: {name}: the cluster refused DELETE" in caplog.text


def test_a_namespace_that_somebody_made_anew_under_the_same_name_survives(
    lab: Lab, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.system.log.log.propagate", True)
    with lab.launched():
        (anew,) = [
            one
            for one in lab.cluster.of("Namespace")
            if one["metadata"]["name"].endswith("-baseline")
        ]
        anew["metadata"]["uid"] = "of somebody else"

    assert lab.cluster.of("Namespace") == [anew]
    assert f"{anew['metadata']['name']} is not the one of this run" in caplog.text


@pytest.mark.parametrize(("run", "left"), [("of this run", 0), ("of another run", 1)])
def test_of_a_namespace_whose_creation_was_not_answered_the_label_decides(
    lab: Lab, run: str, left: int
) -> None:
    home = LaunchNamespace(lab.environment.api, "milo-perf-x", "of this run")
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": home.name, "labels": {RUN: run}},
    }
    lab.environment.api.apply(manifest)
    delete_namespaces([home], timeout_s=1.0)

    assert len(lab.cluster.of("Namespace")) == left


def test_a_namespace_that_goes_slowly_is_waited_for(lab: Lab) -> None:
    lab.cluster.terminating_s = 0.7
    with lab.launched(Arm.CANDIDATE):
        pass

    assert lab.is_empty()
    assert not lab.cluster.gone_s
