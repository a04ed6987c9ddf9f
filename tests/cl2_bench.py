"""A stand-in for ClusterLoader2, which writes reports as it does, for tests of its driver."""

import dataclasses
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from pipeline import toolchain
from pipeline.drivers.clusterloader2.driver import ClusterLoader2Driver
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.model.ports import Load, LoadPods, Program, Target
from pipeline.model.subject import Arm
from tests.loopback import Request, target

# What ClusterLoader2 does, as far as its driver sees: it is told where to write, and writes there.
HEAD = f"""#!{sys.executable}
import json, pathlib, sys, time
told = dict(one.split("=", 1) for one in sys.argv[1:] if "=" in one)
out = pathlib.Path(told["--report-dir"])
name = pathlib.Path(told["--testconfig"]).stem
given = json.loads(pathlib.Path(told["--testoverrides"]).read_text())
def case(number, what, seconds, failure=""):
    inside = f"<failure>{{failure}}</failure>" if failure else ""
    named = f"{{name}}: [step: {{number:02}}] {{what}}"
    return f'<testcase name="{{named}}" time="{{seconds}}">{{inside}}</testcase>'
def report(*cases):
    overall = f'<testcase name="{{name}} overall ({{name}}.yaml)" time="9"></testcase>'
    text = f'<testsuite name="x" tests="0">{{overall}}{{"".join(cases)}}</testsuite>'
    (out / "junit.xml").write_text(text)
def summary(what, body):
    (out / f"{{what}}_{{name}}_2026-11-25T00:00:00Z.json").write_text(json.dumps(body))
def timer():
    item = {{"data": {{"total": 1.0}}, "unit": "s", "labels": {{"test": "phases"}}}}
    summary("Timer", {{"version": "v1", "dataItems": [item]}})
def available():
    metrics = {{"availabilityPercentage": 100, "longestUnavailablePeriod": "0s"}}
    summary("APIAvailability", {{"clusterMetrics": metrics, "hostMetrics": None}})
seconds = (given["CL2_OBJECTS"] - given["CL2_BURST"]) / (given.get("CL2_RATE", 1) / 2)
create = case(2, "create objects", seconds)
"""
GOOD = "report(create); timer(); available()\n"


class Bench:
    """A stand-in for ClusterLoader2, and a server that says there is nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pods: LoadPods | None = None
        self.more: dict[str, Program] = {}
        self.needs_organization_path = False
        self.asked: list[str] = []
        (folder / "token").write_text("a secret")
        self.ca = folder / "token"

    def answer(self, one: Request, _: bytes) -> None:
        self.asked.append(f"{one.command} {one.path}")
        names = ["perf-00000007-1"] if "namespaces" in one.path else []
        one.say(json.dumps({"items": [{"metadata": {"name": name}} for name in names]}))

    def load(self, code: str, server: str, **changes: Any) -> Load:  # noqa: ANN401 (any)
        path = self.program(code)
        given = {"kind": "clusterloader2", "config": "object-crud", "rate": 20, "objects": 50}
        settings = ClusterLoader2.model_validate(given | {"duration_s": 5} | changes)
        programs = {
            "clusterloader2": Program(path, "a stand-in", "sha256:00"),
            "expand": toolchain.program("expand"),
            **self.more,
        }
        out = self.folder / "out"
        out.mkdir()
        return ClusterLoader2Driver(settings, programs).measure(self.targets(server), out, 7)

    def program(self, code: str) -> Path:
        """Write the stand-in."""
        path = self.folder / "clusterloader2"
        path.write_text(HEAD + code)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def targets(self, server: str) -> dict[Arm, Target]:
        token = self.folder / "token"
        one = dataclasses.replace(
            target(server, pid=os.getpid()),
            ca_file=self.ca,
            token_file=token,
            admin_token_file=token,
            pods=self.pods,
            url_in_pods=server,
            metrics_in_pods={"server": f"{server}/metrics"},
            needs_organization_path=self.needs_organization_path,
        )
        return dict.fromkeys(Arm, one)
