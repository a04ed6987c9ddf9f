"""What a load leaves in etcd and what it wrote there, through etcd's JSON gateway."""

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
from pipeline.storage import strict_json
from pipeline.system import http_client
from pipeline.system.errors import ProbeError, StorageError
from pipeline.system.log import log

PREFIX = "/projects/"

KEYS_BEFORE, KEYS_AFTER = "etcd-keys-before.json", "etcd-keys-after.json"
"""Names of the files with the number of keys of each type, before and after the load."""

MAX_LISTED_KEYS = 200_000
"""Number of keys on either side of `PREFIX` above which they are counted and not listed."""

_PAGE = 5_000
_PREFIX, _PREFIX_END = PREFIX.encode(), b"/projects0"  # `0` follows `/`
_FIRST, _END = b"\0", b"\0"  # as a key, the first of all; as an end, none
_TRANSIENT = ("events", "leases")  # etcd deletes them itself after a while
_PROJECT = re.compile(r"/resourcemanager\.miloapis\.com/projects/([^/]+)$")

# Names of the Projects that the scripts in k6_scripts/ create.
_NAME = re.compile(r"(?:burst|life|crud|fill|touch|noise|churn|gc|idle)-[a-z0-9]+-[a-z0-9]+-[0-9]+")


@dataclass(frozen=True, slots=True)
class EtcdProbe:
    """Takes a snapshot before the load and one after it.

    All readings but the sizes are differences, and never below zero:

    - `etcd.keys_added` (1): keys below `/projects/`, which are the objects in Projects.
    - `etcd.keys_left` (1): those of them whose Project does not exist any more.
    - `etcd.revisions` (1): changes of the store, each a write or a deletion.
    - `etcd.names_left` (1): keys elsewhere that name a Project of a load that does not exist any
      more; events and leases, which expire, are not counted.
    - `etcd.db_bytes`, `etcd.db_bytes_added` and `etcd.db_used_bytes` (B): size of the file, its
      growth, and its used part; deletions free nothing until etcd compacts.

    The number of keys of each type is kept in `out`.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_EtcdWatch"]:
        """See `Probe.watch`; writes `etcd-keys-before.json`, and `-after` when asked."""
        if not target.etcd_url:
            raise ProbeError("etcd probe: etcd of this target cannot be reached")
        before = take_snapshot(target.etcd_url, out / KEYS_BEFORE)
        yield _EtcdWatch(target.etcd_url, out, before)


@dataclass(frozen=True, slots=True)
class EtcdSnapshot:
    """The content of etcd at one point in time.

    Attributes:
        key_count: Number of keys below `PREFIX`.
        revision: Revision of the store.
        db_bytes: Size of its file.
        db_used_bytes: Used part of the file.
        names_left: Keys that name a Project that does not exist any more; None if there are too
            many keys to list.
        orphaned_keys: Keys below `PREFIX` of Projects that do not exist; None as above.
    """

    key_count: int
    revision: int
    db_bytes: int
    db_used_bytes: int
    names_left: frozenset[str] | None
    orphaned_keys: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _EtcdWatch:
    url: str
    out: Path
    before: EtcdSnapshot

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        before, after = self.before, take_snapshot(self.url, self.out / KEYS_AFTER)
        counts = {
            "keys_added": after.key_count - before.key_count,
            "revisions": after.revision - before.revision,
        }
        if before.names_left is not None and after.names_left is not None:
            counts["names_left"] = len(after.names_left - before.names_left)
        if before.orphaned_keys is not None and after.orphaned_keys is not None:
            counts["keys_left"] = len(after.orphaned_keys - before.orphaned_keys)
        sizes = {
            "db_bytes": after.db_bytes,
            "db_bytes_added": after.db_bytes - before.db_bytes,
            "db_used_bytes": after.db_used_bytes,
        }
        return tuple(
            Reading(f"etcd.{name}", max(value, 0), unit)
            for unit, values in (("1", counts), ("B", sizes))
            for name, value in values.items()
        )


def take_snapshot(url: str, path: Path) -> EtcdSnapshot:
    """Return the content of etcd, and write the number of keys of each type to a file."""
    status = _ask(url, "maintenance/status", {})
    key_count, revision = _count(url)
    ours = list_keys(url, _PREFIX, _PREFIX_END)
    before, behind = list_keys(url, _FIRST, _PREFIX), list_keys(url, _PREFIX_END, _END)
    others = None if before is None or behind is None else [*before, *behind]
    counts = {
        "projects": None if ours is None else count_types([key[len(PREFIX) :] for key in ours]),
        "others": None if others is None else count_types(others),
    }
    if ours is None or others is None:
        log.warning("etcd probe: more than %s keys, so they are not listed", MAX_LISTED_KEYS)
    try:
        path.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError.unwritable(path, error) from error
    orphans = None if ours is None or others is None else frozenset(orphaned_keys(ours, others))
    return EtcdSnapshot(
        key_count=key_count,
        revision=revision,
        db_bytes=_number(url, status, "dbSize"),
        db_used_bytes=_number(url, status, "dbSizeInUse"),
        names_left=None if others is None else frozenset(names_left(others)),
        orphaned_keys=orphans,
    )


def read_key_counts(path: Path) -> dict[tuple[str, str], float] | None:
    """Return the number of keys by place, `projects` or `others`, and type.

    None if there is no such file, or if the keys were too many to be listed.

    Raises:
        ProbeError: The file is not what `take_snapshot` writes.
    """
    try:
        data = path.read_bytes()
        places = strict_json.loads(data)
        if None in places.values():
            return None
        return {
            (f"{place}", f"{kind}"): float(count)
            for place, counts in places.items()
            for kind, count in counts.items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ProbeError(f"{path.name}: no numbers of keys") from error


def count_keys(url: str) -> int:
    """Return the number of keys below `PREFIX`."""
    return _count(url)[0]


def list_keys(url: str, first: bytes, end: bytes) -> list[str] | None:
    """Return every key from the first to before the end; None if there are too many."""
    keys: list[str] = []
    while len(keys) <= MAX_LISTED_KEYS:
        body = {"key": _encode(first), "range_end": _encode(end), "keys_only": True, "limit": _PAGE}
        answer = _ask(url, "kv/range", body)
        try:
            page = [base64.b64decode(one["key"]) for one in answer.get("kvs", ())]
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeError(f"etcd probe: {url} answered with no keys") from error
        keys += [key.decode(errors="replace") for key in page]
        if not page or not answer.get("more"):
            return keys
        first = page[-1] + b"\0"
    return None


def count_types(keys: Sequence[str]) -> dict[str, int]:
    """Return the number of keys of each type, such as `secrets` or `iam.miloapis.com/users`.

    The first part of a key, a prefix or the name of a Project, is ignored.
    """
    return dict(Counter(map(_type, keys)))


def names_left(keys: Sequence[str]) -> list[str]:
    """Return those of all keys outside of `PREFIX` that name a Project that is not among them."""
    projects = _projects(keys)
    return [
        key
        for key in keys
        if _type(key) not in _TRANSIENT and not projects.issuperset(_NAME.findall(key))
    ]


def orphaned_keys(ours: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the keys below `PREFIX` of Projects that do not exist.

    A living Project may get keys at any time, so only these were left behind by a deletion.
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


def _count(url: str) -> tuple[int, int]:
    """Return the number of keys below `PREFIX`, and the revision of the store."""
    body = {"key": _encode(_PREFIX), "range_end": _encode(_PREFIX_END), "count_only": True}
    answer = _ask(url, "kv/range", body)
    header = answer.get("header")
    revision = _number(url, header, "revision") if isinstance(header, Mapping) else 0
    return _number(url, answer, "count"), revision


def _ask(url: str, path: str, body: object) -> Mapping[str, Any]:
    _, answer = http_client.call("POST", f"{url}/v3/{path}", body)
    if not isinstance(answer, Mapping):
        raise ProbeError(f"etcd probe: {url} answered with no object")
    return answer


def _number(url: str, answer: Mapping[str, Any], name: str) -> int:
    try:
        return int(answer.get(name, 0))  # etcd leaves a zero out
    except (TypeError, ValueError) as error:
        raise ProbeError(f"etcd probe: {url} answered with no {name}") from error


def _encode(key: bytes) -> str:
    return base64.b64encode(key).decode()
