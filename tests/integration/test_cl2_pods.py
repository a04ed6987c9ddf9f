"""Each process of ClusterLoader2 in a pod of its own, by real keepers, played by a stand-in."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.environments.api import Api
from pipeline.environments.images import Image
from pipeline.environments.in_cluster import InCluster
from pipeline.environments.load_pods import ClusterPods
from pipeline.environments.manifests import Place
from pipeline.errors import ConfigError, LoadError
from pipeline.loopback import identity
from pipeline.model.subject import Arm
from pipeline.ports import Load
from tests.cl2_bench import GOOD, Bench
from tests.clusters import FakeCluster, running
from tests.keepers import keepers
from tests.loopback import answering, values

pytestmark = pytest.mark.real

URL = "http://prometheus.monitoring.svc:9090"


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
    bench, gateway = Bench(tmp_path), toolchain.gateway()
    with ExitStack() as stack:
        program = tmp_path / "clusterloader2"
        serve = stack.enter_context(
            keepers(tmp_path / "pods", toolchain.keeper(), program, gateway.path)
        )
        cluster = FakeCluster(serves=serve, operator=True)
        pods = ClusterPods(
            api=Api(str(stack.enter_context(running(cluster, tmp_path)))),
            place=Place("load", "1", "load", 1, InCluster(ready_s=20, load_pods=7)),
            keeper=toolchain.keeper(),
            image=lambda name, *_: Image(name, Path("none")),
            tick_s=0.05,
        )
        pods.begin()
        bench.pods, bench.more = pods, {"gateway": gateway, "prometheus": gateway}
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


def test_a_pod_that_is_lost_makes_the_load_invalid_by_name(stand: Stand) -> None:
    def lose() -> None:
        (path,) = [one for one in stand.cluster.objects if one.endswith("/pods/load-0-1-abcde")]
        stand.cluster.objects[path]["status"] = {"phase": "Failed", "reason": "Evicted"}

    threading.Timer(1.0, lose).start()
    load = stand.load("time.sleep(4)\n" + GOOD)
    assert load.invalid == (
        "clusterloader2 object-crud of the candidate: load pod 2 of 2 was lost: it Evicted",
    )
    assert load.readings == dict.fromkeys(Arm, ())


def test_a_prometheus_that_pods_cannot_reach_is_refused_before_anything_starts(
    stand: Stand,
) -> None:
    with pytest.raises(ConfigError, match="none is given") as caught:
        stand.load(GOOD, prometheus=True)
    assert "prometheus_url" in caught.value.hint
    assert not stand.cluster.of("Job")


def test_a_gateway_stands_before_the_server_in_every_pod(stand: Stand, tmp_path: Path) -> None:
    stand.bench.ca = identity(tmp_path / "server").ca
    # The stand-in asks at the address that it is told, as ClusterLoader2 would.
    ask = """
import ssl, urllib.request
kubeconfig = json.loads(pathlib.Path(told["--kubeconfig"]).read_text())["clusters"][0]["cluster"]
context = ssl.create_default_context(cafile=kubeconfig["certificate-authority"])
url = kubeconfig["server"] + "/api/v1/namespaces/" + name + "-asked"
with urllib.request.urlopen(url, context=context) as answer:
    print("answered", answer.status)
"""
    load = stand.load(ask + GOOD, prometheus=True, prometheus_url=URL)
    assert stand.bench.asked.count("GET /api/v1/namespaces/object-crud-asked") == 2
    # The stand-in asks no Prometheus, so what it would have reported is missing; nothing else is.
    assert all("Prometheus" in said or "report of" in said for said in load.invalid)
    assert {"2-pods", "private"}.isdisjoint(p.name for p in (stand.bench.folder / "out").iterdir())
