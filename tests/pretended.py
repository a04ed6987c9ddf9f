"""Agents of load pods that do as they are told, for tests of what becomes of a load."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from pipeline.model.ports import PodWork, Program
from tests.clusters import FakeCluster, Object, refuse, say
from tests.loopback import Request, answering

POINTS = b"the points of a pod\n" * 1000
WORK = PodWork(
    name="object_crud.js",
    program=Program(Path("k6"), "1.1.0", "sha256:11"),
    args=(("--out=csv", "/files/object_crud.js"),),
    log="k6.log",
    variables={"SEED": "7"},
    files={"object_crud.js": b"import './lib/api.js'", "lib/api.js": b"export {}"},
    secrets={"baseline.token": b"hidden-from-all"},
    timeout_s=20.0,
    control_address="127.0.0.1:6566",
    operator_resource="testruns.k6.io",
)


@dataclass
class Pretended:
    """What the agent of one pod does.

    Attributes:
        setup_fails: Its setup.
        setup_waits: Its setup ends when this is set.
        runs: How often it says that it still runs, once started.
        barriers: How many barriers its program waits at.
        slow: How often it says that its program has not reached the first of them.
        reached: How many barriers it said that its program has reached.
        damaged: How often its file comes with another byte in it.
        short: How often the last byte is missing.
        exit: Code of its k6.
        name: Of its file.
        before_state: Called before it says how far it is, once it was started.
        on_release: Called when a barrier is released.
        asked: What it was asked for, in order.
    """

    setup_fails: bool = False
    setup_waits: Event | None = None
    runs: int = 1
    barriers: int = 0
    slow: int = 0
    reached: int = 0
    damaged: int = 0
    short: int = 0
    exit: int = 0
    name: str = "points.csv.gz"
    token: str = ""
    given: Any = None
    before_state: Callable[[], None] = lambda: None
    on_release: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)

    def answer(self, request: Request, body: bytes) -> None:
        what = f"{request.command} {request.path.removeprefix('/agent/')}"
        self.asked.append(what)
        if request.headers.get("X-Agent-Token") != self.token:
            refuse(request, 403, "unknown token")
            return
        match what:
            case "POST setup" if self.setup_fails:
                refuse(request, 500, "setup() threw")
            case "POST setup":
                if self.setup_waits:
                    self.setup_waits.wait(30)
                say(request, {"data": {"attributes": {"data": {"names": ["a"]}}}})
            case "PUT setup":
                self.given = json.loads(body)
                say(request, {})
            case "GET state":
                if "POST start" in self.asked:
                    self.before_state()
                say(request, self._state())
            case _ if what.startswith("POST barriers/"):
                self.on_release()
                say(request, {})
            case "GET files/points.csv.gz":
                request.say(self._content())
            case _:
                say(request, {})

    def _state(self) -> Object:
        released = sum(one.startswith("POST barriers/") for one in self.asked)
        if "POST start" in self.asked and released < self.barriers:
            self.slow -= 1
            self.reached = released + (self.slow < 0)
            return {"running": True, "barriers": self.reached}
        self.runs -= "POST start" in self.asked
        if self.runs >= 0:
            return {"running": True, "barriers": self.reached}
        digest = hashlib.sha256(POINTS).hexdigest()
        file = {"name": self.name, "size": len(POINTS), "sha256": digest}
        done = {"exit": self.exit, "began": 1000.0, "ended": 1060.0, "cpu_share": 0.25}
        return {"running": False, **done, "files": [file]}

    def _content(self) -> bytes:
        if self.damaged:
            self.damaged -= 1
            return b"T" + POINTS[1:]
        if self.short:
            self.short -= 1
            return POINTS[:-1]
        return POINTS


def serving(
    stack: ExitStack, agents: Mapping[str, Pretended]
) -> Callable[[Object, FakeCluster], None]:
    """Return what lets each load pod of a fake cluster be answered for by its agent."""

    def serve(pod: Object, cluster: FakeCluster) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        secret = cluster.objects[f"/api/v1/namespaces/{namespace}/secrets/load-0"]
        agents[name].token = base64.b64decode(secret["data"]["agent.token"]).decode()
        url = stack.enter_context(answering(agents[name].answer))
        cluster.doors[name] = int(url.rpartition(":")[2])

    return serve
