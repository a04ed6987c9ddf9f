"""The kind cluster is made, found again if it is ours, and deleted; a script stands in for kind."""

import json
import shlex
import socket
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.environments.images import Image
from pipeline.environments.kind import KindCluster, KindSettings, free_ports
from pipeline.model.ports import Program
from pipeline.system import paths
from pipeline.system.errors import LaunchError
from tests.clusters import FakeCluster, running

# It keeps a list of clusters in a file, and every line that it was called with in another.
KIND = """
    import json, pathlib, sys
    here = pathlib.Path({here!r})
    clusters, words = here / "clusters", sys.argv[1:]
    with (here / "calls").open("a") as calls: calls.write(json.dumps(words) + "\\n")
    names = clusters.read_text().split() if clusters.exists() else []
    name = next((w.split("=", 1)[1] for w in words if w.startswith("--name=")), "")
    if (here / "fails").exists() and words[0] in (here / "fails").read_text():
        sys.exit((here / "says").read_text())
    match words[:2]:
        case ["get", "clusters"]: print("\\n".join(names))
        case ["get", "kubeconfig"]: print((here / "kubeconfig").read_text())
        case ["create", "cluster"]: clusters.write_text("\\n".join([*names, name]))
        case ["delete", "cluster"]: clusters.write_text("\\n".join(n for n in names if n != name))
"""


@dataclass
class Lab:
    here: Path
    program: Program
    cluster: FakeCluster

    def calls(self, verb: str) -> list[list[str]]:
        lines = (self.here / "calls").read_text().splitlines()
        return [words for line in lines if (words := json.loads(line))[0] == verb]

    def fails(self, verb: str, says: str) -> None:
        (self.here / "fails").write_text(verb)
        (self.here / "says").write_text(says)

    def of(self, **settings: object) -> KindCluster:
        return KindCluster(KindSettings.model_validate({"kind": "kind", **settings}), self.program)

    def is_made(self, cluster: KindCluster, first: int = 40_000) -> None:
        """Let the node look as kind makes it from a configuration."""
        (node,) = cluster.config(first)["nodes"]
        self.cluster.nodes = [{"metadata": {"name": "n", "labels": node["labels"]}}]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lab]:
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(paths, "cache", lambda: cache)
    script = tmp_path / "kind"
    code = textwrap.dedent(KIND).format(here=str(tmp_path))
    script.write_text(f"#!{shlex.quote(sys.executable)}\n{code}")
    script.chmod(0o755)
    cluster = FakeCluster()
    with running(cluster, tmp_path):
        yield Lab(tmp_path, Program(script, "0.33.0", "sha256:00"), cluster)


def programs(lab: Lab) -> dict[str, Program]:
    return {"kind": lab.program, "etcd": Program(Path("etcd"), "3.6", "sha256:00")}


def test_a_run_makes_the_cluster_and_deletes_it(lab: Lab) -> None:
    cluster = lab.of()
    lab.is_made(cluster)
    with cluster.settings.open(programs(lab)) as environment:
        assert environment.is_here
        assert cluster.exists()

    assert not cluster.exists()
    assert not cluster.folder.exists()


def test_a_cluster_that_was_there_is_used_and_stays(lab: Lab) -> None:
    cluster = lab.of()
    cluster.create()
    lab.is_made(cluster)
    with cluster.settings.open(programs(lab)):
        pass

    assert cluster.exists()
    assert len(lab.calls("create")) == 1


def test_a_cluster_is_kept_where_that_is_asked_for(lab: Lab) -> None:
    cluster = lab.of(keep=True)
    lab.is_made(cluster)
    with cluster.settings.open(programs(lab)):
        pass

    assert cluster.exists()


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({}, id="of somebody else"),
        pytest.param({"milo-perf/config": "other", "milo-perf/port": "1"}, id="other settings"),
    ],
)
def test_a_cluster_that_is_not_ours_is_left_alone(lab: Lab, labels: dict[str, str]) -> None:
    (lab.here / "clusters").write_text("milo-perf")
    lab.cluster.nodes = [{"metadata": {"name": "n", "labels": labels}}]
    with (
        pytest.raises(LaunchError, match="created by somebody else") as caught,
        lab.of().settings.open(programs(lab)),
    ):
        pass

    assert "kind delete cluster" in caught.value.hint
    with pytest.raises(LaunchError, match="so it does not delete it"):
        lab.of().delete()
    assert not lab.calls("delete")


def test_another_node_image_is_another_cluster(lab: Lab) -> None:
    cluster = lab.of()
    cluster.create()
    lab.is_made(cluster)
    with pytest.raises(LaunchError, match="with other settings"):
        lab.of(node_image="kindest/node:v1.32.0").connect()


def test_a_cluster_that_nobody_here_made_is_not_deleted(lab: Lab) -> None:
    (lab.here / "clusters").write_text("milo-perf")
    with pytest.raises(LaunchError, match="so it does not delete it"):
        lab.of().delete()
    assert not (lab.here / "calls").exists()


@pytest.mark.parametrize(
    ("says", "hinted"),
    [
        ("ERROR: failed to pull image kindest/node:v1", "node_image"),
        ("Bind for 127.0.0.1:32000 failed: port is already allocated", "try again"),
        ("Cannot connect to the Docker daemon at unix:///x", "docker info"),
    ],
)
def test_a_cluster_that_cannot_be_made_is_told_why_and_leaves_nothing(
    lab: Lab, says: str, hinted: str
) -> None:
    lab.fails("create", says)
    with (
        pytest.raises(LaunchError, match="kind: ") as caught,
        lab.of().settings.open(programs(lab)),
    ):
        pass

    assert hinted in caught.value.hint
    assert says in caught.value.hint
    assert lab.calls("delete")
    assert not lab.of().folder.exists()


def test_an_engine_that_does_not_answer_is_told(lab: Lab) -> None:
    lab.fails("get", "no engine")
    with pytest.raises(LaunchError, match="cannot list") as caught:
        lab.of().exists()
    assert "docker info" in caught.value.hint


def test_an_image_is_loaded_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image("milo-perf.invalid/milo:0", lab.here / "milo.tar")
    monkeypatch.setattr("pipeline.environments.kind.pack", lambda *_: image)
    cluster = lab.of()
    cluster.folder.mkdir(parents=True)
    for _ in range(3):
        cluster.image("milo", {"milo": Path("x")}, "sha256:00")

    (call,) = lab.calls("load")
    assert call == ["load", "image-archive", str(lab.here / "milo.tar"), "--name=milo-perf"]


def test_an_image_that_the_node_has_is_not_loaded_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image("milo-perf.invalid/milo:0", lab.here / "milo.tar")
    monkeypatch.setattr("pipeline.environments.kind.pack", lambda *_: image)
    cluster = lab.of()
    cluster.create()
    lab.is_made(cluster)
    lab.cluster.nodes[0]["status"] = {"images": [{"names": [image.reference]}]}
    cluster.connect()
    cluster.image("milo", {"milo": Path("x")}, "sha256:00")

    assert not lab.calls("load")


def test_every_component_of_both_arms_has_a_port_of_loopback(lab: Lab) -> None:
    (node,) = lab.of().config(40_000)["nodes"]
    ports = node["extraPortMappings"]
    assert [port["hostPort"] for port in ports] == list(range(40_000, 40_006))
    assert {port["listenAddress"] for port in ports} == {"127.0.0.1"}
    assert not [label for label in node["labels"] if ".io/" in label]  # a kubelet refuses those


def test_a_kubeconfig_is_for_our_eyes_only(lab: Lab) -> None:
    cluster = lab.of()
    cluster.create()
    lab.is_made(cluster)
    cluster.connect()
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_ports_that_are_taken_are_passed_by() -> None:
    first = free_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 2))
        assert free_ports() > first
