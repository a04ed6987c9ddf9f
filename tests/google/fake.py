"""A Google Cloud on loopback: it keeps what it is asked to make, and breaks when it is told to.

Every request, and every answer that is not a refusal, is checked against Google's description.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from tests.google.described import complaint
from tests.google.faults import Answer, Fault, refused
from tests.loopback import Request, answering

PROJECT, ZONE, START_S = "perf-nights", "us-central1-a", 1_800_000_000.0
HASH = "0a1b2c3d"
_LISTS = {"disks": "disks", "addresses": "addresses", "forwardingRules": "forwardingRules"}


@dataclass
class Google:
    """The state of one project.

    Attributes:
        now_s: What its clock shows, in Unix time.
        clusters: By location and name, as in Google's answers.
        operations: By name: how often it is still pending, and what is wrong in the end.
        things: Disks, addresses, forwarding rules, by list and scope.
        firewalls: Of the project.
        faults: To come, in order.
        asked: Every request as `METHOD /path`, in order.
        complaints: What does not fit Google's description.
        slow: How many looks an operation, or a deletion, takes.
        broken: What the next operation ends with; empty for success.
        leaves_firewalls: Whether those of a deleted cluster stay.
        missing_zones: That it cannot look into.
        before: Called with `METHOD /path` before a request has its effect.
    """

    now_s: float = START_S
    clusters: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, list[Any]] = field(default_factory=dict)
    things: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    firewalls: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    slow: int = 2
    broken: str = ""
    leaves_firewalls: bool = False
    missing_zones: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def time(self) -> str:
        """What its clock shows, as it writes it."""
        return datetime.fromtimestamp(self.now_s, UTC).isoformat()

    def names(self) -> list[str]:
        """Return the name of everything that is there, sorted."""
        found = [name for _, name in self.clusters]
        found += [one["name"] for ones in self.things.values() for one in ones]
        return sorted(found + [one["name"] for one in self.firewalls])

    def cluster(self, name: str, *, location: str = ZONE, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 (any)
        """Put a running cluster there, with its firewall rule, and return it."""
        made = {
            "name": name,
            "location": location,
            "status": "RUNNING",
            "createTime": self.time,
            "selfLink": f"https://container.googleapis.com/v1/projects/{PROJECT}/zones/{location}/clusters/{name}",
            "nodePools": [],
            "looks": self.slow,
            **parts,
        }
        self.clusters[location, name] = made
        self.firewall(name)
        return made

    def firewall(self, cluster: str, **parts: Any) -> None:  # noqa: ANN401 (any)
        """Put a firewall rule there, as Google makes one for a cluster."""
        rule = {
            "kind": "compute#firewall",
            "name": f"gke-{cluster}-{HASH}-all",
            "creationTimestamp": self.time,
            "selfLink": f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/firewalls/x",
            "targetTags": [f"gke-{cluster}-{HASH}-node"],
        }
        self.firewalls.append({**rule, **parts})

    def thing(self, key: str, scope: str, name: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 (any)
        """Put a disk, an address or a forwarding rule there, and return it."""
        made = {
            "name": name,
            "creationTimestamp": self.time,
            "selfLink": f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/{scope}/{key}/{name}",
            **parts,
        }
        self.things.setdefault((key, scope), []).append(made)
        return made

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Return status and JSON of the answer to one request; status 0 for no answer."""
        with self._lock:
            named = f"{method} {path}"
            self.asked.append(named)
            self.before(named)
            fault = next((f for f in self.faults if f.times and re.search(f.fits, named)), None)
            if fault:
                fault.times -= 1
                if fault.is_after:
                    self._done(method, path, body)
                return refused(fault.status, fault.message)
            return self._done(method, path, body)

    def _done(self, method: str, path: str, body: bytes) -> Answer:
        if path.startswith("/v1/"):
            return self._container(method, path.split("/")[4:], body)
        return self._compute(method, path.split("/")[5:])

    def _container(self, method: str, parts: list[str], body: bytes) -> Answer:
        location = parts[1]
        match method, parts[2:]:
            case "GET", ["clusters"]:
                self._age()
                found = [_public(one) for one in self.clusters.values()]
                return 200, {"clusters": found, "missingZones": self.missing_zones}
            case "POST", ["clusters"]:
                return self._create(location, json.loads(body)["cluster"])
            case "GET", ["clusters", name]:
                self._age()
                one = self.clusters.get((location, name))
                return (200, _public(one)) if one else refused(404, f"Not found: {name}.")
            case "DELETE", ["clusters", name]:
                return self._delete(location, name)
            case "GET", ["operations", name]:
                return 200, self._operation(name)
            case _:
                return refused(404, "no such page")

    def _create(self, location: str, asked: dict[str, Any]) -> Answer:
        if (location, asked["name"]) in self.clusters:
            return refused(409, f"Already exists: {asked['name']}.")
        made = self.cluster(asked["name"], location=location)
        made.update({**asked, "status": "PROVISIONING"})
        for pool in made["nodePools"]:
            pool["locations"] = [location]
        name = f"operation-{len(self.operations)}"
        self.operations[name] = [self.slow, self.broken, made]
        return 200, self._operation(name)

    def _delete(self, location: str, name: str) -> Answer:
        found = self.clusters.get((location, name))
        if found is None:
            return refused(404, f"Not found: {name}.")
        if found["status"] in ("PROVISIONING", "STOPPING"):
            self._age()
            return refused(400, f"Cluster is running incompatible operation operation-{HASH}.")
        found["status"] = "STOPPING"
        return 200, {"name": f"operation-{len(self.operations)}-d", "status": "RUNNING"}

    def _operation(self, name: str) -> dict[str, Any]:
        operation = self.operations[name]
        looks, broken, cluster = operation
        operation[0] -= 1
        said: dict[str, Any] = {
            "name": name,
            "operationType": "CREATE_CLUSTER",
            "status": "RUNNING",
        }
        if looks > 0:
            return said
        cluster["status"] = "ERROR" if broken else "RUNNING"
        said["status"] = "DONE"
        return {**said, "error": {"code": 8, "message": broken}} if broken else said

    def _age(self) -> None:
        """Let what is being made, or deleted, come nearer to its end."""
        for looks, broken, cluster in self.operations.values():
            if looks <= 0 and cluster["status"] == "PROVISIONING":
                cluster["status"] = "ERROR" if broken else "RUNNING"
        for operation in self.operations.values():
            operation[0] -= 1
        for (location, name), one in list(self.clusters.items()):
            if one["status"] == "STOPPING":
                one["looks"] -= 1
                if one["looks"] < 0:
                    del self.clusters[location, name]
                    self._free(name)
                    kept = self.leaves_firewalls
                    self.firewalls = [
                        rule
                        for rule in self.firewalls
                        if kept or f"gke-{name}-" not in rule["name"]
                    ]

    def _free(self, cluster: str) -> None:
        """Let go of the disks that the nodes of a cluster had."""
        for one in (one for ones in self.things.values() for one in ones):
            if one.get("labels", {}).get("goog-k8s-cluster-name") == cluster:
                one["users"] = []

    def _compute(self, method: str, parts: list[str]) -> Answer:
        match method, parts:
            case "GET", ["aggregated", key]:
                items = {
                    scope: {_LISTS[key]: ones}
                    for (k, scope), ones in self.things.items()
                    if k == key
                }
                return 200, {"items": items}
            case "GET", ["global", "firewalls"]:
                return 200, {"items": self.firewalls}
            case "DELETE", ["global", "firewalls", name]:
                return self._removed(self.firewalls, name)
            case "DELETE", [*scope, key, name]:
                return self._removed(self.things.get((key, "/".join(scope)), []), name)
            case _:
                return refused(404, "no such page")

    def _removed(self, ones: list[dict[str, Any]], name: str) -> Answer:
        found = next((one for one in ones if one["name"] == name), None)
        if found is None:
            return refused(404, f"The resource {name} was not found")
        if found.get("users"):
            return refused(
                400, f"The resource {name} is already being used by {found['users'][0]}; in use"
            )
        ones.remove(found)
        return 200, {"name": "operation-c", "kind": "compute#operation", "status": "RUNNING"}


def _public(cluster: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cluster.items() if key != "looks"}


@contextmanager
def google() -> Iterator[tuple[Google, str]]:
    """Serve a project on loopback; inside, its state and its address.

    Raises:
        AssertionError: Something that was sent does not fit Google's description.
    """
    state = Google()

    def answer(request: Request, body: bytes) -> None:
        url, method = urlsplit(request.path), request.command
        wrong = complaint(method, url.path, url.query, body)
        status, said = state.answer(method, url.path, body)
        if not status:
            request.close_connection = True
            return
        if status == 200:
            wrong = wrong or complaint(method, url.path, url.query, b"", said)
        state.complaints += [wrong] if wrong else []
        data = json.dumps(said).encode()
        request.send_response_only(status)
        request.send_header("Date", formatdate(state.now_s, usegmt=True))
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    with answering(answer) as url:
        yield state, url
    assert state.complaints == []
