"""Readings made into values: what is withheld by name, and when a trial was too short."""

import pytest

from pipeline.model.results import Cutoff, Reading
from pipeline.model.subject import Arm
from pipeline.runs.samples import count_mismatches, lost_answers, short_trial_warnings, trial_values
from pipeline.runs.suite_file import MetricSettings, Workload

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


def test_a_percentile_of_too_few_values_is_withheld_by_name() -> None:
    found = trial_values(workload(f"{LATENCY}/p99"), [Reading(f"{LATENCY}/count", 200, "1")])
    assert not found.values
    assert found.missing == [
        "m: p99 of 200 values is withheld: with fewer than 368 it has no confidence interval"
    ]


@pytest.mark.parametrize("select", [f"{LATENCY}/p99", "server.cpu", f"{LATENCY}/mean"])
def test_what_nothing_reported_is_said_to_be_just_that(select: str) -> None:
    (said,) = trial_values(workload(select), []).missing
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
def test_a_trial_that_was_short_trial_warnings_is_told(
    percentile: str, error: float, effective: float, said: str
) -> None:
    found = short_trial_warnings(
        workload(f"{LATENCY}/{percentile}"), readings(percentile, error, effective)
    )
    assert bool(found) == bool(said)
    assert said in " ".join(found)


def test_the_margin_is_that_of_what_is_above_the_floor() -> None:
    slow = readings("p50", 0.004)
    assert not short_trial_warnings(workload(f"{LATENCY}/p50"), slow)
    assert short_trial_warnings(workload(f"{LATENCY}/p50", floor=0.09), slow)
    assert not short_trial_warnings(workload(f"{LATENCY}/p50", gate=False, floor=0.09), slow)


def test_a_share_of_events_knows_of_how_many() -> None:
    shares = [
        Reading("errors_share", 0.01, "s", denominator=400.0),
        Reading("server.cpu", 1.0, "s"),
    ]
    assert trial_values(workload("errors_share"), shares).denominators == {"w/m": 400.0}
    assert trial_values(workload("server.cpu"), shares).denominators == {}


def test_a_lower_bound_stays_one() -> None:
    reading = Reading(f"{LATENCY}/p50", 2.0, "s", at_least=True)
    found = trial_values(workload(f"{LATENCY}/p50"), [reading])
    assert found.values == {"w/m": 2.0}
    assert found.cutoffs == {"w/m": Cutoff.AT_LEAST}


@pytest.mark.parametrize(
    ("select", "cut_off", "expected"),
    [
        pytest.param(
            f"{LATENCY}/p50", 3.0, {"w/m": Cutoff.NOTHING_DONE}, id="a deadline came first"
        ),
        pytest.param(f"{LATENCY}/p50", 0.0, {}, id="no deadline cut anything off"),
        pytest.param("server.cpu", 3.0, {}, id="a probe that failed"),
    ],
)
def test_a_time_that_is_missing_because_nothing_was_done_in_time_is_told_apart(
    select: str, cut_off: float, expected: dict[str, Cutoff]
) -> None:
    found = trial_values(workload(select), [Reading("cut_off", cut_off, "1")])
    assert found.values == {}
    assert found.cutoffs == expected


def test_a_divisor_of_zero_is_nothing_done_only_where_a_deadline_cut_something_off() -> None:
    metric = MetricSettings(name="m", select="server.cpu", per="deleted", unit="s", margin=0.05)
    one = workload("server.cpu").model_copy(update={"metrics": (metric,)})
    none_deleted = [Reading("server.cpu", 1.0, "s"), Reading("deleted", 0.0, "1")]
    assert trial_values(one, none_deleted).cutoffs == {}
    late = [*none_deleted, Reading("cut_off", 6.0, "1")]
    assert trial_values(one, late).cutoffs == {"w/m": Cutoff.NOTHING_DONE}


def timeouts(*, answered: float | None, served_s: float, given_up: float = 50.0) -> list[Reading]:
    counted = [] if answered is None else [Reading("server.reads", answered, "1")]
    return [
        Reading("reads", 1000.0, "1"),
        Reading("reads_given_up", given_up, "1"),
        Reading("timed_out", 2.0 * given_up, "s"),
        Reading("server.answer_time", served_s, "s"),
        *counted,
    ]


@pytest.mark.parametrize(
    ("readings", "is_lost"),
    [
        pytest.param(timeouts(answered=1000, served_s=3.0), True, id="the server was quick"),
        pytest.param(timeouts(answered=1000, served_s=103.0), False, id="the server was slow"),
        pytest.param(timeouts(answered=950, served_s=3.0), False, id="it never answered some"),
        pytest.param(timeouts(answered=None, served_s=3.0), False, id="nobody asked the server"),
        pytest.param(timeouts(answered=1000, served_s=3.0, given_up=9.0), False, id="few timeouts"),
    ],
)
def test_timeouts_are_the_builds_unless_its_own_counters_say_that_it_answered(
    readings: list[Reading], *, is_lost: bool
) -> None:
    assert bool(lost_answers(readings, Arm.CANDIDATE)) == is_lost


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
    said = count_mismatches(found, Arm.CANDIDATE)
    assert said == (
        [f"load pods counted {pods} {name} of the candidate, and its server {server}"]
        if is_told
        else []
    )
    assert count_mismatches(found[:1], Arm.CANDIDATE) == []  # nobody asked the server
    assert count_mismatches(found[1:], Arm.CANDIDATE) == []  # the load was of this machine


QUIET = "http_req_duration{op=quiet}/p50"


@pytest.mark.parametrize(
    ("divisor", "unit", "expected", "said"),
    [
        pytest.param(Reading(QUIET, 0.02, "s"), "x", {"w/m": 5.0}, "", id="times of times"),
        pytest.param(Reading(QUIET, 4.0, "1"), "s", {"w/m": 0.025}, "", id="time of each event"),
        pytest.param(Reading(QUIET, 4.0, "1"), "x", {}, "cannot convert 1 to s", id="no ratio"),
        pytest.param(Reading(QUIET, 0.02, "s"), "B", {}, "cannot convert s to B", id="no bytes"),
        pytest.param(
            Reading(QUIET, 0.02, "s", at_least=True), "x", {}, "a deadline cut off", id="cut off"
        ),
    ],
)
def test_a_ratio_of_two_readings_has_no_unit_of_theirs(
    divisor: Reading, unit: str, expected: dict[str, float], said: str
) -> None:
    metric = MetricSettings(name="m", select=f"{LATENCY}/p50", per=QUIET, unit=unit, margin=0.05)
    one = workload(QUIET).model_copy(update={"metrics": (metric,)})
    found = trial_values(one, [Reading(f"{LATENCY}/p50", 0.1, "s"), divisor])
    assert found.values == expected
    assert said in "".join(found.missing)
    assert bool(found.missing) == bool(said)


def test_a_ratio_of_two_readings_names_both() -> None:
    with pytest.raises(ValueError, match="name the divisor with `per`"):
        MetricSettings(name="m", select=QUIET, unit="x", margin=0.05)
