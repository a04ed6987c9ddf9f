"""Remove passwords and tokens from command lines, URLs, errors and log lines.

The patterns are few, so that ordinary sentences are not changed.  See drivers/scrub.py for whole
logs of other programs.
"""

import re
import shlex
from collections.abc import Iterable

REMOVED = "[removed]"

_WORD = r"(?:token|passw(?:or)?d|secret|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_NAME = re.compile(rf"(?:.*[._-])?{_WORD}", re.IGNORECASE)
_VALUE = r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"`]+)"
_RULES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Name and password in a URL.
        r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@\"'?#]{1,4096}(?P<after>@)",
        # A parameter in a URL.
        rf"(?P<before>[?&](?:[\w-]*[_-])?{_WORD}=)[^\s&#\"'`]+(?P<after>)",
        # Headers.
        rf"(?P<before>\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?){_VALUE}(?P<after>)",
        r"(?P<before>\bbearer\s{1,9})(?=\S*\d)[\w.~+/=-]{12,}(?P<after>)",
        # An option, and a variable.
        rf"(?P<before>(?<![\w/-])--?(?:[\w-]*-)?{_WORD}[= ])(?![-\[]){_VALUE}(?P<after>)",
        rf"(?P<before>(?<![\w/-])(?:[\w.]*[_.])?{_WORD}=)(?!\[){_VALUE}(?P<after>)",
    )
)


def redact(text: str) -> str:
    """Return a text without the passwords in its URLs, headers, options and variables."""
    for rule in _RULES:
        text = rule.sub(rf"\g<before>{REMOVED}\g<after>", text)
    return text


def command_line(argv: Iterable[str]) -> str:
    """Return a command line that can be pasted, without secret values.

    An option or variable is secret by its name: `--token X`, `--token=X`, `API_TOKEN=X`.  An option
    for a file, such as `--token-file`, is not.
    """
    shown: list[str] = []
    is_value = False
    for word in argv:
        name, equals, value = word.partition("=")
        is_secret = _NAME.fullmatch(name.lstrip("-")) is not None
        if is_value and not word.startswith("-"):
            shown.append(REMOVED)
        elif is_secret and equals and value:
            shown.append(f"{shlex.quote(name)}={REMOVED}")
        else:
            shown.append(shlex.quote(redact(word)))
        is_value = is_secret and word.startswith("-") and not equals
    return " ".join(shown)
