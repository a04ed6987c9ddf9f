"""What can go wrong, each with its own exit code.

Codes 1 and 2 stay Python's own (a crash, bad arguments), so a workflow tells "slower" from
"broken" by the number alone.  A regression is not in this file: it is an answer, not an error.

    PipelineError
    ├── ConfigError       2
    ├── LaunchError       5
    ├── LoadError         6
    │   └── SubjectDiedError   a result where it happens in one arm only; see `measure`
    └── BaselineError     7
"""

import errno
from enum import IntEnum
from typing import ClassVar

from pipeline.system.redact import redacted


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
    INTERRUPTED = 130


class PipelineError(Exception):
    """Something a person can act on: what happened, and what to try next."""

    exit_code: ClassVar[Exit]

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(redacted(message))  # it may quote a URL, a command or a log
        self.hint = redacted(hint)


class ConfigError(PipelineError):
    """An argument or a file that we read says something we cannot use."""

    exit_code = Exit.BAD_ARGUMENTS


class LaunchError(PipelineError):
    """The subject, or a tool it needs, could not be built or did not come up."""

    exit_code = Exit.NOT_STARTED


class LoadError(PipelineError):
    """The load was not applied as asked, so there is no number."""

    exit_code = Exit.WRONG_LOAD


class SubjectDiedError(LoadError):
    """A server, controller-manager or etcd ended by itself under load; its log is in the hint."""


class BaselineError(PipelineError):
    """A baseline or a result set is missing, unreadable or of another kind."""

    exit_code = Exit.NO_BASELINE


def hint_for(error: OSError) -> str:
    """Return what to try after a file could not be written."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room on that disk, then repeat the command; what was measured is kept"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "look at the permissions of its folder, or use a folder that you can write"
        case errno.ENOENT | errno.ENOTDIR:
            return "make its folder first"
        case _:
            return ""
