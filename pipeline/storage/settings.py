"""How every declared thing behaves: frozen, without unknown keys, and every number is finite."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of everything that is written in a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
