"""How every declared thing behaves: frozen, and no unknown keys."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of everything that is written in a suite."""

    model_config = ConfigDict(frozen=True, extra="forbid")
