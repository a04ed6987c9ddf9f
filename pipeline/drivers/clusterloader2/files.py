"""Read files that another program left, which may be damaged, endless or no files at all."""

import os
import stat
from pathlib import Path
from typing import Any

from pipeline.storage import strict_json
from pipeline.system.errors import LoadError

HINT = "clusterloader2.log beside the report says what ClusterLoader2 did"

MOST_BYTES = 8 * 2**20
"""Of one file; latencies of 1,000 kinds of requests have 0.3 MiB."""


def read_bytes(path: Path) -> bytes:
    """Return what is in a regular file that is not too large; a link is not followed.

    Raises:
        LoadError: Naming the file and what is wrong with it.
    """
    try:
        # A pipe would keep us waiting for a writer, and a link may lead out of the report.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_regular = stat.S_ISREG(os.fstat(number).st_mode)
            content = b""
            if is_regular:
                with os.fdopen(number, "rb", closefd=False) as file:
                    content = file.read(MOST_BYTES + 1)
        finally:
            os.close(number)
    except OSError as error:
        why = "a link, and a report has none" if path.is_symlink() else error.strerror
        raise LoadError(f"{path}: cannot be read: {why}", hint=HINT) from error
    if not is_regular:
        raise LoadError(f"{path}: not a regular file", hint=HINT)
    if len(content) > MOST_BYTES:
        raise LoadError(f"{path}: larger than {MOST_BYTES >> 20} MiB", hint=HINT)
    return content


def read_json(path: Path) -> Any:  # noqa: ANN401  # what it is, is for the caller to check
    """Return what a JSON file says, of known size, all numbers finite and no key twice.

    Raises:
        LoadError: Naming the file and what is wrong with it.
    """
    try:
        return strict_json.loads(read_bytes(path))
    except ValueError as error:
        raise LoadError(f"{path}: {error}", hint=HINT) from error
