"""Several k6 in real load agents do one load together, as one k6 alone would."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.drivers.k6.csv_points import read_series
from pipeline.drivers.k6.driver import K6Driver
from pipeline.drivers.k6.settings import K6
from pipeline.environments.api import Api
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.images import Image
from pipeline.environments.load_pods import ClusterPods
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.environments.manifests import NamespaceSpec
from pipeline.model.ports import Target
from pipeline.model.subject import Arm, parse_spec
from pipeline.system.errors import LoadError
from tests.clusters import FakeCluster, running
from tests.gotests import go_tests
from tests.load_agents import load_agents

pytestmark = [pytest.mark.real, pytest.mark.alone]

CRUD = K6(
    kind="k6",
    script="object_crud.js",
    rate=6.0,
    duration_s=4,
    warmup_s=1,
    projects=2,
    objects=5,
    max_rate_error=0.2,
    request_timeout_s=3,
    parameters={"LIST_EVERY": 2},
)


@contextmanager
def launched(tmp_path: Path, count: int, *, operator: bool) -> Iterator[dict[Arm, Target]]:
    """Start two builds here, with load pods of a cluster that is pretended."""
    artifact = toolchain.artifact(parse_spec("reference"), "")
    environment = LocalEnvironment(LocalSettings(), toolchain.program("etcd"))
    with (
        environment.launch(dict.fromkeys(Arm, artifact), _made(tmp_path / "servers")) as targets,
        load_agents(
            tmp_path / "pods", toolchain.program("load-agent"), toolchain.program("k6").path
        ) as serve,
    ):
        cluster = FakeCluster(serves=serve, operator=operator)
        with running(cluster, tmp_path) as config:
            pods = ClusterPods(
                api=Api(str(config)),
                spec=NamespaceSpec(
                    "load", "1", "load", 1, ClusterSettings(ready_s=20, load_pods=count)
                ),
                agent=toolchain.program("load-agent"),
                image=lambda name, *_: Image(name, Path("none")),
                poll_s=0.1,
            )
            pods.create_namespace()
            yield {
                arm: dataclasses.replace(one, pods=pods, url_in_pods=one.url)
                for arm, one in targets.items()
            }


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_go_tests_of_the_load_agent_pass(tmp_path: Path) -> None:
    said = go_tests("load-agent", tmp_path, "-count=1", "-v", ".")
    assert "ok  \tgithub.com/milo-os/milo-perf/go/load-agent" in said
    assert said.count("--- PASS") >= 9


@pytest.mark.parametrize(("count", "operator"), [(4, False), (2, True)])
def test_pods_do_the_load_that_was_asked_each_its_share(
    tmp_path: Path, count: int, *, operator: bool
) -> None:
    out = _made(tmp_path / "out")
    with launched(tmp_path, count, operator=operator) as targets:
        load = K6Driver(CRUD, toolchain.program("k6")).measure(targets, out, seed=7)

    assert load.invalid == ()
    ended: Counter[str] = Counter()
    setups = 0
    for series in read_series(out / "points.csv.gz"):
        if series.metric == "iterations" and series.tags.get("phase") == "load":
            ended[series.tags["arm"]] += len(series.measured)
        setups += series.metric == "http_req_duration" and series.tags.get("op") == "setup"
    # One set up for all: the arms got the same work, and no more of it than from one k6.
    assert ended == dict.fromkeys(Arm, 24)
    assert setups > 0
    for arm in Arm:
        found = {reading.name: reading.value for reading in load.readings[arm]}
        assert found["errors_share"] == 0
        assert found["http_req_duration{op=create}/count"] == 24
        assert 0 < found["generator_cpu_share"] < 1
    assert len(list(out.glob("load-pod-*"))) == count


def test_a_script_that_pods_cannot_run_is_told_with_what_k6_said(tmp_path: Path) -> None:
    wrong = CRUD.model_copy(update={"parameters": {"LIST_EVERY": "soon"}})
    with (
        launched(tmp_path, 2, operator=False) as targets,
        pytest.raises(LoadError, match=r"load pod . of 2|of the load") as caught,
    ):
        K6Driver(wrong, toolchain.program("k6")).measure(targets, _made(tmp_path / "out"), seed=7)
    assert "LIST_EVERY is not a number" in f"{caught.value} {caught.value.hint}"
