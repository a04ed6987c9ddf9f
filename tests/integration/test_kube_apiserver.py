"""A real kube-apiserver with etcd and no nodes takes what we apply; the test stands in for nodes.

It takes a quarter of an hour to build one, so this is for whoever has one: set KUBE_APISERVER_BIN.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline import toolchain
from pipeline.environments.api import Api, ClusterError
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import FIRST_NODE_PORT, NodePortConnector
from pipeline.environments.images import Image
from pipeline.environments.kind import free_ports
from pipeline.environments.registry import read_environment
from pipeline.model.ports import Artifact, Program
from pipeline.model.subject import Arm, Product, Subject
from pipeline.system import http_client, processes, tls
from tests.products import products

BINARY = os.environ.get("KUBE_APISERVER_BIN", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.measuring,
    pytest.mark.skipif(not BINARY, reason="KUBE_APISERVER_BIN is not set"),
]
READY = {"type": "Ready", "status": "True"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a cluster without nodes; the path of the kubeconfig of its administrator."""
    out = tmp_path_factory.mktemp("kube")
    identity = tls.create_identity(out / "pki")
    accounts = public(identity.key)
    (out / "tokens.csv").write_text('secret,admin,admin,"system:masters"\nweak,guest,guest,""\n')
    client, peer, port = tls.free_ports(3)
    etcd_url = f"http://127.0.0.1:{client}"
    with ExitStack() as stack:
        etcd = [
            *(str(toolchain.program("etcd").path), f"--data-dir={out / 'etcd'}"),
            *(f"--listen-client-urls={etcd_url}", f"--advertise-client-urls={etcd_url}"),
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        ]
        server = [
            *(BINARY, f"--etcd-servers={etcd_url}", f"--secure-port={port}"),
            *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"),
            *(f"--tls-cert-file={identity.certificate}", f"--tls-private-key-file={identity.key}"),
            *(f"--token-auth-file={out / 'tokens.csv'}", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={accounts}", "--service-account-issuer=https://x.test"),
            f"--service-account-signing-key-file={identity.key}",
            *("--service-cluster-ip-range=10.0.0.0/16", "--endpoint-reconciler-type=none"),
        ]
        _, service = (
            stack.enter_context(processes.background(argv, name=name, output=out / f"{name}.log"))
            for name, argv in (("etcd", etcd), ("kube-apiserver", server))
        )
        url = f"https://127.0.0.1:{port}"
        service.wait_ready(lambda: http_client.answers(f"{url}/readyz", ca_file=identity.ca), 120)
        yield written(out / "kubeconfig", url, identity.ca, "secret")


def public(key: Path) -> Path:
    """Write the public half of a key beside it."""
    from cryptography.hazmat.primitives import serialization

    found = serialization.load_pem_private_key(key.read_bytes(), None).public_key()
    path = key.with_suffix(".pub")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(found.public_bytes(serialization.Encoding.PEM, form))
    return path


def written(path: Path, url: str, ca: Path, token: str) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "x", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "x", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(content))
    return path


class Stand:
    """Does what nodes and the controller of namespaces do, as far as a launch needs it."""

    def __init__(self, api: Api, serve: Any) -> None:  # noqa: ANN401 (what `products` gives)
        self.api, self.serve = api, serve
        self.objects: dict[str, Any] = {}
        self.ended = threading.Event()

    def work(self) -> None:
        while not self.ended.wait(0.1):
            with suppress(ClusterError):
                for namespace in self.api.request("GET", "/api/v1/namespaces")["items"]:
                    self._tend(namespace)

    def _tend(self, namespace: dict[str, Any]) -> None:
        name = namespace["metadata"]["name"]
        path = f"/api/v1/namespaces/{name}"
        pods = self.api.request("GET", f"{path}/pods")["items"]
        if "deletionTimestamp" in namespace["metadata"]:
            for pod in pods:
                where = f"{path}/pods/{pod['metadata']['name']}"
                self.api.request("DELETE", where, query={"gracePeriodSeconds": "0"})
            for kind in ("services", "secrets"):
                for one in self.api.request("GET", f"{path}/{kind}")["items"]:
                    self.api.delete(f"{path}/{kind}/{one['metadata']['name']}")
            self.api.request("PUT", f"{path}/finalize", {**namespace, "spec": {"finalizers": []}})
            return
        for pod in pods:
            if not pod.get("status", {}).get("conditions"):
                self._run(path, pod)

    def _run(self, path: str, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        for kind in ("services", "secrets"):
            if (found := self.api.request_or_none("GET", f"{path}/{kind}/{name}")) is not None:
                self.objects[f"{path}/{kind}/{name}"] = found
        self.serve(pod, self)
        status = {"phase": "Running", "conditions": [READY]}
        self.api.request(
            "PATCH",
            f"{path}/pods/{name}/status",
            {"status": status},
            content_type="application/merge-patch+json",
        )


def test_a_launch_goes_through_a_real_kube_apiserver(config: Path, tmp_path: Path) -> None:
    first = free_ports()
    api = Api(str(config))
    environment = ClusterEnvironment(
        settings=ClusterSettings(ready_s=20, gone_s=20),
        api=api,
        programs={"etcd": Program(Path("etcd"), "3.6", "sha256:00")},
        connector=NodePortConnector(first),
        image=lambda name, *_: Image(f"milo-perf.invalid/{name}:0", Path("none")),
    )
    artifacts = {
        arm: Artifact(Subject("binary:./x", "sha256:00"), Path("x"), product=Product.MILO)
        for arm in Arm
    }
    with products(first, FIRST_NODE_PORT) as serve:
        stand = Stand(api, serve)
        thread = threading.Thread(target=stand.work, daemon=True)
        thread.start()
        try:
            began = time.monotonic()
            with environment.launch(artifacts, tmp_path) as targets:
                up_s = time.monotonic() - began
                assert len(targets) == 2
                (found,) = api.request(
                    "GET", "/api/v1/namespaces?labelSelector=milo-perf/arm=baseline"
                )["items"]
                (manager,) = [
                    one["manager"]
                    for one in found["metadata"]["managedFields"]
                    if one["operation"] == "Apply"
                ]
                assert manager == "milo-perf"
                assert int(found["metadata"]["annotations"]["milo-perf/expires"]) > time.time()
        finally:
            stand.ended.set()
            thread.join()

    assert up_s < 120
    left = api.request(
        "GET", "/api/v1/namespaces?labelSelector=app.kubernetes.io/managed-by=milo-perf"
    )
    assert left["items"] == []


def test_who_has_no_rights_is_told_each_that_is_missing(config: Path, tmp_path: Path) -> None:
    content = json.loads(config.read_text())["clusters"][0]["cluster"]
    guest = written(
        tmp_path / "guest", content["server"], Path(content["certificate-authority"]), "weak"
    )
    place = tmp_path / "place.toml"
    place.write_text(f'[environment]\nkind = "remote"\nkubeconfig = "{guest}"\n')
    found = {check.name: check for check in read_environment(str(place)).checks()}

    assert "create namespaces" in found["rights"].found
    with pytest.raises(ClusterError, match="403") as caught:
        Api(str(guest)).request("GET", "/api/v1/nodes")
    assert "deploy/rights.yaml" in caught.value.hint


def test_an_administrator_has_every_right(config: Path, tmp_path: Path) -> None:
    place = tmp_path / "place.toml"
    place.write_text(f'[environment]\nkind = "remote"\nkubeconfig = "{config}"\n')
    found = {check.name: check for check in read_environment(str(place)).checks()}
    assert found["rights"].found.startswith("all ")
