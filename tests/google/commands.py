"""Commands as tests type them."""

from typing import Any

from pipeline.commands import main
from pipeline.environments.gke.resources import labels
from tests.google.fake import PROJECT, START_S, ZONE, Google

ACCOUNT = f"nodes@{PROJECT}.iam.gserviceaccount.com"
HOUR_S = 3600.0


def create(*more: str, run: str = "7-1") -> int:
    where = ("--project", PROJECT, "--location", ZONE)
    asked = ("--run", run, "--account", ACCOUNT, "--budget-usd", "10")
    return main.main(["cluster", "create", *where, *asked, *more])


def sweep(*more: str) -> int:
    return main.main(["cluster", "sweep", "--project", PROJECT, *more])


def delete(*more: str, run: str = "7-1") -> int:
    return main.main(["cluster", "delete", "--project", PROJECT, "--run", run, *more])


def night(cloud: Google, run: str, *, ends_h: float, **parts: Any) -> None:  # noqa: ANN401 (JSON)
    """Put a cluster of a run there, with a disk, that ends so many hours from now."""
    said = labels(run, START_S + ends_h * HOUR_S)
    cloud.cluster(f"milo-perf-{run}", resourceLabels=said, **parts)
    disk(cloud, run, ends_h=ends_h, users=["a node"])


def disk(cloud: Google, run: str, *, ends_h: float, users: list[str] | None = None) -> None:
    """Put a disk there that a cluster of a run has, or has left behind."""
    said = labels(run, START_S + ends_h * HOUR_S)
    cloud.thing(
        "disks",
        f"zones/{ZONE}",
        f"pvc-{run}",
        labels={**said, "goog-k8s-cluster-name": f"milo-perf-{run}"},
        users=users or [],
        sizeGb="100",
        type=f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{ZONE}/diskTypes/pd-ssd",
    )
