"""What ClusterLoader2 is run for, in order: one process for each arm and control plane.  Pure.

ClusterLoader2 speaks to one control plane in a process.  So a load inside of Projects is two
stages: make the Projects at the root, then load each of them with a process of its own.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.model.subject import Arm

CLIENT_RATE = 100.0
"""Requests per second at which ClusterLoader2 holds back each of its clients, without a word."""

CATCH_UP_S = 0.2
"""So long a process may be late with its actions and still make up for it."""

REQUESTS_PER_ACTION = 4
"""Requests of the costliest action: read and change a Secret, read and change a ConfigMap."""

CONFIGS = "cl2_configs"
"""Folder of the configs, the modules and the templates."""

KINDS = 2
"""Secrets and ConfigMaps: an action creates one of each."""

LOG = "clusterloader2.log"

MAKE, FILL, COLLECT = "projects", "object-fill", "garbage-collection"
"""Configs that make Projects, fill them, and delete them."""


class Where(StrEnum):
    """The control plane that a load goes to."""

    ROOT = "root"
    PROJECTS = "projects"


@dataclass(frozen=True, slots=True)
class Stage:
    """One config, run once for each arm, or once for each Project of each arm, side by side.

    Attributes:
        config: Name of a file in `cl2_configs/`.
        where: Which control planes it loads.
        is_measured: Whether its numbers are those of the load.
    """

    config: str
    where: Where
    is_measured: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One process of ClusterLoader2.

    Attributes:
        arm: Whose control plane it loads.
        project: Name of the Project; empty for the root.
        config: Its test config.
        folder: Existing; receives its kubeconfig, overrides, log and report.
    """

    arm: Arm
    project: str
    config: Path
    folder: Path

    @property
    def name(self) -> str:
        """What it is, for messages."""
        inside = f" in {self.project}" if self.project else ""
        return f"clusterloader2 {self.config.stem} of the {self.arm}{inside}"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / LOG

    @property
    def report(self) -> Path:
        """Folder of its report."""
        return self.folder / "report"

    @property
    def kubeconfig(self) -> Path:
        """How it finds the server; holds the path of a token and not the token."""
        return self.folder / "kubeconfig"

    @property
    def overrides(self) -> Path:
        """Its parameters."""
        return self.folder / "overrides.yaml"


def stages(config: str, where: Where) -> tuple[Stage, ...]:
    """Return the stages of a load, of which one is measured."""
    if config == COLLECT:
        return (
            Stage(MAKE, Where.ROOT),
            Stage(FILL, Where.PROJECTS),
            Stage(COLLECT, Where.ROOT, is_measured=True),
        )
    if where is Where.PROJECTS:
        return (
            Stage(MAKE, Where.ROOT),
            Stage(config, Where.PROJECTS, is_measured=True),
        )
    return (Stage(config, Where.ROOT, is_measured=True),)


def project(run: str, number: int) -> str:
    """Return the name of a Project that `projects.yaml` makes.

    Args:
        run: Its label, and the beginning of all names.
        number: From 0.
    """
    return f"{run}-project-{number}"


def clients(rate: float) -> int:
    """Return how many clients an asked rate needs, so that none of them holds it back.

    Args:
        rate: Objects per second, two to an action.
    """
    return max(1, math.ceil(rate / 2 * REQUESTS_PER_ACTION / CLIENT_RATE))


def burst(rate: float) -> int:
    """Return how many actions may begin at once, so that a moment of delay is made up for.

    Args:
        rate: Objects per second, two to an action.
    """
    return max(1, round(rate / 2 * CATCH_UP_S))


def argv(program: Path, job: Job, rate: float) -> list[str]:
    """Return the command of a job; it holds no credential.

    The three switches that make ClusterLoader2 work where there are no nodes are always there.
    """
    return [
        str(program),
        "--provider=local",
        f"--kubeconfig={job.kubeconfig}",
        f"--testconfig={job.config}",
        f"--testoverrides={job.overrides}",
        f"--report-dir={job.report}",
        "--nodes=1",
        "--skip-cluster-verification",
        "--enable-exec-service=false",
        "--master-endpoint=localhost",
        f"--k8s-clients-number={clients(rate)}",
        "--port=0",  # of its profiles: one that is free, so that many can run at once
        "--v=1",  # from 2 on it prints the kubeconfig
    ]


def with_prometheus() -> list[str]:
    """Return the arguments that let ClusterLoader2 use a Prometheus that is there already."""
    return ["--enable-prometheus-server=true", "--tear-down-prometheus-server=false"]


def overrides(values: Mapping[str, bool | float | str]) -> str:
    """Return the text of a file of overrides."""
    return json.dumps(values, indent=1) + "\n"
