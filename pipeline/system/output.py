"""Print: the only module that writes to standard output and standard error.

How a process ends is its answer, so printing never changes it: a reader that has gone is no error,
and a character that the encoding of a stream lacks is printed as plain ASCII.
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
"""Why standard output could not be written, if it could not."""


def prepare() -> None:
    """Let standard output and standard error take any text; call once, before anything else."""
    _failed.clear()
    codecs.register_error(_ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def print_stdout(text: str) -> None:
    """Print text, as it is, to standard output at once."""
    error = _write(sys.stdout, text)
    if error is not None and not isinstance(error, BrokenPipeError):
        _failed.append(error)
        print_stderr(f"error: standard output cannot be written: {error.strerror}")


def print_stderr(line: str) -> None:
    """Print a line to standard error."""
    _write(sys.stderr, f"{line}\n")


def has_failed() -> bool:
    """Return whether something that was shown is lost, though its reader was there."""
    return bool(_failed)


def supports_escapes(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that understands colours and a moving cursor."""
    if stream is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        return False
    return os.environ.get("TERM", "") not in _WITHOUT_ESCAPES


def _write(stream: TextIO | None, text: str) -> OSError | None:
    """Write to a stream, and return why it could not be written, if so."""
    if stream is None:  # whoever started us has closed it
        return None
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python flushes once more when it ends, and an error then would change the exit code.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return what is printed instead of characters that an encoding lacks; see `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in lacking), error.end
