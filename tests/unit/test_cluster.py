"""Builds as Pods: they answer inside, and nothing is left outside, whatever the cluster does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from pipeline.environments import api as api_module
from pipeline.environments.api import Api
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.images import Image
from pipeline.environments.in_cluster import InCluster
from pipeline.environments.kind import free_ports
from pipeline.environments.way import FIRST_NODE_PORT, HostPorts
from pipeline.errors import ConfigError, LaunchError, LoadError
from pipeline.model.subject import Arm, Product, Subject
from pipeline.ports import Artifact, Program, Target
from tests.clusters import FakeCluster, Fault, kubeconfig, products, running

NAMESPACES = "/api/v1/namespaces/"
BUSY = {"state": {"waiting": {"reason": "ContainerCreating"}}}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "_PAUSE_S", 0.01)


@dataclass
class Lab:
    """A fake cluster and what launches builds in it."""

    cluster: FakeCluster
    environment: ClusterEnvironment
    out: Path
    images: list[str] = field(default_factory=list)

    @contextmanager
    def launched(self, *arms: Arm, product: Product = Product.MILO) -> Iterator[dict[Arm, Target]]:
        artifacts = {
            arm: Artifact(
                Subject("binary:./x", "sha256:00"),
                Path("x"),
                product=product,
                variables={"GOGC": "50"},
            )
            for arm in arms or tuple(Arm)
        }
        with self.environment.launch(artifacts, self.out) as targets:
            yield dict(targets)

    def is_empty(self) -> bool:
        self.cluster.objects = {
            path: one
            for path, one in self.cluster.objects.items()
            if path not in self.cluster.gone_s
        }
        return not self.cluster.of("Namespace") and not (self.out / "private").exists()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    first = free_ports()
    out = tmp_path / "out"
    out.mkdir()
    with products(first, FIRST_NODE_PORT) as serve:
        cluster = FakeCluster(serves=serve)
        with running(cluster, tmp_path) as config:
            yield Lab(
                cluster,
                ClusterEnvironment(
                    settings=InCluster(ready_s=5, gone_s=5),
                    api=Api(str(config), away_s=3),
                    etcd=Program(Path("etcd"), "3.6", "sha256:00"),
                    way=HostPorts(first),
                    image=lambda name, *_: Image(f"milo-perf.invalid/{name}:0", Path("none")),
                ),
                out,
            )


def test_both_builds_answer_inside_and_nothing_is_left_outside(lab: Lab) -> None:
    with lab.launched() as targets:
        assert len({target.url for target in targets.values()}) == 2
        for target in targets.values():
            target.check()
            assert target.metrics.keys() == {"server", "etcd", "manager"}
            assert not target.processes
            assert target.usage is not None
        assert len(lab.cluster.of("Namespace")) == 2
        assert len(lab.cluster.of("Pod")) == 6
        for one in lab.cluster.objects.values():
            plain = {name: part for name, part in one.items() if name != "status"}
            kubernetes_validate.validate(plain, "1.34", strict=True)

    assert lab.is_empty()


def test_the_reference_has_no_controller_manager(lab: Lab) -> None:
    with lab.launched(Arm.CANDIDATE, product=Product.REFERENCE) as targets:
        assert targets[Arm.CANDIDATE].metrics.keys() == {"server", "etcd"}
        names = {one["metadata"]["name"] for one in lab.cluster.of("Pod")}
        assert names == {"server", "etcd"}


def test_a_spec_s_variables_reach_its_processes_but_not_etcd(lab: Lab) -> None:
    with lab.launched(Arm.CANDIDATE):
        told = {
            pod["metadata"]["name"]: [one["name"] for one in pod["spec"]["containers"][0]["env"]]
            for pod in lab.cluster.of("Pod")
        }
    assert "GOGC" in told["server"]
    assert "GOGC" in told["manager"]
    assert "GOGC" not in told["etcd"]


def test_no_key_or_token_is_outside_of_a_secret(lab: Lab) -> None:
    with lab.launched(Arm.CANDIDATE) as targets:
        target = targets[Arm.CANDIDATE]
        tokens = [target.token_file.read_text(), target.admin_token_file.read_text()]
        others = [one for one in lab.cluster.objects.values() if one["kind"] != "Secret"]
        assert not any(token in str(one) for token in tokens for one in others)
        assert "PRIVATE KEY" not in str(others)


def test_the_log_of_every_pod_is_kept(lab: Lab) -> None:
    with lab.launched():
        pass
    kept = {path.name for path in lab.out.glob("*.log")}
    assert kept == {f"{name}-{arm}.log" for name in ("etcd", "server", "manager") for arm in Arm}
    assert (lab.out / "server-baseline.log").read_text() == "said by the Pod"


@pytest.mark.parametrize(
    ("status", "said", "hinted"),
    [
        pytest.param(
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}
                ],
            },
            "server of the baseline was not ready: ImagePullBackOff: no such",
            "registry",
            id="image",
        ),
        pytest.param(
            {
                "phase": "Failed",
                "containerStatuses": [
                    {"state": {"terminated": {"reason": "Error", "exitCode": 1}}}
                ],
            },
            "was not ready: exited with 1 (Error)",
            "said by the Pod",
            id="crash",
        ),
        pytest.param(
            {
                "phase": "Failed",
                "containerStatuses": [
                    {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
                ],
            },
            "took more memory than its limit",
            "said by the Pod",
            id="memory",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "the node is low on disk"},
            "Evicted: the node is low on disk",
            "said by the Pod",
            id="evicted",
        ),
        pytest.param(
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient memory.",
                    }
                ],
            },
            "was not ready after 1 s: Unschedulable: 0/1 nodes are available",
            "give less",
            id="no room",
        ),
        pytest.param(
            {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]},
            "was not ready after 1 s: does not answer yet",
            "said by the Pod",
            id="never ready",
        ),
    ],
)
def test_a_pod_that_does_not_come_up_is_told_with_its_reason(
    lab: Lab, status: dict[str, Any], said: str, hinted: str
) -> None:
    lab.cluster.pods["server"] = status
    object.__setattr__(lab.environment, "settings", InCluster(ready_s=1, gone_s=5))
    with pytest.raises(LaunchError) as caught, lab.launched():
        pass

    assert said in str(caught.value)
    assert hinted in caught.value.hint
    assert lab.is_empty()


def test_a_pod_that_ends_under_load_is_named(lab: Lab) -> None:
    with lab.launched() as targets:
        (path,) = [path for path in lab.cluster.objects if path.endswith("candidate/pods/etcd")]
        ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        pod = lab.cluster.objects[path]
        lab.cluster.change(path, pod | {"status": {"containerStatuses": [{"state": ended}]}})
        with pytest.raises(LoadError, match="etcd of the candidate was killed because it took"):
            targets[Arm.CANDIDATE].check()

    assert lab.is_empty()


def test_a_cluster_that_is_away_for_a_moment_ends_no_load(lab: Lab) -> None:
    with lab.launched() as targets:
        lab.cluster.faults.append(Fault("GET", "/pods", 0, times=2))
        targets[Arm.CANDIDATE].check()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("PATCH", "/secrets/", 0, times=3), id="away"),
        pytest.param(Fault("PATCH", "/pods/", 429, times=2), id="too many requests"),
        pytest.param(Fault("GET", "/pods", 503, times=2), id="unavailable"),
        pytest.param(Fault("GET", "watch=1", 410), id="watch too old"),
        pytest.param(Fault("GET", "watch=1", 0), id="watch broken"),
        pytest.param(Fault("DELETE", NAMESPACES, 500), id="error at the end"),
    ],
)
def test_what_passes_is_waited_for(lab: Lab, fault: Fault) -> None:
    lab.cluster.faults.append(fault)
    with lab.launched():
        pass

    assert lab.is_empty()


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
    real = Api.ask

    def interrupted(self: Api, how: str, path: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if how == method and part in path:
            monkeypatch.setattr(Api, "ask", real)
            raise KeyboardInterrupt
        return real(self, how, path, *args, **kwargs)

    monkeypatch.setattr(Api, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt), lab.launched():
        pass

    assert lab.is_empty()


def test_a_cluster_that_stays_away_is_given_up(lab: Lab) -> None:
    lab.environment.api.away_s = 0.2
    lab.cluster.faults.append(Fault("PATCH", NAMESPACES, 0, times=1000))
    with pytest.raises(LaunchError, match=r"did not answer for 0 s: PATCH"), lab.launched():
        pass


def test_what_cannot_be_deleted_is_named(
    lab: Lab, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.log.log.propagate", True)
    lab.cluster.faults.append(Fault("DELETE", "-baseline", 403, "may not delete"))
    with lab.launched():
        pass

    (name,) = [one["metadata"]["name"] for one in lab.cluster.of("Namespace")]
    assert name.endswith("-baseline")  # the other one is deleted all the same
    assert f"left in the cluster: {name}: the cluster refused DELETE" in caplog.text


def test_a_namespace_that_goes_slowly_is_waited_for(lab: Lab) -> None:
    lab.cluster.terminating_s = 0.7
    with lab.launched(Arm.CANDIDATE):
        pass

    assert lab.is_empty()
    assert not lab.cluster.gone_s


def test_launches_of_one_run_have_namespaces_of_their_own(lab: Lab) -> None:
    names = []
    for _ in range(2):
        with lab.launched(Arm.CANDIDATE):
            names += [one["metadata"]["name"] for one in lab.cluster.of("Namespace")]
    assert len(set(names)) == 2
    assert len({name.rsplit("-", 2)[0] for name in names}) == 1


def test_the_arms_swap_nodes_with_their_order(lab: Lab) -> None:
    object.__setattr__(lab.environment, "nodes", ("one", "two"))
    lab.cluster.nodes = [{"metadata": {"name": name}} for name in ("one", "two")]

    def nodes(*arms: Arm) -> dict[str, str]:
        with lab.launched(*arms, product=Product.REFERENCE):
            pods = lab.cluster.of("Pod")
        return {p["metadata"]["labels"]["milo-perf/arm"]: p["spec"]["nodeName"] for p in pods}

    assert nodes(Arm.BASELINE, Arm.CANDIDATE) == {"baseline": "one", "candidate": "two"}
    assert nodes(Arm.CANDIDATE, Arm.BASELINE) == {"baseline": "two", "candidate": "one"}


def test_a_pull_secret_is_copied_into_each_namespace(lab: Lab) -> None:
    settings = InCluster(ready_s=5, gone_s=5, pull_secret="ci/registry")
    object.__setattr__(lab.environment, "settings", settings)
    lab.cluster.objects["/api/v1/namespaces/ci/secrets/registry"] = {
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": "e30="},
    }
    with lab.launched(Arm.CANDIDATE):
        assert [path for path in lab.cluster.objects if path.endswith("candidate/secrets/pull")]


def test_a_pull_secret_that_is_not_there_is_told(lab: Lab) -> None:
    settings = InCluster(ready_s=5, pull_secret="ci/registry")
    object.__setattr__(lab.environment, "settings", settings)
    with (
        pytest.raises(LaunchError, match="there is no pull secret ci/registry"),
        lab.launched(Arm.CANDIDATE),
    ):
        pass


def test_an_expired_token_is_read_anew_once(tmp_path: Path) -> None:
    cluster = FakeCluster(token="new")
    with running(cluster, tmp_path, token="old") as config:
        api = Api(str(config))
        kubeconfig(config, _url(config), "new")
        assert api.ask("GET", "/version") == {"gitVersion": "v1.34.4"}
    assert cluster.asked == ["GET /version", "GET /version"]


def test_a_token_that_is_never_taken_is_told(tmp_path: Path) -> None:
    cluster = FakeCluster(token="another")
    with (
        running(cluster, tmp_path, token="old") as config,
        pytest.raises(LaunchError, match="401: Unauthorized") as caught,
    ):
        Api(str(config)).ask("GET", "/version")
    assert "log in again" in caught.value.hint
    assert len(cluster.asked) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_text("clusters: ["), id="broken"),
        pytest.param(lambda path: path.write_text("[]"), id="another thing"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    config = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", "t")
    spoil(config)
    with pytest.raises(ConfigError, match="no cluster can be reached"):
        Api(str(config))


def test_a_context_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", "t")
    with pytest.raises(ConfigError, match="other"):
        Api(str(config), "other")


def _url(config: Path) -> str:
    import json

    return str(json.loads(config.read_text())["clusters"][0]["cluster"]["server"])
