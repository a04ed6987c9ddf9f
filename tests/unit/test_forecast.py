"""A forecast holds what is measured later, and is refused where the data cannot justify it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import forecast
from pipeline.judge.forecast import (
    MIN_SIZES,
    Measured,
    find_broken_bound,
    forecast_capacity,
    forecast_quantity,
)
from pipeline.model.capacity import (
    Capacity,
    CapacityQuestion,
    CapacityStep,
    CountedResource,
    SearchEnd,
)
from pipeline.model.forecast import MachineSize, parse_machine
from pipeline.model.ports import ResourceUsage
from pipeline.model.request import CapacityRequest
from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.render.capacity import capacity_text, curve_svg, reproduce_command
from pipeline.runs.capacity import run, search
from pipeline.runs.capacity.launcher import idle_cpu
from pipeline.system.errors import ConfigError
from tests.builders import NOW

SIZES = (5, 10, 20, 40, 80, 160, 160)


def line(n: float) -> float:
    return 300e6 + 6e6 * n


def measured(level: Callable[[float], float], sizes: Sequence[int] = SIZES) -> list[Measured]:
    return [Measured(n, level(n)) for n in sizes]


@pytest.mark.parametrize(
    "level",
    [
        pytest.param(line, id="line"),
        pytest.param(lambda _: 300e6, id="flat"),
        pytest.param(lambda n: line(n) * (1 + n / 4000), id="convex"),
        pytest.param(lambda n: line(n) * (1 - n / 4000), id="concave"),
        pytest.param(lambda n: 300e6 + 2e6 * n + 8e6 * max(0, n - 20), id="knee"),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_what_is_measured_later_is_in_the_interval(
    level: Callable[[float], float], noise: float
) -> None:
    random = np.random.default_rng(7)
    inside = total = 0
    for _ in range(60):
        values = [Measured(n, level(n) * (1 + noise * random.standard_normal())) for n in SIZES]
        for n in (320, 640):
            one = forecast_quantity("memory", values, n)
            if one.low is None or one.high is None:
                continue
            total += 1
            later = level(n) * (1 + noise * random.standard_normal())
            inside += one.low <= later <= one.high
    assert total > 100
    assert inside >= 0.88 * total


def test_the_interval_says_something() -> None:
    one = forecast_quantity("memory", measured(line), 640)
    assert one.value == pytest.approx(line(640), rel=1e-6)
    assert one.per_n == pytest.approx(6e6, rel=1e-6)
    assert one.high is not None
    assert one.high < 1.2 * line(640)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=12),
    st.floats(0, 1e12),
    st.floats(0, 1e9),
    st.integers(1, 100_000),
)
def test_every_line_has_a_forecast_or_a_reason(
    sizes: list[int], level: float, growth: float, n: int
) -> None:
    one = forecast_quantity("memory", measured(lambda at: level + growth * at, sizes), n)
    if len(set(sizes)) < MIN_SIZES:
        missing = MIN_SIZES - len(set(sizes))
        assert one.refused.startswith(f"{missing} more size")
    elif n > one.believed_to:
        assert "times the largest measured" in one.refused
    else:
        assert not one.refused
        assert one.low is not None
        assert one.value is not None
        assert one.high is not None
        assert 0 <= one.low <= one.value <= one.high
        assert one.low <= level + growth * n <= one.high * (1 + 1e-9) + 1e-9


@given(st.floats(1e-3, 1e3), st.integers(1, 600))
def test_the_unit_of_a_quantity_does_not_matter(factor: float, n: int) -> None:
    random = np.random.default_rng(3)
    values = [Measured(m, line(m) * (1 + 0.03 * random.standard_normal())) for m in SIZES]
    scaled = [Measured(m, value * factor) for m, value in values]
    one, other = (forecast_quantity("memory", v, n) for v in (values, scaled))
    assert one.high is not None
    assert other.high == pytest.approx(one.high * factor, rel=1e-6)


def test_a_quantity_that_shrinks_is_refused() -> None:
    values = [*measured(line, (5, 10, 20, 40)), Measured(80, 0.8 * line(40)), Measured(160, 2e9)]
    one = forecast_quantity("memory", values, 200)
    assert one.refused == (
        "it shrinks from N = 40 to N = 80; measure these again, and 2 more sizes above 160"
    )


@pytest.mark.parametrize("sizes", [SIZES, SIZES[:4]])
@pytest.mark.parametrize("noise", [0.0, 0.005])
@pytest.mark.parametrize("share", [0.8, 0.3])
def test_no_forecast_is_less_than_a_quantity_that_shrinks_slowly_is_already(
    share: float, noise: float, sizes: Sequence[int]
) -> None:
    random = np.random.default_rng(11)
    for _ in range(20):
        values = [
            Measured(n, n ** (-0.2 * share) * (1 + noise * random.standard_normal())) for n in sizes
        ]
        one = forecast_quantity("memory", values, 2 * sizes[-1])
        assert one.refused or (one.high is not None and one.high >= values[-1].value)


def test_a_forecast_too_far_away_is_refused_unless_the_data_validate_it() -> None:
    few = measured(line, (20, 40, 60, 80))
    assert forecast_quantity("memory", few, 320).refused == ""
    refused = forecast_quantity("memory", few, 321)
    assert refused.refused == (
        "N = 321 is more than 4 times the largest measured one; measure up to N = 81"
    )
    many = measured(line, (5, 10, 15, 20, 40, 80, 160))  # four sizes up to 20 predict 160
    assert forecast_quantity("memory", many, 1280).refused == ""
    assert "more than 8 times" in forecast_quantity("memory", many, 1281).refused


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize(
    "level",
    [
        pytest.param(lambda n: 300e6 + 1e6 * n**1.5, id="to the 1.5"),
        pytest.param(lambda n: 300e6 + 1e5 * n**2, id="squared"),
        pytest.param(lambda n: line(n) * (1 + n / 400), id="half as much again"),
        pytest.param(lambda n: 100e6 + 30e6 * n**0.5, id="root"),
    ],
)
def test_curved_growth_is_refused(level: Callable[[float], float], noise: float) -> None:
    random = np.random.default_rng(5)
    given = 0
    for _ in range(40):
        values = [Measured(n, level(n) * (1 + noise * random.standard_normal())) for n in SIZES]
        one = forecast_quantity("memory", values, 640)
        given += not ("curved" in one.refused or "growth changes" in one.refused)
    assert given <= (4 if noise else 0)


@pytest.mark.parametrize("power", [0.5, 0.8, 1.0, 1.2, 1.5, 2.0])
def test_four_sizes_of_curved_growth_give_no_wrong_forecast(power: float) -> None:
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(60):
        values = [Measured(n, n**power * (1 + 0.005 * random.standard_normal())) for n in SIZES[:4]]
        one = forecast_quantity("memory", values, 160)
        wrong += not (one.refused or (one.low or 0) <= 160**power <= (one.high or 0))
    assert wrong <= 2


@pytest.mark.parametrize(
    ("power", "noise"),
    [(power, noise) for power in (1.2, 1.5, 2.0) for noise in (0.001, 0.01)] + [(1.5, 0.02)],
)
def test_curvature_that_a_level_hides_widens_the_interval(power: float, noise: float) -> None:
    random = np.random.default_rng(17)

    def level(n: float) -> float:
        return float((0.7 + 0.3 * (n / 80) ** power) * (1 + noise * random.standard_normal()))

    outside = 0
    for _ in range(60):
        found = forecast_quantity("memory", measured(level, SIZES[:5]), 320)
        if found.low is not None and found.high is not None:
            outside += not found.low <= level(320) <= found.high
    assert outside <= 12  # of 60; with a small curvature alone up to 60


@pytest.mark.parametrize("sizes", [SIZES, (20, 40, 80, 160)])
def test_a_straight_line_is_rarely_refused_as_curved(sizes: Sequence[int]) -> None:
    random = np.random.default_rng(13)
    refused = 0
    for _ in range(300):
        values = [Measured(n, line(n) * (1 + 0.03 * random.standard_normal())) for n in sizes]
        refused += "curved" in forecast_quantity("memory", values, 640).refused
    assert refused <= 1.5 * 300 * forecast.CURVE_CHANCE


def test_only_sizes_above_a_knee_are_used() -> None:
    def bent(n: float) -> float:
        return 300e6 + 1e6 * n + 20e6 * max(0.0, n - 80)

    one = forecast_quantity("memory", measured(bent, (5, 10, 20, 40, 80, 160, 240)), 300)
    assert one.knee == 80
    assert one.refused == (
        "its growth changes at N = 80; above that, 1 more size must be measured; 4 are needed"
    )
    more = forecast_quantity("memory", measured(bent, (5, 10, 20, 40, 80, 160, 240, 320)), 1000)
    assert (more.knee, more.first_n, more.points) == (80, 80, 4)
    assert more.value == pytest.approx(bent(1000), rel=0.01)


def test_a_bound_is_reached_where_the_line_crosses_it() -> None:
    reached = find_broken_bound("memory", measured(line), line(500))
    assert reached is not None
    assert reached.likely_n in (500, 501)
    assert 400 < reached.earliest_n < 500
    assert find_broken_bound("memory", measured(line), line(5000)) is None
    near = find_broken_bound("memory", measured(line), line(630))
    assert near is not None
    assert near.earliest_n < 630


def test_a_machine_is_read_or_refused() -> None:
    assert parse_machine("64GB,16") == MachineSize(64e9, 16)
    assert parse_machine(" 64 GiB ") == MachineSize(64 * 2.0**30)
    for wrong in ("64", "GB", "64GB,0", "64GB,1.5", "0GB", "64XB", "64GB,16,1", "1e9GB"):
        with pytest.raises(ValueError, match="machine"):
            parse_machine(wrong)


def test_idle_cpu_is_the_mean_of_cores_between_two_samples() -> None:
    before = {"server": ResourceUsage(10, 1.0, 0), "etcd": ResourceUsage(10, 2.0, 0)}
    after = {"server": ResourceUsage(20, 2.0, 0), "etcd": ResourceUsage(20, 2.5, 0)}
    values = idle_cpu(before, after)
    assert values == pytest.approx(
        {"idle_cpu(server)": 0.1, "idle_cpu(etcd)": 0.05, "idle_cpu": 0.15}
    )
    assert idle_cpu(before, {"server": after["server"]}) == {"idle_cpu(server)": 0.1}
    assert idle_cpu(before, before) == {}


def question(n: int, **changes: object) -> CapacityQuestion:
    request = CapacityRequest(CountedResource.PROJECTS, (), forecast=n, seed=1)
    return run.question_of(replace(request, **changes))  # type: ignore[arg-type]  # any field


@given(st.integers(1, 20_000))
def test_a_search_measures_what_the_forecast_needs(n: int) -> None:
    asked = question(n)
    steps: list[CapacityStep] = []
    while isinstance(action := search.next_action(asked, steps, left_s=1e9), search.MeasureStep):
        launch = len(steps) if action.is_fresh else 0
        values = {"memory": line(action.n)}
        steps.append(CapacityStep(action.n, launch, NOW, 1.0, values))
    assert action.reason is SearchEnd.MEASURED
    largest = max(step.n for step in steps)
    assert sum(step.n == largest for step in steps) == asked.repeats
    one = forecast_quantity("memory", [Measured(s.n, s.values["memory"]) for s in steps], n)
    assert not one.refused


def searched(n: int, machine: str = "") -> Capacity:
    capacity = Capacity(
        question=question(n, machine=machine, start=5),
        subject=Subject("binary:./milo", "sha256:aa"),
        environment="local",
        load_digest="",
        machine=Machine({}, {}),
        tools={},
        taken_at=NOW,
    )
    for at, size in enumerate((5, 10, 20, 40, 80, 160, 250, 250)):
        values = {"memory": line(size), "goroutines(server)": 900 + 850.0 * size, "p99(get)": 0.01}
        if size > 40:
            values["ready"] = 0.1 * size
        capacity = search.add_step(capacity, CapacityStep(size, at // 7, NOW, 20.0, values))
    return capacity


@pytest.mark.parametrize("width", [100, 40])
def test_the_report_says_what_n_needs_and_what_breaks_first(width: int) -> None:
    capacity = searched(1000, "4GB,2")
    shown = capacity_text(capacity, run.forecast_of(capacity), width=width)
    words = " ".join(shown.split())
    assert "MEASURED up to 250 Projects, for a forecast" in words
    assert "Forecast for 1,000 Projects (90 % interval)" in words
    assert "850900" in words
    assert "No forecast of ready: 1 more size must be measured; 4 are needed." in words
    assert "memory may reach 3.60 GB from N =" in words or "memory may reach 3.35 GiB" in words
    assert "p99(get)" not in words
    assert all(len(row) <= width for row in shown.split("Reproduce:", maxsplit=1)[0].splitlines())
    assert "--forecast 1000 --machine 4GB,2" in reproduce_command(capacity)


def test_a_machine_is_never_said_to_hold_what_was_not_forecast() -> None:
    roomy = searched(1000, "64GB")
    said = "A machine of 59.6 GiB holds N = 1,562, and no more is believed."
    assert said in " ".join(capacity_text(roomy, run.forecast_of(roomy)).split())
    far = replace(roomy, question=replace(roomy.question, forecast=5000))
    assert said in " ".join(capacity_text(far, run.forecast_of(far)).split())
    for machine, missing, growth in (
        ("64GB,16", "idle_cpu", line),  # no step measured it
        ("64GB", "memory", lambda n: 300e6 + 1e5 * n**2),
        ("64GB", "memory", lambda n: 2e9 - 5e6 * n),
    ):
        capacity = searched(1000, machine)
        steps = tuple(
            replace(step, values=step.values | {"memory": growth(step.n)})
            for step in capacity.steps
        )
        capacity = replace(capacity, steps=steps)
        words = " ".join(capacity_text(capacity, run.forecast_of(capacity)).split())
        assert f"holds is unknown: no forecast of {missing}." in words
        assert "and no more is believed" not in words


def test_the_drawing_has_a_panel_for_each_forecast() -> None:
    capacity = searched(1000)
    picture = curve_svg(capacity, run.forecast_of(capacity))
    assert picture.count(", forecast</text>") == 2
    assert 'class="edge"' in picture


def test_a_failed_or_invalid_step_is_no_evidence() -> None:
    capacity = searched(1000)
    broken = CapacityStep(250, 3, NOW, 1.0, {"memory": 1.0}, failed="the server died")
    wrong = CapacityStep(250, 4, NOW, 1.0, {"memory": 1.0}, invalid=("no load",))
    more = replace(capacity, steps=(*capacity.steps, broken, wrong))
    assert forecast_capacity(more, 1000) == forecast_capacity(capacity, 1000)


def test_bad_requests_are_refused() -> None:
    for changes, said in (
        ({"machine": "4GB", "forecast": 0, "limits": ("db<1GB",)}, "needs --forecast"),
        ({"machine": "big"}, "is not a machine"),
        ({"forecast": -1}, "forecast: must not be negative"),
    ):
        with pytest.raises(ConfigError, match=said):
            question(1000, **changes)


def test_a_knee_is_rarely_found_in_a_line() -> None:
    random = np.random.default_rng(11)
    found = sum(
        forecast_quantity(
            "memory",
            [Measured(n, line(n) * (1 + 0.02 * random.standard_normal())) for n in SIZES],
            160,
        ).knee
        > 0
        for _ in range(150)
    )
    assert found <= 3 * 150 * forecast.KNEE_CHANCE
