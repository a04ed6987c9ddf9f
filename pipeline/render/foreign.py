"""Foreign text in Markdown: names in code spans, and what a program said in a block of code."""

import unicodedata

from pipeline.system.sanitize import printable, truncate

_HARMLESS = str.maketrans("`|<>@#", "'¦‹›＠＃")  # noqa: RUF001 (they look alike, and do nothing)
_TO_LEFT = ("R", "AL", "AN")
_NAME = 80  # characters of a name
_BLOCK = 2_000  # characters of a block


def code(text: str) -> str:
    """Return a foreign name as a code span that nothing in it can end or fill with meaning."""
    return f"`{harmless(text).strip() or '?'}`"


def harmless(text: str) -> str:
    """Return a foreign name, cut, without what Markdown, GitHub or a terminal would obey."""
    return _left_to_right(truncate(text, _NAME).translate(_HARMLESS))


def block(text: str) -> str:
    """Return lines of foreign text, cut, that cannot end the block of code they stand in."""
    lines = (printable(line).translate(_HARMLESS).rstrip() for line in text[:_BLOCK].splitlines())
    return _left_to_right("\n".join(lines).strip("\n") + ("…" if len(text) > _BLOCK else ""))


def _left_to_right(text: str) -> str:
    """Return text without letters that would turn the numbers after them around."""
    return "".join("?" if unicodedata.bidirectional(c) in _TO_LEFT else c for c in text)
