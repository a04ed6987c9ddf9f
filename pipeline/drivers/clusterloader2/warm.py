"""One request of each kind before a Prometheus looks first.

A counter comes into being with its first request, and what was counted before the first scrape of
it is in no `increase`: of 200 creations at 20 per second, 19 were not counted.
"""

import json
from collections.abc import Mapping

from pipeline import web
from pipeline.errors import LoadError
from pipeline.model.subject import Arm
from pipeline.ports import Target

_PATH = "/api/v1/namespaces/default"
_MERGE = "application/merge-patch+json"


def warmed(targets: Mapping[Arm, Target], run: str) -> None:
    """Create, read, list, change and delete one object of each kind that loads are made of.

    The metrics of a server do not tell Projects apart, so it is done once, at the root.

    Args:
        targets: That will be loaded.
        run: Name of the load, with which the name of the object begins.

    Raises:
        LoadError: A server does not answer, or refuses.
    """
    for arm, target in targets.items():
        connection = web.Connection(target.url, ca_file=target.ca_file, token=target.admin_token())
        try:
            for plural, kind in (("secrets", "Secret"), ("configmaps", "ConfigMap")):
                _each(connection, f"{_PATH}/{plural}", kind, f"{run}-warm", arm)
        finally:
            connection.close()


def _each(connection: web.Connection, path: str, kind: str, name: str, arm: Arm) -> None:
    one = f"{path}/{name}"
    made = json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
    changed = json.dumps({"metadata": {"labels": {"warm": "yes"}}})
    for method, where, body, content_type in (
        ("POST", path, made, "application/json"),
        ("GET", one, "", ""),
        ("GET", path, "", ""),
        ("PATCH", one, changed, _MERGE),
        ("DELETE", one, "", ""),
    ):
        status, said = connection.ask(method, where, body, content_type)
        if status >= 400:
            why = said.decode(errors="replace")[:300]
            raise LoadError(f"the server of the {arm} refused {method} {where}: {status}: {why}")
