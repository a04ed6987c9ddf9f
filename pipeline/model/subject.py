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
    """How a subject is made."""

    REFERENCE = "reference"
    """Built from `go/reference/`."""

    BINARY = "binary"
    """A Milo binary that exists."""

    SOURCE = "source"
    """Milo, built from a git repository by the user's own command."""

    IMAGE = "image"
    """Milo as a container image, for environments in a cluster."""


class Product(StrEnum):
    """What a subject is, and so how it is started and what it can be asked for."""

    REFERENCE = "reference"
    MILO = "milo"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a person writes to name a build.

    Attributes:
        kind: How it is made.
        place: Path of a binary, folder of a repository, or name of an image; empty for the
            reference.
        revision: Of a source, as git knows it; of the reference, the id of a git tree, or empty
            for the source as it stands; of a binary, `sha256:…` where it is known by digest alone;
            of an image, its `sha256:…`, because a tag can be moved.
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
        """What the build is."""
        return Product.REFERENCE if self.kind is SpecKind.REFERENCE else Product.MILO


def parse_spec(text: str) -> Spec:
    """Read a spec.

    Raises:
        ValueError: Saying which part cannot be used.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError(f"`{text}` is not a subject; write one of {_FORMS}")
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
        raise ValueError(f"`{text}` is not a subject; write one of {_FORMS}")
    return Spec(kind, place, revision, _settings(text, shape["query"]))


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
        spec: Enough to make it again.
        digest: `sha256:…` of the binary that was started.
        facts: Where it comes from: source tree or revision, Go version, build flags, and whether
            the source was changed since the last commit.
    """

    spec: str
    digest: str
    facts: dict[str, str] = field(default_factory=dict)
