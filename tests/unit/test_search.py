"""The search finds the edge as finely as asked, ends, and never asks for what it must not."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.capacity import (
    CapacityQuestion,
    CapacityStep,
    CountedResource,
    SearchEnd,
    StepOutcome,
)
from pipeline.model.limit import parse_limits
from pipeline.runs.capacity.search import (
    STEP_OVERHEAD_S,
    MeasureStep,
    StopSearch,
    broken_limits,
    expected_s,
    find_edge,
    largest_feasible,
    missing_quantities,
    next_action,
    steps_to_resume,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMITS = parse_limits(["files(server)<100", "memory<1GB"])
MUCH_S = 1e9


def question(**changes: float) -> CapacityQuestion:
    fresh = CapacityQuestion(CountedResource.PROJECTS, LIMITS, budget_s=MUCH_S, start=5)
    return replace(fresh, **changes)  # type: ignore[arg-type]  # numbers of every field


def step(
    n: int, outcome: StepOutcome = StepOutcome.HELD, launch: int = 0, seconds: float = 1.0
) -> CapacityStep:
    return CapacityStep(
        n=n,
        launch=launch,
        started_at=NOW,
        duration_s=seconds,
        values={"files(server)": float(n), "memory": 1e6 * n},
        broke=("files(server)",) if outcome is StepOutcome.BROKE else (),
        invalid=("k6 dropped 3 iterations",) if outcome is StepOutcome.INVALID else (),
    )


@dataclass
class Machine:
    """Stands in for launches: says what a step at N gives, and how long it takes."""

    outcome: Callable[[int], StepOutcome]
    seconds: Callable[[int, bool], float] = lambda _n, _is_fresh: 1.0
    max_n: int | None = None
    steps: list[CapacityStep] = field(default_factory=list)
    asked: list[MeasureStep] = field(default_factory=list)
    launch: int = -1

    def search(self, asked: CapacityQuestion, most_steps: int = 500) -> StopSearch:
        for _ in range(most_steps):
            left_s = asked.budget_s - sum(step.duration_s for step in self.steps)
            action = next_action(asked, self.steps, left_s=left_s, max_n=self.max_n)
            if isinstance(action, StopSearch):
                return action
            self.asked.append(action)
            self.launch += action.is_fresh or self.launch < 0
            seconds = self.seconds(action.n, action.is_fresh)
            self.steps.append(step(action.n, self.outcome(action.n), self.launch, seconds))
        pytest.fail(f"it goes on after {most_steps} steps: {[a.n for a in self.asked][-20:]}")


def edge_at(edge: int) -> Callable[[int], StepOutcome]:
    return lambda n: StepOutcome.BROKE if n >= edge else StepOutcome.HELD


@pytest.mark.parametrize("start", [1, 5, 64])
@pytest.mark.parametrize("edge", [*range(2, 40), 100, 101, 997, 12_345, 1_000_003])
def test_a_sharp_edge_is_found_within_the_resolution(edge: int, start: int) -> None:
    machine = Machine(edge_at(edge))

    stopped = machine.search(question(start=start))
    found = find_edge(machine.steps)

    assert stopped.reason is SearchEnd.FOUND
    assert found.broke is not None
    assert found.held < edge <= found.broke
    assert found.broke - found.held <= max(1, 0.1 * found.held)
    assert found.disagreed == ()
    assert len(machine.steps) < 3 * math.log2(edge + start) + 12


def test_a_search_that_its_load_ended_can_be_resumed() -> None:
    machine = Machine(lambda n: StepOutcome.INVALID if n > 20 else StepOutcome.HELD)
    assert machine.search(question()).reason is SearchEnd.LOAD
    machine.steps = list(steps_to_resume(machine.steps))
    assert [one.n for one in machine.steps] == [5, 10, 20]
    machine.outcome = edge_at(50)
    assert machine.search(question()).reason is SearchEnd.FOUND


def test_both_sides_of_the_edge_are_measured_again_in_launches_of_their_own() -> None:
    machine = Machine(edge_at(333))
    machine.search(question())
    found = find_edge(machine.steps)
    for side in (found.held, found.broke):
        launches = [s.launch for s in machine.steps if s.n == side]
        assert len(launches) == len(set(launches)) == 2


def test_a_build_that_holds_nothing_is_said_to() -> None:
    machine = Machine(edge_at(1))
    assert machine.search(question()).reason is SearchEnd.FOUND
    assert (find_edge(machine.steps).held, find_edge(machine.steps).broke) == (0, 1)


def test_doubling_reuses_a_launch_and_closing_in_never_does() -> None:
    machine = Machine(edge_at(50))
    machine.search(question())
    assert [a.n for a in machine.asked[1:] if not a.is_fresh] == [10, 20, 40, 80]
    assert all(a.is_fresh for a in machine.asked[5:])


@settings(deadline=None, max_examples=300)
@given(
    edge=st.integers(2, 5000),
    width=st.floats(0.01, 0.6),
    seed=st.integers(0, 2**32),
    start=st.integers(1, 100),
)
def test_with_noise_the_interval_holds_what_is_certain_and_the_search_ends(
    edge: int, width: float, seed: int, start: int
) -> None:
    draw = random.Random(seed)

    def noisy(n: int) -> StepOutcome:
        return StepOutcome.BROKE if n >= edge * draw.lognormvariate(0, width) else StepOutcome.HELD

    machine = Machine(noisy)
    stopped = machine.search(question(start=start))
    found = find_edge(machine.steps)

    assert stopped.reason is SearchEnd.FOUND
    assert found.broke is not None
    for one in machine.steps:
        if one.n <= found.held:
            assert one.outcome is StepOutcome.HELD
        if one.n >= found.broke:
            assert one.outcome is StepOutcome.BROKE
        if one.n in found.disagreed:
            assert found.held < one.n < found.broke
    assert sum(s.n == found.broke for s in machine.steps) >= 2


def test_with_little_noise_the_edge_is_near_the_truth() -> None:
    misses = 0
    for seed in range(200):
        draw = random.Random(seed)
        machine = Machine(
            lambda n, d=draw: (  # type: ignore[misc]
                StepOutcome.BROKE if n >= 400 * d.lognormvariate(0, 0.03) else StepOutcome.HELD
            )
        )
        machine.search(question())
        found = find_edge(machine.steps)
        assert found.broke is not None
        assert found.broke <= 400 * 1.5
        assert found.held >= 400 / 1.5
        misses += not found.held * 0.95 <= 400 <= found.broke * 1.05
    assert misses <= 10


@settings(deadline=None)
@given(
    edge=st.integers(2, 10_000),
    budget_s=st.floats(1, 5000),
    per_thing_s=st.floats(0.001, 1),
    hold_s=st.floats(1, 30),
)
def test_a_search_ends_within_its_budget_where_steps_take_as_long_as_expected(
    edge: int, budget_s: float, per_thing_s: float, hold_s: float
) -> None:
    def seconds(n: int, is_fresh: bool) -> float:  # noqa: FBT001 (as the simulation calls it)
        return STEP_OVERHEAD_S + hold_s + per_thing_s * (n if is_fresh else n / 2)

    machine = Machine(edge_at(edge), seconds)
    stopped = machine.search(question(budget_s=budget_s, hold_s=hold_s))
    spent_s = sum(step.duration_s for step in machine.steps)

    assert stopped.reason in (SearchEnd.FOUND, SearchEnd.BUDGET)
    assert spent_s <= budget_s or len(machine.steps) == 1  # the first step has nothing to go by


@settings(deadline=None, max_examples=300)
@given(
    edge=st.integers(6, 5000),
    start=st.integers(1, 100),
    fixed_s=st.floats(5, 60),
    each_s=st.floats(0.001, 1),
    share=st.floats(0.0, 1.0),
)
def test_both_sides_are_measured_twice_even_if_there_is_no_time_to_narrow(
    edge: int, start: int, fixed_s: float, each_s: float, share: float
) -> None:
    def seconds(n: int, is_fresh: bool) -> float:  # noqa: FBT001 (as Machine calls it)
        return fixed_s + each_s * (n if is_fresh else n / 2)

    whole = Machine(edge_at(edge), seconds)
    whole.search(question(start=start))
    doubled = [s.n for s in whole.steps if s.launch == 0]
    if len(doubled) < 2:
        return  # it broke at the start: there is no side that held yet
    found = find_edge([s for s in whole.steps if s.launch == 0])
    assert found.broke is not None
    until_edge_s = sum(s.duration_s for s in whole.steps if s.launch == 0)
    twice_s = 2 * sum(seconds(n, is_fresh=True) for n in (found.held, found.broke))
    least_s = until_edge_s + 3 * twice_s  # expected times are up to three times the real ones
    all_s = max(least_s, sum(s.duration_s for s in whole.steps))

    machine = Machine(edge_at(edge), seconds)
    machine.search(question(start=start, budget_s=least_s + share * (all_s - least_s)))
    answer = find_edge(machine.steps)
    assert answer.broke is not None
    for side in (answer.held, answer.broke):
        assert sum(s.n == side for s in machine.steps) == 2


def test_an_interval_stays_open_where_the_budget_ends_first() -> None:
    machine = Machine(edge_at(10**6))
    machine.seconds = lambda n, _is_fresh: 20.0 + n
    stopped = machine.search(question(budget_s=100.0, hold_s=10.0))
    found = find_edge(machine.steps)
    assert stopped.reason is SearchEnd.BUDGET
    assert "N = 40, would take about 62 s, and 5 s of the budget are left" in stopped.text
    assert (found.held, found.broke, found.first) == (20, None, ())


@given(edge=st.integers(1, 10_000), most=st.integers(1, 10_000), start=st.integers(1, 100))
def test_nothing_beyond_what_the_machine_carries_is_asked(edge: int, most: int, start: int) -> None:
    machine = Machine(edge_at(edge), max_n=most)
    stopped = machine.search(question(start=start))
    assert all(a.n <= most for a in machine.asked[1:] if a.n > start)
    if edge > max(most, start):
        assert stopped.reason is SearchEnd.MACHINE
        assert f"N = {most}" in stopped.text
        assert find_edge(machine.steps).held >= most / 1.1 or start > most


def test_the_last_step_before_the_machine_gives_out_is_as_large_as_it_carries() -> None:
    machine = Machine(edge_at(1000), max_n=70)
    machine.search(question())
    assert [a.n for a in machine.asked] == [5, 10, 20, 40, 70]


def test_what_an_interrupted_search_measured_is_not_measured_again() -> None:
    whole = Machine(edge_at(333))
    whole.search(question())
    for cut in range(1, len(whole.steps)):
        rest = Machine(edge_at(333), steps=list(whole.steps[:cut]), launch=100)
        rest.search(question())
        assert [s.n for s in rest.steps] == [s.n for s in whole.steps]


def test_an_invalid_step_says_nothing_is_measured_again_and_then_gives_up() -> None:
    steps = [step(5), step(10, StepOutcome.INVALID)]
    assert next_action(question(), steps, left_s=MUCH_S) == MeasureStep(10, is_fresh=True)

    steps.append(step(10, StepOutcome.INVALID, launch=1))
    assert next_action(question(), steps, left_s=MUCH_S) == StopSearch(
        SearchEnd.LOAD, "N = 10 was invalid 2 times: k6 dropped 3 iterations"
    )
    assert find_edge(steps) == find_edge([step(5)])


def test_an_invalid_step_that_is_valid_later_lets_the_search_go_on() -> None:
    steps = [step(5), step(10, StepOutcome.INVALID), step(10, launch=1)]
    assert next_action(question(), steps, left_s=MUCH_S) == MeasureStep(20, is_fresh=False)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param([], (0, None, ()), id="nothing measured"),
        pytest.param([(5, True), (10, True)], (10, None, ()), id="nothing broke"),
        pytest.param([(5, True), (10, False)], (5, 10, ()), id="an edge"),
        pytest.param(
            [(5, True), (10, False), (7, True), (7, False)], (5, 10, (7,)), id="one disagrees"
        ),
        pytest.param(
            [(5, True), (10, False), (10, True), (20, False)], (5, 20, (10,)), id="the upper did"
        ),
        pytest.param(
            [(5, True), (7, False), (9, True), (12, False)], (5, 12, (7, 9)), id="out of order"
        ),
        pytest.param([(5, False), (5, True)], (0, None, (5,)), id="the only one disagrees"),
    ],
)
def test_an_answer_is_what_held_and_what_broke_every_time(
    seen: Sequence[tuple[int, bool]], expected: tuple[int, int | None, tuple[int, ...]]
) -> None:
    steps = [step(n, StepOutcome.HELD if is_held else StepOutcome.BROKE) for n, is_held in seen]
    found = find_edge(steps)
    assert (found.held, found.broke, found.disagreed) == expected


def test_what_broke_first_is_what_broke_at_the_smallest_n() -> None:
    steps = [
        step(5),
        replace(step(40, StepOutcome.BROKE), broke=("memory",)),
        replace(step(20, StepOutcome.BROKE), broke=("files(server)", "memory")),
        replace(step(20), failed="the server died"),
    ]
    assert find_edge(steps).first == ("files(server)", "memory", "alive")


def test_a_quantity_at_its_limit_breaks_and_the_farthest_is_named_first() -> None:
    assert broken_limits(question(), {"files(server)": 99.9, "memory": 1e9}) == ("memory",)
    assert broken_limits(question(), {"files(server)": 300, "memory": 2e9}) == (
        "files(server)",
        "memory",
    )
    assert broken_limits(question(), {}) == ()
    assert missing_quantities(question(), {"memory": 1.0}) == ("files(server)",)


def test_expected_times_come_from_the_steps_before() -> None:
    doubled = [step(5, seconds=10), step(10, seconds=12), step(20, seconds=16)]
    asked = question(hold_s=3.0)
    assert expected_s(asked, doubled[:1], MeasureStep(10, is_fresh=False)) == 10
    assert expected_s(asked, doubled, MeasureStep(40, is_fresh=False)) == 32 - 3 - 8
    assert expected_s(asked, doubled[:2], MeasureStep(20, is_fresh=False)) == 13
    assert expected_s(asked, doubled, MeasureStep(15, is_fresh=True)) == 38 * 15 / 20
    alone = [*doubled, step(14, launch=1, seconds=30)]
    assert expected_s(asked, alone, MeasureStep(28, is_fresh=True)) == 60


def test_what_the_machine_carries_is_told_by_the_growth_of_one_launch() -> None:
    steps = [step(10), step(20)]  # files grow by 1 each, memory by 1 MB
    assert largest_feasible(steps, {"files(server)": 30, "memory": 100e6}) == 50
    assert largest_feasible(steps, {"files(server)": -5}) == 20
    assert largest_feasible(steps, {"goroutines(server)": 1}) is None
    assert largest_feasible([step(10), step(20, launch=1)], {"memory": 1e6}) is None
    assert largest_feasible([step(10)], {"memory": 1e6}) is None
