"""The requests of the commands that measure: the content of request.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipeline.model.capacity import CountedResource
from pipeline.model.releases import Release
from pipeline.model.results import Interleave

DEFAULT_CAPACITY_BUDGET_S = 1800.0
"""Default time budget of `capacity`, in seconds."""

MAX_PAIRS = 1_000
"""Most pairs of a run of any suite; an artifact with more is refused, too."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments of `run` and `plan`, as typed; empty or None means the default.

    Attributes:
        suite: Name of a suite, or path of a .toml file.
        candidate: Spec of the build under test.
        against: Spec of the build to compare with.
        baseline: Name of a stored baseline to compare with.
        pairs: Number of valid pairs; None for as many as the verdict needs, up to the suite's.
        interleave: How the trials of a pair share the machine.
        seed: Random seed of the run; None to draw one.
        environment: Name of an environment, or path of a .toml file; empty for the suite's own.
        keep: True to leave a kind cluster that is created for the run.
        load_pods: Number of pods that send the load; None for what the environment says.
        build: Command that builds a source, with `{out}` for the path of the binary.
        budget_s: Seconds from the first pair; no pair is started that would end later.
        prior: Path of a file of spreads, or `none`; empty for the usual prior.
        profile: Start profile of Milo; empty for what the environment says.
        driver: Kind of the only driver whose workloads are run; empty for all.
    """

    suite: str = "pr"
    candidate: str = "reference"
    against: str = ""
    baseline: str = ""
    pairs: int | None = None
    interleave: Interleave = Interleave.REQUEST
    seed: int | None = None
    environment: str = ""
    keep: bool = False
    load_pods: int | None = None
    build: str = ""
    budget_s: float | None = None
    prior: str = ""
    profile: str = ""
    driver: str = ""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request as it is stored in the folder of its run.

    Attributes:
        request: The arguments, as typed.
        suite_digest: Digest of the suite; its text is in suite.toml beside this file.
        candidate: Spec of the build under test.
        baseline: Spec of the build that it is compared with.
        environment: Settings of the environment, with all overrides applied.
        pairs: Largest number of valid pairs.
        looks: Numbers of valid pairs at which the run may end; empty for a fixed number.
        budget_s: Time budget in seconds, or None.
        seed: Random seed of the run.
    """

    request: RunRequest
    suite_digest: str
    candidate: str
    baseline: str
    pairs: int
    seed: int
    looks: tuple[int, ...] = ()
    budget_s: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SoakRequest:
    """The arguments of `soak`.

    Attributes:
        lasts_s: Seconds of churn.
        limits: Limits, such as `ready<10s`.
        candidate: Spec of the build under test.
        build: Command that builds a source, with `{out}` for the path of the binary.
        projects: Projects of one cycle.
        objects: Secrets, and as many ConfigMaps, in each Project.
        object_bytes: Data of each object, in bytes.
        watches: Watches of Secrets, and as many of ConfigMaps, in each Project.
        seed: Random seed of the soak; None to draw one.
        environment: Name of an environment, or path of a .toml file.
        profile: Start profile of Milo; empty for what the environment says.
        settings: Settings of the environment with all overrides applied, once they are stored.
    """

    lasts_s: float
    limits: tuple[str, ...] = ()
    candidate: str = "reference"
    build: str = ""
    projects: int = 1
    objects: int = 5
    object_bytes: int = 1000
    watches: int = 1
    seed: int | None = None
    environment: str = "local"
    profile: str = ""
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CapacityRequest:
    """The arguments of `capacity`.

    Attributes:
        things: Whether N counts Projects or objects.
        limits: Limits, such as `p99(get)<1s`.
        candidate: Spec of the build under test.
        build: Command that builds a source, with `{out}` for the path of the binary.
        budget_s: Time budget in seconds, builds excluded.
        start: First N; None for the default.
        projects: Number of Projects that hold the objects; None for the default.
        object_bytes: Data of each object, in bytes.
        rate: Iterations of the probing load per second.
        hold_s: Seconds of a hold.
        seed: Random seed of the search; None to draw one.
        forecast: N of a forecast; 0 for none.
        machine: Size of the machine that the forecast is for, such as `64GB,16`; empty for none.
        environment: Name of an environment, or path of a .toml file.
        profile: Start profile of Milo; empty for what the environment says.
        settings: Settings of the environment with all overrides applied, once they are stored.
    """

    things: CountedResource
    limits: tuple[str, ...]
    candidate: str = "reference"
    build: str = ""
    budget_s: float = DEFAULT_CAPACITY_BUDGET_S
    start: int | None = None
    projects: int | None = None
    object_bytes: int = 1000
    rate: float = 20.0
    hold_s: float = 20.0
    seed: int | None = None
    forecast: int = 0
    machine: str = ""
    environment: str = "local"
    profile: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """The arguments of `evaluate`.

    Attributes:
        suite: Name of a suite, or path of a .toml file, with each workload once for each driver.
        candidate: Spec of the build.
        build: Command that builds a source, with `{out}` for the path of the binary.
        repetitions: Number of launches.
        faults: Pairs that are measured for each known fault; None for no faults.
        seed: Random seed of the evaluation; None to draw one.
    """

    suite: str = "drivers"
    candidate: str = "reference"
    build: str = ""
    repetitions: int = 5
    faults: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ReleasesRequest:
    """The arguments of `releases`.

    Attributes:
        releases: Releases to measure, each against the one before.
        run: Arguments of every run; its two builds are those of the step.
        budget_s: Seconds of one command; no step is begun that would end later.
        seed: Random seed; None to draw one.
    """

    releases: tuple[Release, ...]
    run: RunRequest
    budget_s: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """The arguments of `explain`, beside the folder of the run.

    Attributes:
        metrics: Metrics to explain, as `WORKLOAD/METRIC`; one for each workload.
        pairs: Largest number of extra pairs.
        seed: Random seed of the extra pairs.
        budget_s: Seconds of the extra pairs; no pair is begun that would end later, except those
            without which nothing can be said.  None for no budget.
    """

    metrics: tuple[str, ...]
    pairs: int
    seed: int
    budget_s: float | None = None


@dataclass(frozen=True, slots=True)
class BisectRequest:
    """The arguments of `bisect`.

    Attributes:
        repository: Folder of a clone, with settings of the builds after a `?`.
        good: Revision of the good end.
        bad: Revision of the bad end.
        metric: `workload/metric`; empty for the clearest change of a whole run.
        run: Arguments of every run; its two builds are those of the step.
        budget_s: Seconds of one command; no pair is begun that would end later.
        seed: Random seed; None to draw one.
        good_id: Commit of the good end, once it is known.
        bad_id: Commit of the bad end, likewise.
        started_at: Time at which the search began, UTC.
    """

    repository: str
    good: str
    bad: str
    metric: str
    run: RunRequest
    budget_s: float | None = None
    seed: int | None = None
    good_id: str = ""
    bad_id: str = ""
    started_at: datetime | None = None
