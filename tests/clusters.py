"""A cluster on loopback that keeps what is applied to it, and stands in for its kubelets.

It is no Kubernetes: it knows the objects that we apply, and does on request what clusters do at bad
times.  What a Pod of ours would serve is served here.
"""

import itertools
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.controllers import pods_of
from tests.loopback import Request, answering

Object = dict[str, Any]


@dataclass
class Fault:
    """What is answered instead, a number of times.

    Attributes:
        method: Of HTTP.
        part: Of the path.
        status: 0 closes the connection without an answer.
        message: Of the refusal.
        times: How often.
    """

    method: str
    part: str
    status: int
    message: str = "told to"
    times: int = 1


@dataclass
class FakeCluster:
    """What is there, and what happens.

    Attributes:
        objects: By path.
        asked: Every request, as `METHOD path`.
        faults: Looked at before anything else.
        pods: By component, what becomes of its Pods: a `status`, or None for one that is Ready.
        log: What every Pod has said.
        token: The only one that is taken; empty for any.
        terminating_s: How long a namespace takes to go.
        denied: Resources that a review of rights does not allow.
        nodes: As the API server lists them.
        summaries: Of kubelets, by node.
        serves: Starts what a Pod would serve, given the Pod and the cluster.
        operator: Whether there is a k6-operator; what it would make is made here.
        doors: Port of loopback at which a Pod answers, by its name, for what is passed on to it.
    """

    objects: dict[str, Object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    pods: dict[str, Object | None] = field(default_factory=dict)
    log: str = "said by the Pod"
    token: str = ""
    terminating_s: float = 0.0
    denied: tuple[str, ...] = ()
    nodes: list[Object] = field(default_factory=list)
    summaries: dict[str, Object] = field(default_factory=dict)
    serves: Callable[[Object, "FakeCluster"], None] | None = None
    operator: bool = False
    doors: dict[str, int] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 1
    events: list[tuple[int, str, Object]] = field(default_factory=list)
    gone_s: dict[str, float] = field(default_factory=dict)
    uids: Iterator[int] = field(default_factory=itertools.count)

    def of(self, kind: str) -> list[Object]:
        """Return the objects of a kind."""
        return [one for one in self.objects.values() if one["kind"] == kind]

    def change(self, path: str, pod: Object) -> None:
        """Give a Pod another state, which those who watch are told."""
        with self.changed:
            self.version += 1
            pod["metadata"]["resourceVersion"] = str(self.version)
            kind = "MODIFIED" if path in self.objects else "ADDED"
            self.objects[path] = pod
            self.events.append((self.version, kind, json.loads(json.dumps(pod))))
            self.changed.notify_all()

    def answer(self, request: Request, body: bytes) -> None:
        """Answer one request."""
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(f"{request.command} {parts.path}")
        self._collect()
        for fault in self.faults:
            if fault.times and request.command == fault.method and fault.part in request.path:
                fault.times -= 1
                if not fault.status:
                    request.close_connection = True
                    request.connection.shutdown(socket.SHUT_RDWR)
                    return
                refuse(request, fault.status, fault.message)
                return
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            refuse(request, 401, "Unauthorized")
            return
        match request.command:
            case "PATCH":
                self._apply(request, parts.path, query, body)
            case "DELETE":
                self._delete(request, parts.path, json.loads(body or b"{}"))
            case _ if "/proxy/" in parts.path and "/pods/" in parts.path:
                self._pass(request, parts.path, body)
            case "POST":
                asked = json.loads(body)["spec"]["resourceAttributes"]
                allowed = asked["resource"] not in self.denied
                say(request, {"status": {"allowed": allowed}})
            case _:
                self._get(request, parts.path, query)

    def _collect(self) -> None:
        for path, at_s in list(self.gone_s.items()):
            if time.monotonic() >= at_s:
                del self.gone_s[path]
                inside = f"/namespaces/{path.rpartition('/')[2]}/"
                for other in [o for o in self.objects if o == path or inside in o]:
                    del self.objects[other]

    def _apply(self, request: Request, path: str, query: Object, body: bytes) -> None:
        manifest = json.loads(body)
        kind = request.headers["Content-Type"]
        if kind != "application/apply-patch+yaml" or not query.get("fieldManager"):
            refuse(request, 415, "not a server-side apply")
            return
        namespace = path.split("/namespaces/")[1].partition("/")[0]
        home = f"/api/v1/namespaces/{namespace}"
        if path != home and (home not in self.objects or home in self.gone_s):
            refuse(request, 404, f'namespaces "{namespace}" not found')
            return
        if manifest["kind"] == "Namespace":
            before = self.objects.get(path, {}).get("metadata", {}).get("uid")
            manifest["metadata"]["uid"] = before or f"uid-{next(self.uids)}"
        if manifest["kind"] == "Pod":
            self._start(path, manifest)
        else:
            self.objects[path] = manifest
        for pod in pods_of(manifest):
            self._start(f"{home}/pods/{pod['metadata']['name']}", pod)
        say(request, manifest, 201)

    def _start(self, path: str, pod: Object) -> None:
        component = pod["metadata"]["name"].removesuffix("-abcde")
        nodes = [one["metadata"]["name"] for one in self.nodes] or ["node-1"]
        wanted = pod["spec"]["nodeSelector"].get("kubernetes.io/hostname", nodes[0])
        pod["spec"]["nodeName"] = wanted
        pod["status"] = {"phase": "Pending"}
        self.change(path, pod)
        if self.serves and not self.pods.get(component):
            self.serves(pod, self)
        status = self.pods.get(component) or {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": component, "containerID": "containerd://abc", "state": {"running": {}}}
            ],
        }
        self.change(path, pod | {"status": status})

    def _pass(self, request: Request, path: str, body: bytes) -> None:
        """Pass a request on to a Pod, as an API server does: without our credentials."""
        name, _, rest = path.partition("/pods/")[2].partition(":")
        if name not in self.doors:
            refuse(request, 503, f"no endpoints available for {name}")
            return
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.doors[name]}/{rest.partition('/proxy/')[2]}",
            data=body or None,
            headers={"X-Agent-Token": request.headers.get("X-Agent-Token", "")},
            method=request.command,
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                request.say(answer.read(), answer.status)
        except urllib.error.HTTPError as error:
            request.say(error.read(), error.code)

    def _delete(self, request: Request, path: str, options: Object) -> None:
        if path not in self.objects:
            refuse(request, 404, "not found")
            return
        wanted = options.get("preconditions", {}).get("uid")
        there = self.objects[path]["metadata"].get("uid")
        if wanted not in (None, there):
            refuse(request, 409, f"Precondition failed: UID {wanted} is not {there}")
            return
        self.gone_s.setdefault(path, time.monotonic() + self.terminating_s)
        say(request, {"status": "Success"})

    def _get(self, request: Request, path: str, query: Object) -> None:
        if path == "/version":
            say(request, {"gitVersion": "v1.34.4"})
        elif path == "/apis/k6.io/v1alpha1" and self.operator:
            say(request, {"resources": [{"name": "testruns"}]})
        elif path == "/api/v1/nodes":
            say(request, {"items": self.nodes})
        elif path.endswith("/stats/summary"):
            say(request, self.summaries[path.split("/")[4]])
        elif path.endswith("/log"):
            if path.removesuffix("/log") in self.objects:
                request.say(self.log)
            else:
                refuse(request, 404, "no such Pod")
        elif query.get("watch"):
            self._watch(request, path, int(query["resourceVersion"]), query)
        elif path.endswith(("/pods", "/namespaces")):
            prefix = f"{path}/"
            items = [
                one
                for where, one in self.objects.items()
                if where.startswith(prefix) and "/" not in where.removeprefix(prefix)
            ]
            say(request, {"items": items, "metadata": {"resourceVersion": str(self.version)}})
        elif path in self.objects:
            say(request, self.objects[path])
        else:
            refuse(request, 404, "not found")

    def _watch(self, request: Request, path: str, version: int, query: Object) -> None:
        ends_s = time.monotonic() + float(query["timeoutSeconds"])
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        namespace = path.split("/namespaces/")[1].partition("/")[0]
        while (left_s := ends_s - time.monotonic()) > 0:
            with self.changed:
                new = [event for event in self.events if event[0] > version]
                if not new:
                    self.changed.wait(min(left_s, 0.2))
                    continue
            for number, kind, pod in new:
                version = number
                if pod["metadata"]["namespace"] == namespace:
                    _chunk(request, {"type": kind, "object": pod})
        request.wfile.write(b"0\r\n\r\n")


def say(request: Request, answer: Object, status: int = 200) -> None:
    """Answer with JSON."""
    request.say(json.dumps(answer), status)


def refuse(request: Request, status: int, message: str) -> None:
    """Answer as Kubernetes refuses."""
    say(request, {"kind": "Status", "message": message, "code": status}, status)


@contextmanager
def running(cluster: FakeCluster, folder: Path, token: str = "t") -> Iterator[Path]:
    """Serve a cluster; inside, the path of a kubeconfig that leads to it."""
    with answering(cluster.answer) as url:
        yield kubeconfig(folder / "kubeconfig", url, token)


def kubeconfig(path: Path, url: str, token: str) -> Path:
    """Write a kubeconfig of one context, `fake`."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {"token": token}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "current-context": "fake",
    }
    path.write_text(json.dumps(content))
    return path


def _chunk(request: Request, event: Object) -> None:
    line = json.dumps(event).encode() + b"\n"
    request.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
    request.wfile.flush()
