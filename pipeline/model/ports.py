"""Interfaces between the pipeline and the outside world.

Drivers, environments and probes implement these protocols.  A driver knows no environment, and an
environment no driver.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from pipeline.model.health import Check
from pipeline.model.reading_names import ReadingNames
from pipeline.model.results import Reading
from pipeline.model.subject import Arm, Product, Subject
from pipeline.system.errors import LoadError, StorageError, SubjectDiedError


@dataclass(frozen=True, slots=True)
class Artifact:
    """A subject that is ready to be started.

    Attributes:
        product: Product of the subject, which decides how it is started.
        arguments: Additional arguments of the API server, such as `--fault=slow-create=20ms`.
        manager_arguments: Additional arguments of the controller-manager, if there is one.
        variables: Additional environment variables of every process of the subject.
        image: Reference of the container image of a subject that has no local program.
        manifests: Folder of the source tree with Milo's manifests; None if it is not known.
        is_profiled: True to start its components so that they serve profiles of contention too.
    """

    subject: Subject
    binary: Path
    product: Product = Product.REFERENCE
    arguments: tuple[str, ...] = ()
    manager_arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    manifests: Path | None = None
    is_profiled: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A tool that is ready to be run: path, version and `sha256:…` of the binary."""

    path: Path
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """Resources that a container had used at one point in time.

    Attributes:
        time_s: Unix time of the sample.
        cpu_s: CPU time since the container started, in seconds.
        memory: Working set in bytes, which is what counts against a memory limit.
    """

    time_s: float
    cpu_s: float
    memory: int


KUBELET_POLL_INTERVAL_S = 5.0
"""How often we poll a kubelet, in seconds; it samples every 10 to 15 s itself."""

KUBELET_FINAL_SAMPLE_TIMEOUT_S = 25.0
"""How long we wait for a kubelet's last sample after a load, in seconds."""

FILES_IN_POD, SECRETS_IN_POD, RESULTS_IN_POD = Path("/files"), Path("/secrets"), Path("/kept")
"""Folders of a load pod: its input files, its secrets, and the results that it leaves."""


FIRST_ORGANIZATION = "milo-perf"
"""Name of the Organization that every target has."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A program that runs beside the load generator in a pod.

    Attributes:
        args: One list of arguments for each pod, with paths as the pod sees them.
        address: Address on which the program listens.
    """

    program: Program
    args: tuple[tuple[str, ...], ...]
    address: str


@dataclass(frozen=True, slots=True)
class PodWork:
    """A load that pods apply together.

    Attributes:
        args: One list of arguments for each pod, with paths as the pod sees them; exactly one list
            if the pods divide the load.
        log: Name of the file that receives the program's output.
        files: Content of the files in `FILES_IN_POD`, by relative path; anybody may read them.
        secrets: Content of the files in `SECRETS_IN_POD`, by relative path.
        timeout_s: Seconds after which the load is given up.
        control_address: Address on which a program that supports it is controlled over HTTP.  If
            set, the pods divide one load: the first pod runs the setup, the others receive its
            result, and each pod executes one segment.
        operator_resource: Kubernetes resource, such as `testruns.k6.io`, of an operator that may
            create the pods.
        sidecars: Programs that each pod runs too, in start order.
        has_barriers: True if each program waits at barriers until those of all pods have reached
            them; see go/load-agent/barriers.go.
    """

    name: str
    program: Program
    args: tuple[tuple[str, ...], ...]
    log: str
    variables: Mapping[str, str]
    files: Mapping[str, bytes]
    secrets: Mapping[str, bytes]
    timeout_s: float
    control_address: str = ""
    operator_resource: str = ""
    sidecars: tuple[Sidecar, ...] = ()
    has_barriers: bool = False


@dataclass(frozen=True, slots=True)
class PodResult:
    """The result of one load pod.

    Attributes:
        name: Display name, such as `load pod 2 of 4`.
        folder: Folder with every file that the pod left, verified by size and checksum.
        exit: Exit code of the program; 0 if the pod was lost.
        began_s: Unix time at which the program began, by the clock of the pod's node.
        ended_s: Unix time at which the program ended, by the same clock.
        cpu_share: Share of the pod's processors that the program used, between 0 and 1.
        lost: Reason why the pod left nothing; empty if it left its files.
    """

    name: str
    folder: Path
    exit: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    cpu_share: float = 0.0
    lost: str = ""


class LoadPods(Protocol):
    """Pods beside the servers, which apply a load instead of this machine."""

    @property
    def count(self) -> int:
        """Number of pods that divide a load."""

    def run(self, work: PodWork, out: Path, check: Callable[[], None]) -> tuple[PodResult, ...]:
        """Run the work once and return the result of each pod, in pod order.

        Args:
            work: The load.
            out: Existing folder; receives one folder for each pod.
            check: Function that raises LoadError when a target has died; called often.

        Raises:
            LoadError: The pods could not be started, or a target died meanwhile.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """A running subject that answers requests.

    Attributes:
        ca_file: PEM file of the authority that signed the server's certificate.
        token_file: File with the bearer token of the load's user.
        admin_token_file: File with the bearer token of an administrator, for probes.
        processes: Process ids by replica: `server`, `etcd`, and `manager` if there is a
            controller-manager; with more replicas also `server-2` and so on, as
            `model/replicas.py` names them.  Empty if the processes are not on this machine.
        metrics: URL of each replica's Prometheus text; an `https:` URL needs the administrator's
            token.
        etcd_url: Client URL of the first member of etcd; empty if etcd cannot be reached.
        check: Function that raises SubjectDiedError when a component has died, LoadError when the
            subject was taken away, and does nothing otherwise.
        usage: Function that returns what the container of each replica has used, or raises
            LoadError; None if the processes are on this machine.
        pods: Pods that apply the load; None if this machine does.
        url_in_pods: Base URL of the API server as those pods reach it.
        metrics_in_pods: URLs of `metrics` as those pods reach them.
        restart: Function that kills the component with the controllers (the `manager` that leads,
            or the `server` of a subject without one) and starts it again, without waiting until it
            is ready; called from the main thread only.  None if the environment cannot.
        needs_organization_path: True if Projects are created through the control plane of their
            Organization; Milo with webhooks accepts no other way.
    """

    url: str
    ca_file: Path
    token_file: Path
    admin_token_file: Path
    processes: Mapping[str, int]
    metrics: Mapping[str, str]
    etcd_url: str
    check: Callable[[], None]
    usage: Callable[[], Mapping[str, ResourceUsage]] | None = None
    pods: LoadPods | None = None
    url_in_pods: str = ""
    metrics_in_pods: Mapping[str, str] = field(default_factory=dict)
    restart: Callable[[], None] | None = None
    needs_organization_path: bool = False

    def admin_token(self) -> str:
        """Return the bearer token of an administrator.

        Raises:
            StorageError: Its file cannot be read.
        """
        try:
            return self.admin_token_file.read_text(encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"the administrator's token cannot be read: {error.strerror}"
            ) from error


def check_all(targets: Mapping[Arm, Target]) -> None:
    """Raise the error of a target that has died or was taken away; see `Target.check`."""
    for target in targets.values():
        target.check()


def find_deaths(targets: Mapping[Arm, Target]) -> dict[Arm, SubjectDiedError]:
    """Return the error of each build that died; none if one of them was taken away."""
    deaths = {}
    for arm, target in targets.items():
        try:
            target.check()
        except SubjectDiedError as error:
            deaths[arm] = error
        except LoadError:
            return {}
    return deaths


@dataclass(frozen=True, slots=True)
class Span:
    """The steady part of a load, in seconds of Unix time.

    Attributes:
        marks: Ends of the cycles of a load that repeats itself, rising; empty for other loads.
    """

    start_s: float
    end_s: float
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one load.

    Attributes:
        readings: The driver's readings by arm.
        spans: Steady part of each arm's load, for the probes.
        invalid: Reasons why the load generator did not do its part; empty if the load counts.
        warnings: Remarks for the reader about a load that counts.
        failing: Reason why an arm may have had no useful load, such as too many failed requests.
            In one arm it is a measurement; in every arm of a pair the load is invalid.
        overloaded: The arms of `failing` that were too slow: most requests had no answer in time.
        failed: Reason why an arm could not be prepared or did not finish.  That arm has failed the
            workload, and no reading of either arm counts.
    """

    readings: Mapping[Arm, tuple[Reading, ...]]
    spans: Mapping[Arm, Span]
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failing: Mapping[Arm, str] = field(default_factory=dict)
    overloaded: frozenset[Arm] = frozenset()
    failed: Mapping[Arm, str] = field(default_factory=dict)

    @classmethod
    def without_readings(
        cls,
        arms: Iterable[Arm],
        span: Span,
        failed: Mapping[Arm, str] | None = None,
        invalid: Sequence[str] = (),
    ) -> Self:
        """Return a load that was given up before its end.

        `failed` has the reasons by the arms whose build failed; `invalid` those that lie with the
        load generator.  The span is from the beginning of the load to its end.
        """
        arms = tuple(arms)
        return cls(
            dict.fromkeys(arms, ()), dict.fromkeys(arms, span), tuple(invalid), failed=failed or {}
        )


class Environment(Protocol):
    """A place that runs subjects."""

    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> AbstractContextManager[Mapping[Arm, Target]]:
        """Start every artifact in order; the context begins when all of them answer.

        Leaving the context stops everything that was started, whatever happened.

        Args:
            artifacts: Artifacts of one or both arms.
            out: Existing folder that receives the log of every process.

        Raises:
            LaunchError: A subject did not become ready.
        """


class EnvironmentSettings(Protocol):
    """Settings of an environment, as a suite or a file declares them.

    These are all members that the pipeline uses of them; everything else is the environment's own.
    """

    @property
    def kind(self) -> str:
        """Name of the environment, such as `local`."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that the environment needs."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Facts of the fingerprint; results are comparable only where they agree."""

    @property
    def is_here(self) -> bool:
        """True if the subjects use memory and disk of this machine."""

    @property
    def starts_images(self) -> bool:
        """True if the environment can start a subject that is a container image."""

    @property
    def shows_processes(self) -> bool:
        """True if probes can always read the processes of a subject."""

    @property
    def can_restart(self) -> bool:
        """True if targets have a function `Target.restart`."""

    @property
    def replicas(self) -> int:
        """Number of API servers, and of controller-managers, of each build."""

    @property
    def load_pods(self) -> int:
        """Number of pods that apply the load; 0 if this machine does."""

    @property
    def load_path(self) -> str:
        """Path of the requests, in words, such as `loopback only`."""

    @property
    def asks(self) -> str:
        """Resources that the Pods of each build request; empty if there are none."""

    @property
    def asks_for_load(self) -> str:
        """Resources that the load pods request; empty if there are none."""

    @property
    def load_memory(self) -> float:
        """Bytes of memory of each load pod; 0 if there are none."""

    def start_s(self, product: Product) -> float:
        """Return the usual seconds from the start of a launch until all servers are ready."""

    def price(self, duration_s: float) -> str:
        """Return the estimated price of a run in words; empty if it is free or unknown."""

    def checks(self) -> list[Check]:
        """Return what a run would lack; nothing is changed.

        Raises:
            ConfigError: The settings cannot be used.
        """

    def open(self, programs: Mapping[str, Program]) -> AbstractContextManager["Environment"]:
        """Enter with the environment, which is created first if it does not exist.

        Args:
            programs: The programs that the settings need, by name.

        Raises:
            PipelineError: The environment cannot be used.
        """


class DriverSettings(Protocol):
    """Settings of one load, as a suite declares them.

    These are all members that the pipeline uses of a load; everything else is the driver's own.
    """

    @property
    def kind(self) -> str:
        """Name of the driver in a suite, such as `k6`."""

    @property
    def title(self) -> str:
        """Display name of the load."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that the load needs."""

    @property
    def restarts(self) -> bool:
        """True if the load uses `Target.restart`."""

    @property
    def rate(self) -> float | None:
        """Rate of an open load in `counted` per second for each arm; None for fixed work."""

    @property
    def counted(self) -> str:
        """Plural of the unit that the rate counts, such as `iterations`."""

    @property
    def iterations(self) -> int | None:
        """Number of iterations of fixed work for each arm; None for an open load."""

    @property
    def projects(self) -> int:
        """Number of Projects that one launch creates in each arm."""

    @property
    def objects(self) -> int:
        """Number of objects in each Project, or in each control plane."""

    @property
    def object_bytes(self) -> int:
        """Size of an object's data, in bytes."""

    @property
    def watches(self) -> int:
        """Number of watches that the load holds open on each build at the same time."""

    @property
    def max_pods(self) -> int | None:
        """Largest number of pods that can apply the load; None for any, 0 if none can."""

    @property
    def load_s(self) -> float:
        """Expected seconds under load, without start and set-up."""

    @property
    def most_s(self) -> float:
        """Maximum seconds that one launch spends on the load."""

    @property
    def raw_bytes_per_request(self) -> float:
        """Size of the raw output for each request, in bytes."""

    def requests_expected(self, arms: int) -> int:
        """Return the approximate number of requests of one run, over all arms."""

    def reading_names(self) -> ReadingNames:
        """Return the names of the readings that the driver may report of this load."""

    @property
    def main(self) -> str:
        """Name of the script or config that belongs to this load alone."""

    def tree(self) -> dict[str, Path]:
        """Return every file that decides what is measured, by its relative path."""

    def own_files(self) -> dict[str, Path]:
        """Return the files of `tree` that stand beside the suite instead of in this project."""


class Driver(Protocol):
    """A program that applies one workload."""

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """Apply the load once.

        Args:
            targets: Targets of one or both arms; with both, each iteration goes to one of them.
            out: Existing empty folder for the driver's raw output.
            seed: Random seed of the load, such as for the arm of an iteration.

        Raises:
            LoadError: The load could not be applied, so nothing was measured.
        """


class Watch(Protocol):
    """A probe that is watching a target."""

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """Return the readings of a span; called once, after the load."""


class Probe(Protocol):
    """A program that watches one target while a workload runs."""

    def watch(self, target: Target, out: Path) -> AbstractContextManager[Watch]:
        """Start watching; leaving the context stops it.

        Args:
            target: The target.
            out: Existing folder for raw observations.
        """
