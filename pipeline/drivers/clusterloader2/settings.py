"""Settings of a ClusterLoader2 load, as a suite declares them."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.drivers.clusterloader2 import phases
from pipeline.drivers.clusterloader2.phases import CONFIGS, KINDS, ControlPlane, LoadStage
from pipeline.drivers.load_files import LoadFromFiles, refuse_folder, require_file
from pipeline.model.reading_names import ReadingNames, with_unit
from pipeline.storage.settings import Count, CountOrZero, ObjectBytes, Rate, Seconds
from pipeline.system import paths

_TIMEOUT_FACTOR, _TIMEOUT_SLACK_S = 3.0, 30.0


class ClusterLoader2(LoadFromFiles):
    """A load of ClusterLoader2, as a suite declares it.

    Attributes:
        kind: Always `clusterloader2`.
        config: Name, without `.yaml`, of a file beside the suite or in `cl2_configs/`.
        where: Loaded control plane: the root, or `projects` Projects at once.
        rate: Objects begun per second for **each** arm, over all its Projects.
        projects: Number of Projects that one launch creates in each arm.
        objects: Number of objects of each kind that a phase creates in each control plane.
        object_bytes: Size of an object's data, in bytes.
        cycles: Number of cycles of the config `churn`.
        duration_s: Usual length of the measured stage, in seconds.
        ready_s: Seconds after which a Project that is not Ready is given up.
        gone_s: Seconds after the load in which deleted Projects may go; None for `ready_s`.  The
            time of a Project that is not gone by then is a lower bound.
        prometheus: Whether a real Prometheus scrapes the server, for ClusterLoader2's own
            measurements of it.
        prometheus_url: URL of an existing Prometheus that scrapes the server; `{arm}` in it stands
            for the arm.  If empty, one is started.
        parameters: Further parameters of the config; their names begin with `CL2_`.
        max_rate_error: Allowed deviation of the objects per second, as a share.
        max_generator_cpu: Share of the machine's processors that ClusterLoader2 may use.
    """

    counted: ClassVar[str] = "objects"
    """Unit of the rate; of the config `project-lifecycle`, Projects."""

    restarts: ClassVar[bool] = False

    iterations: ClassVar[None] = None  # the load has a rate

    raw_bytes_per_request: ClassVar[float] = 20.0
    """Size of reports and logs per request, in bytes; measured."""

    watches: ClassVar[int] = 0
    max_pods: ClassVar[None] = None
    root: ClassVar[str] = CONFIGS
    shared: ClassVar[tuple[str, ...]] = ("modules", "templates")
    suffixes: ClassVar[tuple[str, ...]] = (".yaml", ".yml")

    kind: Literal["clusterloader2"]
    config: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    where: ControlPlane = ControlPlane.ROOT
    rate: Rate
    projects: CountOrZero = 0
    objects: CountOrZero = 0
    object_bytes: ObjectBytes = 1000
    cycles: Count = 1
    duration_s: Seconds
    ready_s: Seconds = 60.0
    gone_s: Seconds | None = None
    prometheus: bool = False
    prometheus_url: str = ""
    parameters: dict[Annotated[str, Field(pattern=r"^CL2_[A-Z0-9_]+$")], int | float | str] = Field(
        default_factory=dict
    )
    max_rate_error: Annotated[float, Field(gt=0, lt=1)] = 0.03
    max_generator_cpu: Annotated[float, Field(gt=0, le=1)] = 0.9

    @field_validator("config", mode="before")
    @classmethod
    def _has_no_folder(cls, config: object) -> object:
        return refuse_folder(config)

    @field_validator("config")
    @classmethod
    def _is_there(cls, config: str, info: ValidationInfo) -> str:
        require_file(cls, f"{config}.yaml", info.context)
        return config

    @model_validator(mode="after")
    def _has_projects(self) -> Self:
        if not self.projects and (self.where is ControlPlane.PROJECTS or self.stages[1:]):
            raise ValueError("give `projects`: this load is of Projects")
        return self

    @model_validator(mode="after")
    def _ends_in_time(self) -> Self:
        places = self.projects if len(self.stages) > 1 else 1
        begun = self.cycles * (places * self.objects * KINDS or self.projects)
        if begun / self.rate > self.longest_s:
            raise ValueError(
                f"{begun:,} objects at a rate of {self.rate:g} takes {begun / self.rate:,.0f} s,"
                f" and the load is given up after {self.longest_s:g} s"
            )
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """See `DriverSettings.needs`."""
        return ("clusterloader2", "expand", *self.watchers)

    @property
    def watchers(self) -> tuple[str, ...]:
        """Names of the programs that watch the server; empty if `prometheus` is off."""
        if not self.prometheus:
            return ()
        return ("gateway",) if self.prometheus_url else ("gateway", "prometheus")

    @property
    def title(self) -> str:
        """Display name of the load."""
        inside = f" in {self.projects} Projects" if self.where is ControlPlane.PROJECTS else ""
        return f"clusterloader2 {self.config}{inside}"

    @property
    def load_s(self) -> float:
        """Expected seconds under load, without start and set-up."""
        return self.duration_s

    @property
    def longest_s(self) -> float:
        """Seconds after which a stage is given up; a slow build takes longer than usual."""
        return _TIMEOUT_FACTOR * self.duration_s + 2 * self.ready_s + _TIMEOUT_SLACK_S

    @property
    def most_s(self) -> float:
        """Maximum seconds that one launch spends on the load; a stage that is given up ends it."""
        stages_s = (len(self.stages) - 1) * (self.duration_s + self.ready_s)
        return self.longest_s + stages_s + self.longest_gone_s

    @property
    def longest_gone_s(self) -> float:
        """Seconds in which deleted Projects may go; 0 for a load that does not wait for it."""
        is_at_root = any(one.is_measured and one.where is ControlPlane.ROOT for one in self.stages)
        if not (is_at_root and self.projects):
            return 0.0
        return self.ready_s if self.gone_s is None else self.gone_s

    @property
    def stages(self) -> tuple[LoadStage, ...]:
        """Stages of the load, in order."""
        return phases.stages(self.config, self.where)

    def requests_expected(self, arms: int) -> int:
        """Return the approximate number of requests of one run, over all arms."""
        places = self.projects if len(self.stages) > 1 else 1
        created = places * self.objects * KINDS + self.projects
        return arms * self.cycles * created * phases.REQUESTS_PER_ACTION

    def reading_names(self) -> ReadingNames:
        """Return the names of our readings; those of a report depend on the config."""
        units = {
            **with_unit("1", ("projects_created", "projects_deleted", "objects_created")),
            **with_unit("1", ("projects_never_ready", "projects_never_gone", "cut_off")),
            **with_unit("1", ("generator_cpu_share", "cl2.availability_share")),
            **with_unit("s", ("span", "cl2.longest_gap")),
            "cl2.rate": "1/s",
        }
        return ReadingNames(units, (r"(?s)cl2\.(step|timer|api_latency|query)\{.*",))

    @property
    def main(self) -> str:
        """Name of the config that belongs to this load alone."""
        return f"{self.config}.yaml"

    def our_files(self) -> dict[str, Path]:
        """Return all of our configs; a load may run several of them."""
        root = paths.project_path(CONFIGS)
        configs = [path for path in root.rglob("*") if path.suffix in self.suffixes]
        return {path.relative_to(root).as_posix(): path for path in configs}
