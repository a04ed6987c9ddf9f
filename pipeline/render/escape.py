"""Escape foreign text for Markdown: no markup, no links, no mentions, no end of a code span."""

import re
import unicodedata

from pipeline.system.sanitize import printable, truncate

_MAX_TEXT = 600  # characters
_MAX_NAME = 80  # characters
_MAX_BLOCK = 2_000  # characters
_STARTS_MARKUP = re.compile(r"[&<>|`*~\[\]\\!#$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_MENTION_OR_LINK = re.compile(r"@|:(?=//)|(?<=[Ww][Ww][Ww])\.|(?<=[Gg][Hh])-(?=\d)")
_ZERO_WIDTH_SPACE = "\u200b"
_LOOKALIKES = str.maketrans("`|<>@#", "'¦‹›＠＃")  # noqa: RUF001 (they have no meaning in Markdown)
_RIGHT_TO_LEFT = ("R", "AL", "AN")


def escape_markdown(value: object) -> str:
    """Return text that GitHub shows unchanged, in a cell of a table or in a line.

    A zero-width space keeps `@name` from being a mention and an address from being a link.
    """
    text = printable(str(value))
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}…"
    text = _MENTION_OR_LINK.sub(
        lambda match: (
            f"{match[0]}{_ZERO_WIDTH_SPACE}"
            if match[0] in "@-"
            else f"{_ZERO_WIDTH_SPACE}{match[0]}{_ZERO_WIDTH_SPACE}"
        ),
        text,
    )
    return _STARTS_MARKUP.sub(
        lambda match: f"&#{ord(match[0])};{_ZERO_WIDTH_SPACE if match[0] == '#' else ''}", text
    )


def code_span(text: str) -> str:
    """Return a foreign name as a code span."""
    return f"`{safe_name(text).strip() or '?'}`"


def safe_name(text: str) -> str:
    """Return a truncated foreign name; characters with a meaning in Markdown are replaced."""
    return _left_to_right(truncate(text, _MAX_NAME).translate(_LOOKALIKES))


def code_block(text: str) -> str:
    """Return truncated foreign lines that cannot end the code block around them."""
    lines = (
        printable(line).translate(_LOOKALIKES).rstrip() for line in text[:_MAX_BLOCK].splitlines()
    )
    return _left_to_right("\n".join(lines).strip("\n") + ("…" if len(text) > _MAX_BLOCK else ""))


def hide_marker(command: str) -> str:
    """Return a command without anything that looks like the marker of a report."""
    return command.replace("<!--", f"<{_ZERO_WIDTH_SPACE}!--")


def fence_for(command: str) -> str:
    """Return a fence that no run of backticks in the command can end."""
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    return "`" * max(3, longest + 1)


def _left_to_right(text: str) -> str:
    """Replace letters that would reverse the order of the numbers after them."""
    return "".join("?" if unicodedata.bidirectional(c) in _RIGHT_TO_LEFT else c for c in text)
