"""What a cluster says when it refuses, and what a person can do about it."""

from typing import Any

from pipeline.system.errors import LaunchError
from pipeline.system.sanitize import clipped

PAUSE_S = 1.0
"""Before something is asked again."""

_LONGEST_PAUSE_S = 10.0
_SENTENCE = 400  # characters of what is said


class ClusterError(LaunchError):
    """The cluster refused something, or does not answer.

    Attributes:
        status: Of HTTP; 0 where there was no answer.
    """

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def message(error: Any) -> str:  # noqa: ANN401 (the library has no types)
    """Return what the API server said, without the rest of its answer."""
    import json

    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        said = json.loads(body)["message"]
    except (
        ValueError,
        RecursionError,
    ):  # of something behind the API server, which answers with text
        said = clipped(str(body).strip(), _SENTENCE) or error.reason
    except (KeyError, TypeError):
        said = error.reason
    return str(said)[:_SENTENCE]


def pause_s_of(error: Any, usual_s: float) -> float:  # noqa: ANN401 (the library has no types)
    """Return how long the cluster wants us to wait, in seconds."""
    asked = (error.headers or {}).get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_S) if asked.isdigit() else usual_s


def refusal(what: str, status: int, why: str) -> ClusterError:
    """Return the error of a request that was refused, with what helps."""
    hint = "`python -m pipeline doctor --environment …` checks what a run may do, and the room"
    if status == 401:
        hint = "log in again, or correct the user of the context in the kubeconfig"
    elif "exceeded quota" in why:
        hint = "raise the quota, or give less to server, manager and etcd in [environment]"
    elif status == 403:
        hint = f"the role in deploy/rights.yaml has every right that is needed\n{hint}"
    return ClusterError(f"the cluster refused {what}: {status}: {why}", hint=hint, status=status)
