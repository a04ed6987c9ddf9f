"""The stages of a ClusterLoader2 load: one process for each arm and control plane.

A ClusterLoader2 process knows one control plane.  So a load inside Projects has two stages: create
the Projects at the root, then load each of them with a process of its own.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.model.subject import Arm

CLIENT_RATE = 100.0
"""Requests per second to which ClusterLoader2 limits each of its clients, without a message."""

CATCH_UP_S = 0.2
"""Delay of its actions that a process can make up for, in seconds."""

REQUESTS_PER_ACTION = 4
"""Requests of the costliest action: read and change a Secret, read and change a ConfigMap."""

CONFIGS = "cl2_configs"
"""Folder of the configs, the modules and the templates."""

KINDS = 2
"""Number of objects that an action creates: a Secret and a ConfigMap."""

LOG = "clusterloader2.log"

MAKE, FILL, COLLECT = "projects", "object-fill", "garbage-collection"
"""Configs that create Projects, fill them, and delete them."""


class ControlPlane(StrEnum):
    """The control planes that a load goes to."""

    ROOT = "root"
    PROJECTS = "projects"


@dataclass(frozen=True, slots=True)
class LoadStage:
    """One config, run once for each arm, or concurrently for each Project of each arm.

    The readings of a load are those of its measured stage.
    """

    config: str
    where: ControlPlane
    is_measured: bool = False


@dataclass(frozen=True, slots=True)
class ProcessJob:
    """The job of one process, with its own folder; the Project is empty for the root."""

    arm: Arm
    project: str
    config: Path
    folder: Path

    @property
    def name(self) -> str:
        """Display name, for messages."""
        inside = f" in {self.project}" if self.project else ""
        return f"clusterloader2 {self.config.stem} of the {self.arm}{inside}"

    @property
    def log(self) -> Path:
        """File of its output."""
        return self.folder / LOG

    @property
    def report(self) -> Path:
        """Folder of its report."""
        return self.folder / "report"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig; it has the path of a token file and not the token."""
        return self.folder / "kubeconfig"

    @property
    def overrides(self) -> Path:
        """File of its parameters."""
        return self.folder / "overrides.yaml"


def stages(config: str, where: ControlPlane) -> tuple[LoadStage, ...]:
    """Return the stages of a load, of which one is measured."""
    create = LoadStage(MAKE, ControlPlane.ROOT)
    if config == COLLECT:
        return (
            create,
            LoadStage(FILL, ControlPlane.PROJECTS),
            LoadStage(COLLECT, ControlPlane.ROOT, is_measured=True),
        )
    measured = LoadStage(config, where, is_measured=True)
    return (create, measured) if where is ControlPlane.PROJECTS else (measured,)


def project_name(run: str, number: int) -> str:
    """Return the name of a Project that `projects.yaml` creates; numbers begin at 0."""
    return f"{run}-project-{number}"


def client_count(rate: float) -> int:
    """Return the number of clients that a load of `rate` objects per second needs."""
    return max(1, math.ceil(rate / KINDS * REQUESTS_PER_ACTION / CLIENT_RATE))


def burst_size(rate: float) -> int:
    """Return the number of actions that may begin at once, to make up for a short delay."""
    return max(1, round(rate / KINDS * CATCH_UP_S))


def argv(program: Path, job: ProcessJob, rate: float, *, has_prometheus: bool) -> list[str]:
    """Return the command of a job of `rate` objects per second; it has no credential."""
    prometheus = ["--enable-prometheus-server=true", "--tear-down-prometheus-server=false"]
    return [
        str(program),
        "--provider=local",
        f"--kubeconfig={job.kubeconfig}",
        f"--testconfig={job.config}",
        f"--testoverrides={job.overrides}",
        f"--report-dir={job.report}",
        "--nodes=1",  # with the next three, it works on a server without nodes
        "--skip-cluster-verification",
        "--enable-exec-service=false",
        "--master-endpoint=localhost",
        f"--k8s-clients-number={client_count(rate)}",
        "--port=0",  # of its profiles: a free port, so that many processes can run at once
        "--v=1",  # from 2 on it prints the kubeconfig
        *(prometheus if has_prometheus else []),
    ]
