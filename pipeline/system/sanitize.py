"""Foreign text made harmless: one line, printable, of a known length."""

import re
from collections.abc import Sequence

# A panic of Go, what its runtime calls fatal, and the last words of klog and of zap (etcd).
_DEATH = re.compile(r"panic: |fatal error: |F\d{4} \d\d:\d\d:|\{\"level\":\"(?:fatal|panic)\"")


def printable(text: str) -> str:
    """Return text without what a terminal or a browser would obey: one line, printable."""
    if text.isprintable():  # nearly all of it, and a report has a million
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def truncate(text: str, most: int) -> str:
    """Return plain text, cut where it is longer than so many characters."""
    said = printable(text[: most + 1])
    return said if len(said) <= most else f"{said[:most]}…"


def reason_lines(lines: Sequence[str], most: int) -> list[str]:
    """Return the lines of a program's log that say why it died; the last ones if none does.

    The first line of a Go panic says why, and the stack below it is longer than anybody wants.

    Args:
        lines: Of the log, in order.
        most: How many lines to return at most; empty ones are left out.
    """
    there = [line for line in lines if line.strip()]
    starts = [at for at, line in enumerate(there) if _DEATH.match(line.lstrip())]
    return there[starts[-1] :][:most] if starts else there[-most:]
