"""Send one request of each kind before the first scrape, so that the server's counters exist.

A counter appears with its first request, and `increase()` ignores what was counted before its first
scrape: of 200 creations at 20 per second, 19 were not counted.
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


def warm_up(targets: Mapping[Arm, Target], run: str) -> None:
    """Create, read, list, change and delete one object of each kind that loads use.

    A server's metrics do not distinguish Projects, so once at the root is enough.

    Raises:
        LoadError: A server refuses a request.
        NetworkError: A server does not answer.
    """
    for arm, target in targets.items():
        connection = http_client.ServerConnection(
            target.url, ca_file=target.ca_file, token=target.admin_token()
        )
        try:
            for plural, kind in (("secrets", "Secret"), ("configmaps", "ConfigMap")):
                _send_each(connection, f"{_PATH}/{plural}", kind, f"{run}-warm", arm)
        finally:
            connection.close()


def _send_each(
    connection: http_client.ServerConnection, path: str, kind: str, name: str, arm: Arm
) -> None:
    one = f"{path}/{name}"
    manifest = json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
    change = json.dumps({"metadata": {"labels": {"warm": "yes"}}})
    try:
        _send(connection, arm, "POST", path, manifest)
        _send(connection, arm, "GET", one)
        _send(connection, arm, "GET", path)
        _send(connection, arm, "PATCH", one, change)
    except (LoadError, NetworkError):
        with suppress(LoadError, NetworkError):
            _send(connection, arm, "DELETE", one)
        raise
    _send(connection, arm, "DELETE", one)


def _send(
    connection: http_client.ServerConnection, arm: Arm, method: str, path: str, body: str = ""
) -> None:
    """Send a request; retry if the server fails, as ClusterLoader2 will: that is measured."""
    content_type = "" if not body else _MERGE if method == "PATCH" else _JSON
    for left in reversed(range(_TRIES)):
        status, answer = connection.ask(method, path, body, content_type)
        if status < 400 or (method, status) == ("POST", 409):
            return
        if status < 500 or not left:
            why = answer.decode(errors="replace")[:300]
            raise LoadError(f"the server of the {arm} refused {method} {path}: {status}: {why}")
