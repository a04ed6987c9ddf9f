"""Every probe on the real reference server and a real etcd, with a load of a few requests."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pipeline import toolchain
from pipeline.environments.bootstrap import API
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.model.ports import FIRST_ORGANIZATION, Span, Target
from pipeline.model.subject import Arm, parse_spec
from pipeline.probes.registry import default_probes, opt_in_probes
from pipeline.system import http_client
from tests.loopback import probe_values

pytestmark = [pytest.mark.real, pytest.mark.measuring]

PROJECT = "life-probes-test-1"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, float]]:
    """Watch a Project come and go, with a Secret in it."""
    out = tmp_path_factory.mktemp("probes")
    artifacts = {Arm.CANDIDATE: toolchain.artifact(parse_spec("reference"))}
    environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
    with environment.launch(artifacts, out) as targets, ExitStack() as stack:
        target = targets[Arm.CANDIDATE]
        watches = [
            stack.enter_context(probe.watch(target, out))
            for probe in (*default_probes(), *opt_in_probes().values())
        ]
        span = load(target)
        yield probe_values(tuple(reading for watch in watches for reading in watch.readings(span)))


def load(target: Target) -> Span:
    token = target.token_file.read_text()

    def ask(method: str, path: str, body: object = None) -> tuple[int, object]:
        return http_client.call(
            method, f"{target.url}{path}", body, ca_file=target.ca_file, token=token
        )

    time.sleep(1)
    began = time.time()
    version = "resourcemanager.miloapis.com/v1alpha1"
    owner = {"ownerRef": {"kind": "Organization", "name": FIRST_ORGANIZATION}}
    project = {"apiVersion": version, "kind": "Project", "metadata": {"name": PROJECT}}
    ask("POST", f"{API}/projects", {**project, "spec": owner})
    time.sleep(1)
    secrets = f"/projects/{PROJECT}/control-plane/api/v1/namespaces/default/secrets"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}}
    assert ask("POST", secrets, secret)[0] == 201
    ask("DELETE", f"{API}/projects/{PROJECT}", {})
    time.sleep(2)
    ended = time.time()
    return Span(began, ended, (began + 1, began + 2, ended))


@pytest.mark.parametrize("component", ["server", "etcd"])
@pytest.mark.parametrize(
    "reading",
    ["cpu", "memory_mean", "memory_added", "files", "threads", "goroutines", "goroutines_added"],
)
def test_each_component_is_watched(seen: dict[str, float], component: str, reading: str) -> None:
    assert f"{component}.{reading}" in seen


def test_the_load_is_seen_in_what_the_server_counts(seen: dict[str, float]) -> None:
    assert seen["server.restarts"] == 0
    assert seen["server.requests{resource=projects}"] >= 2
    assert seen["server.requests{verb=POST}"] >= 2
    assert seen["server.requests_5xx"] == 0
    assert 0 < seen["server.duration_mean{verb=POST,resource=secrets}"] < 1
    assert seen["server.storage_children"] > 0
    assert seen["server.heap"] > 1e6


def test_the_load_is_seen_in_etcd(seen: dict[str, float]) -> None:
    assert seen["etcd.puts"] >= 2
    assert seen["etcd.revisions"] >= seen["etcd.puts"]
    assert seen["etcd.requests"] > 0
    assert seen["etcd.watchers"] > 0
    assert 0 < seen["etcd.commit_mean"] < 1
    assert seen["etcd.db_bytes"] >= seen["etcd.db_used_bytes"] > 0
    assert seen["etcd.names_left"] == 0


def test_the_project_is_seen_to_become_ready_and_to_go(seen: dict[str, float]) -> None:
    assert seen["projects.created"] == 1
    assert 0 <= seen["projects.ready/mean"] < 1
    assert 0 <= seen["projects.gone/mean"] < 2
    assert seen["projects.never_ready"] == seen["projects.never_gone"] == seen["projects.gaps"] == 0


@pytest.mark.parametrize("component", ["server", "etcd"])
@pytest.mark.parametrize("reading", ["goroutines", "heap", "memory", "files"])
def test_each_component_has_a_slope(seen: dict[str, float], component: str, reading: str) -> None:
    name = f"{component}.{reading}_slope"
    assert seen[f"{name}_low"] <= seen[name] <= seen[f"{name}_high"]


def test_keys_have_a_slope(seen: dict[str, float]) -> None:
    assert "etcd.keys_slope" in seen


def test_the_server_is_seen_to_answer(seen: dict[str, float]) -> None:
    assert seen["availability.ready_share"] > 0.8
    assert seen["availability.write_share"] > 0.8
    assert 0.05 < seen["availability.longest_gap"] < 3


def test_the_machine_is_watched(seen: dict[str, float]) -> None:
    assert {"machine.steal_share", "machine.load", "machine.fsync"} <= set(seen)
