"""Read files that another program left, which may be damaged, endless or no files at all."""

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import LoadError

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
    """Return what a JSON file says, all numbers finite and no key twice.

    Raises:
        LoadError: Naming the file and what is wrong with it.
    """
    try:
        text = read_bytes(path).decode("utf-8")
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise LoadError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise LoadError(f"{path}: its parts are nested too deep", hint=HINT) from error
    except ValueError as error:  # JSON's own error is one of these
        raise LoadError(f"{path}: not JSON: {error}", hint=HINT) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key `{twice[:40]}` is there twice")
    for text in (*found, *found.values()):
        if isinstance(text, str):
            text.encode()  # half of a surrogate pair could not be printed or written
    return found
