"""Render text with rich on a console that depends on nothing around it."""

import re
import textwrap
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_MAX_WHOLE_WORD = 200
"""Longest word that is kept whole: paths are shorter, and a hostile name may have 10 kB."""


def string_console(width: int, *, color: bool) -> "Console":
    """Return a console that prints to a string; the same prints give the same bytes."""
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


def console_text(console: "Console") -> str:
    """Return the text printed on a string console, without blanks at the ends of lines."""
    text = console.file.getvalue() if isinstance(console.file, StringIO) else ""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def table(*columns: str) -> "Table":
    """Return an empty table with bold headers and no lines; the columns are aligned right."""
    from rich.table import Table

    built = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        built.add_column(column, justify="right", overflow="fold")
    return built


def fits(console: "Console", table: "Table") -> bool:
    """Return whether the console shows a table without folding any cell."""
    from rich.measure import Measurement

    wide = console.options.update(width=10_000, max_width=10_000)
    return Measurement.get(console, wide, table).maximum <= console.width


def print_wrapped(
    console: "Console", text: str, *, style: str = "", indent: str = "", first: str | None = None
) -> None:
    """Print a paragraph on as many lines as it needs; a path or a command is kept whole.

    Nothing is printed if it is empty.  `indent` begins each line; `first` replaces it in the first.
    """
    lines = textwrap.wrap(
        text,
        console.width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=any(len(word) > _MAX_WHOLE_WORD for word in text.split()),
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(line, style=style, soft_wrap=True)


def fold_name(name: str, width: int) -> str:
    """Return a name on lines of at most `width` characters, broken after `_`, `.`, `/` or `-`."""
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
