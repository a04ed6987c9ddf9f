"""Settings of a k6 load, as a suite declares them."""

import posixpath
import re
from collections.abc import Mapping
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

from pipeline.drivers.tree import LoadFromFiles, require_file

SCRIPTS = "k6_scripts"
_NAMED = r"[\w\s{},*$]*"  # what an import or an export names
_IMPORT = re.compile(
    rf"""^\s*(?:import\b{_NAMED}|export\b{_NAMED}\bfrom\s*)['"]([^'"]+)['"]""", re.MULTILINE
)

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
        _require_imports(self.own_files(), self.tree())
        return self

    @model_validator(mode="after")
    def _is_open_or_fixed(self) -> Self:
        if (self.rate is None) == (self.iterations is None):
            raise ValueError("give either `rate` (an open load) or `iterations` (fixed work)")
        if self.rate is None and self.warmup_s:
            raise ValueError("`warmup_s` is of an open load only")
        return self

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


def _require_imports(own: Mapping[str, Path], tree: Mapping[str, Path]) -> None:
    """Return if scripts import only what they will find, before anything is started.

    Args:
        own: Scripts of somebody's own, by their path in the tree.
        tree: All files of the load.

    Raises:
        ValueError: Naming the file, the line and the import.
    """
    for name, path in own.items():
        text = path.read_text(encoding="utf-8", errors="replace")
        for found in _IMPORT.finditer(text):
            wanted = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[1]))
            is_k6 = found[1] == "k6" or found[1].startswith("k6/")
            if is_k6 or (found[1].startswith(".") and wanted in tree):
                continue
            line = text.count("\n", 0, found.start(1)) + 1
            lib = ", ".join(sorted(other for other in tree if "/" in other))
            raise ValueError(
                f"{path}:{line}: it imports `{found[1]}`, and a script may import k6's own modules"
                f" and these files: {lib}"
            )
