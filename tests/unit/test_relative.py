"""One tail over all operations: each time divided by the median of its operation."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.drivers.k6.summarize import read_points
from pipeline.judge.stats.summary import min_values
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from tests.unit.test_points import GOLDEN, line, of, written

NAME = "http_req_duration_relative"
BOTH = (Arm.BASELINE, Arm.CANDIDATE)
DEADLINE_MS = 2000.0
Times = Mapping[tuple[Arm, str], list[float]]
files = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def readings(tmp_path: Path, times: Times, *more: str) -> dict[Arm, dict[str, Reading]]:
    """Return the readings of the relative times of each arm, by the end of their name."""
    lines = [
        line(value=value, arm=arm, op=op, at_us=1_000_000 + 1000 * n)
        if value <= DEADLINE_MS
        else line(
            value=DEADLINE_MS,
            arm=arm,
            op=op,
            at_us=1_000_000 + 1000 * n,
            status=0,
            expected=False,
            error_code="1050",
        )
        for (arm, op), values in times.items()
        for n, value in enumerate(values)
    ]
    arms = [arm for arm in BOTH if any(found is arm for found, _ in times)]
    points = read_points(written(tmp_path, *lines, *more), arms)
    return {
        arm: {
            reading.name.removeprefix(f"{NAME}/"): reading
            for reading in points.arms[arm].readings
            if reading.name.startswith(f"{NAME}/")
        }
        for arm in arms
    }


def some(median: float, count: int, seed: int) -> list[float]:
    random = np.random.default_rng(seed)
    return [float(value) for value in median * random.lognormal(0, 0.4, count)]


def test_a_recorded_run_gives_the_percentiles_of_its_times_over_pooled_medians() -> None:
    name = "object_crud.csv.gz"
    points = read_points(GOLDEN / name, BOTH)
    load = {"metric_name": "http_req_duration", "phase": "load"}
    ops = ("create", "get", "list", "update", "delete")
    for arm in BOTH:
        wanted = [
            value / float(np.median(of(name, op=op, **load)))
            for op in ops
            for value in of(name, op=op, arm=arm, **load)
        ]
        found = {reading.name: reading for reading in points.arms[arm].readings}
        assert found[f"{NAME}/count"].value == len(wanted)
        assert found[f"{NAME}/p95"].value == pytest.approx(np.quantile(wanted, 0.95))
        assert found[f"{NAME}/p95"].unit == "1"
        assert found[f"{NAME}/p95_error"].unit == "1"


@files
@given(
    st.floats(0.01, 50), st.integers(6, 40), st.integers(0, 2**31), st.sampled_from(["get", "list"])
)
def test_the_unit_of_an_operation_does_not_matter(
    tmp_path: Path, factor: float, few: int, seed: int, scaled: str
) -> None:
    """A list that takes 100 times as long as a get weighs no more than its number of requests."""
    times = {
        (arm, op): some(median, count, seed + 2 * n + (arm is Arm.CANDIDATE))
        for n, (op, median, count) in enumerate([("get", 1.0, 150), ("list", 5.0, few)])
        for arm in BOTH
    }
    other = {
        key: [factor * value for value in values] if key[1] == scaled else values
        for key, values in times.items()
    }
    before, after = readings(tmp_path, times), readings(tmp_path, other)
    for arm in BOTH:
        for end, reading in before[arm].items():
            if not end.endswith(("_error", "_effective")):  # a bootstrap draws blocks in order
                assert after[arm][end].value == pytest.approx(reading.value, rel=1e-6), end


def test_a_shift_of_all_requests_of_one_build_is_in_its_tail_when_both_are_up(
    tmp_path: Path,
) -> None:
    times = {(arm, "get"): some(2.0, 400, 1) for arm in BOTH}
    times[Arm.CANDIDATE, "get"] = [2 * value for value in times[Arm.CANDIDATE, "get"]]
    found = readings(tmp_path, times)
    ratio = found[Arm.CANDIDATE]["p97"].value / found[Arm.BASELINE]["p97"].value
    assert ratio == pytest.approx(2)


def test_with_one_build_up_the_tail_is_compared_with_its_own_typical_request(
    tmp_path: Path,
) -> None:
    values = some(2.0, 400, 1)
    slower = readings(tmp_path, {(Arm.CANDIDATE, "get"): [3 * value for value in values]})
    alone = slower[Arm.CANDIDATE]["p97"].value
    assert alone == pytest.approx(np.quantile(values, 0.97) / np.median(values))


def test_a_slow_share_of_all_requests_is_seen_and_one_of_the_smallest_operation_is_not(
    tmp_path: Path,
) -> None:
    ops = {"create": 500, "get": 500, "list": 50}
    quiet = {
        (arm, op): some(2.0, count, n + (arm is Arm.CANDIDATE))
        for n, (op, count) in enumerate(ops.items())
        for arm in BOTH
    }

    def ratio(slow: set[str]) -> float:
        times = {
            key: [
                value + (20 if key[0] is Arm.CANDIDATE and key[1] in slow and n % 20 == 0 else 0)
                for n, value in enumerate(values)
            ]
            for key, values in quiet.items()
        }
        found = readings(tmp_path, times)
        return found[Arm.CANDIDATE]["p97"].value / found[Arm.BASELINE]["p97"].value

    assert ratio(set(ops)) > 3
    assert ratio({"list"}) < 1.2


@pytest.mark.parametrize(
    ("count", "counts"), [(min_values(0.5) - 1, False), (min_values(0.5), True)]
)
def test_an_operation_with_too_few_times_for_a_median_is_left_out(
    tmp_path: Path, count: int, *, counts: bool
) -> None:
    times = {
        (Arm.BASELINE, "get"): some(2.0, 100, 1),
        (Arm.BASELINE, "watch"): some(900.0, count, 2),
    }
    found = readings(tmp_path, times)[Arm.BASELINE]
    assert found["count"].value == 100 + (count if counts else 0)


def test_an_error_is_no_time_and_no_part_of_a_median(tmp_path: Path) -> None:
    times = {(arm, "get"): some(2.0, 150, 3) for arm in BOTH}
    errors = [line(value=0.01, op="get", status=500, expected=False) for _ in range(200)]
    later = [line(value=0.01, op="get", status=429) for _ in range(200)]
    assert readings(tmp_path, times, *errors, *later) == readings(tmp_path, times)


def test_a_build_that_answers_nothing_has_no_relative_times(tmp_path: Path) -> None:
    times = {(Arm.BASELINE, "get"): some(2.0, 150, 3)}
    errors = [line(arm="candidate", op="get", status=500, expected=False) for _ in range(200)]
    path = written(
        tmp_path,
        *(line(value=value, op="get") for value in times[Arm.BASELINE, "get"]),
        *errors,
    )
    points = read_points(path, BOTH)
    named = {arm: {r.name for r in points.arms[arm].readings} for arm in BOTH}
    assert f"{NAME}/p95" in named[Arm.BASELINE]
    assert not any(name.startswith(NAME) for name in named[Arm.CANDIDATE])


@files
@given(st.integers(0, 2**31), st.floats(0.0, 0.9), st.sampled_from(["get", "list"]))
def test_what_a_deadline_hides_is_a_lower_bound_and_never_a_smaller_value(
    tmp_path: Path, seed: int, share: float, op: str
) -> None:
    """Some requests take for ever.  Whatever they take, no percentile that is exact may differ."""
    random = np.random.default_rng(seed)
    times = {(arm, one): some(5.0, 130, seed + n) for n, one in enumerate("gl") for arm in BOTH}
    times = {(arm, {"g": "get", "l": "list"}[one]): values for (arm, one), values in times.items()}
    hung = random.random(130) < share
    slow = dict(times)
    slow[Arm.CANDIDATE, op] = [
        math.inf if hangs else value
        for hangs, value in zip(hung, times[Arm.CANDIDATE, op], strict=True)
    ]
    found = readings(tmp_path, slow)
    medians = {
        one: float(np.median([min(v, DEADLINE_MS) for arm in BOTH for v in slow[arm, one]]))
        for one in ("get", "list")
    }
    true = np.sort([value / medians[one] for one in medians for value in slow[Arm.CANDIDATE, one]])
    for end, q in (("p50", 0.5), ("p90", 0.9), ("p97", 0.97)):
        reading = found[Arm.CANDIDATE][end]
        position = q * (len(true) - 1)
        upper = float(true[math.ceil(position)])
        if reading.at_least:
            assert reading.value <= upper * (1 + 1e-9)
        else:
            assert math.isfinite(upper)
            below = float(true[math.floor(position)])
            wanted = below + (position - math.floor(position)) * (upper - below)
            assert reading.value == pytest.approx(wanted)
