"""What a load leaves in etcd, and what it wrote there, asked through etcd's JSON gateway."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading
from pipeline.system import http_client
from pipeline.system.errors import ProbeError, StorageError
from pipeline.system.log import log

PREFIX = "/projects/"

MOST_KEYS = 200_000
"""How many keys are listed on either side of `PREFIX`; of more, only the number is told."""

_PAGE = 5_000
_FIRST, _END = b"\0", b"\0"  # as a key, the first of all; as an end, none
_PASSING = ("events", "leases")  # etcd drops them itself after a while
_PROJECT = re.compile(r"/resourcemanager\.miloapis\.com/projects/([^/]+)$")

# What the scripts in k6_scripts/ call the Projects that they make.
_NAME = re.compile(r"(?:burst|life|crud|fill|touch|noise|churn|gc|idle)-[a-z0-9]+-[a-z0-9]+-[0-9]+")


@dataclass(frozen=True, slots=True)
class Etcd:
    """Looks before the load and after it.

    It yields, all but the sizes as differences and never below zero:

    - `etcd.keys_added` (1): keys below `/projects/`, where the objects of Projects are.
    - `etcd.keys_left` (1): of those, the keys of Projects that are not there any more.
    - `etcd.revisions` (1): changes of the store, each a write or a deletion.
    - `etcd.names_left` (1): keys elsewhere that name a Project of a load that is not there any
      more; events and leases, which pass by themselves, are not counted.
    - `etcd.db_bytes`, `etcd.db_bytes_added` and `etcd.db_used_bytes` (B): the file, how far it
      grew, and how much of it is in use; deletions free nothing until etcd compacts.

    The number of keys of each type is kept in `out`.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`; writes `etcd-keys-before.json`, and `-after` when asked.

        Raises:
            ProbeError: etcd did not answer as expected.
        """
        if not target.etcd_url:
            raise ProbeError("etcd probe: etcd of this target cannot be reached")
        yield _Watch(target.etcd_url, out, look(target.etcd_url, out / "etcd-keys-before.json"))


@dataclass(frozen=True, slots=True)
class Look:
    """etcd at one moment.

    Attributes:
        keys: Below `PREFIX`.
        revision: Of the store.
        db_bytes: Size of its file.
        db_used_bytes: How much of that is in use.
        left: Keys that name a Project that is not there any more, or None where there are too
            many keys to be listed.
        orphans: Keys below `PREFIX` of Projects that are not there, or None as above.
    """

    keys: int
    revision: int
    db_bytes: int
    db_used_bytes: int
    left: frozenset[str] | None
    orphans: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Watch:
    url: str
    out: Path
    before: Look

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        before, after = self.before, look(self.url, self.out / "etcd-keys-after.json")
        found = {
            "keys_added": after.keys - before.keys,
            "revisions": after.revision - before.revision,
        }
        if before.left is not None and after.left is not None:
            found["names_left"] = len(after.left - before.left)
        if before.orphans is not None and after.orphans is not None:
            found["keys_left"] = len(after.orphans - before.orphans)
        sizes = {
            "db_bytes": after.db_bytes,
            "db_bytes_added": after.db_bytes - before.db_bytes,
            "db_used_bytes": after.db_used_bytes,
        }
        return tuple(
            Reading(f"etcd.{name}", max(value, 0), unit)
            for unit, values in (("1", found), ("B", sizes))
            for name, value in values.items()
        )


def look(url: str, path: Path) -> Look:
    """Return what etcd holds, and write the number of keys of each type to a file.

    Raises:
        ProbeError: etcd did not answer as expected, or the file cannot be written.
    """
    status = _ask(url, "maintenance/status", {})
    count, revision = _count(url, PREFIX)
    end = _after(PREFIX)
    ours = listed(url, PREFIX.encode(), end)
    before, behind = listed(url, _FIRST, PREFIX.encode()), listed(url, end, _END)
    others = None if before is None or behind is None else [*before, *behind]
    counts = {
        "projects": None if ours is None else types([key[len(PREFIX) :] for key in ours]),
        "others": None if others is None else types(others),
    }
    if ours is None or others is None:
        log.warning("etcd probe: more than %s keys, so they are not listed", MOST_KEYS)
    try:
        path.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError.unwritable(path, error) from error
    return Look(
        keys=count,
        revision=revision,
        db_bytes=_number(url, status, "dbSize"),
        db_used_bytes=_number(url, status, "dbSizeInUse"),
        left=None if others is None else frozenset(left(others)),
        orphans=None if ours is None or others is None else frozenset(orphans(ours, others)),
    )


def keys(url: str, prefix: str) -> int:
    """Return how many keys begin with a prefix that ends in `/`.

    Raises:
        ProbeError: etcd did not answer as expected.
    """
    return _count(url, prefix)[0]


def listed(url: str, first: bytes, end: bytes) -> list[str] | None:
    """Return every key from the first to before the end; None where there are too many.

    Raises:
        ProbeError: etcd did not answer as expected.
    """
    found: list[str] = []
    while len(found) <= MOST_KEYS:
        body = {"key": _text(first), "range_end": _text(end), "keys_only": True, "limit": _PAGE}
        answer = _ask(url, "kv/range", body)
        try:
            page = [base64.b64decode(one["key"]) for one in answer.get("kvs", ())]
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeError(f"etcd probe: {url} answered with no keys") from error
        found += [key.decode(errors="replace") for key in page]
        if not page or not answer.get("more"):
            return found
        first = page[-1] + b"\0"
    return None


def types(found: Sequence[str]) -> dict[str, int]:
    """Return how many keys there are of each type, such as `secrets` or `iam.miloapis.com/users`.

    Args:
        found: Keys of which the first part, a prefix or the name of a Project, is not looked at.
    """
    return dict(Counter(map(_type, found)))


def left(found: Sequence[str]) -> list[str]:
    """Return the keys that name a Project of a load that is not among them.

    Args:
        found: All keys that are not below `PREFIX`.
    """
    projects = _projects(found)
    return [
        key
        for key in found
        if _type(key) not in _PASSING and not projects.issuperset(_NAME.findall(key))
    ]


def orphans(ours: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the keys below `PREFIX` of Projects that are not there.

    A living Project may get keys of its own at any time, so that only these tell what a deletion
    left behind.

    Args:
        ours: All keys below `PREFIX`.
        others: All keys that are not.
    """
    projects = _projects(others)
    return [key for key in ours if key.removeprefix(PREFIX).partition("/")[0] not in projects]


def _projects(others: Sequence[str]) -> set[str]:
    return {match[1] for key in others if (match := _PROJECT.search(key))}


def _type(key: str) -> str:
    first, *parts = key.strip("/").split("/")
    if not parts:
        return first
    return "/".join(parts[: 2 if "." in parts[0] else 1])


def _count(url: str, prefix: str) -> tuple[int, int]:
    """Return the number of keys below a prefix, and the revision of the store."""
    body = {"key": _text(prefix.encode()), "range_end": _text(_after(prefix)), "count_only": True}
    answer = _ask(url, "kv/range", body)
    header = answer.get("header")
    revision = _number(url, header, "revision") if isinstance(header, Mapping) else 0
    return _number(url, answer, "count"), revision


def _ask(url: str, what: str, body: object) -> Mapping[str, Any]:
    _, answer = http_client.call("POST", f"{url}/v3/{what}", body)
    if not isinstance(answer, Mapping):
        raise ProbeError(f"etcd probe: {url} answered with no object")
    return answer


def _number(url: str, answer: Mapping[str, Any], name: str) -> int:
    try:
        return int(answer.get(name, 0))  # etcd leaves a zero out
    except (TypeError, ValueError) as error:
        raise ProbeError(f"etcd probe: {url} answered with no {name}") from error


def _after(prefix: str) -> bytes:
    return (prefix[:-1] + chr(ord(prefix[-1]) + 1)).encode()


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
