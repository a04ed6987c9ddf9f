"""The result of one check of the doctor."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """Severity of a check; the value is the mark that people see."""

    OK = "✔"
    WARNING = "!"
    MISSING = "✘"


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement of a run.

    Attributes:
        fix: Command or action that helps; empty if nothing needs to be done.
        cost: Time and space that a first run needs for it, such as `about 1 minute, 500 MB`.
    """

    name: str
    status: Status
    found: str
    fix: str = ""
    cost: str = ""
