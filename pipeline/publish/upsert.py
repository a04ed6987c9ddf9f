"""Keep one text of ours in place: find it, write it once, and take back what came twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.publish.github import GoneError, TooLongError, UnsureError
from pipeline.system.errors import PublishError
from pipeline.system.log import log

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
        number: Which of its parts is the number of a text.
    """

    what: str
    listed: Callable[[], Iterable[Mapping[str, Any]]]
    create: Callable[[str], Mapping[str, Any]]
    replace: Callable[[int, str], None]
    drop: Callable[[int], None]
    number: str = "id"


def upsert(
    place: Place,
    marker: str,
    author: str,
    bodies: Iterable[str],
    *,
    may_create: bool,
    reason_to_keep: Callable[[str], str] = lambda _: "",
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
        reason_to_keep: Why a text of ours must not be replaced by this one; empty if it may be.

    Raises:
        PipelineError: GitHub does not answer, or does not let us.
    """
    left, done = iter(bodies), ""
    body = next(left)
    new: Mapping[str, Any] | None = None
    for _ in range(_ROUNDS):
        mine = _ours(place, marker, author, new)
        if not mine and not may_create:
            return f"{place.what}: there is none, and there is nothing to say"
        if mine and not new and (why := reason_to_keep(str(mine[0].get("body") or ""))):
            return f"{place.what}: left as it is, {why}"
        try:
            if mine:
                return f"{place.what}: {_kept(place, mine, body, done)}"
            new, done = place.create(body), "created"
        except TooLongError:
            less = next(left, None)
            if less is None:
                raise
            body = less
        except GoneError:
            if not mine:
                raise
            new = None  # somebody deleted it meanwhile
        except UnsureError as error:
            log.info("looking whether it is there: %s", error)
    raise PublishError(f"{place.what}: somebody changes it as fast as we do", hint="run this again")


def is_ours(one: Mapping[str, Any], marker: str, author: str) -> bool:
    """Whether a text is ours: written by the bot that we are, and begun by our marker."""
    user = one.get("user") or {}
    return (
        user.get("type") == "Bot"
        and user.get("login") == author
        and str(one.get("body") or "").startswith(marker)
    )


def _ours(
    place: Place, marker: str, author: str, new: Mapping[str, Any] | None
) -> list[Mapping[str, Any]]:
    """Return what is ours, the oldest first; with what we know to be there if a list lags."""
    found = {one["id"]: one for one in place.listed() if is_ours(one, marker, author)}
    if new is not None:
        found.setdefault(new["id"], new)
    return [found[number] for number in sorted(found)]


def _kept(place: Place, mine: Sequence[Mapping[str, Any]], body: str, done: str) -> str:
    """Let the oldest be the only one and say what it should; return what was done."""
    for extra in mine[1:]:  # of two runs at once, each may have created one
        place.drop(int(extra[place.number]))
    if _text(mine[0].get("body")) == _text(body):
        return done or "says it already"
    place.replace(int(mine[0][place.number]), body)
    return done or "updated"


def _text(body: object) -> str:
    """Return a text without what GitHub changes of it."""
    return str(body or "").replace("\r\n", "\n").strip()
