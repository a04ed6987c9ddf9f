"""A Prometheus and a gateway are started for a target, or it is said why not; nothing runs on."""

import json
import stat
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from pipeline.drivers.clusterloader2.endpoint import (
    METRICS,
    active_targets,
    monitor,
    prometheus_config,
)
from pipeline.model.ports import Program, Target
from pipeline.system import http_client
from pipeline.system.errors import Exit, LoadError
from pipeline.system.processes import CommandError
from tests.loopback import Request, answering, serving, target

# What passes for a gateway: it writes an address, and stays.
GATEWAY = """
import os, sys, time
path = next(a for a in sys.argv if a.startswith("--address-file=")).partition("=")[2]
print(sys.argv[1:], flush=True)
open(path + ".new", "w").write("127.0.0.1:4\\n")
os.rename(path + ".new", path)
time.sleep(60)
"""
# What passes for a Prometheus: it scrapes what its configuration says, and all is as HEALTH says.
# While there is a file `taken` beside it, it finds its port taken.
PROMETHEUS = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
flags = dict(a.split("=", 1) for a in sys.argv[1:])
if os.path.exists(taken := os.path.join(os.path.dirname(__file__), "taken")):
    os.unlink(taken)
    sys.exit("listen tcp: bind: address already in use")
jobs = [job["job_name"] for job in json.load(open(flags["--config.file"]))["scrape_configs"]]
health = HEALTH
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        found = [{"labels": {"job": job}, "scrapeUrl": "http://x/metrics", "health":
            health.get(job, "up"), "lastError": "refused"} for job in jobs]
        body = json.dumps({"data": {"activeTargets": found}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
host, port = flags["--web.listen-address"].split(":")
HTTPServer((host, int(port)), Handler).serve_forever()
"""


def data(content: object) -> str:
    """Return an answer of Prometheus' API."""
    return json.dumps({"status": "success", "data": content})


def script(path: Path, code: str) -> Program:
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Program(path, "1", "sha256:0")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("out", "private", "bin"):
        (tmp_path / name).mkdir()
    return tmp_path / "out", tmp_path / "private"


def programs(tmp_path: Path, health: Mapping[str, str] | None = None) -> dict[str, Program]:
    code = PROMETHEUS.replace("HEALTH", repr(dict(health or {})))
    return {
        "gateway": script(tmp_path / "bin" / "gateway", GATEWAY),
        "prometheus": script(tmp_path / "bin" / "prometheus", code),
    }


def watched() -> Target:
    return target(
        "https://127.0.0.1:1",
        metrics={"server": "https://127.0.0.1:1/metrics", "etcd": "http://127.0.0.1:2/metrics"},
    )


def left(folder: Path) -> list[int]:
    """Return the processes that a test's folder started and that run on."""
    found: list[int] = []
    for _ in range(100):
        found = [
            child.pid
            for child in psutil.Process().children(recursive=True)
            if str(folder) in " ".join(child.cmdline())
        ]
        if not found:
            break
        time.sleep(0.05)
    return found


def test_both_are_started_and_stopped(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    with monitor(watched(), programs(tmp_path), *folders, scrape_s=1) as endpoint:
        assert endpoint.url == "https://127.0.0.1:4"
        assert endpoint.ca_file.is_relative_to(folders[1])
        endpoint.check()
    said = (folders[0] / "gateway.log").read_text()
    assert "--upstream=https://127.0.0.1:1" in said
    assert "--prometheus=http://127.0.0.1:" in said
    assert left(tmp_path) == []


def test_a_port_that_is_taken_meanwhile_is_tried_again(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    found = programs(tmp_path)
    (tmp_path / "bin" / "taken").touch()
    with monitor(watched(), found, *folders, scrape_s=1) as endpoint:
        endpoint.check()
    assert "address already in use" in (folders[0] / "prometheus.log").read_text()


@pytest.mark.parametrize(
    ("health", "says"),
    [
        pytest.param("down", "cannot scrape `etcd` at http://x/metrics: refused", id="down"),
        pytest.param("unknown", "cannot scrape `etcd`", id="not tried"),
    ],
)
def test_a_component_that_is_not_scraped_is_named(
    tmp_path: Path,
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    health: str,
    says: str,
) -> None:
    found = programs(tmp_path, {"etcd": health})
    monkeypatch.setattr("pipeline.drivers.clusterloader2.endpoint._SCRAPE_TIMEOUT_S", 0.2)
    with (
        pytest.raises(LoadError, match=says),
        monitor(watched(), found, *folders, scrape_s=0.1),
    ):
        pytest.fail("it is not watched")
    assert left(tmp_path) == []


def test_a_prometheus_that_does_not_start_is_an_error_with_its_last_words(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    found = programs(tmp_path)
    found["prometheus"] = script(tmp_path / "bin" / "other", "raise SystemExit('no such flag')")
    with (
        pytest.raises(CommandError, match="prometheus exited with 1") as caught,
        monitor(watched(), found, *folders, scrape_s=1),
    ):
        pytest.fail("it is not watched")
    assert "no such flag" in caught.value.hint


@pytest.mark.parametrize("count", [0, 3])
def test_a_prometheus_that_exists_needs_as_many_targets_as_clusterloader2_waits_for(
    tmp_path: Path,
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    one = {"labels": {"job": "x"}, "scrapeUrl": "u", "health": "up", "lastError": ""}
    monkeypatch.setattr("pipeline.drivers.clusterloader2.endpoint._SCRAPE_TIMEOUT_S", 0.2)
    with (
        serving(data({"activeTargets": [one] * count})) as url,
        pytest.raises(LoadError, match=f"has {count} targets, and ClusterLoader2 waits for 4"),
        monitor(watched(), programs(tmp_path), *folders, scrape_s=0.1, prometheus_url=url),
    ):
        pytest.fail("it is not watched")


def test_every_component_is_scraped_and_only_https_has_the_token(tmp_path: Path) -> None:
    gateway_at = (f"https://127.0.0.1:4{METRICS}", tmp_path / "ca")
    found = prometheus_config(
        watched(), "http://127.0.0.1:3", gateway_at, 2.5, [Path("/rules.yml")]
    )
    assert found["global"]["scrape_interval"] == "2500ms"
    assert found["rule_files"] == ["/rules.yml"]
    server, etcd, itself, gateway = found["scrape_configs"]
    assert server == {
        "job_name": "server",
        "scheme": "https",
        "metrics_path": "/metrics",
        "static_configs": [{"targets": ["127.0.0.1:1"]}],
        "tls_config": {"ca_file": str(watched().ca_file)},
        "authorization": {"credentials_file": str(watched().admin_token_file)},
    }
    assert (etcd["scheme"], itself["job_name"]) == ("http", "prometheus")
    assert (gateway["metrics_path"], gateway["tls_config"]["ca_file"]) == (
        METRICS,
        str(tmp_path / "ca"),
    )
    assert not any("authorization" in job for job in (etcd, itself, gateway))
    json.dumps(found)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>log in</html>", id="a page"),
        pytest.param("[]", id="no object"),
        pytest.param(data(None), id="no data"),
        pytest.param(data({"activeTargets": [{}]}), id="a target without a job"),
    ],
)
def test_an_answer_that_is_not_prometheus_is_refused(text: str) -> None:
    with serving(text) as url, pytest.raises(LoadError, match="not answer like a Prometheus"):
        active_targets(url)


def test_a_prometheus_that_is_not_there_is_named() -> None:
    url = "http://127.0.0.1:1"
    with pytest.raises(LoadError, match=f"Prometheus at {url} .*no answer") as caught:
        active_targets(url)
    assert caught.value.exit_code is Exit.WRONG_LOAD


def test_a_slow_prometheus_is_named_with_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "_TIMEOUT_S", 0.1)
    ended = threading.Event()

    def answer(request: Request, _body: bytes) -> None:
        ended.wait(10)
        request.say(data({"activeTargets": []}))

    with answering(answer) as url:
        with pytest.raises(LoadError, match=r"no answer in 0\.1 s"):
            active_targets(url)
        ended.set()
