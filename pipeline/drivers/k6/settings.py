"""Settings of a k6 load, as a suite declares them."""

import posixpath
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.drivers.k6.reading_names import names_of_script
from pipeline.drivers.load_files import LoadFromFiles, refuse_folder, require_file
from pipeline.model.bounds import MAX_VUS
from pipeline.model.reading_names import ReadingNames
from pipeline.storage.settings import (
    Count,
    CountOrZero,
    ObjectBytes,
    Rate,
    Seconds,
    SecondsOrZero,
    require_load,
)

SCRIPTS = "k6_scripts"
_NAMED = r"[\w\s{},*$]*"  # the names of an import or an export
_IMPORT = re.compile(
    rf"""^\s*(?:import\b{_NAMED}|export\b{_NAMED}\bfrom\s*)['"]([^'"]+)['"]""", re.MULTILINE
)

_TIMEOUT_FACTOR = 5.0  # fixed work may take this many times its usual length
_START_S = 1.0  # delay before fixed work starts, see k6_scripts/lib/work.js


class K6(LoadFromFiles):
    """A load of k6, as a suite declares it.

    Attributes:
        kind: Always `k6`.
        script: Name of a file beside the suite, or in `k6_scripts/`.
        rate: Iterations started per second of an open load, for **each** arm.  A build gets the
            same load whether the arms are up together (k6 then starts twice as many) or in turn.
        iterations: Number of iterations that each arm must end, for fixed work instead.
        duration_s: Length of the measured phase in seconds; for fixed work, its usual length.
        warmup_s: Length of the phase before an open load, at the same rate, in seconds.
        projects: Number of Projects that one launch creates in each arm (PROJECTS).
        objects: Number of objects that the script creates in each Project (OBJECTS).
        object_bytes: Size of an object's data, in bytes (OBJECT_BYTES).
        parameters: Further environment variables of the script.
        restarts: True if the script restarts the component with the controllers of each build, see
            `Target.restart` (BASELINE_RESTART_URL and CANDIDATE_RESTART_URL).
        requests_per_iteration: Expected mean, for the estimates of `plan`.
        request_timeout_s: Seconds after which a request is given up (REQUEST_TIMEOUT_S).  The time
            counts as "at least so long", and the request in `errors_share`.
        deadline_s: Seconds after which a longer operation, such as the deletion of a Project, is
            given up in the same way (DEADLINE_S).
        setup_s: Maximum seconds of the script's setup (SETUP_S).  A build that is not prepared by
            then has failed the workload.
        max_failed_share: Share of failed requests in every arm above which the load is invalid.
            In one arm only, it is a measurement.
        max_rate_error: Allowed deviation of an arm's iterations per second, as a share.
        max_generator_cpu: Share of the machine's processors that k6 may use.
    """

    counted: ClassVar[str] = "iterations"
    """Unit of the rate."""

    raw_bytes_per_request: ClassVar[float] = 110.0
    """Size of the compressed raw points per request, in bytes; measured."""

    watches: ClassVar[int] = 0
    max_pods: ClassVar[None] = None
    root: ClassVar[str] = SCRIPTS
    shared: ClassVar[tuple[str, ...]] = ("lib",)
    suffixes: ClassVar[tuple[str, ...]] = (".js",)

    kind: Literal["k6"]
    script: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*\.js$")]
    rate: Rate | None = None
    iterations: Count | None = None
    duration_s: Seconds
    warmup_s: SecondsOrZero = 0.0
    projects: CountOrZero = 0
    objects: CountOrZero = 0
    object_bytes: ObjectBytes = 1000
    parameters: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], int | float | str] = (
        Field(default_factory=dict)
    )
    restarts: bool = False
    requests_per_iteration: Annotated[float, Field(gt=0, le=1e9)] = 1.0
    request_timeout_s: Seconds = 5.0
    deadline_s: Seconds = 30.0
    setup_s: Seconds = 90.0
    max_failed_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    max_rate_error: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_generator_cpu: Annotated[float, Field(gt=0, le=1)] = 0.9

    @field_validator("script", mode="before")
    @classmethod
    def _has_no_folder(cls, script: object) -> object:
        return refuse_folder(script)

    @field_validator("script")
    @classmethod
    def _is_there(cls, script: str, info: ValidationInfo) -> str:
        require_file(cls, script, info.context)
        return script

    @model_validator(mode="after")
    def _imports_are_there(self) -> Self:
        """Require that a script beside a suite imports only files of the tree."""
        tree = self.tree()
        for name, path in self.own_files().items():
            text = path.read_text(encoding="utf-8", errors="replace")
            for match in _IMPORT.finditer(text):
                wanted = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[1]))
                is_k6 = match[1] == "k6" or match[1].startswith("k6/")
                if is_k6 or (match[1].startswith(".") and wanted in tree):
                    continue
                line = text.count("\n", 0, match.start(1)) + 1
                lib = ", ".join(sorted(other for other in tree if "/" in other))
                raise ValueError(
                    f"{path}:{line}: it imports `{match[1]}`, and a script may import k6's own"
                    f" modules and these files: {lib}"
                )
        return self

    @model_validator(mode="after")
    def _is_open_or_fixed(self) -> Self:
        if (self.rate is None) == (self.iterations is None):
            raise ValueError("give either `rate` (an open load) or `iterations` (fixed work)")
        if self.rate is None and self.warmup_s:
            raise ValueError("`warmup_s` is of an open load only")
        return self

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.rate is None:
            return self
        require_load(self.rate, self.duration_s)
        vus = self.rate * 2 * self.request_timeout_s
        if vus > MAX_VUS:
            raise ValueError(
                f"a rate of {self.rate:g} with requests of up to {self.request_timeout_s:g} s needs"
                f" {vus:,.0f} VUs, and k6 has {MAX_VUS:,} at most"
            )
        return self

    @property
    def load_s(self) -> float:
        """Expected seconds under load, without start and set-up."""
        return self.warmup_s + self.duration_s

    def requests_expected(self, arms: int) -> int:
        """Return the approximate number of requests of one run, over all arms, with the warm-up."""
        each = self.iterations if self.rate is None else self.rate * self.load_s
        return round(arms * (each or 0) * self.requests_per_iteration)

    @property
    def longest_s(self) -> float:
        """Seconds after which the rest of the load is given up, without the setup.

        An open load ends after its duration and the deadlines of its last iterations.  Fixed work
        takes a slow build longer, and at least every deadline in it is waited for.
        """
        if self.rate is None:
            return max(_TIMEOUT_FACTOR * self.load_s, self.load_s + self.deadline_s)
        return self.load_s + self.held_s

    @property
    def held_s(self) -> float:
        """Maximum seconds that the last iteration goes on after the load."""
        return max(2 * self.request_timeout_s, self.deadline_s)

    @property
    def most_s(self) -> float:
        """Maximum seconds that one launch spends on the load, with the setup."""
        return self.setup_s + _START_S + self.longest_s + self.request_timeout_s

    @property
    def needs(self) -> tuple[str, ...]:
        """See `DriverSettings.needs`."""
        return ("k6",)

    def reading_names(self) -> ReadingNames:
        """See `DriverSettings.reading_names`."""
        is_ours = not self.own_files() and self.script in self.our_files()
        scripts = self.our_files().values() if is_ours else None
        return names_of_script(scripts, is_fixed=self.rate is None)

    @property
    def main(self) -> str:
        """See `DriverSettings.main`."""
        return self.script

    @property
    def title(self) -> str:
        """See `DriverSettings.title`."""
        return f"k6 {self.script}"
