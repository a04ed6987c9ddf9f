"""Several replicas of a component: one address, one sum, and the name of each that fails."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import kubernetes_validate
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.environments import components
from pipeline.environments.balancer import find_leader
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import Connection, ServiceRef
from pipeline.environments.kind import KindSettings
from pipeline.environments.local import LocalSettings
from pipeline.environments.profile import read_manifests
from pipeline.environments.registry import from_values, to_values
from pipeline.judge.spreads import conditions_name
from pipeline.model.ports import Artifact, Program, ResourceUsage, Span, Target
from pipeline.model.replicas import by_component, component_of, replica_names
from pipeline.model.request import RunRequest
from pipeline.model.results import Machine
from pipeline.model.sizing import MILO_SHARED, ResourceEstimate, footprint
from pipeline.model.subject import Arm, Product, Subject
from pipeline.probes.containers import ContainersProbe
from pipeline.probes.curated import CURATED_METRICS
from pipeline.probes.heap import heap_sizes
from pipeline.probes.process import observe_components, observe_process
from pipeline.probes.prometheus import PrometheusProbe
from pipeline.probes.scrape import current_sizes
from pipeline.render.plan import plan_text
from pipeline.runs.request import require_same_profile, resolve_plan
from pipeline.system.errors import ConfigError, SubjectDiedError
from tests.clusters import FakeCluster
from tests.labs import Lab
from tests.loopback import probe_values, serving, target
from tests.products import products

TWO_OF_EACH = ClusterSettings(ready_s=60, gone_s=60, replicas=2, etcd_members=3)
MILO = Artifact(Subject("binary:/milo", "sha256:00"), Path("/milo"), product=Product.MILO)


@given(st.sampled_from(["server", "manager", "etcd"]), st.integers(1, 9))
def test_every_replica_belongs_to_its_component(component: str, count: int) -> None:
    names = replica_names(component, count)
    assert len(set(names)) == count
    assert {component_of(name) for name in names} == {component}
    assert by_component(dict.fromkeys(names, 1)) == {component: dict.fromkeys(names, 1)}


def test_replicas_are_stored_and_are_a_part_of_the_profile() -> None:
    settings = LocalSettings(replicas=2, etcd_members=3)
    assert settings.facts == {"environment": "local", "etcd members": "3", "replicas": "2"}
    assert settings.needs == ("etcd", "balancer")
    assert from_values(to_values(settings), "request.json") == settings
    assert Machine(settings.facts, {}).profile == "minimal, replicas 2, etcd members 3"
    assert conditions_name("local", settings.facts) == "local, etcd members 3, replicas 2"
    with pytest.raises(ConfigError, match="minimal and minimal, replicas 2"):
        require_same_profile(Machine({}, {}), Machine({"replicas": "2"}, {}), "a and b")


@pytest.mark.parametrize(("key", "value"), [("replicas", 0), ("replicas", 9), ("etcd_members", 2)])
def test_a_number_of_replicas_that_is_not_supported_names_its_key(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"environment.{key}: Input should be 1"):
        from_values({"kind": "local", key: value}, "a.toml")


def test_only_milo_elects_a_leader_so_only_milo_has_replicas() -> None:
    settings = LocalSettings(replicas=2)
    flags = read_manifests(MILO, settings).manager_flags
    assert "--leader-elect=true" in flags
    assert read_manifests(MILO, LocalSettings()).manager_flags == ()
    reference = replace(MILO, subject=Subject("reference", "x"), product=Product.REFERENCE)
    with pytest.raises(ConfigError, match="`reference` has no leader election"):
        read_manifests(reference, settings)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param("replicas = 2", "`reference` cannot be started with 2 replicas", id="two"),
        pytest.param('profile = "production"', "with profile production", id="profile"),
    ],
)
def test_reference_is_refused_before_anything_is_built(
    tmp_path: Path, table: str, message: str
) -> None:
    path = tmp_path / "e.toml"
    path.write_text(f'[environment]\nkind = "local"\n{table}\n')
    with pytest.raises(ConfigError, match=message):
        resolve_plan(RunRequest(environment=str(path), candidate="reference"))


def test_a_plan_says_how_many_replicas_there_are(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('[environment]\nkind = "local"\nreplicas = 2\n')
    _, plan = resolve_plan(RunRequest(environment=str(path), candidate="binary:/milo"))
    text = plan_text(plan.summary(), ResourceEstimate(1.0, 1.0, 1.0))
    assert "profile      minimal, replicas 2" in text


def test_the_doctor_counts_the_processes_of_replicas() -> None:
    (check,) = LocalSettings(replicas=2, etcd_members=3).checks()
    assert "3 members of etcd for each build: 14 processes" in check.found


def test_kind_forwards_a_port_of_each_replica() -> None:
    assert KindSettings(replicas=2).needs == ("etcd", "kind", "kubectl", "balancer")
    assert KindSettings().needs == ("etcd", "kind")


def test_each_replica_has_its_own_memory() -> None:
    two = footprint(Product.MILO, is_shared=True, replicas=2)
    assert two.project_memory == 2 * MILO_SHARED.project_memory
    assert two.project_files == MILO_SHARED.project_files


def test_every_member_of_etcd_knows_all_of_them() -> None:
    members = [components.EtcdMember(n, f"http://c/{n}", f"http://p/{n}") for n in "abc"]
    argv = components.etcd_command(Path("etcd"), Path("data"), members[1], members)
    assert "--name=b" in argv
    assert "--initial-cluster=a=http://p/a,b=http://p/b,c=http://p/c" in argv
    alone = components.etcd_command(Path("etcd"), Path("data"), members[0])
    assert "--initial-cluster=a=http://p/a" in alone


def text(goroutines: int, requests: int, puts: int = 0, start: int = 1) -> str:
    return (
        f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {start}\n"
        f"# TYPE go_goroutines gauge\ngo_goroutines {goroutines}\n"
        f"# TYPE rest_client_requests_total counter\n"
        f'rest_client_requests_total{{code="200"}} {requests}\n'
        f"# TYPE etcd_mvcc_put_total counter\netcd_mvcc_put_total {puts}\n"
        f"# TYPE etcd_mvcc_db_total_size_in_bytes gauge\netcd_mvcc_db_total_size_in_bytes 7\n"
        f"go_gc_heap_live_bytes {10 * goroutines}\n"
    )


@contextmanager
def two(component: str, first: tuple[str, ...], second: tuple[str, ...]) -> Iterator[Target]:
    with serving(*first) as one, serving(*second) as other:
        metrics = {component: f"{one}/metrics", f"{component}-2": f"{other}/metrics"}
        yield target(one, metrics=metrics)


def test_metrics_are_the_sum_of_the_replicas(tmp_path: Path) -> None:
    first, second = (text(100, 10), text(130, 40)), (text(20, 5), text(20, 6))
    with two("manager", first, second) as one, PrometheusProbe().watch(one, tmp_path) as watch:
        seen = probe_values(watch.readings(Span(0, 1)))
    assert seen["manager.requests"] == 31
    assert seen["manager.goroutines"] == 150
    assert seen["manager.goroutines_added"] == 30
    assert seen["manager.restarts"] == 0
    assert {path.name for path in tmp_path.glob("*.gz")} == {
        f"manager{end}-{when}.prom.gz" for end in ("", "-2") for when in ("before", "after")
    }


def test_a_put_that_every_member_applies_is_counted_once(tmp_path: Path) -> None:
    first, second = (text(1, 0, 100), text(1, 0, 130)), (text(1, 0, 90), text(1, 0, 120))
    with two("etcd", first, second) as one, PrometheusProbe().watch(one, tmp_path) as watch:
        seen = probe_values(watch.readings(Span(0, 1)))
    assert seen["etcd.puts"] == 30
    assert [one.name for one in CURATED_METRICS if one.is_replicated] == ["puts"]


def test_a_second_replica_that_restarted_is_a_restart(tmp_path: Path) -> None:
    first, second = (text(1, 1),), (text(1, 1), text(1, 0, start=2))
    with two("server", first, second) as one, PrometheusProbe().watch(one, tmp_path) as watch:
        assert probe_values(watch.readings(Span(0, 1)))["server.restarts"] == 1


def test_sizes_are_sums_but_a_database_is_that_of_one_member() -> None:
    with two("etcd", (text(3, 0),), (text(4, 0),)) as one:
        assert probe_values(current_sizes(one)) == {"etcd.goroutines": 7, "etcd.db_bytes": 7}
    with two("server", (text(3, 0),), (text(4, 0),)) as one:
        assert heap_sizes(replace(one, ca_file=Path())) == {"server": 70}


def test_processes_of_a_component_are_added_up_unless_one_has_ended() -> None:
    pid = psutil.Process().pid
    alone = observe_process(pid)
    observed = observe_components({"server": pid, "server-2": pid, "etcd": pid})
    assert alone
    assert observed["server"].threads == 2 * observed["etcd"].threads
    assert observed["server"].memory > 1.5 * alone.memory
    assert set(observe_components({"server": pid, "server-2": 2**22 + 1})) == set()


def test_usage_of_containers_is_the_sum_of_the_replicas(tmp_path: Path) -> None:
    times = iter((0.0, 10.0, 20.0, 30.0))

    def usage() -> dict[str, ResourceUsage]:
        at = next(times)
        return {
            "server": ResourceUsage(at, at / 10, 100),
            "server-2": ResourceUsage(at, at / 5, 50),
        }

    with ContainersProbe().watch(replace(target(), usage=usage), tmp_path) as watch:
        for _ in range(3):
            watch.sample()
        seen = probe_values(watch.readings(Span(5.0, 25.0)))
    assert seen["server.cpu"] == pytest.approx(6.0)
    assert seen["server.memory_max"] == 150
    assert not any(name.startswith("server-2") for name in seen)


def test_the_leader_is_the_manager_that_runs_the_controllers(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("admin")
    with two("manager", (text(90, 0),), (text(900, 0),)) as both:
        one = replace(both, admin_token_file=token)
        assert find_leader(one) == "manager-2"
        gone = {**one.metrics, "manager-2": "http://127.0.0.1:1/metrics"}
        assert find_leader(replace(one, metrics=gone)) == "manager"


@dataclass
class Forwards:
    """Connects to what a Pod of the fake cluster serves, as a port-forward does."""

    cluster: FakeCluster

    def node_ports(self, arm: Arm) -> dict[str, int]:
        del arm
        return {}

    def open(self, stack: ExitStack, service: ServiceRef, out: Path) -> Connection:
        del stack, out
        port = self.cluster.doors[f"{service.namespace}/{service.component}"]
        return Connection(f"127.0.0.1:{port}")


@pytest.fixture
def balancer(tmp_path: Path) -> Program:
    """Return a balancer that always chooses the last replica."""
    path = tmp_path / "balancer"
    path.write_text(
        "#!/bin/sh\n"
        'for one in "$@"; do case "$one" in\n'
        '--backends=*) address="${one##*,}";; --address-file=*) file="${one#*=}";; esac; done\n'
        'echo "$address" >"$file.partial" && mv "$file.partial" "$file" && exec sleep 600\n'
    )
    path.chmod(0o755)
    return Program(path, "1", "sha256:00")


@pytest.fixture
def replicated(lab: Lab, balancer: Program) -> Lab:
    cluster = lab.cluster
    stack = ExitStack()
    cluster.serves = stack.enter_context(products(0, 0))
    environment = replace(
        lab.environment,
        settings=TWO_OF_EACH,
        connector=Forwards(cluster),
        programs={**lab.environment.programs, "balancer": balancer},
    )
    return replace(lab, environment=environment)


def test_a_cluster_has_two_pods_behind_each_service_and_three_members(replicated: Lab) -> None:
    with replicated.launched(Arm.CANDIDATE) as targets:
        one = targets[Arm.CANDIDATE]
        cluster = replicated.cluster
        pods = {pod["metadata"]["name"]: pod for pod in cluster.of("Pod")}
        services = {one["metadata"]["name"]: one["spec"] for one in cluster.of("Service")}
        for each in cluster.objects.values():
            plain = {name: part for name, part in each.items() if name != "status"}
            kubernetes_validate.validate(plain, "1.34", strict=True)
        assert one.url == one.metrics["server-2"].removesuffix("/metrics")
        one.check()
    names = [f"{part}{end}" for part in ("manager", "server") for end in ("", "-2")]
    assert set(pods) == {*names, "etcd", "etcd-2", "etcd-3"} == set(one.metrics)
    assert services["server"]["selector"] == {"milo-perf/component": "server"}
    assert services["server-2-only"]["selector"] == {"milo-perf/replica": "server-2"}
    assert pods["server-2"]["metadata"]["labels"]["milo-perf/component"] == "server"
    assert services["etcd-3"]["publishNotReadyAddresses"]
    assert "publishNotReadyAddresses" not in services["server"]
    arguments = pods["server"]["spec"]["containers"][0]["args"]
    assert "--etcd-servers=http://etcd:2379,http://etcd-2:2379,http://etcd-3:2379" in arguments
    assert "--leader-elect=true" in pods["manager-2"]["spec"]["containers"][0]["args"]
    assert replicated.is_empty()


def test_a_replica_that_ends_in_a_cluster_is_named(replicated: Lab) -> None:
    with replicated.launched(Arm.BASELINE) as targets:
        (path,) = [p for p in replicated.cluster.objects if p.endswith("/pods/server-2")]
        pod = replicated.cluster.objects[path]
        ended = {"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}
        status = {"phase": "Failed", "containerStatuses": [{"name": "server", **ended}]}
        replicated.cluster.change(path, pod | {"status": status})
        with pytest.raises(SubjectDiedError, match="server-2 of the baseline exited with 2"):
            targets[Arm.BASELINE].check()
