"""Profiles: values by stack, as Go programs report them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Stack: TypeAlias = tuple[str, ...]
"""Names of functions, the leaf first and the root last."""


@dataclass(frozen=True, slots=True)
class StackProfile:
    """One profile.

    Attributes:
        types: Type and unit of each value, such as `("cpu", "nanoseconds")`.
        stacks: Values of each stack, in the order of `types`.
    """

    types: tuple[tuple[str, str], ...]
    stacks: dict[Stack, tuple[float, ...]] = field(default_factory=dict)

    def column(self, kind: str) -> dict[Stack, float]:
        """Return the values of one type by stack; empty if the profile does not have the type."""
        names = [name for name, _ in self.types]
        if kind not in names:
            return {}
        at = names.index(kind)
        return {stack: values[at] for stack, values in self.stacks.items()}


class EvidenceKind(StrEnum):
    """What a piece of evidence is taken from."""

    CPU = "cpu"
    """CPU time, sampled 100 times a second."""

    WALL = "wall"
    """Time in which goroutines exist, from goroutine profiles that are taken under load."""

    BLOCK = "block"
    """Time in which goroutines wait for channels and locks."""

    MUTEX = "mutex"
    """Time in which goroutines wait for a lock, by the function that releases it."""

    HEAP = "heap"
    """Memory in use after the load and a garbage collection."""

    ALLOCATIONS = "allocations"
    """Memory that is allocated under load."""

    GOROUTINES = "goroutines"
    """Number of goroutines after the load."""

    METRIC = "metric"
    """A counter, gauge or histogram that a component exports."""
