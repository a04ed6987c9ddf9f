"""By what a comment, a check and an issue are found again."""

import re

from pipeline.system.errors import ConfigError

_KEY = re.compile(r"[a-z0-9][a-z0-9/_.-]{0,79}")


def checked(key: str) -> str:
    """Return a key that can stand in a marker.

    Raises:
        ConfigError: It cannot.
    """
    if not _KEY.fullmatch(key):
        raise ConfigError(
            f"`{key[:80]}` cannot be a key", hint="use small letters, digits, `/`, `.`, `_`, `-`"
        )
    return key
