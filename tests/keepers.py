"""Load pods as processes of this machine: the real keeper, and any k6."""

import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import web
from pipeline.environments.way import until
from pipeline.loopback import free_ports
from pipeline.ports import Program
from tests.clusters import FakeCluster, Object


@contextmanager
def keepers(
    folder: Path, keeper: Program, k6: Path
) -> Iterator[Callable[[Object, FakeCluster], None]]:
    """Run the keeper of each load pod that a fake cluster starts, until the block is left."""
    running: list[subprocess.Popen[bytes]] = []

    def serve(pod: Object, cluster: FakeCluster) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        home = folder / name
        _write(home, pod["spec"], lambda kind, one: _found(cluster, namespace, kind, one))
        port, rest = free_ports(2)
        container = pod["spec"]["containers"][0]
        given = {one["name"]: _here(one["value"], home) for one in container["env"]}
        index = pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", "")
        environment = {
            **os.environ,
            **given,
            "KEEPER_PROGRAM": str(k6),
            "KEEPER_LISTEN": f"127.0.0.1:{port}",
            "KEEPER_REST": f"127.0.0.1:{rest}",
            "JOB_COMPLETION_INDEX": index,
        }
        with (home / "pod.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [keeper.path, *pod["spec"]["_args"]],
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        cluster.doors[name] = port
        assert until(lambda: web.answers(f"http://127.0.0.1:{port}/v1/status"), 20)

    try:
        yield serve
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(30)


def _write(home: Path, spec: Object, found: Callable[[str, str], Any]) -> None:
    for name in ("files", "secrets", "kept"):
        (home / name).mkdir(parents=True)
    volumes = {one["name"]: one for one in spec["volumes"]}
    files = volumes["files"]["configMap"]
    data = found("configmaps", files["name"])["binaryData"]
    for item in files["items"]:
        path = home / "files" / item["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(data[item["key"]]))
    for name, content in found("secrets", volumes["secrets"]["secret"]["secretName"])[
        "data"
    ].items():
        (home / "secrets" / name).write_bytes(base64.b64decode(content))


def _found(cluster: FakeCluster, namespace: str, kind: str, name: str) -> Object:
    return cluster.objects[f"/api/v1/namespaces/{namespace}/{kind}/{name}"]


def _here(value: str, home: Path) -> str:
    for folder in ("files", "secrets", "kept"):
        value = value.replace(f"/{folder}/", f"{home}/{folder}/")
        if value == f"/{folder}":
            return f"{home}/{folder}"
    return value
