"""Keep one text of ours up to date: find it, create or replace it, and delete duplicates."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.publish.github import GoneError, TooLongError, UnsureError
from pipeline.system.errors import PublishError
from pipeline.system.log import log

_ROUNDS = 8


class KeepReason(StrEnum):
    """Why an existing text must not be replaced, in words."""

    HAS_RESULT = "it has a result of this commit"
    LATER_RUN = "a later run has written it"


@dataclass(frozen=True, slots=True)
class CommentThread:
    """A place for texts, such as the comments of a pull request.

    Attributes:
        name: Name of the place in messages.
    """

    name: str
    list_texts: Callable[[], Iterable[Mapping[str, Any]]]
    create: Callable[[str], Mapping[str, Any]]
    replace: Callable[[int, str], None]
    delete: Callable[[int], None]
    number_key: str = "id"


def upsert(
    thread: CommentThread,
    marker: str,
    author: str,
    bodies: Iterable[str],
    *,
    may_create: bool,
    reason_to_keep: Callable[[str], KeepReason | None] = lambda _: None,
) -> str:
    """Create or replace our text, and return what was done in a sentence.

    Two runs at the same time may create two texts; the oldest stays.  A text that is up to date is
    not written again.  Anybody could copy the marker, the first line of our texts, so the author
    must be our bot.  `bodies` are the text, then shorter ones in case GitHub finds it too long.
    `reason_to_keep` returns why our existing text must stay; None if it may be replaced.
    """
    left, done = iter(bodies), ""
    body = next(left)
    new: Mapping[str, Any] | None = None
    for _ in range(_ROUNDS):
        ours = _list_ours(thread, marker, author, new)
        if not ours and not may_create:
            return f"{thread.name}: there is none, and there is nothing to say"
        existing = str(ours[0].get("body") or "") if ours and not new else None
        if existing is not None and (reason := reason_to_keep(existing)):
            return f"{thread.name}: not changed, {reason}"
        try:
            if ours:
                return f"{thread.name}: {_replace_first(thread, ours, body, done)}"
            new, done = thread.create(body), "created"
        except TooLongError:
            shorter = next(left, None)
            if shorter is None:
                raise
            body = shorter
        except GoneError:
            if not ours:
                raise
            new = None  # somebody deleted it meanwhile
        except UnsureError as error:
            log.info("checking whether it was created: %s", error)
    raise PublishError(
        f"{thread.name}: another process keeps changing it", hint="run this command again"
    )


def is_ours(text: Mapping[str, Any], marker: str, author: str) -> bool:
    """Return whether our bot wrote a text and it begins with our marker."""
    user = text.get("user") or {}
    return (
        user.get("type") == "Bot"
        and user.get("login") == author
        and str(text.get("body") or "").startswith(marker)
    )


def _list_ours(
    thread: CommentThread, marker: str, author: str, new: Mapping[str, Any] | None
) -> list[Mapping[str, Any]]:
    """Return our texts, the oldest first, with a new one that a stale list may lack."""
    ours = {one["id"]: one for one in thread.list_texts() if is_ours(one, marker, author)}
    if new is not None:
        ours.setdefault(new["id"], new)
    return [ours[number] for number in sorted(ours)]


def _replace_first(
    thread: CommentThread, ours: Sequence[Mapping[str, Any]], body: str, done: str
) -> str:
    """Delete duplicates and replace the oldest text; return what was done."""
    for duplicate in ours[1:]:
        thread.delete(int(duplicate[thread.number_key]))
    if _normalize(ours[0].get("body")) == _normalize(body):
        return done or "up to date"
    thread.replace(int(ours[0][thread.number_key]), body)
    return done or "updated"


def _normalize(body: object) -> str:
    """Return a text without the changes that GitHub makes to it."""
    return str(body or "").replace("\r\n", "\n").strip()
