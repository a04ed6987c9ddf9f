"""Each process of ClusterLoader2 in a pod of its own, by real load agents, played by a stand-in."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.environments.api import Api
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.images import Image
from pipeline.environments.load_pods import ClusterPods
from pipeline.environments.manifests import NamespaceSpec
from pipeline.model.ports import Load, Program
from pipeline.model.subject import Arm
from pipeline.system.errors import ConfigError, LoadError
from pipeline.system.tls import create_identity
from tests.cl2_bench import GOOD, Bench
from tests.clusters import FakeCluster, running
from tests.load_agents import load_agents
from tests.loopback import answering, values

pytestmark = pytest.mark.real

# What passes for a Prometheus: what it is told of is there, and each job is a target that is up.
PROMETHEUS = f"""#!{sys.executable}
import http.server, json, pathlib, sys
told = dict(one.split("=", 1) for one in sys.argv[1:])
config = json.loads(pathlib.Path(told["--config.file"]).read_text())
jobs = config["scrape_configs"]
files = config["rule_files"] + [job["tls_config"]["ca_file"] for job in jobs if "tls_config" in job]
files += [job["authorization"]["credentials_file"] for job in jobs if "authorization" in job]
assert all(pathlib.Path(one).is_file() for one in files), files
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        up = [{{"labels": {{"job": job["job_name"]}}, "health": "up"}} for job in jobs]
        body = json.dumps({{"data": {{"activeTargets": up}}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
host, _, port = told["--web.listen-address"].rpartition(":")
http.server.HTTPServer((host, int(port)), Answers).serve_forever()
"""


@dataclass
class Stand:
    """A bench whose load pods are processes here, the cluster that they seem to be in, a server."""

    bench: Bench
    cluster: FakeCluster
    server: str

    def load(self, code: str, **changes: object) -> Load:
        return self.bench.load(code, self.server, **changes)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    bench, gateway = Bench(tmp_path), toolchain.program("gateway")
    with ExitStack() as stack:
        program, prometheus = tmp_path / "clusterloader2", tmp_path / "prometheus"
        prometheus.write_text(PROMETHEUS)
        prometheus.chmod(0o755)
        serve = stack.enter_context(
            load_agents(
                tmp_path / "pods",
                toolchain.program("load-agent"),
                program,
                prometheus,
                gateway.path,
            )
        )
        cluster = FakeCluster(serves=serve, operator=True)
        pods = ClusterPods(
            api=Api(str(stack.enter_context(running(cluster, tmp_path)))),
            spec=NamespaceSpec("load", "1", "load", 1, ClusterSettings(ready_s=20, load_pods=7)),
            agent=toolchain.program("load-agent"),
            image=lambda name, *_: Image(name, Path("none")),
            poll_s=0.05,
        )
        pods.create_namespace()
        bench.pods = pods
        bench.more = {"gateway": gateway, "prometheus": Program(prometheus, "1", "sha256:01")}
        yield Stand(bench, cluster, stack.enter_context(answering(bench.answer)))


def test_every_process_has_a_pod_and_its_report_is_read_as_at_home(
    stand: Stand,
) -> None:
    load = stand.load(GOOD, where="projects", projects=2, rate=40)

    assert load.invalid == ()
    for arm in Arm:
        found = values(load.readings[arm])
        assert found["cl2.rate"] == pytest.approx(40)
        assert 0 < found["generator_cpu_share"] < 1
        assert load.spans[arm].end_s > load.spans[arm].start_s > 1e9
    # One each to make the Projects, then one for each Project of each arm: Jobs, and no TestRun.
    assert [one["spec"]["completions"] for one in stand.cluster.of("Job")] == [2, 4]
    assert not stand.cluster.of("TestRun")
    folder = stand.bench.folder / "out" / "candidate" / "1-object-crud" / "perf-00000007-project-1"
    kubeconfig = json.loads((folder / "kubeconfig").read_text())
    assert kubeconfig["users"][0]["user"] == {"tokenFile": "/secrets/candidate.token"}
    assert {path.name for path in folder.iterdir()} == {
        *("clusterloader2.log", "kubeconfig", "overrides.yaml", "report"),
    }
    assert not list((stand.bench.folder / "out").glob("*-pods"))


def test_its_log_is_kept_without_credentials(stand: Stand) -> None:
    stand.load("print('Authorization: Bearer abcdefghijklmnop')\n" + GOOD)
    logs = list((stand.bench.folder / "out").rglob("*.log"))
    assert len(logs) == 2
    assert not [one for one in logs if "abcdefghijklmnop" in one.read_text()]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit('F1125 Test compilation failed: no such file')\n", "exited with 1 before its"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", "was killed by signal"),
    ],
)
def test_a_process_that_does_not_come_to_a_report_is_told(
    stand: Stand, code: str, said: str
) -> None:
    with pytest.raises(LoadError, match=said):
        stand.load(code)


def test_a_pod_that_is_lost_makes_the_load_invalid_by_name(stand: Stand, tmp_path: Path) -> None:
    begun, lost = tmp_path / "begun", tmp_path / "lost"
    begun.mkdir()

    def lose() -> None:
        while len(list(begun.iterdir())) < len(Arm):
            time.sleep(0.05)
        (path,) = [one for one in stand.cluster.objects if one.endswith("/pods/load-0-1-abcde")]
        stand.cluster.objects[path]["status"] = {"phase": "Failed", "reason": "Evicted"}
        lost.touch()

    threading.Thread(target=lose, daemon=True).start()
    load = stand.load(
        "import os\n"
        f"pathlib.Path({str(begun)!r}, str(os.getpid())).touch()\n"
        f"while not pathlib.Path({str(lost)!r}).exists(): time.sleep(0.05)\n"
        f"time.sleep(4)\n{GOOD}"
    )
    assert load.invalid == (
        "clusterloader2 object-crud of the candidate: load pod 2 of 2 was lost: it Evicted",
    )
    assert load.readings == dict.fromkeys(Arm, ())


def test_a_prometheus_that_exists_is_refused_before_anything_starts(stand: Stand) -> None:
    with pytest.raises(ConfigError, match="bring a Prometheus of their own") as caught:
        stand.load(GOOD, prometheus=True, prometheus_url="http://prometheus:9090")
    assert "prometheus_url" in caught.value.hint
    assert not stand.cluster.of("Job")


def test_a_gateway_and_a_prometheus_stand_beside_every_process(
    stand: Stand, tmp_path: Path
) -> None:
    stand.bench.ca = create_identity(tmp_path / "server").ca
    # The stand-in asks at the address that it is told, as ClusterLoader2 would.
    ask = """
import ssl, urllib.request
kubeconfig = json.loads(pathlib.Path(told["--kubeconfig"]).read_text())["clusters"][0]["cluster"]
context = ssl.create_default_context(cafile=kubeconfig["certificate-authority"])
def asked(path):
    with urllib.request.urlopen(kubeconfig["server"] + path, context=context) as answer:
        return answer.read()
asked("/api/v1/namespaces/" + name + "-asked")
proxy = "/api/v1/namespaces/monitoring/services/http:prometheus-k8s:9090/proxy/api/v1/targets"
print("jobs", [one["labels"]["job"] for one in json.loads(asked(proxy))["data"]["activeTargets"]])
"""
    load = stand.load(ask + GOOD, prometheus=True)
    assert stand.bench.asked.count("GET /api/v1/namespaces/object-crud-asked") == 2
    logs = [one.read_text() for one in (stand.bench.folder / "out").rglob("clusterloader2.log")]
    assert ["jobs ['server', 'prometheus', 'gateway']" in log for log in logs] == [True, True]
    # The stand-in asks for no measurement, so what it would have reported is missing; nothing else.
    assert all("Prometheus" in said or "report of" in said for said in load.invalid)
    assert {"2-pods", "private"}.isdisjoint(p.name for p in (stand.bench.folder / "out").iterdir())
