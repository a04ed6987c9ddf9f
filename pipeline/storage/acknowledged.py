"""Read the file of acknowledged change points and accepted regressions: TOML, or the same as JSON.

[[acknowledged]]                  # a change point of a history
series = "object-crud/create_p50"
commit = "4f1c2ab"                # of the first point after the change; or `index`
reason = "audit log switched on"

[[accepted]]                      # a regression of a run
metric = "object-crud/create_*"   # workload/metric
reason = "audit log switched on"
by = "ada"
until = 2026-12-31                # the last day on which it is valid
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

_SENTENCE = 300  # characters of a library's message

_T = TypeVar("_T")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _AcknowledgedStep(_Entry):
    series: str
    reason: str
    commit: str = ""
    index: int | None = None

    def value(self) -> Acknowledgement:
        return Acknowledgement(self.series, self.reason, self.commit, self.index)


class _AcceptedRegression(_Entry):
    metric: str
    reason: str
    by: str
    until: Annotated[date, Field(strict=False)]  # JSON has it as text
    most: float | None = None

    def value(self) -> Acceptance:
        return Acceptance(self.metric, self.reason, self.by, self.until, self.most)


class _AcknowledgedFile(_Entry):
    acknowledged: list[_AcknowledgedStep] = []
    accepted: list[_AcceptedRegression] = []


_HINT = (
    "each `[[acknowledged]]` has `series`, `reason`, and `commit` or `index`; each `[[accepted]]`"
    " has `metric`, `reason`, `by`, `until`, and where wanted `most`"
)


def steps(path: Path) -> tuple[Acknowledgement, ...]:
    """Return the acknowledged change points.

    Raises:
        ConfigError: The file cannot be read, or has another content.
    """
    return _values(path, "acknowledged", [entry.value for entry in _read(path).acknowledged])


def regressions(path: Path) -> tuple[Acceptance, ...]:
    """Return the accepted regressions, also those that have expired.

    Raises:
        ConfigError: The file cannot be read, or has another content.
    """
    return _values(path, "accepted", [entry.value for entry in _read(path).accepted])


def _read(path: Path) -> _AcknowledgedFile:
    try:
        text = toml_file.read(path, "the file")
        is_json = path.suffix == ".json"
        body = strict_json.loads(text.encode()) if is_json else toml_file.parse(text, f"{path}")
        return _AcknowledgedFile.model_validate(body)
    except ConfigError as error:
        raise ConfigError(f"{error}", hint=error.hint or _HINT) from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {strict_json.sentence(error)}", hint=_HINT) from error
    except (RecursionError, ValueError) as error:
        message = truncate(f"{error}", _SENTENCE)
        raise ConfigError(f"{path}: not JSON: {message}", hint=_HINT) from error


def _values(path: Path, table: str, entries: list[Callable[[], _T]]) -> tuple[_T, ...]:
    values = []
    for number, entry in enumerate(entries):
        try:
            values.append(entry())
        except ValueError as error:
            message = truncate(f"{error}", _SENTENCE)
            raise ConfigError(f"{path}: {table}.{number}: {message}", hint=_HINT) from error
    return tuple(values)
