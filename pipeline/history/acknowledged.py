"""The file of steps that somebody has explained: TOML, or JSON of the same shape.

[[acknowledged]]
series = "object-crud/create_p50"
commit = "4f1c2ab"                # of the first point after the step; or `index`
reason = "audit log switched on"
"""

import json
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ConfigError
from pipeline.model.history import Acknowledgement


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Entry(_Strict):
    series: str
    reason: str
    commit: str = ""
    index: int | None = None


class _File(_Strict):
    acknowledged: list[_Entry]


def read(path: Path) -> tuple[Acknowledgement, ...]:
    """Return what is acknowledged.

    Raises:
        ConfigError: The file cannot be read, or says something else.
    """
    hint = "each `[[acknowledged]]` has `series`, `reason`, and `commit` or `index`"
    try:
        text = path.read_text(encoding="utf-8")
        body = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        entries = _File.model_validate(body).acknowledged
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path}: {where + ': ' if where else ''}{said}", hint=hint) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML or JSON: {error}", hint=hint) from error
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(Acknowledgement(entry.series, entry.reason, entry.commit, entry.index))
        except ValueError as error:
            raise ConfigError(f"{path}: acknowledged.{number}: {error}", hint=hint) from error
    return tuple(found)
