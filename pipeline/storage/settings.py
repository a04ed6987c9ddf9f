"""Base model of everything in a suite: frozen, no unknown keys, finite numbers."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base class of the tables of a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
