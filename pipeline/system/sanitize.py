"""Make untrusted text safe to print: one line, printable, of limited length."""

import re
from collections.abc import Sequence

# First lines of a Go panic, of a fatal error of its runtime, and of fatal logs of klog and zap.
_FATAL = re.compile(r"panic: |fatal error: |F\d{4} \d\d:\d\d:|\{\"level\":\"(?:fatal|panic)\"")


def printable(text: str) -> str:
    """Replace characters that a terminal or browser would interpret; the result is one line."""
    if text.isprintable():  # almost always, and a report has a million characters
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def truncate(text: str, limit: int) -> str:
    """Return printable text of at most `limit` characters, and `…` if it was longer."""
    shown = printable(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def reason_lines(lines: Sequence[str], limit: int) -> list[str]:
    """Return at most `limit` lines of a log that explain a crash; the last ones if none does.

    The first line of a Go panic has the reason; the stack below it is usually longer.
    """
    filled = [line for line in lines if line.strip()]
    starts = [at for at, line in enumerate(filled) if _FATAL.match(line.lstrip())]
    return filled[starts[-1] :][:limit] if starts else filled[-limit:]
