"""What several tests of builds in a cluster ask for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.environments.api import Api
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import FIRST_NODE_PORT, NodePortConnector
from pipeline.environments.images import Image
from pipeline.environments.kind import free_ports
from pipeline.model.ports import Program
from tests.clusters import FakeCluster, running
from tests.labs import Lab
from tests.products import products


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    first = free_ports()
    out = tmp_path / "out"
    out.mkdir()
    received: list[tuple[str, Any]] = []
    with products(first, FIRST_NODE_PORT, received) as serve:
        cluster = FakeCluster(serves=serve)
        with running(cluster, tmp_path) as config:
            yield Lab(
                cluster,
                ClusterEnvironment(
                    settings=ClusterSettings(ready_s=60, gone_s=60),
                    api=Api(str(config), retry_s=60, pause_s=0.01),
                    programs={"etcd": Program(Path("etcd"), "3.6", "sha256:00")},
                    connector=NodePortConnector(first),
                    image=lambda name, *_: Image(f"milo-perf.invalid/{name}:0", Path("none")),
                ),
                out,
                received=received,
            )
