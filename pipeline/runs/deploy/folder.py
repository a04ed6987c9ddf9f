"""The folder of a deployment: a run's folder with deployment.json, a socket and locks."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.deployment import KUBECONFIGS, SOCKET, Deployment, DeploymentState
from pipeline.model.subject import Arm
from pipeline.storage import codec
from pipeline.system import terminal
from pipeline.system.errors import ConfigError

DEPLOYMENT = "deployment.json"


@dataclass(frozen=True, slots=True)
class DeploymentFolder:
    """The folder of a deployment, new or existing."""

    path: Path

    @property
    def file(self) -> Path:
        """Path of deployment.json."""
        return self.path / DEPLOYMENT

    @property
    def log(self) -> Path:
        """Path of the keeper's log."""
        return self.path / "keeper.log"

    @property
    def error(self) -> Path:
        """Path of the error that ended the keeper."""
        return self.path / "keeper.error"

    @property
    def socket(self) -> Path:
        """Path of the socket at which the keeper answers."""
        return self.path / SOCKET

    def launch(self, number: int) -> Path:
        """Return the path of the logs and keys of a launch."""
        return self.path / "launches" / f"{number:03}"

    def kubeconfig(self, arm: Arm) -> Path:
        """Return the path of the kubeconfig of a build, a link into the present launch."""
        return self.path / KUBECONFIGS[arm]

    def read(self) -> Deployment:
        """Return what deployment.json says.

        Raises:
            ConfigError: The folder has none.
            BaselineError: The file cannot be read.
        """
        if not self.file.is_file():
            raise ConfigError(
                f"{self.path} is not the folder of a deployment",
                hint="create one: milo-perf deploy --candidate SPEC --against SPEC --out DIR",
            )
        return codec.DEPLOYMENT.read(self.file)

    def write(self, deployment: Deployment) -> None:
        """Write deployment.json."""
        codec.DEPLOYMENT.write(self.file, deployment)

    def is_kept(self) -> bool:
        """Return True if a keeper is alive."""
        path = self.path / "keeper.lock"
        return path.is_file() and not _can_lock(path)

    def require_up(self) -> Deployment:
        """Return the deployment, which must be up.

        Raises:
            ConfigError: The deployment is not up; the hint says how to start it again.
        """
        deployment = self.read()
        if deployment.state is DeploymentState.UP and self.is_kept():
            return deployment
        reason = deployment.reason or "its keeper is gone"
        if deployment.state is DeploymentState.STARTING and self.is_kept():
            raise ConfigError(f"the deployment in {self.path} is still starting", hint="wait")
        raise ConfigError(
            f"the deployment in {self.path} is not up: {reason}",
            hint="start the same builds again:"
            f" {terminal.command('deploy', '--resume', self.path)}",
        )

    @contextmanager
    def hold_lock(self, name: str, error: ConfigError) -> Iterator[None]:
        """Hold a lock of this folder; raise the error at once if another process holds it."""
        handle = os.open(self.path / name, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise error from None
            yield
        finally:
            os.close(handle)


def _can_lock(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
