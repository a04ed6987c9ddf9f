"""Start subjects in a kind cluster, which is created and deleted here."""

import hashlib
import json
import os
import re
import shutil
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
from pipeline.environments.connect import (
    COMPONENTS,
    FIRST_NODE_PORT,
    Connector,
    NodePortConnector,
    PortForwardConnector,
)
from pipeline.environments.images import Image, pack
from pipeline.environments.profile import profile_checks
from pipeline.model.health import Check, Status
from pipeline.model.ports import Program
from pipeline.model.subject import Arm
from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError, PipelineError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log, step
from pipeline.system.tls import ADDRESS
from pipeline.toolchain.programs import kind, recipe, user_kind

_CONFIG_LABEL = "milo-perf/config"
_PORT_LABEL = "milo-perf/port"
_PORTS = len(Arm) * len(COMPONENTS)
_PROVIDER = "KIND_EXPERIMENTAL_PROVIDER"
_ENGINES = ("docker", "podman", "nerdctl")
_PORT_RANGE = range(32_000, 60_000, _PORTS)
_UP_S, _DOWN_S, _LOAD_S = 900.0, 120.0, 300.0
_RECREATE = "`milo-perf kind down` deletes it; or set another `name` in [environment]"
_NOT_OURS = "set another `name` in [environment], or delete it: kind delete cluster --name NAME"
_DOCKER_SOCKET = "/var/run/docker.sock"
_GET_RIGHTS = 'sudo usermod -aG docker "$USER"  # then log in again'
_NO_ENGINE = "kind needs Docker or Podman: does `docker info` or `podman info` answer?"


class KindSettings(ClusterSettings):
    """Settings of a kind cluster: one node, in a container of this machine.

    Attributes:
        name: Name of the cluster.
        node_image: Image of the node; empty for kind's default.
        keep: True to keep a cluster that a run has created.
    """

    kind: Literal["kind"] = "kind"
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")] = "milo-perf"
    node_image: str = ""
    keep: bool = False

    is_here: ClassVar[bool] = True
    usual_start_s: ClassVar[float] = 25.0
    cluster_program: ClassVar[str] = "kind"
    direct_path: ClassVar[str] = "loopback only"

    @property
    def folder(self) -> Path:
        """Folder with configuration and kubeconfig; it exists as long as the cluster."""
        return paths.cache() / "kind" / self.name

    @property
    def facts(self) -> dict[str, str]:
        """See `EnvironmentSettings.facts`."""
        image = self.node_image or "of kind"
        return {"environment": self.kind, "node image": image, **self.load_facts()}

    def checks(self) -> list[Check]:
        """See `EnvironmentSettings.checks`."""
        return [*_checks(self), *profile_checks(self)]

    @contextmanager
    def open(self, programs: Mapping[str, Program]) -> Iterator[ClusterEnvironment]:
        """Enter with the cluster, which is created if it does not exist, and deleted at the end."""
        cluster = KindCluster(self, programs["kind"])
        with ExitStack() as stack:
            if not cluster.exists():
                if not self.keep:
                    stack.callback(cluster.delete_if_created)
                cluster.create()
            api, port = cluster.connect()
            connector: Connector = NodePortConnector(port)
            if self.has_replicas:
                connector = PortForwardConnector(programs["kubectl"], str(cluster.kubeconfig))
            yield ClusterEnvironment(
                settings=self,
                api=api,
                programs=programs,
                connector=connector,
                image=cluster.image,
                is_here=True,
            )


@dataclass(frozen=True, slots=True)
class KindCluster:
    """A kind cluster, by its name; each method raises LaunchError if kind or the cluster fails."""

    settings: KindSettings
    program: Program
    _loaded: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """See `KindSettings.folder`."""
        return self.settings.folder

    @property
    def kubeconfig(self) -> Path:
        """Path of its kubeconfig; the user's own is not changed."""
        return self.folder / "kubeconfig"

    def exists(self) -> bool:
        """Return True if there is a cluster of this name."""
        names = processes.capture([str(self.program.path), "get", "clusters"])
        if names is None:
            raise LaunchError("kind cannot list its clusters", hint=_NO_ENGINE)
        return self.settings.name in names.split()

    def create(self) -> None:
        """Create the cluster; delete it again if that fails."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "config.yaml"
        path.write_text(json.dumps(self.config(free_ports())), encoding="utf-8")  # JSON is YAML
        name = self.settings.name
        command = ["create", "cluster", f"--name={name}", f"--config={path}", "--wait=180s"]
        try:
            with step(f"create the kind cluster {name}"):
                self._run([*command, f"--kubeconfig={self.kubeconfig}"], _UP_S)
        except BaseException:  # Ctrl-C too: the engine's containers do not end with us
            self.delete()
            raise

    def connect(self) -> tuple[Api, int]:
        """Return a client of a cluster with these settings, and its first port on loopback."""
        is_new = not self.folder.is_dir()
        try:
            return self._connect(_NOT_OURS if is_new else _RECREATE)
        except BaseException:
            if is_new:  # a cluster with a folder is ours, and `delete` deletes it
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _connect(self, hint: str) -> tuple[Api, int]:
        """See `connect`; the hint says what to do about a cluster that cannot be used."""
        name = self.settings.name
        text = processes.capture([str(self.program.path), "get", "kubeconfig", f"--name={name}"])
        if not text:
            raise LaunchError(f"kind gives no kubeconfig of the cluster {name}", hint=hint)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(text, encoding="utf-8")
        api = Api(str(self.kubeconfig))
        try:
            (node,) = api.request("GET", "/api/v1/nodes")["items"]
            labels = node["metadata"].get("labels", {})
        except (ClusterError, KeyError, ValueError) as error:
            raise LaunchError(
                f"the cluster {name} is not one of ours: {error}", hint=hint
            ) from error
        if labels.get(_CONFIG_LABEL) != self._digest() or not labels.get(_PORT_LABEL):
            raise LaunchError(
                f"the kind cluster {name} was created by somebody else, or with other settings",
                hint=hint,
            )
        images = node.get("status", {}).get("images") or ()
        self._loaded.update(name for image in images for name in image.get("names") or ())
        return api, int(labels[_PORT_LABEL])

    def delete(self) -> None:
        """Delete the cluster, which must be ours."""
        name = self.settings.name
        require_ours(self.settings)
        kubeconfig = f"--kubeconfig={self.kubeconfig}"
        self._run(["delete", "cluster", f"--name={name}", kubeconfig], _DOWN_S)
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
        log.info("the kind cluster %s is deleted", name)

    def delete_if_created(self) -> None:
        """Delete the cluster, unless a failed creation has deleted it already."""
        if self.folder.is_dir():
            self.delete()

    def image(self, name: str, programs: Mapping[str, Path], digest: str) -> Image:
        """Return an image of programs, loaded onto the node."""
        image = pack(name, programs, digest)
        if image.reference not in self._loaded:
            command = ["load", "image-archive", str(image.archive)]
            self._run([*command, f"--name={self.settings.name}"], _LOAD_S)
            self._loaded.add(image.reference)
        return image

    def config(self, first_port: int) -> dict[str, Any]:
        """Return the configuration for `kind create cluster`, with consecutive loopback ports."""
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
        """Return a digest of all that the cluster is created with; it is a label of the node."""
        inputs = [self.settings.node_image, self.program.version, FIRST_NODE_PORT, _PORTS]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]

    def _run(self, arguments: Sequence[str], timeout_s: float) -> None:
        try:
            with exclusive_lock(paths.cache() / "kind.lock", "changing a kind cluster"):
                processes.run_for_output([str(self.program.path), *arguments], timeout_s=timeout_s)
        except PipelineError as error:
            raise LaunchError(
                f"kind: {error}", hint=f"{_advice(error.hint)}{error.hint}"
            ) from error


def _advice(output: str) -> str:
    if re.search(r"address already in use|port is already allocated", output):
        return "another program has taken a port: try again\n"
    if re.search(r"failed to pull image|pull access denied|no such image", output, re.IGNORECASE):
        return "the node's image cannot be pulled: load it yourself, and set `node_image`\n"
    if re.search(r"cannot connect to the docker daemon|permission denied", output, re.IGNORECASE):
        return f"{_NO_ENGINE}\n"
    return ""


def free_ports() -> int:
    """Return the first of consecutive free loopback ports, one for each component of each arm."""
    for first in _PORT_RANGE:
        with ExitStack() as stack:
            try:
                for at in range(_PORTS):
                    sock = stack.enter_context(socket.socket())
                    sock.bind((ADDRESS, first + at))
            except OSError:
                continue
            return first
    raise LaunchError(
        f"no {_PORTS} consecutive ports are free on loopback",
        hint="stop the programs that use them",
    )


def require_ours(settings: KindSettings) -> None:
    """Return if milo-perf created the cluster of this name; otherwise raise LaunchError."""
    if not settings.folder.is_dir():
        raise LaunchError(
            f"milo-perf did not create the kind cluster {settings.name}, so it does not delete it",
            hint=f"to delete it anyway: kind delete cluster --name {settings.name}",
        )


def require_engine() -> None:
    """Return if a container engine answers; otherwise raise LaunchError, which names the reason."""
    engine, _ = _engine()
    if engine.status is Status.MISSING:
        raise LaunchError(f"{engine.name}: {engine.found}", hint=engine.fix)


def _checks(settings: KindSettings) -> Iterator[Check]:
    engine, name = _engine()
    yield engine
    try:
        own = user_kind()
        built = recipe("kind")
    except PipelineError as error:
        yield Check("kind", Status.MISSING, str(error), error.hint)
        return
    if own is None:
        found = f"not on the path: {built.title} is built, unless it is in the cache"
        yield Check("kind", Status.OK, found, cost=built.cost)
    else:
        yield Check("kind", Status.OK, str(own))
    if engine.status is Status.OK:
        yield _cluster_check(settings) if own else _container_check(settings, name)


def _engine() -> tuple[Check, str]:
    """Return the check of the container engine, and the name of its program."""
    title = "container engine"
    chosen = os.environ.get(_PROVIDER, "")  # kind obeys it; otherwise it takes the first one
    names = (chosen,) if chosen in _ENGINES else _ENGINES
    name = next((one for one in names if shutil.which(one)), "")
    if not name:
        found = f"none of {', '.join(names)} is on the path"
        return Check(title, Status.MISSING, found, "sudo apt-get install docker.io"), name
    if processes.capture([name, "info"]) is not None:
        return Check(title, Status.OK, f"{name} answers"), name
    socket_path = _docker_socket()
    if name == "docker" and socket_path.exists() and not os.access(socket_path, os.W_OK):
        found = f"this user may not use {socket_path}"
        return Check(title, Status.MISSING, found, _GET_RIGHTS), name
    return Check(title, Status.MISSING, f"`{name} info` fails", f"start it; try: {name} info"), name


def _docker_socket() -> Path:
    """Return the path of Docker's socket on this machine; it may not exist."""
    host = os.environ.get("DOCKER_HOST", "")
    return Path(host.removeprefix("unix://") if host.startswith("unix://") else _DOCKER_SOCKET)


def _container_check(settings: KindSettings, engine: str) -> Check:
    """Check, without kind, that no cluster of this name is somebody else's."""
    label = f"label=io.x-k8s.kind.cluster={settings.name}"
    containers = processes.capture([engine, "ps", "--all", "--quiet", "--filter", label])
    if containers and containers.strip() and not settings.folder.is_dir():
        found = f"the kind cluster {settings.name} was created by somebody else"
        return Check("kind cluster", Status.MISSING, found, _NOT_OURS)
    return Check("kind cluster", Status.OK, f"no cluster {settings.name} of somebody else")


def _cluster_check(settings: KindSettings) -> Check:
    try:
        cluster = KindCluster(settings, kind())
        if not cluster.exists():
            found = "not there: a run creates it, and deletes it at its end"
            return Check("kind cluster", Status.OK, found, cost="about a minute, without the image")
        cluster.connect()
    except PipelineError as error:
        return Check("kind cluster", Status.MISSING, str(error), error.hint)
    return Check("kind cluster", Status.OK, f"{settings.name} runs, and is ours")
