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

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from pipeline.model.history import Acknowledgement
from pipeline.model.publication import Acceptance
from pipeline.storage import strict_json, toml_file
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

_SENTENCE = 300  # characters of a library's message
_HINT = (
    "each `[[acknowledged]]` has `series`, `reason`, and `commit` or `index`; each `[[accepted]]`"
    " has `metric`, `reason`, `by`, `until`, and where wanted `most`"
)


@dataclass(frozen=True, slots=True)
class _AcknowledgedFile:
    acknowledged: tuple[Acknowledgement, ...] = ()
    accepted: tuple[Acceptance, ...] = ()


for _table in (_AcknowledgedFile, Acknowledgement, Acceptance):
    with_config(ConfigDict(extra="forbid", allow_inf_nan=False))(_table)
_FILE = TypeAdapter(_AcknowledgedFile)


def steps(path: Path) -> tuple[Acknowledgement, ...]:
    """Return the acknowledged change points.

    Raises:
        ConfigError: The file cannot be read, or has another content.
    """
    return _read(path).acknowledged


def regressions(path: Path) -> tuple[Acceptance, ...]:
    """Return the accepted regressions, also those that have expired.

    Raises:
        ConfigError: The file cannot be read, or has another content.
    """
    return _read(path).accepted


def _read(path: Path) -> _AcknowledgedFile:
    try:
        text = toml_file.read(path, "the file")
        is_json = path.suffix == ".json"
        body = strict_json.loads(text.encode()) if is_json else toml_file.parse(text, f"{path}")
        # Through JSON, because only there a strict reader takes a date as text, too.
        text = json.dumps(body, default=lambda day: day.isoformat().removesuffix("T00:00:00"))
        return _FILE.validate_json(text, strict=True)
    except ConfigError as error:
        raise ConfigError(f"{error}", hint=error.hint or _HINT) from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {strict_json.sentence(error)}", hint=_HINT) from error
    except (RecursionError, ValueError) as error:
        message = truncate(f"{error}", _SENTENCE)
        raise ConfigError(f"{path}: not JSON: {message}", hint=_HINT) from error
