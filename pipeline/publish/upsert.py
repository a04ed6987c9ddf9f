"""Keep one text of ours in place: find it, write it once, and take back what came twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import LoadError
from pipeline.publish.github import GoneError, TooLongError, UnsureError

_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where texts stand, such as the comments of a pull request.

    Attributes:
        what: In words.
        listed: Returns everything that stands there, ours or not.
        create: Posts a text and returns what was made of it.
        replace: Replaces the text with a number by another one.
        drop: Takes back the text with a number.
    """

    what: str
    listed: Callable[[], Iterable[Mapping[str, Any]]]
    create: Callable[[str], Mapping[str, Any]]
    replace: Callable[[int, str], None]
    drop: Callable[[int], None]


def upsert(
    place: Place, marker: str, author: str, bodies: Sequence[str], *, may_create: bool
) -> str:
    """Make one text of ours say what it should, and return what was done in a sentence.

    Of several of ours, which two runs at once may leave, the oldest stays.  A text that says the
    same already is not written again.

    Args:
        place: Where.
        marker: By which ours begins.
        author: Login of the bot that we are: a marker alone may be anybody's.
        bodies: The text, then shorter ones for when GitHub finds it too long.
        may_create: Whether to create one where there is none.

    Raises:
        PipelineError: GitHub does not answer, or does not let us.
    """
    left, done = list(bodies), ""
    mine = _ours(place, marker, author)
    for _ in range(_ROUNDS):
        try:
            if not mine and not may_create:
                return f"{place.what}: there is none, and there is nothing to say"
            if not mine:
                mine = _created(place, marker, author, left[0])
                done = "created"
                continue
            for extra in mine[1:]:
                place.drop(number_of(extra))
            mine = mine[:1]
            if _text(mine[0].get("body")) == _text(left[0]):
                return f"{place.what}: {done or 'says it already'}"
            place.replace(number_of(mine[0]), left[0])
        except TooLongError:
            if len(left) == 1:
                raise
            left.pop(0)
        except GoneError:
            if not mine:
                raise
            mine = _ours(place, marker, author)  # somebody deleted it meanwhile
        except UnsureError:
            mine = _ours(place, marker, author)
        else:
            return f"{place.what}: {done or 'updated'}"
    raise LoadError(f"{place.what}: somebody changes it as fast as we do", hint="run this again")


def number_of(one: Mapping[str, Any]) -> int:
    """Return by which number the API knows a text: that of an issue, otherwise the id."""
    return int(one.get("number", one["id"]))


def is_ours(one: Mapping[str, Any], marker: str, author: str) -> bool:
    """Whether a text is ours: written by the bot that we are, and begun by our marker."""
    user = one.get("user") or {}
    return (
        user.get("type") == "Bot"
        and user.get("login") == author
        and str(one.get("body") or "").startswith(marker)
    )


def _ours(place: Place, marker: str, author: str) -> list[Mapping[str, Any]]:
    """Return what is ours, the oldest first."""
    return sorted(
        (one for one in place.listed() if is_ours(one, marker, author)), key=lambda one: one["id"]
    )


def _created(place: Place, marker: str, author: str, body: str) -> list[Mapping[str, Any]]:
    """Create a text and return what is ours now: another run may have been faster."""
    new = place.create(body)
    found = _ours(place, marker, author)
    if all(one["id"] != new["id"] for one in found):  # a list may lag behind
        found.append(new)
    return sorted(found, key=lambda one: one["id"])


def _text(body: object) -> str:
    """Return a text without what GitHub changes of it."""
    return str(body or "").replace("\r\n", "\n").strip()
