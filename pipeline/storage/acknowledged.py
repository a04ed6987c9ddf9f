"""The file of what is known and shall not alarm: TOML, or JSON of the same shape.

[[acknowledged]]                  # a step of a history
series = "object-crud/create_p50"
commit = "4f1c2ab"                # of the first point after the step; or `index`
reason = "audit log switched on"

[[accepted]]                      # a regression of a run
metric = "object-crud/create_*"   # of workload/metric
reason = "audit log switched on"
by = "ada"
until = 2026-12-31                # the last day on which it counts
most = 0.3                        # optional: the largest worsening that it covers
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.model.history import Acknowledgement
from pipeline.model.publication import Acceptance
from pipeline.storage import strict_json, toml_file
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

_SENTENCE = 300  # characters of what a library says

_T = TypeVar("_T")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Step(_Strict):
    series: str
    reason: str
    commit: str = ""
    index: int | None = None

    def meant(self) -> Acknowledgement:
        return Acknowledgement(self.series, self.reason, self.commit, self.index)


class _Regression(_Strict):
    metric: str
    reason: str
    by: str
    until: Annotated[date, Field(strict=False)]  # JSON has it as text
    most: float | None = None

    def meant(self) -> Acceptance:
        return Acceptance(self.metric, self.reason, self.by, self.until, self.most)


class _File(_Strict):
    acknowledged: list[_Step] = []
    accepted: list[_Regression] = []


_HINT = (
    "each `[[acknowledged]]` has `series`, `reason`, and `commit` or `index`; each `[[accepted]]`"
    " has `metric`, `reason`, `by`, `until`, and where wanted `most`"
)


def steps(path: Path) -> tuple[Acknowledgement, ...]:
    """Return the steps of histories that are acknowledged.

    Raises:
        ConfigError: The file cannot be read, or says something else.
    """
    return _meant(path, "acknowledged", [entry.meant for entry in _read(path).acknowledged])


def regressions(path: Path) -> tuple[Acceptance, ...]:
    """Return the regressions that are accepted, those whose day has passed included.

    Raises:
        ConfigError: The file cannot be read, or says something else.
    """
    return _meant(path, "accepted", [entry.meant for entry in _read(path).accepted])


def _read(path: Path) -> _File:
    try:
        text = toml_file.read(path, "the file")
        is_json = path.suffix == ".json"
        body = strict_json.loads(text.encode()) if is_json else toml_file.parsed(text, f"{path}")
        return _File.model_validate(body)
    except ConfigError as error:
        raise ConfigError(f"{error}", hint=error.hint or _HINT) from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {strict_json.sentence(error)}", hint=_HINT) from error
    except (RecursionError, ValueError) as error:
        said = truncate(f"{error}", _SENTENCE)
        raise ConfigError(f"{path}: not JSON: {said}", hint=_HINT) from error


def _meant(path: Path, table: str, entries: list[Callable[[], _T]]) -> tuple[_T, ...]:
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(entry())
        except ValueError as error:
            said = truncate(f"{error}", _SENTENCE)
            raise ConfigError(f"{path}: {table}.{number}: {said}", hint=_HINT) from error
    return tuple(found)
