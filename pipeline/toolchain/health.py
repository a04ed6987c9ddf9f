"""One answer of the doctor's."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How bad it is; the value is the mark that people see."""

    OK = "✔"
    WARNING = "!"
    MISSING = "✘"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a run needs.

    Attributes:
        name: What was looked at.
        status: Whether a run would go well.
        found: What is there.
        fix: The line to type, or what to do; empty where nothing is to be done.
        cost: Time and room that it will take once, such as `about 1 minute, 500 MB`.
    """

    name: str
    status: Status
    found: str
    fix: str = ""
    cost: str = ""
