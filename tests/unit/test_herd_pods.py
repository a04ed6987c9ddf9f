"""A herd of watches in pods: their results are as good as one, and what a pod did wrong is told."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drivers.watch_herd.driver import WatchHerdDriver
from pipeline.drivers.watch_herd.result import HerdResult, judge_herd
from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.model.ports import Load, PodResult, PodWork, Program, Target
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, target, values

SETTINGS = WatchHerd(kind="watch-herd", watches=100, rate=10.0, projects=5, duration_s=10)
COUNTS = (
    *("expected", "delivered", "lost", "duplicated", "out_of_order", "foreign", "bookmarks"),
    *("writes", "watches", "late"),
)
USAGE = {
    moment: {"goroutines": 100.0 + count, "heap": 1e6}
    for moment, count in (("before", 0), ("open", 300), ("ended", 7))
}


def account(events: Sequence[Mapping[str, Any]], **changes: object) -> dict[str, Any]:
    """Return the account of a process that saw some events."""
    found: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    found |= {"restarts": {}, "refused": {}, "lag_s": [], "write_s": [], "list_s": {}}
    for one in events:
        for name in COUNTS:
            found[name] += one.get(name, 0)
        for name in ("restarts", "refused"):
            if reason := one.get(name):
                found[name][reason] = found[name].get(reason, 0) + 1
        for name in ("lag_s", "write_s"):
            found[name] += [one[name]] if name in one else []
        if way := one.get("way"):
            found["list_s"].setdefault(way, []).append(one["took_s"])
    synced_s = max((one.get("synced_s", 0.0) for one in events), default=0.0)
    return found | {"synced_s": synced_s, "usage": {}} | changes


def result(one: dict[str, Any], **changes: float) -> HerdResult:
    given = {"arms": dict.fromkeys(Arm, one), "began_s": 100.0, "ended_s": 110.0, "cpu_share": 0.1}
    return HerdResult.model_validate(given | changes)


seconds = st.floats(0, 60)
events = st.lists(
    st.fixed_dictionaries(
        {"pod": st.integers(0, 3)},
        optional={
            **dict.fromkeys(COUNTS, st.integers(0, 9)),
            **dict.fromkeys(("lag_s", "write_s", "synced_s", "took_s"), seconds),
            "restarts": st.sampled_from(["410", "429", "ended", "start: 429", "timeout"]),
            "refused": st.sampled_from(["POST 500", "list full 429"]),
        },
    ).map(lambda one: one | ({"way": "full"} if "took_s" in one else {})),
    max_size=30,
)


@given(events)
def test_the_results_of_parts_are_the_result_of_the_whole(happened: list[dict[str, Any]]) -> None:
    whole = judge_herd(SETTINGS, {"watch-herd": result(account(happened, usage=USAGE))})
    parts = {
        f"load pod {pod + 1} of 4": result(
            account([one for one in happened if one["pod"] == pod], usage={} if pod else USAGE)
        )
        for pod in range(4)
    }
    divided = judge_herd(SETTINGS, parts)
    assert (divided.failing, divided.spans) == (whole.failing, whole.spans)
    for arm in Arm:
        assert values(divided.readings[arm]) == values(whole.readings[arm])


@dataclass
class ToldPods:
    """Load pods that leave what they are told to, and note their work."""

    left: Sequence[HerdResult | str | int]
    began_s: float = 90.0
    work: list[PodWork] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.left)

    def run(self, work: PodWork, out: Path, check: Callable[[], None]) -> tuple[PodResult, ...]:
        check()
        self.work.append(work)
        return tuple(self._result(number, one, out) for number, one in enumerate(self.left, 1))

    def _result(self, number: int, one: HerdResult | str | int, out: Path) -> PodResult:
        name, folder = f"load pod {number} of {self.count}", out / f"{number}"
        if isinstance(one, str):
            return PodResult(name, folder, lost=one)
        folder.mkdir()
        (folder / "watch-herd.log").write_text("watch-herd: too many open files\n")
        if isinstance(one, int):
            return PodResult(name, folder, exit=one)
        (folder / "herd-result.json").write_text(one.model_dump_json())
        return PodResult(name, folder, began_s=self.began_s, ended_s=120.0)


def measured(tmp_path: Path, pods: ToldPods) -> Load:
    for name in ("ca", "token", "admin"):
        (tmp_path / name).write_text(f"the {name}")

    def answer(one: Request, _: bytes) -> None:
        one.say(json.dumps({"items": []}))

    with answering(answer) as url:
        one = dataclasses.replace(
            target(url),
            ca_file=tmp_path / "ca",
            token_file=tmp_path / "token",
            admin_token_file=tmp_path / "admin",
            pods=pods,
            url_in_pods="https://server.perf.svc:6443",
            metrics_in_pods={"server": "https://server.perf.svc:6443/metrics", "etcd": "http://e"},
        )
        targets: dict[Arm, Target] = dict.fromkeys(Arm, one)
        driver = WatchHerdDriver(SETTINGS, Program(Path("herd"), "1", "sha256:00"))
        return driver.measure(targets, tmp_path, seed=7)


GOOD = result(account([{"watches": 50, "expected": 9, "delivered": 9, "lag_s": 0.1}]))


@pytest.mark.parametrize("count", [1, 3])
def test_each_pod_has_a_part_of_the_same_load_and_no_token_in_its_arguments(
    tmp_path: Path, count: int
) -> None:
    pods = ToldPods([GOOD] * count)
    load = measured(tmp_path, pods)
    assert load.invalid == ()
    assert values(load.readings[Arm.CANDIDATE])["events_delivered"] == 9 * count
    (work,) = pods.work
    files = ("/secrets/herd.json", "/kept/herd-result.json")
    assert work.args == tuple((*files, f"{number}/{count}") for number in range(1, count + 1))
    assert work.has_barriers
    assert work.secrets["candidate.token"] == b"the token"
    assert not any("the " in text for one in work.args for text in one)
    config = json.loads(work.secrets["herd.json"])
    assert (config["watches"], config["projects"], config["rate"]) == (100, 5, 10)
    assert config["arms"][0] == {
        "name": "baseline",
        "url": "https://server.perf.svc:6443",
        "ca_file": "/secrets/baseline.ca",
        "token_file": "/secrets/baseline.token",
        "admin_token_file": "/secrets/baseline.admin-token",
        "metrics": ["https://server.perf.svc:6443/metrics"],
        "organization_path": False,
    }


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        pytest.param("it OOMKilled", "load pod 2 of 2 was lost: it OOMKilled", id="lost"),
        pytest.param(
            result(account([]), began_s=102.5, ended_s=112.0),
            "load pod 2 of 2 began 2.5 s after the first, or its node's clock is off",
            id="late",
        ),
        pytest.param(
            result(account([]), began_s=100.0, ended_s=160.0),
            "load pod 2 of 2: the clock of its node was set by about 40.0 s under load",
            id="clock",
        ),
        pytest.param(
            result(account([]), cpu_share=0.9),
            "load pod 2 of 2 used 90% of the processors, and 60% is the limit",
            id="processors",
        ),
        pytest.param(
            result(account([{"late": 2}])),
            "load pod 2 of 2: 2 of 50 requests to the baseline began over 0.1 s late",
            id="writes",
        ),
    ],
)
def test_a_pod_that_did_not_do_its_part_makes_the_load_invalid_by_name(
    tmp_path: Path, pod: HerdResult | str, said: str
) -> None:
    load = measured(tmp_path, ToldPods([GOOD, pod]))
    assert load.invalid[0] == said
    assert values(load.readings[Arm.CANDIDATE])["events_delivered"] == 9


def test_a_build_that_failed_in_one_pod_has_failed(tmp_path: Path) -> None:
    failed = result(account([], failed="the Project herd-1 is not Ready"))
    load = measured(tmp_path, ToldPods([GOOD, failed]))
    assert load.failed == dict.fromkeys(Arm, "the Project herd-1 is not Ready")


def test_a_program_that_fails_in_a_pod_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="load pod 2 of 2: watch-herd exited with 1") as caught:
        measured(tmp_path, ToldPods([GOOD, 1]))
    assert "too many open files" in caught.value.hint


def test_pods_that_are_all_lost_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no load pod left anything: load pod 1 of 2 was lost: it"):
        measured(tmp_path, ToldPods(["it was deleted", "it was deleted"]))
