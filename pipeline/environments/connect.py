"""Connect to a component in a cluster, by a port of the node or by `kubectl port-forward`."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.model.ports import Program
from pipeline.model.subject import Arm
from pipeline.system import paths, processes
from pipeline.system.tls import ADDRESS

COMPONENTS = ("server", "etcd", "manager")
FIRST_NODE_PORT = 30081
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> ")
_PORT_FORWARD_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A component of an arm: namespace and name of its Pod and Service, and its port."""

    namespace: str
    arm: Arm
    component: str
    port: int


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection to a component.

    Attributes:
        address: Host and port on this machine.
        exit_status: Function that returns how the port-forward ended; None while it is open.
    """

    address: str
    exit_status: Callable[[], processes.ExitStatus | None] = lambda: None


class Connector(Protocol):
    """Opens connections to the components of a launch."""

    def node_ports(self, arm: Arm) -> Mapping[str, int]:
        """Return the node port that each component of an arm must have; empty for none."""
        ...

    def open(self, stack: ExitStack, service: ServiceRef, out: Path) -> Connection:
        """Open a connection to a component that is ready, until the stack is closed.

        A log is written into `out`.

        Raises:
            LaunchError: There is no connection.
        """
        ...


@dataclass(frozen=True, slots=True)
class NodePortConnector:
    """Connects by loopback ports that kind maps to the node ports in the same order."""

    first: int

    def node_ports(self, arm: Arm) -> Mapping[str, int]:
        """Return the ports, which are fixed in our kind clusters."""
        first = FIRST_NODE_PORT + list(Arm).index(arm) * len(COMPONENTS)
        return {component: first + index for index, component in enumerate(COMPONENTS)}

    def open(self, stack: ExitStack, service: ServiceRef, out: Path) -> Connection:
        """See `Connector.open`."""
        offset = self.node_ports(service.arm)[service.component] - FIRST_NODE_PORT
        return Connection(f"{ADDRESS}:{self.first + offset}")


@dataclass(frozen=True, slots=True)
class PortForwardConnector:
    """Connects by one `kubectl port-forward` for each component, through the cluster's API.

    An empty kubeconfig or context is the default one.
    """

    kubectl: Program
    kubeconfig: str = ""
    context: str = ""

    def node_ports(self, arm: Arm) -> Mapping[str, int]:
        """See `Connector.node_ports`."""
        return {}

    def open(self, stack: ExitStack, service: ServiceRef, out: Path) -> Connection:
        """See `Connector.open`."""
        log = out / f"forward-{service.component}-{service.arm}.log"
        config = [f"--kubeconfig={paths.expand(self.kubeconfig)}"] if self.kubeconfig else []
        context = [f"--context={self.context}"] if self.context else []
        process = stack.enter_context(
            processes.background(
                [
                    str(self.kubectl.path),
                    *config,
                    *context,
                    f"--namespace={service.namespace}",
                    "port-forward",
                    f"--address={ADDRESS}",
                    f"pod/{service.component}",
                    f":{service.port}",
                ],
                name=f"the port-forward to {service.component} of the {service.arm}",
                output=log,
            )
        )
        ports: list[str] = []

        def is_open() -> bool:
            text = log.read_text(encoding="utf-8", errors="replace")
            ports[:] = _FORWARDED.findall(text)[:1]
            return bool(ports)

        process.wait_ready(is_open, _PORT_FORWARD_TIMEOUT_S)
        return Connection(f"{ADDRESS}:{ports[0]}", process.exit_status)


def wait_until(condition: Callable[[], bool], timeout_s: float, pause_s: float = 0.2) -> bool:
    """Return True as soon as a condition is true, or False after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True
