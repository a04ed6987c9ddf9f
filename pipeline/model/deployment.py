"""A deployment: two builds that stay up after the command that started them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pipeline.model.subject import Arm

SOCKET = "keeper.sock"
"""Name of the socket at which the keeper answers."""

KUBECONFIGS = {arm: f"{arm}.kubeconfig" for arm in Arm}
"""Name of the link to the kubeconfig of each build."""


class DeploymentState(StrEnum):
    """State of a deployment."""

    STARTING = "starting"
    UP = "up"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class DeployedArm:
    """One build of a deployment, and the files with which it is reached.

    Attributes:
        spec: Spec of the build.
        url: Base URL of the API server on this machine.
        kubeconfig: Path of a kubeconfig of an administrator; the same after a new launch.
        ca_file: Path of the certificate of the authority, PEM.
        token_file: Path of the token of the load's user.
        admin_token_file: Path of the token of an administrator.
        processes: Process ids by component; empty if they are not on this machine.
        metrics: URLs of each component's Prometheus text.
        etcd_url: Client URL of etcd; empty if etcd cannot be reached.
        needs_organization_path: True if Projects are created through their Organization.
        can_restart: True if loads may restart the controllers of this build.
        has_usage: True if the usage of the containers is asked for instead of processes.
    """

    spec: str
    url: str
    kubeconfig: str
    ca_file: str
    token_file: str
    admin_token_file: str
    processes: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    etcd_url: str = ""
    needs_organization_path: bool = False
    can_restart: bool = False
    has_usage: bool = False


@dataclass(frozen=True, slots=True)
class Deployment:
    """The content of deployment.json.

    Attributes:
        state: State when the file was written; a keeper that was killed leaves `up` behind.
        environment: Kind of the environment.
        expires_at: Time at which it ends by itself, UTC.
        life_s: Seconds from the start until then.
        launch: Number of the launch, from 0; a new one begins before each further pair.
        loads: Number of loads that were begun on this launch.
        keeper: Process id of the keeper; 0 before it has started.
        arms: Builds in the order in which they were started; empty unless the state is `up`, or
            after one died before it could be loaded.
        reason: Reason why it ended; empty before.
    """

    state: DeploymentState
    environment: str
    expires_at: datetime
    life_s: float
    launch: int = 0
    loads: int = 0
    keeper: int = 0
    arms: Mapping[Arm, DeployedArm] = field(default_factory=dict)
    reason: str = ""
