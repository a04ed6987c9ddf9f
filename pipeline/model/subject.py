"""A build that can be started, written as a spec: `reference?slow-create=20ms`, `binary:./milo`."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

_SHAPE = re.compile(
    r"(?P<kind>reference|binary|source|image)(?::(?P<place>[^?@]+))?(?:@(?P<revision>[^?@]+))?"
    r"(?:\?(?P<query>.*))?"
)
_TREE = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FORMS = (
    "reference, reference?FAULT=SIZE, binary:PATH, source:DIR@REVISION, image:NAME@sha256:DIGEST"
)


class Arm(StrEnum):
    """The two sides of a pair."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class SpecKind(StrEnum):
    """The way to get a build."""

    REFERENCE = "reference"
    """Built from `go/reference/`."""

    BINARY = "binary"
    """A Milo binary that exists."""

    SOURCE = "source"
    """Milo, built from a git repository by the user's own command."""

    IMAGE = "image"
    """Milo as a container image, for environments in a cluster."""


class Product(StrEnum):
    """The product that a subject is; it decides how it is started and what can be measured."""

    REFERENCE = "reference"
    MILO = "milo"


PRODUCT = "product"
"""Setting of a source that says which product it builds; Milo by default."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The text that names a build.

    Attributes:
        kind: Way to get the build.
        place: Path of a binary, folder of a repository, or name of an image; empty for the
            reference.
        revision: Git revision of a source; id of a git tree of the reference, or empty for its
            present source; `sha256:…` of an image, or of a binary without a path.
        settings: Name and value of every fault, flag and variable, in the order written.
    """

    kind: SpecKind
    place: str = ""
    revision: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        place = f":{self.place}" if self.place else ""
        revision = f"@{self.revision}" if self.revision else ""
        query = "&".join(f"{name}={size}" for name, size in self.settings)
        return f"{self.kind}{place}{revision}{'?' if query else ''}{query}"

    @property
    def product(self) -> Product:
        """The product of the build."""
        is_reference = (
            self.kind is SpecKind.SOURCE and (PRODUCT, Product.REFERENCE) in self.settings
        )
        return (
            Product.REFERENCE if is_reference or self.kind is SpecKind.REFERENCE else Product.MILO
        )


def parse_spec(text: str) -> Spec:
    """Read a spec.

    Raises:
        ValueError: A part cannot be used.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError(_complaint(text))
    kind, place, revision = SpecKind(shape["kind"]), shape["place"] or "", shape["revision"] or ""
    match kind:
        case SpecKind.REFERENCE:
            fits = not place and bool(not revision or _TREE.fullmatch(revision))
        case SpecKind.BINARY:
            fits = bool(not revision if place else _DIGEST.fullmatch(revision))
        case SpecKind.SOURCE:
            fits = bool(place and revision)
        case SpecKind.IMAGE:
            fits = bool(place and _DIGEST.fullmatch(revision))
        case _:
            assert_never(kind)
    if not fits:
        raise ValueError(_complaint(text))
    return Spec(kind, place, revision, _settings(text, shape["query"]))


def _complaint(text: str) -> str:
    reserved = (
        "; neither a path nor a revision has an `@` or a `?`" if set(text) & {"@", "?"} else ""
    )
    return f"`{text}` is not a subject; write one of {_FORMS}{reserved}"


def _settings(text: str, query: str | None) -> tuple[tuple[str, str], ...]:
    if query is None:
        return ()
    settings = []
    for setting in query.split("&"):
        name, equals, size = setting.partition("=")
        if not (name and equals and size):
            raise ValueError(f"`{text}`: after `?` write name=value, joined by `&`")
        settings.append((name, size))
    names = [name for name, _ in settings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"`{text}`: `{twice[0]}` is set twice")
    return tuple(settings)


@dataclass(frozen=True, slots=True)
class Subject:
    """A build as it was measured.

    Attributes:
        spec: Spec that makes the same build again.
        digest: `sha256:…` of the binary that was started.
        facts: Source tree or revision, Go version, build flags, and whether the source had
            uncommitted changes.
    """

    spec: str
    digest: str
    facts: dict[str, str] = field(default_factory=dict)
