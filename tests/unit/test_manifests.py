"""What is applied to a cluster is what Kubernetes takes, and as restricted as it should be."""

from dataclasses import replace

import kubernetes_validate
import pytest

from pipeline.environments import bootstrap, manifests
from pipeline.environments.cluster_settings import ClusterSettings, Resources, Toleration
from pipeline.environments.credentials import LOAD_GROUP
from pipeline.environments.manifests import Component, Manifest, NamespaceSpec
from pipeline.model.ports import FIRST_ORGANIZATION

HOSTILE = "a\"b: {{ x }}\n- c # \N{SNOWMAN} '</script>&"
PLAIN = NamespaceSpec("milo-perf-1-000-baseline", "1", "baseline", 1_800_000_000, ClusterSettings())
FULL = NamespaceSpec(
    "milo-perf-1-000-candidate",
    "1",
    "candidate",
    1_800_000_000,
    ClusterSettings(
        storage_class="fast",
        node_selector={"pool": "servers"},
        tolerations=(
            Toleration(key="perf", operator="Exists", effect="NoSchedule"),
            Toleration(key="for", value="milo"),
        ),
    ),
    node="node-2",
    node_ports={"server": 30081, "etcd": 30082},
    pull_secret={".dockerconfigjson": "e30="},
)
SERVER = Component(
    name="server",
    group="server",
    image="milo-perf.invalid/milo:0123",
    args=["apiserver", f"--v={HOSTILE}"],
    port=6443,
    ready_path="/readyz",
    scheme="HTTPS",
    resources=Resources(cpu=1.5, memory_mib=2048),
    variables={"GOGC": "50", "ODD": HOSTILE},
    secrets={"server.key": b"\0key"},
)
ETCD = Component(
    name="etcd",
    group="etcd",
    image="milo-perf.invalid/etcd:0123",
    args=["--data-dir=/data/etcd"],
    port=2379,
    ready_path="/health",
    scheme="HTTP",
    resources=Resources(),
    data="/data",
)


def everything() -> list[Manifest]:
    return [
        manifest
        for place in (PLAIN, FULL)
        for found in (
            manifests.namespace(place, [6443, 2379] if place.node_ports else []),
            manifests.component(place, SERVER),
            manifests.component(place, ETCD),
        )
        for manifest in found
    ]


def pod(place: NamespaceSpec, component: Component) -> Manifest:
    (found,) = [m for m in manifests.component(place, component) if m["kind"] == "Pod"]
    return found


@pytest.mark.parametrize("version", ["1.32", "1.33", "1.34"])
def test_every_manifest_fits_the_schema_of_kubernetes(version: str) -> None:
    kinds = set()
    for manifest in everything():
        kubernetes_validate.validate(manifest, version, strict=True)
        kinds.add(manifest["kind"])

    assert kinds >= {"Namespace", "ServiceAccount", "NetworkPolicy", "Secret", "Service", "Pod"}
    assert "PersistentVolumeClaim" in kinds


def test_the_schema_refuses_a_key_that_there_is_not() -> None:
    wrong = pod(PLAIN, SERVER) | {"speck": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="speck"):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_everything_has_the_labels_that_a_sweep_finds_it_by() -> None:
    for manifest in everything():
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "milo-perf"
        assert labels["milo-perf/run"] == "1"
    expiring = [m for m in everything() if m["kind"] == "Namespace"]
    assert all(m["metadata"]["annotations"]["milo-perf/expires"] == "1800000000" for m in expiring)


def test_no_value_can_become_anything_but_a_value() -> None:
    (container,) = pod(FULL, SERVER)["spec"]["containers"]
    assert container["args"][1] == f"--v={HOSTILE}"
    assert {"name": "ODD", "value": HOSTILE} in container["env"]


def test_requests_are_limits_and_go_is_told_of_them() -> None:
    (container,) = pod(PLAIN, SERVER)["spec"]["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert container["resources"]["limits"] == {"cpu": "1500m", "memory": "2048Mi"}
    told = {one["name"]: one["value"] for one in container["env"]}
    assert told == {"GOMAXPROCS": "2", "GOMEMLIMIT": "1843MiB", "GOGC": "50", "ODD": HOSTILE}


def test_a_variable_of_a_spec_wins_over_ours() -> None:
    own = replace(SERVER, variables={"GOMEMLIMIT": "1GiB"})
    (container,) = pod(PLAIN, own)["spec"]["containers"]
    assert {"name": "GOMEMLIMIT", "value": "1GiB"} in container["env"]
    assert len([one for one in container["env"] if one["name"] == "GOMEMLIMIT"]) == 1


def test_a_process_that_ends_is_not_started_again() -> None:
    assert pod(PLAIN, ETCD)["spec"]["restartPolicy"] == "Never"


def test_a_probe_stops_asking_once_it_was_answered() -> None:
    (container,) = pod(PLAIN, ETCD)["spec"]["containers"]
    assert "startupProbe" in container
    assert not {"readinessProbe", "livenessProbe"} & container.keys()


def test_etcd_is_on_a_volume_only_where_a_storage_class_is_set() -> None:
    volumes = {one["name"]: one for one in pod(FULL, ETCD)["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "etcd"}
    volumes = {one["name"]: one for one in pod(PLAIN, ETCD)["spec"]["volumes"]}
    assert volumes["data"]["emptyDir"] == {}


def test_pods_go_where_they_are_told() -> None:
    spec = pod(FULL, SERVER)["spec"]
    assert spec["nodeSelector"] == {"pool": "servers", "kubernetes.io/hostname": "node-2"}
    assert spec["tolerations"][0] == {"key": "perf", "operator": "Exists", "effect": "NoSchedule"}
    assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_only_a_node_port_opens_a_namespace() -> None:
    def allowed(place: NamespaceSpec, ports: list[int]) -> list[Manifest]:
        found = manifests.namespace(place, ports)
        (policy,) = [m for m in found if m["kind"] == "NetworkPolicy"]
        return list(policy["spec"]["ingress"])

    assert allowed(PLAIN, []) == [{"from": [{"podSelector": {}}]}]
    assert [rule["ports"] for rule in allowed(FULL, [6443])[1:]] == [
        [{"protocol": "TCP", "port": 6443}]
    ]


def test_the_role_is_one_that_kubernetes_takes() -> None:
    (role,) = manifests.read("rights.yaml")
    kubernetes_validate.validate(role, "1.34", strict=True)
    assert not any("*" in (*rule["verbs"], *rule["resources"]) for rule in role["rules"])


def test_the_first_objects_have_the_names_that_everything_else_uses() -> None:
    definition, binding, organization, project = manifests.read("first-objects.yaml")
    kubernetes_validate.validate(definition, "1.34", strict=True)
    kubernetes_validate.validate(binding, "1.34", strict=True)
    assert binding["subjects"][0]["name"] == LOAD_GROUP
    assert organization["metadata"]["name"] == FIRST_ORGANIZATION
    assert project["metadata"]["name"] == bootstrap.FIRST_PROJECT
    assert project["spec"]["ownerRef"]["name"] == FIRST_ORGANIZATION
