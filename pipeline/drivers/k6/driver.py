"""k6: sends an open load to one build or to both, and measures each request.

k6 runs one of `k6_scripts/`, writes raw points, and judges nothing.
"""

import os
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.drivers.k6 import pods
from pipeline.drivers.k6.command import (
    CA,
    LOG,
    POINTS,
    SCRIPTS,
    SLACK_S,
    argv,
    authorities,
    complaints,
    environment,
    meaning,
    require_imports,
    unprepared,
)
from pipeline.drivers.k6.summarize import read_points
from pipeline.drivers.k6.validity import Asked, given_up, judge
from pipeline.drivers.tree import LoadFromFiles, require_file
from pipeline.model.ports import Load, Program, Span, Target
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import LoadError

_LONGEST = 5.0  # fixed work may take that many times its usual length
_START_S = 1.0  # of fixed work, see k6_scripts/lib/work.js


class K6(LoadFromFiles):
    """A load of k6, as a suite declares it.

    Attributes:
        kind: Always `k6`.
        script: Name of a file beside the suite, or in `k6_scripts/`.
        rate: For an open load, iterations started per second for **each** arm, so that a build
            gets the same load whether the arms are up together (k6 is then asked for twice as
            many) or in turn.
        iterations: For a fixed amount of work instead, how many iterations each arm must end.
        duration_s: Length of the phase that is measured, in seconds; of fixed work, the usual one.
        warmup_s: Length of the phase before an open load, at the same rate, in seconds.
        projects: How many Projects one launch makes in each arm, as PROJECTS.
        objects: How many objects the script puts into each of them before or as its load, as
            OBJECTS.
        object_bytes: Data of an object, in bytes, as OBJECT_BYTES.
        parameters: The script's own; each goes to its environment.
        requests_per_iteration: Expected mean, for the estimates of `plan`.
        request_timeout_s: Seconds after which a request is given up, as REQUEST_TIMEOUT_S.  It is
            measured as "at least so long", and counted in `errors_share`.
        deadline_s: Seconds after which something that the script follows, such as a Project that
            is being deleted, is given up in the same way, as DEADLINE_S.
        setup_s: Seconds that the script's setup may take, as SETUP_S.  A build that cannot be
            prepared by then has failed the workload.
        max_failed_share: Share of requests that may fail in every arm alike before the load is
            invalid.  Of one arm only it is a measurement, however large.
        max_rate_error: How far the iterations per second of an arm may be off, as a share.
        max_generator_cpu: Share of the machine's processors that k6 may use.
    """

    counted: ClassVar[str] = "iterations"
    """What the rate is of."""

    raw_bytes_per_request: ClassVar[float] = 110.0
    """Size of the raw points, compressed, per request, both in bytes; measured."""

    root: ClassVar[str] = SCRIPTS
    shared: ClassVar[tuple[str, ...]] = ("lib",)
    suffixes: ClassVar[tuple[str, ...]] = (".js",)

    kind: Literal["k6"]
    script: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*\.js$")]
    rate: PositiveFloat | None = None
    iterations: PositiveInt | None = None
    duration_s: PositiveFloat
    warmup_s: NonNegativeFloat = 0.0
    projects: NonNegativeInt = 0
    objects: NonNegativeInt = 0
    object_bytes: PositiveInt = 1000
    parameters: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], int | float | str] = (
        Field(default_factory=dict)
    )
    requests_per_iteration: PositiveFloat = 1.0
    request_timeout_s: PositiveFloat = 5.0
    deadline_s: PositiveFloat = 30.0
    setup_s: PositiveFloat = 90.0
    max_failed_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    max_rate_error: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_generator_cpu: Annotated[float, Field(gt=0, le=1)] = 0.9

    @field_validator("script")
    @classmethod
    def _is_there(cls, script: str, info: ValidationInfo) -> str:
        require_file(cls, script, info.context)
        return script

    @model_validator(mode="after")
    def _imports_are_there(self) -> Self:
        require_imports(self.own_files(), self.tree())
        return self

    @model_validator(mode="after")
    def _is_open_or_fixed(self) -> Self:
        if (self.rate is None) == (self.iterations is None):
            raise ValueError("give either `rate` (an open load) or `iterations` (fixed work)")
        if self.rate is None and self.warmup_s:
            raise ValueError("`warmup_s` is of an open load only")
        return self

    @property
    def asked(self) -> Asked:
        """Return what the load must have been to count."""
        return Asked(
            rate=self.rate,
            iterations=self.iterations,
            duration_s=self.duration_s,
            max_failed_share=self.max_failed_share,
            max_rate_error=self.max_rate_error,
            max_generator_cpu=self.max_generator_cpu,
        )

    @property
    def load_s(self) -> float:
        """Expected seconds under load, without start and set-up."""
        return self.warmup_s + self.duration_s

    def requests_expected(self, arms: int) -> int:
        """Return about how many requests one run sends, warm-up and all arms included."""
        each = self.iterations if self.rate is None else self.rate * self.load_s
        return round(arms * (each or 0) * self.requests_per_iteration)

    @property
    def longest_s(self) -> float:
        """Seconds after which what is left of the load is given up, without the setup.

        An open load lasts as long as it lasts, and then its last iterations end.  Fixed work may
        take a slow build longer, but every deadline in it is waited for.
        """
        if self.rate is None:
            return max(_LONGEST * self.load_s, self.load_s + self.deadline_s)
        return self.load_s + self.held_s

    @property
    def held_s(self) -> float:
        """Seconds that the last iteration may go on after the load: its deadlines, at most."""
        return max(2 * self.request_timeout_s, self.deadline_s)

    @property
    def most_s(self) -> float:
        """Seconds that one launch spends on this load at most, with the setup."""
        return self.setup_s + _START_S + self.longest_s + self.request_timeout_s

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the programs that this load wants."""
        return ("k6",)

    @property
    def main(self) -> str:
        """Name of the file of this load alone."""
        return self.script

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"k6 {self.script}"

    def driver(self, programs: Mapping[str, Program]) -> "K6Driver":
        """Return what applies this load, with programs that are ready to be run."""
        return K6Driver(self, programs["k6"])


@dataclass(frozen=True, slots=True)
class K6Driver:
    """Applies one load with one k6; see the port `Driver`.

    Attributes:
        settings: The load.
        program: k6.
    """

    settings: K6
    program: Program

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """Apply the load once.

        Args:
            targets: One or both arms.
            out: Existing empty folder; receives the raw points and the log of k6.
            seed: Of the arm and the work of each iteration.

        Raises:
            LoadError: The load could not be applied, or k6 left nothing that can be read.
        """
        if any(target.pods for target in targets.values()):
            return pods.measure(self.settings, self.program, targets, out, seed)
        (out / CA).write_text(authorities(targets))
        used_s = processes.cpu_of_children_s()
        began = time.monotonic()
        try:
            with self.settings.laid_out() as scripts:
                command = argv(self.program, self.settings, out, scripts)
                self._run(command, environment(self.settings, targets, out, seed), targets, out)
        except LoadError:
            for target in targets.values():
                target.check()  # a build that died has failed in another way
            if failed := unprepared(out, targets):
                return given_up(targets, Span(time.time(), time.time()), failed)
            raise
        machine_s = (time.monotonic() - began) * (os.cpu_count() or 1)
        cpu = (processes.cpu_of_children_s() - used_s) / machine_s
        points = read_points(out / POINTS, list(targets), is_open=self.settings.rate is not None)
        return judge(self.settings.asked, points, cpu, complaints(out / LOG))

    def _run(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        targets: Mapping[Arm, Target],
        out: Path,
    ) -> None:
        def check() -> None:
            for target in targets.values():
                target.check()

        try:
            processes.run(
                command,
                output=out / LOG,
                timeout_s=self.settings.longest_s + SLACK_S,
                error=LoadError,
                env=env,
                hide=("K6_",),  # the user's own would change the load
                check=check,
            )
        except LoadError as error:
            ended = re.escape(f"`{shlex.join(command)}` exited with ") + r"(\d+)"
            if (found := re.fullmatch(ended, str(error))) is None:
                raise
            raise LoadError(
                f"k6 {self.settings.script} {meaning(int(found[1]))}", hint=error.hint
            ) from error
