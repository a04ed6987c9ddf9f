"""Keys that a load leaves in etcd below `/projects/`, counted through etcd's JSON gateway."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline import web
from pipeline.errors import LoadError
from pipeline.model.results import Reading
from pipeline.ports import Span, Target

PREFIX = "/projects/"


@dataclass(frozen=True, slots=True)
class Etcd:
    """Counts before and after the load; yields `etcd.keys_added` (1), never below zero."""

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`."""
        yield _Watch(target.etcd_url, keys(target.etcd_url, PREFIX))


@dataclass(frozen=True, slots=True)
class _Watch:
    url: str
    before: int

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        added = keys(self.url, PREFIX) - self.before
        return (Reading("etcd.keys_added", max(added, 0), "1"),)


def keys(url: str, prefix: str) -> int:
    """Return how many keys begin with a prefix that ends in `/`.

    Raises:
        LoadError: etcd did not answer as expected.
    """
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    body = {
        "key": base64.b64encode(prefix.encode()).decode(),
        "range_end": base64.b64encode(end.encode()).decode(),
        "count_only": True,
    }
    _, answer = web.call("POST", f"{url}/v3/kv/range", body)
    try:
        return int(answer.get("count", 0))  # etcd leaves a zero out
    except (AttributeError, ValueError) as error:
        raise LoadError(f"etcd probe: {url} answered with no count") from error
