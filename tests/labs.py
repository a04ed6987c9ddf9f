"""A fake cluster, and what launches builds in it, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.environments.cluster import ClusterEnvironment
from pipeline.model.ports import Artifact, Target
from pipeline.model.subject import Arm, Product, Subject
from tests.clusters import FakeCluster


@dataclass
class Lab:
    """A fake cluster and what launches builds in it."""

    cluster: FakeCluster
    environment: ClusterEnvironment
    out: Path
    images: list[str] = field(default_factory=list)
    received: list[tuple[str, Any]] = field(default_factory=list)

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
