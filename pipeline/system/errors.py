"""The errors of the pipeline, each class with its own exit code.

Codes 1 and 2 are Python's own (a crash, bad arguments), so a workflow can tell "slower" from
"broken" by the number alone.  A regression is an answer and not an error, so it is not here.

    PipelineError
    ├── ConfigError               2
    ├── LaunchError               5
    │   ├── CommandError              a program failed; see `processes`
    │   └── SetupDeathError           a result if it happens in one arm only; see `measure`
    ├── LoadError                 6
    │   ├── InvalidPairsError         more than the suite allows: the run is not resumed
    │   ├── ProbeError                the metric is missing; the trial counts
    │   └── SubjectDiedError          a result if it happens in one arm only; see `measure`
    ├── BaselineError             7
    ├── StorageError              8
    ├── NetworkError              9
    └── PublishError             10
"""

import errno
from enum import IntEnum
from pathlib import Path
from typing import ClassVar

from pipeline.system.redact import redact


class Exit(IntEnum):
    """Every exit code of the pipeline."""

    NO_REGRESSION = 0
    CRASH = 1
    BAD_ARGUMENTS = 2
    REGRESSION = 3
    INCONCLUSIVE = 4
    NOT_STARTED = 5
    WRONG_LOAD = 6
    NO_BASELINE = 7
    STORAGE = 8
    NETWORK = 9
    NOT_PUBLISHED = 10
    INTERRUPTED = 130


class PipelineError(Exception):
    """Something a person can act on: what happened, and what to try next."""

    exit_code: ClassVar[Exit]

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(redact(message))  # it may quote a URL, a command or a log
        self.hint = redact(hint)


class ConfigError(PipelineError):
    """An argument or a file that we read says something we cannot use."""

    exit_code = Exit.BAD_ARGUMENTS


class LaunchError(PipelineError):
    """The subject, or a tool it needs, could not be built or did not come up."""

    exit_code = Exit.NOT_STARTED


class SetupDeathError(LaunchError):
    """A component of one build ended by itself after it was ready, and before the load began.

    Attributes:
        arm: Name of the arm; the other one was still alive.
    """

    def __init__(self, message: str, *, arm: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.arm = arm


class LoadError(PipelineError):
    """The load was not applied as asked, so there is no number."""

    exit_code = Exit.WRONG_LOAD


class InvalidPairsError(LoadError):
    """A run has more invalid pairs than its suite allows, so it cannot be resumed."""


class ProbeError(LoadError):
    """A probe could not observe a target: a warning, and the metric is missing."""


class SubjectDiedError(LoadError):
    """A server, controller-manager or etcd ended by itself under load; its log is in the hint."""


class BaselineError(PipelineError):
    """A baseline or a result set is missing, unreadable or of another kind."""

    exit_code = Exit.NO_BASELINE


class StorageError(PipelineError):
    """The disk is full, or a file or folder cannot be read or written."""

    exit_code = Exit.STORAGE

    @classmethod
    def unwritable(cls, path: Path, error: OSError, *, prefix: str = "") -> "StorageError":
        """Return the error for a file or folder that could not be written."""
        return cls(f"{prefix}{path}: cannot be written: {error.strerror}", hint=hint_for(error))


class NetworkError(PipelineError):
    """An HTTP service does not answer, refuses a request or answers with something else."""

    exit_code = Exit.NETWORK


class PublishError(PipelineError):
    """A publication was refused: GitHub does not accept a text, or git a push."""

    exit_code = Exit.NOT_PUBLISHED


def hint_for(error: OSError) -> str:
    """Return the hint for a file that could not be written, or "" if there is none."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room on that disk, then repeat the command; what was measured is kept"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "look at the permissions of its folder, or use a folder that you can write"
        case errno.ENOENT | errno.ENOTDIR:
            return "make its folder first"
        case _:
            return ""
