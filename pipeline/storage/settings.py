"""Base model of everything in a suite: frozen, no unknown keys, finite numbers."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

_T = TypeVar("_T")


class Settings(BaseModel):
    """Base class of the tables of a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def from_table(
    adapter: TypeAdapter[_T], table: Mapping[str, object], context: Mapping[str, Any] | None = None
) -> _T:
    """Return the value that a table of TOML or JSON describes.

    Types are not converted: neither `true` nor `"1"` is the number 1.

    Raises:
        ValidationError: A key is missing or unknown, or a value has another type or is not allowed.
    """
    # Through JSON, because only there a strict reader takes arrays, times and names of enums.
    text = json.dumps(table, default=str)
    return adapter.validate_json(text, strict=True, context=context and dict(context))
