"""What every text is written on: a console of rich that depends on nothing around it."""

from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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
