"""A load from pods: all begin together, and whatever becomes of one is told by its name."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

import kubernetes_validate
import pytest

from pipeline.environments import manifests
from pipeline.environments.api import Api
from pipeline.environments.cluster_settings import ClusterSettings, LoadPodSettings
from pipeline.environments.images import Image
from pipeline.environments.load_pods import ClusterPods
from pipeline.environments.manifests import NamespaceSpec
from pipeline.model.ports import PodResult, PodWork, Program
from pipeline.system.errors import LoadError
from tests.clusters import FakeCluster, Fault, Object, running
from tests.pretended import POINTS, WORK, Pretended, serving


@dataclass
class Crew:
    """Load pods of a fake cluster, with agents that do as they are told."""

    cluster: FakeCluster
    pods: ClusterPods
    out: Path
    agents: dict[str, Pretended]

    def run(self, work: PodWork = WORK) -> tuple[PodResult, ...]:
        self.pods.create_namespace()
        return self.pods.run(work, self.out, lambda: None)

    def change(self, pod: str, status: Object | None) -> None:
        """Give a pod another state, or take it away."""
        (path,) = [where for where in self.cluster.objects if where.endswith(f"/pods/{pod}")]
        if status is None:
            del self.cluster.objects[path]
        else:
            self.cluster.change(path, self.cluster.objects[path] | {"status": status})


def crew_of(stack: ExitStack, tmp_path: Path, settings: ClusterSettings) -> Crew:
    agents = {f"load-0-{index}-abcde": Pretended() for index in range(settings.load_pods)}
    cluster = FakeCluster(serves=serving(stack, agents))
    config = stack.enter_context(running(cluster, tmp_path))
    pods = ClusterPods(
        api=Api(str(config), retry_s=60, pause_s=0.01),
        spec=NamespaceSpec("milo-perf-1-000-load", "1", "load", 1_800_000_000, settings),
        agent=Program(Path("load-agent"), "ours", "sha256:22"),
        image=lambda name, *_: Image(f"milo-perf.invalid/{name}:0", Path("none")),
        poll_s=0.02,
    )
    out = tmp_path / "out"
    out.mkdir()
    return Crew(cluster, pods, out, agents)


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    with ExitStack() as stack:
        yield crew_of(stack, tmp_path, ClusterSettings(ready_s=60, load_pods=3))


def test_one_sets_up_all_begin_and_their_points_are_taken(crew: Crew) -> None:
    done = crew.run()

    assert [one.name for one in done] == [f"load pod {number} of 3" for number in (1, 2, 3)]
    assert all(one.exit == 0 and not one.lost and one.cpu_share == 0.25 for one in done)
    assert all((one.folder / "points.csv.gz").read_bytes() == POINTS for one in done)
    first, *others = crew.agents.values()
    assert first.asked[:2] == ["POST setup", "POST start"]
    for one in others:
        assert one.asked[:2] == ["PUT setup", "POST start"]
        assert one.given == {"names": ["a"]}
    assert all(one.asked[-1] == "POST downloaded" for one in crew.agents.values())


def test_what_is_applied_is_what_kubernetes_takes_and_shows_no_token(crew: Crew) -> None:
    crew.run()
    applied = [one for one in crew.cluster.objects.values() if one["kind"] != "Pod"]
    assert {one["kind"] for one in applied} >= {"ConfigMap", "Secret", "Job", "NetworkPolicy"}
    tokens = {one.token for one in crew.agents.values()} | {"hidden-from-all"}
    for one in applied:
        for version in ("1.32", "1.33", "1.34"):
            kubernetes_validate.validate(one, version, strict=True)
        if one["kind"] != "Secret":
            assert not any(token in json.dumps(one) for token in tokens)


def test_the_api_of_the_cluster_gets_few_questions(crew: Crew) -> None:
    for one in crew.agents.values():
        one.runs = 2
    before = len(crew.cluster.asked)
    crew.run()
    states = sum(one.asked.count("GET state") for one in crew.agents.values())
    assert states == 9
    assert len(crew.cluster.asked) - before < 40


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled"}}}]},
            "it was killed because it took more memory than its limit (OOMKilled)",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "it Evicted: disk"),
        (None, "it was deleted"),
    ],
)
def test_a_pod_that_is_lost_under_load_is_named_and_the_others_are_kept(
    crew: Crew, status: Object | None, why: str
) -> None:
    agent = crew.agents["load-0-1-abcde"]
    agent.runs = 1000
    agent.before_state = cache(lambda: crew.change("load-0-1-abcde", status))  # once, under load
    first, second, third = crew.run()

    assert second.lost == why
    assert not first.lost
    assert not third.lost
    assert (third.folder / "points.csv.gz").read_bytes() == POINTS


def alone(work: PodWork = WORK) -> PodWork:
    """Return work that pods divide without k6."""
    changes = {"control_address": "", "operator_resource": "", "has_barriers": True}
    return PodWork(**{**_fields(work), **changes, "args": (("1/3",), ("2/3",), ("3/3",))})


def test_a_barrier_is_released_once_the_last_pod_has_reached_it(crew: Crew) -> None:
    seen: list[list[int]] = []
    for one in crew.agents.values():
        one.barriers = 2
        one.on_release = lambda: seen.append([each.reached for each in crew.agents.values()])
    crew.agents["load-0-1-abcde"].slow = 4
    done = crew.run(alone())
    assert not any(one.lost for one in done)
    assert seen == [[1, 1, 1]] * 3 + [[2, 2, 2]] * 3
    for one in crew.agents.values():
        releases = [what for what in one.asked if "barriers" in what]
        assert releases == ["POST barriers/1", "POST barriers/2"]
    (job,) = crew.cluster.of("Job")
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "AGENT_BARRIERS", "value": "yes"} in env


@pytest.mark.parametrize("at", ["barrier", "release"])
def test_a_pod_that_is_lost_holds_up_no_other_at_a_barrier(crew: Crew, at: str) -> None:
    for one in crew.agents.values():
        one.barriers = 2
    agent = crew.agents["load-0-1-abcde"]
    lose = cache(lambda: crew.change("load-0-1-abcde", None))
    if at == "release":
        agent.on_release = lose
        agent.runs = 1000
    else:
        agent.slow = 1000
        agent.before_state = lose
    first, second, third = crew.run(alone())
    assert second.lost == "it was deleted"
    assert not first.lost
    assert not third.lost


def test_a_pod_that_does_not_end_is_late(crew: Crew) -> None:
    crew.agents["load-0-2-abcde"].runs = 1000
    work = PodWork(**{**_fields(WORK), "timeout_s": 1.0})
    *others, third = crew.run(work)
    assert third.lost == "it had not ended after 1 s"
    assert not any(one.lost for one in others)


def _fields(work: PodWork) -> dict[str, Any]:
    return {name: getattr(work, name) for name in PodWork.__dataclass_fields__}


@pytest.mark.parametrize("how", ["damaged", "short"])
def test_points_that_come_otherwise_than_they_were_are_taken_again(crew: Crew, how: str) -> None:
    setattr(crew.agents["load-0-0-abcde"], how, 1)
    setattr(crew.agents["load-0-1-abcde"], how, 99)
    first, second, _ = crew.run()
    assert (first.folder / "points.csv.gz").read_bytes() == POINTS
    assert "load pod 2 of 3: points.csv.gz did not arrive whole" in second.lost


def test_a_pod_that_names_a_path_writes_nothing(crew: Crew) -> None:
    crew.agents["load-0-0-abcde"].name = "../../escaped"
    first, *_ = crew.run()
    assert "names a file that is a path" in first.lost
    assert not list(crew.out.parent.rglob("escaped"))


def test_a_setup_that_fails_is_told_and_is_not_tried_again(crew: Crew) -> None:
    crew.agents["load-0-0-abcde"].setup_fails = True
    with pytest.raises(LoadError, match=r"load pod 1 of 3: setup: .* 500: setup\(\) threw"):
        crew.run()
    assert crew.agents["load-0-0-abcde"].asked.count("POST setup") == 1


def test_a_target_that_dies_ends_the_load(crew: Crew) -> None:
    for one in crew.agents.values():
        one.runs = 1000

    def dead() -> None:
        raise LoadError("server of the candidate exited with 1 while it was measured")

    crew.pods.create_namespace()
    with pytest.raises(LoadError, match="server of the candidate exited"):
        crew.pods.run(WORK, crew.out, dead)


def test_a_target_that_dies_during_the_setup_ends_the_load_at_once(crew: Crew) -> None:
    unanswered = Event()
    crew.agents["load-0-0-abcde"].setup_waits = unanswered
    crew.pods.create_namespace()

    def dead() -> None:
        if "POST setup" in crew.agents["load-0-0-abcde"].asked:
            raise LoadError("server of the candidate exited with 1 while it was measured")

    try:
        with pytest.raises(LoadError, match="server of the candidate exited"):
            crew.pods.run(WORK, crew.out, dead)
        assert not unanswered.is_set()
        began = time.monotonic()
    finally:
        unanswered.set()
    assert time.monotonic() - began < 1


def test_pods_that_cannot_start_are_told_with_the_reason(crew: Crew) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    status = {"containerStatuses": [{"state": {"waiting": waiting}}]}
    crew.cluster.pods["load-0-1"] = status
    with pytest.raises(Exception, match=r"pod 2 of the load was not ready: ImagePullBackOff"):
        crew.run()


def test_a_cluster_that_refuses_the_job_is_told(crew: Crew) -> None:
    crew.cluster.faults.append(Fault("PATCH", "/jobs/", 403, "you may not"))
    with pytest.raises(LoadError, match=r"the load pods: the cluster refused PATCH .*you may not"):
        crew.run()


def test_the_k6_operator_makes_the_pods_where_it_is_there(tmp_path: Path) -> None:
    with ExitStack() as stack:
        crew = crew_of(stack, tmp_path, ClusterSettings(ready_s=60, load_pods=2))
        crew.cluster.operator = True
        done = crew.run()
        (test_run,) = crew.cluster.of("TestRun")
        assert not crew.cluster.of("Job")
        assert test_run["spec"]["parallelism"] == 2
        assert [one.name for one in done] == ["load pod 1 of 2", "load pod 2 of 2"]
        assert not any(one.lost for one in done)


def test_the_k6_operator_can_be_left_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        settings = ClusterSettings(
            ready_s=60, load_pods=2, load=LoadPodSettings(k6_operator="never")
        )
        crew = crew_of(stack, tmp_path, settings)
        crew.cluster.operator = True
        crew.run()
        assert crew.cluster.of("Job")
        assert not crew.cluster.of("TestRun")


def test_every_right_that_load_pods_need_is_listed() -> None:
    (role,) = manifests.read("rights-load.yaml")
    listed = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert listed == {"configmaps", "jobs", "testruns", "pods/proxy"}
