"""Print: the only module that writes to standard output and standard error.

The exit code is the answer of a command, so printing never changes it: a closed pipe is not an
error, and characters that a stream's encoding lacks are replaced by ASCII.
"""

import codecs
import io
import os
import sys
from typing import TextIO

_ERRORS = "milo-perf.ascii"
_WITHOUT_ESCAPES = ("", "dumb", "unknown")  # values of TERM

_ASCII = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.,-=+*#", strict=True)),  # a sparkline
    **dict(zip("·┊●│─├┤◄►╌○◆", "-:*|-[]<>-o*", strict=True)),  # an interval on its axis
    **dict(zip("▲▼△▽", "^vAV", strict=True)),  # steps; the hollow ones are acknowledged
    **dict(zip("✔✅✘✕❌⚠", "++xxx!", strict=True)),
    **dict(zip("µ—“”«»•¦\u00d7\u2013\u2018\u2019\u00a0", 'u-""""*|x-\'\' ', strict=True)),
    "\N{MINUS SIGN}": "-",
    "←": "<-",
    "→": "->",
    "…": "...",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "\ufe0f": "",  # only says that the character before it is an emoji
}

_failed: list[OSError] = []
"""Errors of writing to standard output."""


def prepare() -> None:
    """Make standard output and standard error accept any text; call once, at the start."""
    _failed.clear()
    codecs.register_error(_ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def print_stdout(text: str) -> None:
    """Print text to standard output, without a line break, and flush."""
    error = _write(sys.stdout, text)
    if error is not None and not isinstance(error, BrokenPipeError):
        _failed.append(error)
        print_stderr(f"error: standard output cannot be written: {error.strerror}")


def print_stderr(line: str) -> None:
    """Print a line to standard error."""
    _write(sys.stderr, f"{line}\n")


def has_failed() -> bool:
    """Return True if standard output could not be written, except to a closed pipe."""
    return bool(_failed)


def supports_escapes(stream: TextIO | None) -> bool:
    """Return True if a stream is a terminal with colours and cursor movement."""
    if stream is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        return False
    return os.environ.get("TERM", "") not in _WITHOUT_ESCAPES


def _write(stream: TextIO | None, text: str) -> OSError | None:
    """Write to a stream; return the error if it cannot be written."""
    if stream is None:  # it was closed before the start
        return None
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python flushes again at its end, and an error then would change the exit code.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return the ASCII replacement of characters that an encoding lacks; see `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in characters), error.end
