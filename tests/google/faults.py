"""What goes wrong at Google."""

from dataclasses import dataclass
from typing import Any

Answer = tuple[int, Any]
_STATUS = {
    400: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
}


@dataclass
class Fault:
    """Something that goes wrong with the next requests that fit.

    Attributes:
        fits: Searched in `METHOD /path`.
        status: Of the answer; 0 for none at all.
        message: That it has.
        times: How often.
        is_after: Whether what was asked for is done nevertheless.
    """

    fits: str
    status: int
    message: str = "because a test wants it"
    times: int = 1
    is_after: bool = False


def refused(status: int, message: str) -> Answer:
    """Return a refusal as Google words it."""
    said = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
    return status, {"error": said}
