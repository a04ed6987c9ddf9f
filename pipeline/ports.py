"""The seams to the outside world.

Adapters implement these; nothing else in the pipeline knows an adapter's name.  A driver knows no
environment and an environment no driver.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import LoadError
from pipeline.model.results import Reading
from pipeline.model.subject import Arm, Product, Subject


@dataclass(frozen=True, slots=True)
class Artifact:
    """A subject that is ready to be started.

    Attributes:
        subject: What it is.
        binary: Path of the program.
        product: What it is, and so how it is started.
        arguments: Added to the API server's own, such as `--fault=slow-create=20ms`.
        manager_arguments: Added to the controller-manager's own, where there is one.
        variables: Added to the environment of every process of the subject.
        image: Reference of the container image that it is; then there is no program at hand.
    """

    subject: Subject
    binary: Path
    product: Product = Product.REFERENCE
    arguments: tuple[str, ...] = ()
    manager_arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    image: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A tool that is ready to be run: path, version and `sha256:…` of the binary."""

    path: Path
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container had used: at which Unix time and how much CPU in s, and memory in B.

    The memory is its working set, which is what counts against a limit.
    """

    time_s: float
    cpu_s: float
    memory: int


@dataclass(frozen=True, slots=True)
class Target:
    """A subject that answers requests.

    Attributes:
        url: Base URL of the API server, without a trailing slash.
        ca_file: PEM file of the authority that signed the server's certificate.
        token_file: File with the bearer token of the load's user.
        admin_token_file: File with the bearer token of an administrator, for probes.
        processes: Process ids by component (`server`, `etcd`, and `manager` where there is a
            controller-manager); empty where they are not on this machine.
        metrics: URL of each component's Prometheus text; a URL of `https:` wants the
            administrator's token.
        etcd_url: Client URL of etcd, or empty where it cannot be reached.
        check: Raises LoadError when a component has died; does nothing otherwise.
        usage: Asks what the container of each component has used, where the processes cannot be
            seen; raises LoadError.  None where they can.
    """

    url: str
    ca_file: Path
    token_file: Path
    admin_token_file: Path
    processes: Mapping[str, int]
    metrics: Mapping[str, str]
    etcd_url: str
    check: Callable[[], None]
    usage: Callable[[], Mapping[str, Usage]] | None = None

    def admin_token(self) -> str:
        """Return the bearer token of an administrator.

        Raises:
            LoadError: Its file cannot be read.
        """
        try:
            return self.admin_token_file.read_text(encoding="utf-8")
        except OSError as error:
            raise LoadError(
                f"the administrator's token cannot be read: {error.strerror}"
            ) from error


@dataclass(frozen=True, slots=True)
class Span:
    """The steady part of a load, in seconds of Unix time.

    Attributes:
        start_s: When it began.
        end_s: When it ended.
        marks: Ends of the cycles of a load that repeats itself, rising; empty for other loads.
    """

    start_s: float
    end_s: float
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """What a driver did.

    Attributes:
        readings: By arm.
        spans: While the load of each arm was steady, for its probes.
        invalid: Why the load was not as asked; empty when it counts.
        warnings: What a reader should know of a load that counts.
    """

    readings: Mapping[Arm, tuple[Reading, ...]]
    spans: Mapping[Arm, Span]
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Environment(Protocol):
    """Somewhere to run subjects."""

    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> AbstractContextManager[Mapping[Arm, Target]]:
        """Start every artifact, in the mapping's order; enter when all answer.

        Leaving stops everything that was started, whatever happened.

        Args:
            artifacts: One or both arms.
            out: Existing folder that receives the log of every process.

        Raises:
            LaunchError: One did not become ready.
        """
        ...


class Driver(Protocol):
    """Something that applies one workload."""

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """Apply the load once.

        Args:
            targets: One or both arms; with both, each iteration goes to one of them.
            out: Existing empty folder for the driver's raw output.
            seed: Of every random choice, such as the arm of an iteration.

        Raises:
            LoadError: The load could not be applied, so nothing was measured.
        """
        ...


class Watch(Protocol):
    """A probe at work."""

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """Return what was seen during the span; called once, after the load."""
        ...


class Probe(Protocol):
    """What watches one target while a workload runs."""

    def watch(self, target: Target, out: Path) -> AbstractContextManager[Watch]:
        """Begin to watch; leaving the context ends it.

        Args:
            target: What is watched.
            out: Existing folder for raw observations.
        """
        ...
