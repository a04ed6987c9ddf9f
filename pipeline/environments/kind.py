"""Subjects in a kind cluster of our own: made, found again, and deleted."""

import hashlib
import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import StringConstraints

from pipeline.environments.api import Api, ClusterError
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import COMPONENTS, FIRST_NODE_PORT, NodePortConnector
from pipeline.environments.images import Image, pack
from pipeline.model.ports import Program
from pipeline.model.subject import Arm
from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError, PipelineError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log, step
from pipeline.system.tls import ADDRESS

_CONFIG_LABEL = "milo-perf/config"
_PORT_LABEL = "milo-perf/port"
_PORTS = len(Arm) * len(COMPONENTS)
_PORT_RANGE = range(32_000, 60_000, _PORTS)
_UP_S, _DOWN_S, _LOAD_S = 900.0, 120.0, 300.0
_NO_ENGINE = "kind needs Docker or Podman: does `docker info` or `podman info` answer?"


class KindSettings(ClusterSettings):
    """A cluster of one node, in a container of this machine.

    Attributes:
        name: Of the cluster.
        node_image: Image of its node; empty for the one that kind itself names.
        keep: Whether a cluster that a run has made stays when the run ends.
    """

    kind: Literal["kind"] = "kind"
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")] = "milo-perf"
    node_image: str = ""
    keep: bool = False

    start_s: ClassVar[float] = 25.0
    is_here: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that it wants."""
        return ("etcd", "kind", *self.needs_of_load)

    @property
    def facts(self) -> dict[str, str]:
        """What makes its numbers comparable only with those of the same."""
        return {
            "environment": self.kind,
            "node image": self.node_image or "of kind",
            **self.facts_of_load,
        }

    @contextmanager
    def opened(self, programs: Mapping[str, Program]) -> Iterator[ClusterEnvironment]:
        """Enter with what launches subjects; a cluster that was not there is made meanwhile.

        Raises:
            LaunchError: There is no engine, or the cluster cannot be made or is not ours.
        """
        cluster = KindCluster(self, programs["kind"])
        with ExitStack() as stack:
            if not cluster.is_there():
                if not self.keep:
                    stack.callback(cluster.down_if_made)
                cluster.make()
            api, port = cluster.found()
            yield ClusterEnvironment(
                settings=self,
                api=api,
                programs=programs,
                connector=NodePortConnector(port),
                image=cluster.image,
                is_here=True,
            )


@dataclass(frozen=True, slots=True)
class KindCluster:
    """One cluster, by its name.

    Attributes:
        settings: Of the environment.
        program: kind.
    """

    settings: KindSettings
    program: Program
    _loaded: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Return where its configuration, kubeconfig and log are; it is there as long as it is."""
        return paths.cache() / "kind" / self.settings.name

    @property
    def kubeconfig(self) -> Path:
        """Return the path of its kubeconfig; yours is left alone."""
        return self.folder / "kubeconfig"

    def is_there(self) -> bool:
        """Return whether there is a cluster of this name.

        Raises:
            LaunchError: No engine answers.
        """
        said = processes.capture([str(self.program.path), "get", "clusters"])
        if said is None:
            raise LaunchError("kind cannot list its clusters", hint=_NO_ENGINE)
        return self.settings.name in said.split()

    def make(self) -> None:
        """Make the cluster; what is there of it is deleted when that fails.

        Raises:
            LaunchError: It cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "config.yaml"
        path.write_text(json.dumps(self.config(free_ports())), encoding="utf-8")  # JSON is YAML
        name = self.settings.name
        command = ["create", "cluster", f"--name={name}", f"--config={path}", "--wait=180s"]
        try:
            with step(f"make the kind cluster {name}"):
                self._run([*command, f"--kubeconfig={self.kubeconfig}"], _UP_S)
        except BaseException:  # Ctrl-C too: a container of the engine does not end with us
            self.down()
            raise

    def found(self) -> tuple[Api, int]:
        """Return a client of the cluster, and its first port on loopback.

        Raises:
            LaunchError: It is not one that we made with these settings.
        """
        name = self.settings.name
        said = processes.capture([str(self.program.path), "get", "kubeconfig", f"--name={name}"])
        if not said:
            raise LaunchError(f"kind gives no kubeconfig of the cluster {name}", hint=self._again())
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(said, encoding="utf-8")
        api = Api(str(self.kubeconfig))
        try:
            (node,) = api.request("GET", "/api/v1/nodes")["items"]
            labels = node["metadata"].get("labels", {})
        except (ClusterError, KeyError, ValueError) as error:
            raise LaunchError(
                f"the cluster {name} is not as we make one: {error}", hint=self._again()
            ) from error
        if labels.get(_CONFIG_LABEL) != self._digest() or not labels.get(_PORT_LABEL):
            raise LaunchError(
                f"the kind cluster {name} was made by somebody else, or with other settings",
                hint=self._again(),
            )
        there = node.get("status", {}).get("images") or ()
        self._loaded.update(name for image in there for name in image.get("names") or ())
        return api, int(labels[_PORT_LABEL])

    def down(self) -> None:
        """Delete the cluster with all that is in it.

        Raises:
            LaunchError: We did not make one of this name, or it cannot be deleted.
        """
        name = self.settings.name
        if not self.folder.is_dir():
            raise LaunchError(
                f"milo-perf did not make a kind cluster {name} here, and deletes no other's",
                hint=f"to delete it all the same: kind delete cluster --name {name}",
            )
        kubeconfig = f"--kubeconfig={self.kubeconfig}"
        self._run(["delete", "cluster", f"--name={name}", kubeconfig], _DOWN_S)
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
        log.info("the kind cluster %s is deleted", name)

    def down_if_made(self) -> None:
        """Delete the cluster unless that was done already, as after one that could not be made."""
        if self.folder.is_dir():
            self.down()

    def image(self, name: str, programs: Mapping[str, Path], digest: str) -> Image:
        """Return an image of programs that is on the node.

        Raises:
            LaunchError: It cannot be packed or loaded.
        """
        image = pack(name, programs, digest)
        if image.reference not in self._loaded:
            command = ["load", "image-archive", str(image.archive)]
            self._run([*command, f"--name={self.settings.name}"], _LOAD_S)
            self._loaded.add(image.reference)
        return image

    def config(self, first_port: int) -> dict[str, Any]:
        """Return what kind makes the cluster from.

        Args:
            first_port: Of loopback, followed by one for each component of each arm.
        """
        node: dict[str, Any] = {
            "role": "control-plane",
            "labels": {_CONFIG_LABEL: self._digest(), _PORT_LABEL: str(first_port)},
            "extraPortMappings": [
                {
                    "containerPort": FIRST_NODE_PORT + at,
                    "hostPort": first_port + at,
                    "listenAddress": ADDRESS,
                    "protocol": "TCP",
                }
                for at in range(_PORTS)
            ],
        }
        if self.settings.node_image:
            node["image"] = self.settings.node_image
        return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]}

    def _digest(self) -> str:
        """Return what tells clusters apart that need different settings; a label of a node."""
        decides = [self.settings.node_image, self.program.version, FIRST_NODE_PORT, _PORTS]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]

    def _run(self, arguments: Sequence[str], timeout_s: float) -> None:
        output = self.folder / "kind.log"
        output.unlink(missing_ok=True)
        try:
            with exclusive_lock(paths.cache() / "kind.lock", "changing a kind cluster"):
                processes.run(
                    [str(self.program.path), *arguments],
                    output=output,
                    timeout_s=timeout_s,
                )
        except PipelineError as error:
            raise LaunchError(
                f"kind: {error}", hint=f"{_reason(error.hint)}{error.hint}"
            ) from error

    def _again(self) -> str:
        return "`milo-perf kind down` deletes it; or set another `name` in [environment]"


def _reason(said: str) -> str:
    """Return what helps against a failure of kind, as a line; nothing where only its log can."""
    if re.search(r"address already in use|port is already allocated", said):
        return "a port was taken meanwhile: try again\n"
    if re.search(r"failed to pull image|pull access denied|no such image", said, re.IGNORECASE):
        return "the node's image cannot be pulled: load it yourself, and set `node_image`\n"
    if re.search(r"cannot connect to the docker daemon|permission denied", said, re.IGNORECASE):
        return f"{_NO_ENGINE}\n"
    return ""


def free_ports() -> int:
    """Return the first of as many ports of loopback in a row as are needed, all free just now."""
    for first in _PORT_RANGE:
        with ExitStack() as stack:
            try:
                for at in range(_PORTS):
                    sock = stack.enter_context(socket.socket())
                    sock.bind((ADDRESS, first + at))
            except OSError:
                continue
            return first
    raise LaunchError("no six ports in a row are free on loopback", hint="stop what has them")
