"""Base model of everything in a suite: frozen, no unknown keys, finite numbers."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.model.bounds import (
    MAX_COUNT,
    MAX_OBJECT_BYTES,
    MAX_RATE,
    MAX_SECONDS,
    MIN_RATE,
    MIN_SECONDS,
)

_T = TypeVar("_T")

Seconds = Annotated[float, Field(ge=MIN_SECONDS, le=MAX_SECONDS)]
SecondsOrZero = Annotated[float, Field(ge=0, le=MAX_SECONDS)]
Rate = Annotated[float, Field(ge=MIN_RATE, le=MAX_RATE)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]
ObjectBytes = Annotated[int, Field(ge=1, le=MAX_OBJECT_BYTES)]


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


def require_load(rate: float, duration_s: float) -> None:
    """Raise ValueError if a rate begins nothing in a duration."""
    if rate * duration_s < 1:
        raise ValueError(f"a rate of {rate:g} begins nothing in {duration_s:g} s, the duration")


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a value in one sentence, which begins with the key."""
    first = error.errors()[0]
    text = first["msg"].removeprefix("Value error, ")
    return ": ".join([*map(str, first["loc"]), text])
