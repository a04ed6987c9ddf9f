"""One address for the replicas of a component, and the replica that leads."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.model.ports import Program, Target
from pipeline.model.replicas import component_of
from pipeline.system import http_client, processes
from pipeline.system.errors import LoadError, NetworkError

_READY_S = 20.0
_GOROUTINES = re.compile(r"^go_goroutines (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Frontend:
    """The address at which clients reach a component.

    Attributes:
        url: Base URL.
        check: Function that raises LoadError if a balancer at that address has ended.
    """

    url: str
    check: Callable[[], None] = lambda: None

    def with_check(self, other: Callable[[], None]) -> "Frontend":
        """Return the address with a further check."""

        def check() -> None:
            self.check()
            other()

        return replace(self, check=check)


def start_balancer(
    stack: ExitStack, program: Program, urls: Sequence[str], name: str, *, out: Path, private: Path
) -> Frontend:
    """Start a balancer before several replicas, until the stack is closed.

    Args:
        stack: Stack that stops the balancer.
        program: The balancer.
        urls: Base URLs of the replicas, which differ in nothing but host and port.
        name: Name for messages and of the log.
        out: Existing folder for the log.
        private: Existing folder for the file with its address.
    """
    address = private / f"{name}.address"
    address.unlink(missing_ok=True)
    backends = ",".join(urlsplit(url).netloc for url in urls)
    argv = [str(program.path), f"--backends={backends}", f"--address-file={address}"]
    service = stack.enter_context(
        processes.background(argv, name=name.replace("-", " "), output=out / f"{name}.log")
    )
    service.wait_ready(address.is_file, _READY_S)

    def check() -> None:
        if status := service.exit_status():
            raise LoadError(
                f"the {service.name} {status} while it was needed",
                hint=processes.log_tail(service.output),
            )

    scheme = urlsplit(urls[0]).scheme
    return Frontend(f"{scheme}://{address.read_text(encoding='ascii').strip()}", check)


def find_leader(target: Target) -> str:
    """Return the name of the controller-manager that leads.

    Only the leader runs the controllers, so it has the most goroutines: one Project adds some
    hundred.  A manager that does not answer does not lead.
    """
    token = target.admin_token()
    sizes = {}
    for name, url in target.metrics.items():
        if component_of(name) != "manager":
            continue
        ca_file = target.ca_file if url.startswith("https:") else None
        try:
            match = _GOROUTINES.search(http_client.text(url, ca_file=ca_file, token=token))
        except NetworkError:
            match = None
        sizes[name] = float(match[1]) if match else 0.0
    return max(sizes, key=lambda name: sizes[name])
