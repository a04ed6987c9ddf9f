"""A build that can be started, written as a spec: `reference`, `reference?slow-create=20ms`."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

KINDS = ("reference",)

_SHAPE = re.compile(r"(?P<kind>[a-z]+)(?:@(?P<tree>[0-9a-f]{40}))?(?:\?(?P<query>.*))?")


class Arm(StrEnum):
    """The two sides of a pair."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a person writes to name a build.

    Attributes:
        kind: One of `KINDS`.
        tree: Git tree id of the source, or empty for the source as it stands.
        settings: Name and size of every fault that is on, in the order written.
    """

    kind: str
    tree: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        tree = f"@{self.tree}" if self.tree else ""
        query = "&".join(f"{name}={size}" for name, size in self.settings)
        return f"{self.kind}{tree}{'?' if query else ''}{query}"


def parse_spec(text: str) -> Spec:
    """Read a spec.

    Raises:
        ValueError: Saying which part cannot be used.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None or shape["kind"] not in KINDS:
        raise ValueError(f"`{text}` is not a subject; known kinds: {', '.join(KINDS)}")
    query = shape["query"]
    if query is None:
        return Spec(shape["kind"], shape["tree"] or "")
    settings = []
    for setting in query.split("&"):
        name, equals, size = setting.partition("=")
        if not (name and equals and size):
            raise ValueError(f"`{text}`: after `?` write name=size, joined by `&`")
        settings.append((name, size))
    names = [name for name, _ in settings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"`{text}`: `{twice[0]}` is set twice")
    return Spec(shape["kind"], shape["tree"] or "", tuple(settings))


@dataclass(frozen=True, slots=True)
class Subject:
    """A build as it was measured.

    Attributes:
        spec: Enough to make it again.
        digest: `sha256:…` of the binary that was started.
        facts: Where it comes from: source tree, Go version, and whether the source was changed
            since the last commit.
    """

    spec: str
    digest: str
    facts: dict[str, str] = field(default_factory=dict)
