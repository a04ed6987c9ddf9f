"""Which files cannot change how fast anything is: git's patterns, as `decide.sh` gives them to git.

The measuring job says of itself that there was nothing to measure, and it runs the workflow file
of the pull request.  So the files of the pull request are looked at again here.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

_TOKEN: Final = re.compile(rb"(?:(?<=/)|^)\*\*+(?P<deep>/|$)|\*+|\?|[^*?]+")


def not_ignored(files: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the files that none of the patterns covers.

    Args:
        files: Paths from the top of a repository.
        patterns: Of git's `:(top,glob)` pathspecs; one with `[` or a backslash covers nothing.
    """
    shapes = [_shape(pattern.encode()) for pattern in patterns if pattern]
    return [name for name in files if not any(one.fullmatch(name.encode()) for one in shapes)]


@cache
def _shape(pattern: bytes) -> re.Pattern[bytes]:
    """Return what a pattern covers, as a regular expression; like git's, of bytes."""
    if re.search(rb"[\[\\]", pattern):
        return re.compile(rb"(?!)")
    if not re.search(rb"[*?]", pattern):  # a name covers the file and what is in the folder
        return re.compile(rb"%b(?:/.*)?" % re.escape(pattern.rstrip(b"/")), re.DOTALL)
    said = b""
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token["deep"] is not None:
            said += b"(?:.*/)?" if token["deep"] else b".*"
        elif text.startswith(b"*"):
            said += b"[^/]*"
        elif text == b"?":
            said += b"[^/]"
        else:
            said += re.escape(text)
    return re.compile(said, re.DOTALL)
