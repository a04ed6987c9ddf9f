"""Semantic versions in the names of git tags, and their order."""

import re
from dataclasses import dataclass
from typing import TypeAlias

_VERSION = re.compile(
    r"(?P<prefix>(?:.*?[^0-9.])??)"
    r"(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_MAX_LENGTH = 200  # characters of a tag's name

Identifier: TypeAlias = tuple[bool, int, str]
"""A part of a pre-release: whether it has letters, its number, its letters."""


@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version.

    Attributes:
        prefix: Text before the numbers, such as `v`; versions are comparable if it is equal.
        numbers: Major, minor and patch.
        pre_release: Identifiers of a pre-release; empty for a release.

    Source:
        Semantic Versioning 2.0.0, section 11: a pre-release comes before its release, numbers
        compare as numbers and come before letters, and build metadata has no order.
    """

    prefix: str
    numbers: tuple[int, int, int]
    pre_release: tuple[Identifier, ...] = ()

    @property
    def order(self) -> tuple[tuple[int, int, int], bool, tuple[Identifier, ...]]:
        """The key that sorts versions of one prefix."""
        return self.numbers, not self.pre_release, self.pre_release


def parse_version(name: str) -> Version | None:
    """Return the semantic version in the name of a tag; None if it has none."""
    match = _VERSION.fullmatch(name) if len(name) <= _MAX_LENGTH else None
    if match is None:
        return None
    return Version(
        match["prefix"],
        (int(match["major"]), int(match["minor"]), int(match["patch"])),
        tuple(map(_identifier, match["pre"].split("."))) if match["pre"] else (),
    )


def _identifier(text: str) -> Identifier:
    return (False, int(text), "") if text.isdigit() else (True, 0, text)
