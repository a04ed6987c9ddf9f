"""What every text is written on: a console of rich that depends on nothing around it."""

import re
import textwrap
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def paper(width: int, *, color: bool) -> "Console":
    """Return a console that keeps what is printed; the same prints give the same bytes.

    Args:
        width: Characters of a line.
        color: Whether to add escape sequences of colour.
    """
    from rich.console import Console

    return Console(
        file=StringIO(),
        width=width,
        color_system="standard" if color else None,
        force_terminal=color,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        _environ={},
    )


def written(console: "Console") -> str:
    """Return what was printed on `paper`, without blanks at the ends of lines."""
    text = console.file.getvalue() if isinstance(console.file, StringIO) else ""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def fits(console: "Console", table: "Table") -> bool:
    """Return whether a table has room on a console without folding any of its cells."""
    from rich.measure import Measurement

    wide = console.options.update(width=10_000, max_width=10_000)
    return Measurement.get(console, wide, table).maximum <= console.width


def print_wrapped(
    console: "Console", text: str, *, style: str = "", indent: str = "", first: str | None = None
) -> None:
    """Print a sentence on as many lines as it needs; a word is never split, so it can be copied.

    Args:
        console: Of a known width.
        text: One paragraph; nothing is printed if it is empty.
        style: Of rich.
        indent: Put before each line.
        first: Put before the first line instead of `indent`.
    """
    lines = textwrap.wrap(
        text,
        console.width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(line, style=style, soft_wrap=True)


def fold(name: str, width: int) -> str:
    """Return a name on lines of at most so many characters, broken after `_`, `.`, `/` or `-`."""
    lines = [""]
    for part in re.findall(r"[^\s_./-]*[\s_./-]?", name):
        rest = part
        if len(lines[-1]) + len(rest) > width and lines[-1].strip():
            lines.append("  ")
        while len(lines[-1]) + len(rest) > width > len(lines[-1]):
            room = width - len(lines[-1])
            lines[-1] += rest[:room]
            rest = rest[room:]
            lines.append("  ")
        lines[-1] += rest
    return "\n".join(line.rstrip() for line in lines if line.strip())
