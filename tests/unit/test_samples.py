"""Readings made into values: what is refused by name, and when a trial was too short."""

import pytest

from pipeline.config import MetricSettings, Workload
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.samples import counted, disagreeing, too_short, values_of

LATENCY = "http_req_duration{op=get}"


def workload(select: str, *, gate: bool = True, floor: float = 0.0) -> Workload:
    metric = MetricSettings(name="m", select=select, unit="s", margin=0.05, gate=gate, floor=floor)
    return Workload.model_validate(
        {
            "name": "w",
            "driver": {"kind": "k6", "script": "a.js", "rate": 1, "duration_s": 1},
            "metric": [metric],
        }
    )


def readings(percentile: str, error: float = 0.0, effective: float = 400.0) -> list[Reading]:
    return [
        Reading(f"{LATENCY}/count", 400, "1"),
        Reading(f"{LATENCY}/{percentile}", 0.1, "s"),
        Reading(f"{LATENCY}/{percentile}_error", error, "s"),
        Reading(f"{LATENCY}/{percentile}_effective", effective, "1"),
    ]


def test_a_percentile_of_too_few_values_is_refused_by_name() -> None:
    values, missing = values_of(workload(f"{LATENCY}/p99"), [Reading(f"{LATENCY}/count", 200, "1")])
    assert not values
    assert missing == ["m: p99 of 200 values is refused: with fewer than 368 it has no interval"]


@pytest.mark.parametrize("select", [f"{LATENCY}/p99", "server.cpu", f"{LATENCY}/mean"])
def test_what_nothing_reported_is_said_to_be_just_that(select: str) -> None:
    _, (said,) = values_of(workload(select), [])
    assert said == f"m: nothing reported `{select}`"


@pytest.mark.parametrize(
    ("percentile", "error", "effective", "said"),
    [
        pytest.param("p50", 0.004, 400, "", id="long enough"),
        pytest.param("p50", 0.006, 400, "by more than the margin", id="the margin is 5 ms"),
        pytest.param("p95", 0.001, 70, "fewer than the 72 independent", id="dependent"),
        pytest.param("p50", 0.001, 3, "", id="few values tell a median roughly"),
    ],
)
def test_a_trial_that_was_too_short_is_told(
    percentile: str, error: float, effective: float, said: str
) -> None:
    found = too_short(workload(f"{LATENCY}/{percentile}"), readings(percentile, error, effective))
    assert bool(found) == bool(said)
    assert said in " ".join(found)


def test_the_margin_is_that_of_what_is_above_the_floor() -> None:
    slow = readings("p50", 0.004)
    assert not too_short(workload(f"{LATENCY}/p50"), slow)
    assert too_short(workload(f"{LATENCY}/p50", floor=0.09), slow)
    assert not too_short(workload(f"{LATENCY}/p50", gate=False, floor=0.09), slow)


def test_a_share_of_events_knows_of_how_many() -> None:
    shares = [Reading("errors_share", 0.01, "1", of=400.0)]
    assert counted(workload("errors_share"), shares) == {"w/m": 400.0}
    assert counted(workload("server.cpu"), shares) == {}


@pytest.mark.parametrize(
    ("name", "pods", "server", "is_told"),
    [
        ("reads", 1000, 1000, False),
        ("reads", 1000, 1012, False),
        ("reads", 1000, 1020, True),  # points were lost
        ("reads", 1000, 980, True),
        ("answers{code=2xx}", 1000, 980, True),  # or some other server was loaded
        ("answers{code=2xx}", 1000, 5000, False),  # others were answered too
        ("answers{code=5xx}", 20, 0, True),
        ("answers{code=5xx}", 3, 0, False),
    ],
)
def test_the_server_must_have_counted_what_pods_were_answered(
    name: str, pods: int, server: int, *, is_told: bool
) -> None:
    found = [Reading(f"pods.{name}", pods, "1"), Reading(f"server.{name}", server, "1")]
    said = disagreeing(found, Arm.CANDIDATE)
    assert said == (
        [f"load pods counted {pods} {name} of the candidate, and its server {server}"]
        if is_told
        else []
    )
    assert disagreeing(found[:1], Arm.CANDIDATE) == []  # nobody asked the server
    assert disagreeing(found[1:], Arm.CANDIDATE) == []  # the load was of this machine
