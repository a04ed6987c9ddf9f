"""Builds as Pods: they answer inside, and nothing is left outside, whatever the cluster does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from cryptography import x509

from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.pods import pod_state
from pipeline.model.ports import find_deaths
from pipeline.model.subject import Arm, Product
from pipeline.system.errors import ConfigError, LaunchError, LoadError
from tests.clusters import Fault
from tests.labs import Lab
from tests.milo_trees import write_tree

NAMESPACES = "/api/v1/namespaces/"
BUSY = {"state": {"waiting": {"reason": "ContainerCreating"}}}


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


def test_programs_in_other_folders_find_the_files_of_a_launch(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.out.parent)
    lab.out = Path(lab.out.name)
    with lab.launched() as targets:
        for target in targets.values():
            for file in (target.ca_file, target.token_file, target.admin_token_file):
                assert file.is_absolute()
                assert file.is_file()


def test_the_reference_has_no_controller_manager(lab: Lab) -> None:
    with lab.launched(Arm.CANDIDATE, product=Product.REFERENCE) as targets:
        assert targets[Arm.CANDIDATE].metrics.keys() == {"server", "etcd"}
        names = {one["metadata"]["name"] for one in lab.cluster.of("Pod")}
        assert names == {"server", "etcd"}


def test_load_pods_are_told_of_every_component_by_a_name_of_its_certificate(lab: Lab) -> None:
    with lab.launched() as targets:
        for arm, target in targets.items():
            (home,) = [
                one["metadata"]["name"]
                for one in lab.cluster.of("Namespace")
                if one["metadata"]["name"].endswith(arm)
            ]
            names = {name: f"{name}.{home}.svc" for name in ("server", "etcd", "manager")}
            assert target.url_in_pods == f"https://{names['server']}:6443"
            assert target.metrics_in_pods == {
                "server": f"https://{names['server']}:6443/metrics",
                "etcd": f"http://{names['etcd']}:2379/metrics",
                "manager": f"https://{names['manager']}:10257/metrics",
            }
            shown = x509.load_pem_x509_certificate(
                (target.ca_file.parent / "server.crt").read_bytes()
            )
            said = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert {names["server"], names["manager"]} <= set(
                said.get_values_for_type(x509.DNSName)
            )


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
    object.__setattr__(lab.environment, "settings", ClusterSettings(ready_s=1, gone_s=60))
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
        assert list(find_deaths(targets)) == [Arm.CANDIDATE]  # though the cluster was just asked

    assert lab.is_empty()


EXITED = {"containerStatuses": [{"state": {"terminated": {"reason": "Error", "exitCode": 137}}}]}


@pytest.mark.parametrize(
    ("pod", "failed_itself"),
    [
        pytest.param({"status": EXITED}, True, id="exited"),
        pytest.param(
            {"status": EXITED, "metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}},
            False,
            id="deleted",
        ),
        pytest.param(
            {"status": {**EXITED, "conditions": [{"type": "DisruptionTarget", "status": "True"}]}},
            False,
            id="preempted",
        ),
        pytest.param({"status": {**EXITED, "reason": "Evicted"}}, False, id="evicted"),
        pytest.param({"status": {"phase": "Failed", "reason": "Evicted"}}, False, id="never ran"),
    ],
)
def test_only_a_pod_that_ended_by_itself_says_something_of_the_build(
    pod: dict[str, Any], *, failed_itself: bool
) -> None:
    now = pod_state(pod)
    assert now.is_final
    assert now.failed_itself == failed_itself


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
    settings = ClusterSettings(ready_s=60, gone_s=60, pull_secret="ci/registry")
    object.__setattr__(lab.environment, "settings", settings)
    lab.cluster.objects["/api/v1/namespaces/ci/secrets/registry"] = {
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": "e30="},
    }
    with lab.launched(Arm.CANDIDATE):
        assert [path for path in lab.cluster.objects if path.endswith("candidate/secrets/pull")]


def test_a_pull_secret_that_is_not_there_is_told(lab: Lab) -> None:
    settings = ClusterSettings(ready_s=60, pull_secret="ci/registry")
    object.__setattr__(lab.environment, "settings", settings)
    with (
        pytest.raises(LaunchError, match="there is no pull secret ci/registry"),
        lab.launched(Arm.CANDIDATE),
    ):
        pass


def test_production_is_set_up_in_a_cluster_with_the_service_of_its_manager(
    lab: Lab, tmp_path: Path
) -> None:
    settings = ClusterSettings.model_validate(
        {
            "ready_s": 5,
            "gone_s": 5,
            "profile": "production+quota",
            "manifests": str(write_tree(tmp_path)),
        }
    )
    production = replace(lab, environment=replace(lab.environment, settings=settings))
    with production.launched(Arm.CANDIDATE) as targets:
        assert targets[Arm.CANDIDATE].needs_organization_path
        (home,) = [one["metadata"]["name"] for one in lab.cluster.of("Namespace")]
        pods = {one["metadata"]["name"]: one for one in lab.cluster.of("Pod")}
        (ports,) = [
            {port["port"] for port in one["spec"]["ports"]}
            for one in lab.cluster.of("Service")
            if one["metadata"]["name"] == "manager"
        ]
        for one in lab.cluster.objects.values():
            plain = {name: part for name, part in one.items() if name != "status"}
            kubernetes_validate.validate(plain, "1.34", strict=True)
    hooks = [body for path, body in lab.received if path.endswith("webhookconfigurations")]
    urls = {hook["clientConfig"]["url"] for body in hooks for hook in body["webhooks"]}
    assert urls == {f"https://manager.{home}.svc:9443/one"}
    assert ports == {10257, 9443}
    arguments = {name: pod["spec"]["containers"][0]["args"] for name, pod in pods.items()}
    assert "--unsafe-no-fsync" not in arguments["etcd"]
    assert "--v=4" in arguments["server"]
    assert "--leader-elect=true" in arguments["manager"]
    assert lab.is_empty()


def test_manifests_that_cannot_be_read_leave_nothing_in_the_cluster(lab: Lab) -> None:
    settings = ClusterSettings.model_validate({"profile": "production", "manifests": "/nowhere"})
    broken = replace(lab, environment=replace(lab.environment, settings=settings))
    with pytest.raises(ConfigError, match="no folder /nowhere"), broken.launched():
        pass
    assert lab.is_empty()
