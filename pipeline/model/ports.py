"""The seams to the outside world.

Adapters implement these; nothing else in the pipeline knows an adapter's name.  A driver knows no
environment and an environment no driver.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.model.results import Reading
from pipeline.model.subject import Arm, Product, Subject
from pipeline.system.errors import LoadError


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


KUBELET_EVERY_S, KUBELET_LATE_S = 5.0, 25.0
"""Seconds between two questions about usage to a kubelet, which looks every 10 to 15 itself, and
how long after a load a look of its is waited for."""

FILES_IN_POD, SECRETS_IN_POD, KEPT_IN_POD = Path("/files"), Path("/secrets"), Path("/kept")
"""Where a load pod sees what it is given, and where it leaves what it has measured."""


@dataclass(frozen=True, slots=True)
class Helper:
    """A program that another needs beside it in a pod.

    Attributes:
        program: It.
        args: A list for each pod, with paths as a pod sees them.
        address: At which it listens.
    """

    program: Program
    args: tuple[tuple[str, ...], ...]
    address: str


@dataclass(frozen=True, slots=True)
class PodWork:
    """What load pods do together.

    Attributes:
        name: Of what is run, for messages.
        program: k6, or another that applies a load.
        args: Of `k6 run`, of which each pod does its share; of another program a list for each pod.
            Paths are as a pod sees them.
        log: Name of the file that gets what the program says.
        variables: Of its environment.
        files: That anybody may read, by path below `FILES_IN_POD`.
        secrets: By path below `SECRETS_IN_POD`.
        longest_s: Seconds after which the load is given up.
        is_k6: Whether it is k6, with one setup for all.
        helpers: What another program needs beside it, in the order in which they are started.
    """

    name: str
    program: Program
    args: tuple[tuple[str, ...], ...]
    log: str
    variables: Mapping[str, str]
    files: Mapping[str, bytes]
    secrets: Mapping[str, bytes]
    longest_s: float
    is_k6: bool = True
    helpers: tuple[Helper, ...] = ()


@dataclass(frozen=True, slots=True)
class PodDone:
    """What became of one load pod.

    Attributes:
        name: Such as `load pod 2 of 4`.
        folder: Holds every file that it kept, as large as it was there and with the same checksum.
        exit: Code of the program; 0 where it is lost.
        began_s: Unix time at which the program began, by the clock of its node.
        ended_s: Unix time at which it ended.
        cpu_share: Of the processors that it may use, between 0 and 1.
        lost: Why there is nothing of it, or empty.
    """

    name: str
    folder: Path
    exit: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    cpu_share: float = 0.0
    lost: str = ""


class LoadPods(Protocol):
    """Pods beside the servers, from which a load comes instead of from this machine."""

    def run(self, work: PodWork, out: Path, check: Callable[[], None]) -> tuple[PodDone, ...]:
        """Run the work once, and return what became of each pod, in their order.

        Args:
            work: What they do.
            out: Existing folder; receives one for each pod.
            check: Raises LoadError when a target has died; called often.

        Raises:
            LoadError: The pods could not be started, or a target died meanwhile.
        """
        ...


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
        check: Raises SubjectDiedError when a component has died, LoadError when it was taken away;
            does nothing otherwise.
        usage: Asks what the container of each component has used, where the processes cannot be
            seen; raises LoadError.  None where they can.
        pods: Where the load comes from; None for this machine.
        url_in_pods: Base URL of the API server as those pods reach it.
        metrics_in_pods: As `metrics`, from there.
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
    pods: LoadPods | None = None
    url_in_pods: str = ""
    metrics_in_pods: Mapping[str, str] = field(default_factory=dict)

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
        invalid: Why the generator did not do its part; empty when the load counts.
        warnings: What a reader should know of a load that counts.
        failing: Why an arm may have had no load worth the name, such as requests most of which
            failed.  Of one arm that is a measurement; of every arm of a pair the load was wrong.
        failed: Why an arm could not be prepared for the load, or did not come to its end: that arm
            has failed the workload, and what was read of either does not count.
    """

    readings: Mapping[Arm, tuple[Reading, ...]]
    spans: Mapping[Arm, Span]
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failing: Mapping[Arm, str] = field(default_factory=dict)
    failed: Mapping[Arm, str] = field(default_factory=dict)


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
