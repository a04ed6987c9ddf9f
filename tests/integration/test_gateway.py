"""The gateway before a real server: nothing is lost or changed, and queries are answered."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

from pipeline import toolchain
from pipeline.drivers.clusterloader2.endpoint import Endpoint, monitor
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.model.ports import Program, Target
from pipeline.model.subject import Arm, parse_spec
from pipeline.system import http_client, paths
from pipeline.system.errors import LoadError, NetworkError
from pipeline.toolchain.programs import prometheus
from tests.gotests import go_tests
from tests.loopback import Request, answering

pytestmark = [pytest.mark.real, pytest.mark.measuring]
PROXY = "/api/v1/namespaces/monitoring/services/http:prometheus-k8s:9090/proxy/api/v1"
RULES = paths.project_path("cl2_configs", "prometheus", "rules.yml")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    artifacts = {Arm.CANDIDATE: toolchain.artifact(parse_spec("reference"))}
    environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
    with environment.launch(artifacts, tmp_path_factory.mktemp("reference")) as targets:
        yield targets[Arm.CANDIDATE]


@pytest.fixture(scope="module")
def program() -> Program:
    return toolchain.program("gateway")


@contextmanager
def opened(
    target: Target, program: Program, folder: Path, health: str = "up"
) -> Iterator[Endpoint]:
    """Open a gateway whose Prometheus is one of the tests'."""
    one = {"labels": {"job": "etcd"}, "scrapeUrl": "http://x", "health": health, "lastError": "no"}
    answers = {
        "targets?state=active": {"activeTargets": [one] * 4},
        "query?query=one": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]},
    }

    def answer(request: Request, _body: bytes) -> None:
        data = answers.get(request.path.removeprefix("/api/v1/"))
        request.say(json.dumps({"status": "success", "data": data}), 200 if data else 400)

    out, private = folder / "out", folder / "private"
    out.mkdir()
    private.mkdir()
    with (
        answering(answer) as url,
        monitor(
            target, {"gateway": program}, out, private, scrape_s=1, prometheus_url=url
        ) as endpoint,
    ):
        yield endpoint


def test_the_go_tests_of_the_gateway_pass_on_a_real_server(
    target: Target, program: Program, tmp_path: Path
) -> None:
    with opened(target, program, tmp_path) as endpoint:
        said = go_tests(
            "clusterloader2",
            tmp_path,
            *("-count=1", "-v", "./gateway"),  # on these servers, not on those of last time
            variables={
                "GATEWAY_TEST_SERVER": target.url,
                "GATEWAY_TEST_SERVER_CA": str(target.ca_file),
                "GATEWAY_TEST_GATEWAY": endpoint.url,
                "GATEWAY_TEST_GATEWAY_CA": str(endpoint.ca_file),
                "GATEWAY_TEST_TOKEN": target.token_file.read_text(),
            },
        )
        counts = endpoint.counts()

    assert "ok  \tgithub.com/milo-os/milo-perf/clusterloader2/gateway" in said
    assert "SKIP" not in said
    assert counts["passed"] >= 10_200
    assert counts["failed"] == counts["refused"] == counts["unanswered"] == 0


@pytest.mark.parametrize("prefix", ["", "/projects/p-1/control-plane"])
def test_a_query_is_answered_and_what_is_not_known_is_refused(
    target: Target, program: Program, tmp_path: Path, prefix: str
) -> None:
    with opened(target, program, tmp_path) as endpoint:
        said = json.loads(
            http_client.text(
                f"{endpoint.url}{prefix}{PROXY}/query?query=one", ca_file=endpoint.ca_file
            )
        )
        assert said["data"]["result"][0]["value"] == [0, "1"]
        with pytest.raises(NetworkError, match=r"404.*milo-perf gateway: it does not know"):
            http_client.text(f"{endpoint.url}{prefix}{PROXY}/series", ca_file=endpoint.ca_file)
        expected = {"passed": 0, "failed": 0, "answered": 1, "unanswered": 0, "refused": 1}
        assert endpoint.counts() == expected


def test_a_gateway_that_ended_is_an_error(target: Target, program: Program, tmp_path: Path) -> None:
    with opened(target, program, tmp_path) as endpoint:
        endpoint.check()
        (process,) = [
            child
            for child in psutil.Process().children(recursive=True)
            if str(program.path) in child.cmdline()[:1]
        ]
        process.kill()
        with pytest.raises(LoadError, match="gateway was killed by signal 9 while it was needed"):
            _checked_for(20, endpoint)  # its threads may end after it


def _checked_for(seconds: float, endpoint: Endpoint) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        endpoint.check()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def watched(
    target: Target, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """Open a gateway whose Prometheus is a real one, after a few requests."""
    try:
        programs = {"gateway": program, "prometheus": prometheus()}
    except LoadError as error:
        pytest.skip(str(error))
    out, private = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("private")
    token = target.admin_token()
    ended = threading.Event()

    def ask(url: str, ca_file: Path) -> None:
        """Read and write: etcd commits nothing, and has no time of a commit, without a write."""
        path, number = f"{url}/api/v1/namespaces", 0
        http_client.call("POST", path, named("asked"), ca_file=ca_file, token=token)
        while not ended.wait(0.1):
            number += 1
            body = named(f"asked-{number}")
            http_client.text(path, ca_file=ca_file, token=token)
            http_client.call("POST", f"{path}/asked/configmaps", body, ca_file=ca_file, token=token)

    def named(name: str) -> dict[str, object]:
        kind = "Namespace" if name == "asked" else "ConfigMap"
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}

    with monitor(target, programs, out, private, scrape_s=2, rules=[RULES]) as endpoint:
        asking = threading.Thread(target=ask, args=(endpoint.url, endpoint.ca_file))
        asking.start()
        yield endpoint
        ended.set()
        asking.join()


def query(endpoint: Endpoint, expression: str) -> list[Any]:
    """Return the series of an expression, once it has some: a busy machine is scraped late."""
    url = f"{endpoint.url}{PROXY}/query?{urlencode({'query': expression})}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        said = json.loads(http_client.text(url, ca_file=endpoint.ca_file))
        series: list[Any] = said["data"]["result"]
        if series:
            return series
        time.sleep(0.5)
    raise AssertionError(f"Prometheus has nothing for {expression}")


def test_a_real_prometheus_counts_the_requests_that_passed_the_gateway(
    watched: Endpoint,
) -> None:
    counter = 'apiserver_request_sli_duration_seconds_count{resource="namespaces",verb="LIST"}'
    assert query(watched, f"sum(increase({counter}[1m])) > 10")
    assert {one["metric"]["job"] for one in query(watched, "up")} == {
        *("server", "etcd", "prometheus", "gateway")
    }


@pytest.mark.parametrize(
    "rule",
    [
        "apiserver:apiserver_request_sli_latency_1m:histogram_quantile",
        "apiserver:request_sli_duration_seconds:mean1m",
        "apiserver:request_duration_seconds:mean1m",
        "apiserver:request_duration_seconds:histogram_quantile1m",
        "apiserver:requests:rate1m",
        "etcd:backend_commit_duration_seconds:mean1m",
        "etcd:backend_commit_duration_seconds:histogram_quantile1m",
        "etcd:db_size_bytes:max",
        "etcd:db_in_use_bytes:max",
        "job:process_cpu_cores:rate1m",
        "job:process_resident_memory_bytes:sum",
    ],
)
def test_a_rule_has_values_of_a_real_server(watched: Endpoint, rule: str) -> None:
    assert all(float(one["value"][1]) >= 0 for one in query(watched, rule))


def test_what_clusterloader2_asks_is_answered_by_the_real_one(watched: Endpoint) -> None:
    query(watched, "apiserver:requests:rate1m")
    metric = "apiserver_request_sli_duration_seconds_bucket"
    asked = urlencode({"query": f"histogram_quantile(0.99, sum by (le) (rate({metric}[1m])))"})
    url = f"{watched.url}{PROXY}/query?{asked}"
    said = json.loads(http_client.text(url, ca_file=watched.ca_file))
    assert 0 < float(said["data"]["result"][0]["value"][1]) < 60
    targets = json.loads(http_client.text(f"{watched.url}{PROXY}/targets", ca_file=watched.ca_file))
    assert [one["health"] for one in targets["data"]["activeTargets"]] == ["up"] * 4
