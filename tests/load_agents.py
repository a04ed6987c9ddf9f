"""Load pods as processes of this machine: the real agent, and any program."""

import base64
import dataclasses
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import toolchain
from pipeline.environments.api import Api
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import wait_until
from pipeline.environments.images import Image
from pipeline.environments.load_pods import ClusterPods
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.environments.manifests import NamespaceSpec
from pipeline.model.ports import Program, Target
from pipeline.model.subject import Arm, parse_spec
from pipeline.system import http_client
from pipeline.system.tls import free_ports
from tests.clusters import FakeCluster, Object, running

_SIDECAR_PORTS = ("9443", "9090")


@contextmanager
def load_agents(
    folder: Path, agent: Program, program: Path, *sidecars: Path
) -> Iterator[Callable[[Object, FakeCluster], None]]:
    """Run the agent of each load pod that a fake cluster starts, until the block is left.

    Args:
        folder: For what each would have in a pod.
        agent: The program.
        program: What it runs.
        sidecars: What that needs beside it; each gets a port of its own, as all are on one host.
    """
    running: list[subprocess.Popen[bytes]] = []

    def serve(pod: Object, cluster: FakeCluster) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        home = folder / name
        _write(home, pod["spec"], lambda kind, one: _found(cluster, namespace, kind, one))
        port, rest, *others = free_ports(2 + len(_SIDECAR_PORTS))
        beside = dict(zip(_SIDECAR_PORTS, map(str, others), strict=True))
        container = pod["spec"]["containers"][0]
        given = {one["name"]: _here(one["value"], home) for one in container["env"]}
        if "AGENT_SIDECARS" in given:
            text = _with_ports(given["AGENT_SIDECARS"], beside).replace(
                "=/tmp/prometheus", f"={home}/data"
            )
            for number, sidecar in enumerate(sidecars):
                text = text.replace(f'"/sidecar-{number}"', f'"{sidecar}"')
            given["AGENT_SIDECARS"] = text
        index = pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", "")
        for path in (*home.glob("secrets/*/kubeconfig"), *home.glob("secrets/*.json")):
            path.write_text(_here(_with_ports(path.read_text(), beside), home))
        environment = {
            **os.environ,
            **given,
            "AGENT_PROGRAM": str(program),
            "AGENT_LISTEN": f"127.0.0.1:{port}",
            **({"AGENT_REST": f"127.0.0.1:{rest}"} if "AGENT_REST" in given else {}),
            "JOB_COMPLETION_INDEX": index,
        }
        with (home / "pod.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [agent.path, *pod["spec"]["_args"]],
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        cluster.doors[name] = port
        assert wait_until(lambda: http_client.answers(f"http://127.0.0.1:{port}/v1/status"), 20)

    try:
        yield serve
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(30)


def _with_ports(text: str, ports: Mapping[str, str]) -> str:
    for port, own in ports.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
        text = text.replace(f"--port={port}", f"--port={own}")
    return text


def _write(home: Path, spec: Object, found: Callable[[str, str], Any]) -> None:
    for name in ("files", "secrets", "kept"):
        (home / name).mkdir(parents=True)
    volumes = {one["name"]: one for one in spec["volumes"]}
    files, secret = volumes["files"]["configMap"], volumes["secrets"]["secret"]
    script = found("configmaps", files["name"])["binaryData"]
    _unpack(home / "files", files["items"], script)
    _unpack(home / "secrets", secret["items"], found("secrets", secret["secretName"])["data"])


def _unpack(folder: Path, items: list[Object], data: Object) -> None:
    for item in items:
        path = folder / item["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(data[item["key"]]))


def _found(cluster: FakeCluster, namespace: str, kind: str, name: str) -> Object:
    return cluster.objects[f"/api/v1/namespaces/{namespace}/{kind}/{name}"]


def _here(value: str, home: Path) -> str:
    """Return a text in which the folders of a pod are those of a process here."""
    return re.sub(r'(?<![\w.-])/(files|secrets|kept)(?=[/"]|$)', rf"{home}/\1", value)


@contextmanager
def launched(
    tmp_path: Path, count: int, program: Path, *, operator: bool = False
) -> Iterator[dict[Arm, Target]]:
    """Start two builds here, with load pods of a cluster that is pretended."""
    artifact = toolchain.artifact(parse_spec("reference"), "")
    environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
    with (
        environment.launch(
            dict.fromkeys(Arm, artifact), make_folder(tmp_path / "servers")
        ) as targets,
        load_agents(tmp_path / "pods", toolchain.program("load-agent"), program) as serve,
    ):
        cluster = FakeCluster(serves=serve, operator=operator)
        with running(cluster, tmp_path) as config:
            pods = ClusterPods(
                api=Api(str(config)),
                spec=NamespaceSpec(
                    "load", "1", "load", 1, ClusterSettings(ready_s=20, load_pods=count)
                ),
                agent=toolchain.program("load-agent"),
                image=lambda name, *_: Image(name, Path("none")),
                poll_s=0.1,
            )
            pods.create_namespace()
            yield {
                arm: dataclasses.replace(
                    one, pods=pods, url_in_pods=one.url, metrics_in_pods=one.metrics
                )
                for arm, one in targets.items()
            }


def make_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder
