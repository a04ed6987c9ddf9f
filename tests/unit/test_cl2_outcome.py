"""ClusterLoader2 exits with 1 for everything: what failed is told by what it left."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2 import outcome
from pipeline.drivers.clusterloader2.outcome import ProcessLoad, ProcessResult
from pipeline.drivers.clusterloader2.phases import ProcessJob
from pipeline.drivers.clusterloader2.wire import (
    AVAILABILITY,
    TIMER,
    ApiAvailability,
    ClusterLoader2Report,
    ExpectedSummary,
    ReportedConfig,
    ReportedStep,
    ReportSummary,
)
from pipeline.model.subject import Arm
from pipeline.system.processes import CommandResult, ExitStatus

ASKED = ProcessLoad(rate=20.0, objects=200, burst=1, max_rate_error=0.03)
START_S = datetime(2026, 11, 23, 21, 19, 20, tzinfo=UTC).timestamp()
LOG = """\
I1123 21:19:23.482703   21252 clusterloader.go:295] Listening on 52919
I1123 21:19:23.503168   21252 clusterloader.go:266] Running objects.yaml
"""


def step(
    number: int, name: str, duration_s: float, measurement: str = "", failure: str = ""
) -> ReportedStep:
    return ReportedStep("objects", number, name, measurement, duration_s, failure)


GOOD = (
    step(1, "begin", 0.01, "Timer"),
    step(1, "begin", 0.02, "Availability"),
    step(2, "create objects", 9.95),
    step(3, "delete objects", 10.0),
)


def result(
    *steps: ReportedStep,
    code: int = 0,
    missing: Sequence[ExpectedSummary] = (),
    empty: Sequence[ExpectedSummary] = (),
) -> ProcessResult:
    report = ClusterLoader2Report(
        (ReportedConfig("objects", ""),), steps or GOOD, (), tuple(missing), tuple(empty)
    )
    job = ProcessJob(Arm.CANDIDATE, "p-0", Path("cl2_configs/object-crud.yaml"), Path("out"))
    return ProcessResult(
        job, CommandResult(ExitStatus(code), START_S, START_S + 30), report, START_S + 3
    )


def said(one: ProcessResult, asked: ProcessLoad | None = ASKED) -> list[str]:
    return list(outcome.problems(one, asked))


def refused(one: ProcessResult) -> list[str]:
    return list(outcome.build_failures(one))


def test_a_run_as_asked_counts() -> None:
    assert said(result()) == []


def test_a_failed_step_and_a_failed_measurement_are_told_apart() -> None:
    failed = result(
        step(2, "create objects", 9.95, failure="object secret-1 was not created"),
        step(3, "gather", 0.1, "Availability", "threshold not met"),
        code=1,
    )
    assert refused(failed) == [
        "the step of `create objects` failed: object secret-1 was not created"
    ]
    assert said(failed) == ["the measurement Availability of `gather` failed: threshold not met"]


def test_a_process_that_does_not_end_is_told_of_the_build() -> None:
    one = result()
    stuck = dataclasses.replace(
        one,
        ended=CommandResult(ExitStatus(-15), START_S, START_S + 90, timed_out=True),
        report=ClusterLoader2Report(),
    )
    assert refused(stuck) == ["it had not ended after 90 s"]
    assert said(stuck) == []


def test_a_report_that_was_asked_for_and_is_missing_is_no_success() -> None:
    found = said(result(missing=[ExpectedSummary(TIMER, "Timer")]))
    assert found == ["there is no report of Timer (measurement Timer), which the config asked for"]


def test_a_report_without_a_number_is_no_success() -> None:
    assert said(result(empty=[ExpectedSummary(TIMER, "Timer")])) == [
        "the report of Timer (measurement Timer) has no number"
    ]


def test_an_exit_code_that_nothing_explains_is_told() -> None:
    assert said(result(code=1)) == ["it exited with 1, and nothing in its report failed"]


def test_a_project_that_is_never_ready_is_counted_and_fails_nothing() -> None:
    failed = result(
        *GOOD,
        step(
            4,
            "wait for projects",
            30.0,
            "Ready",
            "timeout while waiting for 8 objects - successful=5 failed=0 count=8",
        ),
        code=1,
    )
    assert said(failed) == []
    assert outcome.never_ready([failed], 8) == 3


def test_projects_of_a_wait_that_does_not_say_how_many_are_all_counted() -> None:
    failed = result(step(4, "wait for projects", 30.0, "Ready", "no such resource"), code=1)
    assert outcome.never_ready([failed], 8) == 8


@pytest.mark.parametrize(
    ("duration_s", "is_slow", "is_fast"),
    [
        pytest.param(9.9, False, False, id="as asked"),
        pytest.param(10.1, False, False, id="2 % slow"),
        pytest.param(10.4, False, False, id="2.5 % slow, and a slow last answer"),
        pytest.param(10.5, True, False, id="6 % slow"),
        pytest.param(9.3, False, True, id="6 % fast"),
    ],
)
def test_a_slow_rate_may_be_the_builds_and_a_fast_one_is_the_loads(
    duration_s: float, *, is_slow: bool, is_fast: bool
) -> None:
    # 100 actions at 10 a second: 99 intervals, 9.9 s.
    one = result(step(2, "create objects", duration_s))
    assert outcome.is_slow(one, ASKED) is is_slow
    assert bool(said(one)) is is_fast


def test_objects_that_took_no_time_are_a_wrong_rate_and_no_crash() -> None:
    at_once = result(step(2, "create objects", 0.0))
    assert "20 were requested" in said(at_once)[0]
    assert not outcome.is_slow(at_once, ASKED)
    assert list(outcome.combine_readings([at_once], ASKED))


def test_steps_that_only_start_and_stop_a_timer_are_not_the_load() -> None:
    steps = (step(1, "begin create objects", 0.01, "Timer"), step(2, "create objects", 9.9))
    assert outcome.object_rate(result(*steps), ASKED) == pytest.approx(20.0)


def test_cycles_are_loads_of_the_same_size() -> None:
    steps = (step(1, "cycle 1 create objects", 9.9), step(3, "cycle 2 create objects", 9.9))
    assert outcome.object_rate(result(*steps), ASKED) == pytest.approx(20.0)


def test_the_load_begins_when_the_log_says_so() -> None:
    began = outcome.steps_start_s(LOG, CommandResult(ExitStatus(0), START_S, START_S + 20))
    assert began - START_S == pytest.approx(3.503168, abs=1e-5)


def test_without_a_word_in_the_log_the_load_begins_with_the_process() -> None:
    assert outcome.steps_start_s("", CommandResult(ExitStatus(0), START_S, START_S + 20)) == START_S


def test_the_load_ends_with_its_last_step_and_not_with_the_process() -> None:
    # 0.02 s, the longer of two side by side, then 9.95 and 10 s.
    assert result().end_s == pytest.approx(START_S + 3 + 19.97)


def test_the_end_of_what_was_deleted_is_part_of_the_load() -> None:
    spans = outcome.spans({Arm.CANDIDATE: [result()]}, {Arm.CANDIDATE: START_S + 60})
    assert spans[Arm.CANDIDATE].end_s == START_S + 60


def test_the_ends_of_cycles_are_marks() -> None:
    steps = [step(n, f"{'end ' if n % 2 == 0 else ''}cycle {n}", 1.0) for n in range(1, 5)]
    spans = outcome.spans({Arm.CANDIDATE: [result(*steps)]}, {})
    assert spans[Arm.CANDIDATE].marks == (START_S + 5, START_S + 7)


def test_processes_of_one_arm_are_one_load() -> None:
    slow = dataclasses.replace(result(step(2, "create objects", 19.8)))
    readings = {r.name: r.value for r in outcome.combine_readings([result(), slow], ASKED)}
    assert readings["cl2.step{step=create objects}"] == pytest.approx((9.95 + 19.8) / 2)
    assert readings["cl2.rate"] == pytest.approx(2 * 99 / 9.95 + 2 * 99 / 19.8)


def test_the_worst_availability_of_an_arm_is_its_own() -> None:
    def available(share: float, gap_s: float) -> ProcessResult:
        at = datetime(2026, 11, 23, tzinfo=UTC)
        summary = ReportSummary(AVAILABILITY, AVAILABILITY, at, ApiAvailability(share, gap_s))
        one = result()
        return dataclasses.replace(
            one, report=dataclasses.replace(one.report, summaries=(summary,))
        )

    both = [available(1.0, 0.0), available(0.9, 2.0)]
    readings = {r.name: r.value for r in outcome.combine_readings(both, ASKED)}
    assert readings["cl2.availability_share"] == 0.9
    assert readings["cl2.longest_gap"] == 2.0


def test_a_config_that_failed_before_its_first_step_says_so() -> None:
    one = result()
    configs = (ReportedConfig("objects", "namespaces cannot be listed"),)
    failed = dataclasses.replace(
        one,
        ended=CommandResult(ExitStatus(1), START_S, START_S + 1),
        report=dataclasses.replace(one.report, steps=(), configs=configs),
    )
    assert said(failed) == ["it failed before its first step: namespaces cannot be listed"]


def test_counts_of_an_arm_are_added_up() -> None:
    both = [result(), result()]
    readings = {r.name: r.value for r in outcome.combine_readings(both, ASKED)}
    assert readings["cl2.step{step=create objects}/count"] == 2
