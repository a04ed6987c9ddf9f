"""One request of each kind before a Prometheus looks first.

A counter comes into being with its first request, and what was counted before the first scrape of
it is in no `increase`: of 200 creations at 20 per second, 19 were not counted.
"""

import json
from collections.abc import Mapping
from contextlib import suppress

from pipeline.model.ports import Target
from pipeline.model.subject import Arm
from pipeline.system import http_client
from pipeline.system.errors import LoadError, NetworkError

_PATH = "/api/v1/namespaces/default"
_JSON, _MERGE = "application/json", "application/merge-patch+json"
_TRIES = 5


def warmed(targets: Mapping[Arm, Target], run: str) -> None:
    """Create, read, list, change and delete one object of each kind that loads are made of.

    The metrics of a server do not tell Projects apart, so it is done once, at the root.

    Args:
        targets: That will be loaded.
        run: Name of the load, with which the name of the object begins.

    Raises:
        LoadError: A server refuses.
        NetworkError: A server does not answer.
    """
    for arm, target in targets.items():
        connection = http_client.Connection(
            target.url, ca_file=target.ca_file, token=target.admin_token()
        )
        try:
            for plural, kind in (("secrets", "Secret"), ("configmaps", "ConfigMap")):
                _each(connection, f"{_PATH}/{plural}", kind, f"{run}-warm", arm)
        finally:
            connection.close()


def _each(connection: http_client.Connection, path: str, kind: str, name: str, arm: Arm) -> None:
    one = f"{path}/{name}"
    made = json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
    changed = json.dumps({"metadata": {"labels": {"warm": "yes"}}})
    try:
        _ask(connection, arm, "POST", path, made)
        _ask(connection, arm, "GET", one)
        _ask(connection, arm, "GET", path)
        _ask(connection, arm, "PATCH", one, changed)
    except (LoadError, NetworkError):
        with suppress(LoadError, NetworkError):
            _ask(connection, arm, "DELETE", one)
        raise
    _ask(connection, arm, "DELETE", one)


def _ask(
    connection: http_client.Connection,
    arm: Arm,
    method: str,
    path: str,
    body: str = "",
) -> None:
    """Send a request; again where the server fails, as ClusterLoader2 will: that is measured."""
    form = "" if not body else _MERGE if method == "PATCH" else _JSON
    for left in reversed(range(_TRIES)):
        status, said = connection.ask(method, path, body, form)
        if status < 400 or (method, status) == ("POST", 409):
            return
        if status < 500 or not left:
            why = said.decode(errors="replace")[:300]
            raise LoadError(f"the server of the {arm} refused {method} {path}: {status}: {why}")
