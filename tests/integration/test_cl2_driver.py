"""A load of ClusterLoader2 is applied, given up or refused as a whole, played by a stand-in."""

import dataclasses
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import toolchain
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.errors import ConfigError, LoadError
from pipeline.model.subject import Arm
from pipeline.ports import Load, Program, Target
from tests.loopback import Request, answering, target, values

pytestmark = pytest.mark.real

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
        self.asked: list[str] = []
        (folder / "token").write_text("a secret")

    def answer(self, one: Request, _: bytes) -> None:
        self.asked.append(f"{one.command} {one.path}")
        names = ["perf-00000007-1"] if "namespaces" in one.path else []
        one.say(json.dumps({"items": [{"metadata": {"name": name}} for name in names]}))

    def load(self, code: str, server: str, **changes: Any) -> Load:  # noqa: ANN401 (any)
        path = self.folder / "clusterloader2"
        path.write_text(HEAD + code)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        given = {"kind": "clusterloader2", "config": "object-crud", "rate": 20, "objects": 50}
        settings = ClusterLoader2.model_validate(given | {"duration_s": 5} | changes)
        programs = {
            "clusterloader2": Program(path, "a stand-in", "sha256:00"),
            "expand": toolchain.expander(),
        }
        out = self.folder / "out"
        out.mkdir()
        return settings.driver(programs).measure(self.targets(server), out, 7)

    def targets(self, server: str) -> dict[Arm, Target]:
        token = self.folder / "token"
        one = dataclasses.replace(
            target(server), ca_file=token, token_file=token, admin_token_file=token
        )
        return dict.fromkeys(Arm, one)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def server(bench: Bench) -> Iterator[str]:
    with answering(bench.answer) as url:
        yield url


def test_a_good_run_is_a_load_of_both_arms(bench: Bench, server: str) -> None:
    load = bench.load(GOOD, server)

    assert load.invalid == ()
    assert set(load.readings) == set(Arm)
    found = values(load.readings[Arm.CANDIDATE])
    assert found["cl2.rate"] == pytest.approx(20)
    assert found["cl2.timer{label=total}"] == 1.0
    assert found["cl2.availability_share"] == 1.0
    assert found["objects_created"] == 100


def test_in_projects_each_has_a_process_and_an_address_of_its_own(
    bench: Bench, server: str
) -> None:
    load = bench.load(GOOD, server, where="projects", projects=2, rate=40)

    assert load.invalid == ()
    folder = bench.folder / "out" / "candidate" / "1-object-crud"
    urls = [
        json.loads((one / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
        for one in sorted(folder.iterdir())
    ]
    names = [f"perf-00000007-project-{number}" for number in range(2)]
    assert urls == [f"{server}/projects/{name}/control-plane" for name in names]
    # 40 objects a second, half of them in each Project.
    assert values(load.readings[Arm.CANDIDATE])["cl2.rate"] == pytest.approx(40)


def test_a_process_that_does_not_start_says_why(bench: Bench, server: str) -> None:
    with pytest.raises(LoadError, match="exited with 1 before its first step") as caught:
        bench.load("sys.exit('F1125 Test compilation failed: no such file')\n", server)
    assert "Test compilation failed" in caught.value.hint


def test_a_killed_process_is_told(bench: Bench, server: str) -> None:
    with pytest.raises(LoadError, match="was killed by signal 9"):
        bench.load("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", server)


def test_success_without_a_report_that_was_asked_for_does_not_count(
    bench: Bench, server: str
) -> None:
    load = bench.load("report(create); available(); print('Status: Success')\n", server)
    assert len(load.invalid) == 2  # one of each arm
    assert "no report of Timer" in load.invalid[0]


def test_a_failed_step_does_not_count(bench: Bench, server: str) -> None:
    code = "report(create, case(3, 'delete objects', 1, 'timed out')); timer(); available()\n"
    load = bench.load(code + "sys.exit(1)\n", server)
    assert "the step of `delete objects` failed: timed out" in load.invalid[0]


def test_a_report_that_is_cut_off_is_an_error(bench: Bench, server: str) -> None:
    cut = GOOD + "path = out / 'junit.xml'; path.write_text(path.read_text()[:-30])\n"
    with pytest.raises(LoadError, match=r"junit\.xml"):
        bench.load(cut, server)


def test_its_log_is_kept_without_credentials(bench: Bench, server: str) -> None:
    bench.load("print('Authorization: Bearer abcdefghijklmnop')\n" + GOOD, server)
    logs = list((bench.folder / "out").rglob("clusterloader2.log"))
    assert logs
    assert not [one for one in logs if "abcdefghijklmnop" in one.read_text()]


def test_what_it_made_is_deleted_also_when_it_fails(bench: Bench, server: str) -> None:
    with pytest.raises(LoadError):
        bench.load("sys.exit(1)\n", server)
    assert "DELETE /api/v1/namespaces/perf-00000007-1" in bench.asked


def test_a_parameter_that_the_config_does_not_read_is_refused_before_anything_starts(
    bench: Bench, server: str
) -> None:
    with pytest.raises(ConfigError, match="no parameter `CL2_COLOUR`"):
        bench.load(GOOD, server, parameters={"CL2_COLOUR": "red"})
    assert bench.asked == []


def test_a_config_that_is_not_there_is_refused(bench: Bench, server: str) -> None:
    with pytest.raises(ConfigError, match="object-crudd"):
        bench.load(GOOD, server, config="object-crudd")
