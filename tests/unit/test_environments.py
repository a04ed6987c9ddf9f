"""Where a suite runs is chosen by name or by a file, and no choice changes what it measures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.environments.api import Api
from pipeline.environments.cluster import choose_nodes
from pipeline.environments.cluster_settings import Resources
from pipeline.environments.kind import KindSettings
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.environments.registry import read_environment, to_values, with_setting
from pipeline.environments.remote import RemoteSettings
from pipeline.model.ports import Artifact, EnvironmentSettings, Program
from pipeline.model.request import RunRequest
from pipeline.model.subject import Arm, Product, Subject
from pipeline.runs import suite_file
from pipeline.runs.request import resolve_plan, spec_of
from pipeline.system.errors import ConfigError, LaunchError
from tests.clusters import FakeCluster, running

FILE = """
[environment]
kind = "remote"
context = "perf"
registry = "example.test/perf"
node_selector = { pool = "servers" }
tolerations = [{ key = "perf", operator = "Exists" }]
server = { cpu = 2, memory_mib = 4096 }
"""
IMAGE = f"image:ghcr.io/milo-os/milo:v0.30.0@sha256:{'a' * 64}"


def written(folder: Path, text: str) -> str:
    path = folder / "place.toml"
    path.write_text(text)
    return str(path)


SETTINGS: dict[str, Callable[[], EnvironmentSettings]] = {
    "local": LocalSettings,
    "kind": KindSettings,
    "remote": RemoteSettings,
}


@pytest.mark.parametrize(("name", "kind"), SETTINGS.items())
def test_a_name_means_the_defaults(name: str, kind: Callable[[], EnvironmentSettings]) -> None:
    assert read_environment(name) == kind()  # mypy holds each class to the protocol above


def test_a_file_has_all_settings_in_one_table(tmp_path: Path) -> None:
    found = read_environment(written(tmp_path, FILE))
    assert isinstance(found, RemoteSettings)
    assert found.server == Resources(cpu=2, memory_mib=4096)
    assert found.facts == {"environment": "remote", "context": "perf"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[environment]\nkind = 'moon'", "does not match any of the expected tags"),
        ("[environment]\nkind = 'kind'\nnode = 1", "environment.node: unknown key"),
        ("[environment]\nkind = 'remote'\npull_secret = 'x'", "environment.pull_secret: String"),
        ("[environment]\nkind = 'kind'\nprefix = 'Perf'", "environment.prefix: String"),
        ("[environment]\nkind = 'kind'\n[suite]", "must have one table"),
        ("kind = 'kind'", "must have one table"),
        ("kind", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_its_key(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=r"place\.toml: ") as caught:
        read_environment(written(tmp_path, text))
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["moon", "kind.yaml", "/nonexistent.toml"])
def test_what_is_no_environment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        read_environment(name)


def test_a_suite_keeps_its_digest_wherever_it_runs() -> None:
    loaded, plan = resolve_plan(RunRequest("smoke", "reference", environment="kind"))
    assert loaded.digest == suite_file.load(suite_file.path_of("smoke")).digest
    assert plan.suite.environment == KindSettings()
    assert plan.summary().environment == "kind"


def test_a_suite_runs_where_it_says_unless_it_is_told_otherwise() -> None:
    _, plan = resolve_plan(RunRequest("smoke", "reference"))
    assert plan.suite.environment == LocalSettings()


def test_keep_is_of_a_cluster_that_a_run_makes() -> None:
    kept = with_setting(read_environment("kind"), "keep", value=True, option="--keep")
    assert isinstance(kept, KindSettings)
    assert kept.keep
    with pytest.raises(ConfigError, match="--keep: the environment local has no setting `keep`"):
        resolve_plan(RunRequest("smoke", "reference", environment="local", keep=True))


def test_an_image_needs_a_cluster() -> None:
    with pytest.raises(ConfigError, match="is a container image"):
        resolve_plan(RunRequest("smoke", IMAGE))
    _, plan = resolve_plan(RunRequest("smoke", IMAGE, environment="kind"))
    assert plan.suite.environment.kind == "kind"


def test_an_image_is_named_by_its_digest_and_takes_settings_of_milo() -> None:
    artifact = toolchain.artifact(spec_of(f"{IMAGE}?env.GOGC=50&flag.v=2"))
    assert artifact.image == IMAGE.removeprefix("image:")
    assert artifact.product is Product.MILO
    assert artifact.variables == {"GOGC": "50"}
    assert artifact.arguments == ("--v=2",)
    assert artifact.subject.digest == f"sha256:{'a' * 64}"
    assert toolchain.pin(artifact.subject) == artifact.subject


def test_no_process_is_started_from_an_image(tmp_path: Path) -> None:
    artifact = Artifact(Subject(IMAGE, "sha256:00"), Path(), image="x")
    environment = LocalEnvironment(LocalSettings(), Program(Path("etcd"), "3.6", "sha256:00"))
    with (
        pytest.raises(ConfigError, match="is a container image"),
        environment.launch({Arm.CANDIDATE: artifact}, tmp_path),
    ):
        pass


def node(name: str, **more: object) -> dict[str, object]:
    return {
        "metadata": {"name": name},
        "spec": more,
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_two_nodes_without_taints_take_an_arm_each(tmp_path: Path) -> None:
    taint = [{"key": "control-plane", "effect": "NoSchedule"}]
    cluster = FakeCluster()
    cluster.nodes = [node("c"), node("a"), node("b"), node("0", taints=taint)]
    cluster.nodes += [node("1", unschedulable=True)]
    with running(cluster, tmp_path) as path:
        settings = RemoteSettings(kubeconfig=str(path))
        assert choose_nodes(Api(settings.kubeconfig), settings) == ["a", "b"]
        cluster.nodes = [node("a")]
        assert choose_nodes(Api(settings.kubeconfig), settings) == []


def test_a_remote_cluster_gets_images_from_a_registry_only(tmp_path: Path) -> None:
    etcd = Program(tmp_path / "etcd", "3.6", "sha256:00")
    with running(FakeCluster(), tmp_path) as path:
        settings = RemoteSettings(kubeconfig=str(path))
        programs = {"etcd": etcd, "kubectl": etcd}
        with settings.open(programs) as environment, pytest.raises(ConfigError) as caught:
            environment.image("etcd", {"etcd": etcd.path}, etcd.digest)
    assert "pack" in caught.value.hint


def test_a_cluster_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with running(FakeCluster(), tmp_path) as path:
        pass
    with pytest.raises(LaunchError, match="did not answer"):
        Api(str(path), retry_s=0.1).request("GET", "/version")


@pytest.mark.parametrize(
    "written",
    [
        "kind",
        pytest.param("file", id="a file with tables in it"),
    ],
)
def test_load_pods_are_put_into_what_was_written(tmp_path: Path, written: str) -> None:
    if written == "file":
        path = tmp_path / "perf.toml"
        path.write_text(
            '[environment]  # ours\nkind = "remote"\nload_pods = 2\n'
            "\n[environment.load]\nkeep_m = 5\n"
        )
        written = str(path)
    before = read_environment(written)
    found = with_setting(before, "load_pods", 4, "--load-pods 4")
    assert to_values(found) == {**to_values(before), "load_pods": 4}
    assert found.facts["load pods"] == "4"
    assert "load-agent" in found.needs
    assert "load-agent" not in read_environment("kind").needs


def test_no_process_of_this_machine_is_a_load_pod() -> None:
    with pytest.raises(ConfigError, match="--load-pods 3: the environment local has no setting"):
        resolve_plan(RunRequest("smoke", "reference", load_pods=3))


def test_load_pods_are_put_into_an_inline_table_too(tmp_path: Path) -> None:
    path = tmp_path / "perf.toml"
    path.write_text('environment = { kind = "kind" }\n')
    found = with_setting(read_environment(str(path)), "load_pods", 4, "--load-pods 4")
    assert found.load_pods == 4


@pytest.mark.parametrize("count", [-1, 101])
def test_a_number_of_load_pods_has_limits(count: int) -> None:
    with pytest.raises(ConfigError, match="load_pods"):
        with_setting(read_environment("kind"), "load_pods", count, "--load-pods")


def test_a_plan_says_where_the_load_comes_from() -> None:
    _, plan = resolve_plan(RunRequest("smoke", "reference", environment="kind", load_pods=4))
    assert plan.summary().asks_for_load == "4 of 1024 MiB"
    assert plan.summary().load_pods == 4
