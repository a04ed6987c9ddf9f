"""How a component in a cluster is reached from here: by a port of the node, or by port-forward."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.model.ports import Program
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.tls import ADDRESS

COMPONENTS = ("server", "etcd", "manager")
FIRST_NODE_PORT = 30081
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> ")
_FORWARD_S = 20.0


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A component in a cluster: the namespace and the name of its Pod, its arm, and its port."""

    namespace: str
    arm: Arm
    component: str
    port: int


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a component answers.

    Attributes:
        address: Host and port.
        exit_status: Function that returns how the port-forward ended; None while it is open.
    """

    address: str
    exit_status: Callable[[], processes.ExitStatus | None] = lambda: None


class Connector(Protocol):
    """What leads to the components of a namespace."""

    def node_ports(self, arm: Arm) -> Mapping[str, int]:
        """Return the node port that each component of an arm is to have; nothing for none."""
        ...

    def open(self, stack: ExitStack, end: ServiceRef, out: Path) -> Connection:
        """Return where a component answers, from now until the stack is closed.

        Args:
            stack: Closes the way.
            end: The component, which is ready.
            out: Folder for a log.

        Raises:
            LaunchError: There is no way.
        """
        ...


def node_ports(arm: Arm) -> dict[str, int]:
    """Return the node port of each component of an arm, in every kind cluster of ours."""
    first = FIRST_NODE_PORT + list(Arm).index(arm) * len(COMPONENTS)
    return {component: first + at for at, component in enumerate(COMPONENTS)}


@dataclass(frozen=True, slots=True)
class NodePortConnector:
    """Ports of loopback that lead to node ports, in the same order; see kind.py.

    Attributes:
        first: Number of the first one.
    """

    first: int

    def node_ports(self, arm: Arm) -> Mapping[str, int]:
        """See `Connector.node_ports`."""
        return node_ports(arm)

    def open(self, stack: ExitStack, end: ServiceRef, out: Path) -> Connection:
        """See `Connector.open`."""
        return Connection(
            f"{ADDRESS}:{self.first + node_ports(end.arm)[end.component] - FIRST_NODE_PORT}"
        )


@dataclass(frozen=True, slots=True)
class PortForwardConnector:
    """`kubectl port-forward`, one for each component; all requests go through the cluster's API.

    Attributes:
        kubectl: The program.
        kubeconfig: Its path, or empty for the usual one.
        context: Name of a context in it, or empty for the current one.
    """

    kubectl: Program
    kubeconfig: str = ""
    context: str = ""
    _none: Mapping[str, int] = field(default_factory=dict)

    def node_ports(self, arm: Arm) -> Mapping[str, int]:
        """See `Connector.node_ports`."""
        return self._none

    def open(self, stack: ExitStack, end: ServiceRef, out: Path) -> Connection:
        """See `Connector.open`."""
        log = out / f"forward-{end.component}-{end.arm}.log"
        service = stack.enter_context(
            processes.background(
                self._argv(end),
                name=f"the port-forward to {end.component} of the {end.arm}",
                output=log,
            )
        )
        found: list[str] = []

        def is_open() -> bool:
            text = log.read_text(encoding="utf-8", errors="replace")
            found[:] = _FORWARDED.findall(text)[:1]
            return bool(found)

        service.wait_ready(is_open, _FORWARD_S)
        return Connection(f"{ADDRESS}:{found[0]}", service.exit_status)

    def _argv(self, end: ServiceRef) -> list[str]:
        config = [f"--kubeconfig={Path(self.kubeconfig).expanduser()}"] if self.kubeconfig else []
        context = [f"--context={self.context}"] if self.context else []
        return [
            str(self.kubectl.path),
            *config,
            *context,
            f"--namespace={end.namespace}",
            "port-forward",
            f"--address={ADDRESS}",
            f"pod/{end.component}",
            f":{end.port}",
        ]


def until(condition: Callable[[], bool], timeout_s: float, pause_s: float = 0.2) -> bool:
    """Return whether a condition came true within some seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True
