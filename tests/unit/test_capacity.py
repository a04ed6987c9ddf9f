"""A search is carried out step by step, stops everything, and says why it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.model.capacity import Capacity, CapacityQuestion, CountedResource, SearchEnd
from pipeline.model.headroom import HeadroomExhaustedError
from pipeline.model.limit import parse_limits
from pipeline.model.results import Machine, Tool
from pipeline.model.subject import Subject
from pipeline.runs.capacity import run
from pipeline.runs.capacity.search_loop import (
    BudgetExhaustedError,
    StepMeasurement,
    run_search,
)
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, Exit, LoadError
from tests.builders import NOW

Measure = Callable[[int], StepMeasurement]


def capacity(*limits: str, **changes: object) -> Capacity:
    asked = CapacityQuestion(
        CountedResource.PROJECTS,
        parse_limits(limits or ["files(server)<100"]),
        budget_s=1000,
        start=10,
    )
    return Capacity(
        question=replace(asked, **changes),  # type: ignore[arg-type]  # any field
        subject=Subject("reference", "sha256:aa", {"go": "go1.26.8"}),
        environment="local",
        load_digest="sha256:bb",
        machine=Machine({"cpu": "a cpu"}, {"load": "0.1"}),
        tools={"k6": Tool("1.1.0", "sha256:cc")},
        taken_at=NOW,
    )


@dataclass
class FakeBench:
    """Launches that take no time but by the clock here."""

    measure: Measure
    room: dict[str, float] = field(default_factory=dict)
    now_s: float = 0.0
    seconds: float = 1.0
    is_up: bool = False
    launches: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @contextmanager
    def launch(self, number: int) -> Iterator["FakeLaunch"]:
        assert not self.is_up, "two launches at once"
        self.is_up = True
        self.launches.append(number)
        try:
            yield FakeLaunch(self)
        finally:
            self.is_up = False

    def clock(self) -> float:
        return self.now_s

    def search(self, begun: Capacity) -> list[Capacity]:
        deadline_s = self.now_s + begun.question.budget_s - begun.spent_s

        def on_progress(what: str, left_s: float) -> None:
            assert left_s <= begun.question.budget_s
            self.told.append(what)

        return list(run_search(begun, self.launch, on_progress, deadline_s, self.clock))


@dataclass
class FakeLaunch:
    bench: FakeBench
    n: int = 0

    def measure(self, n: int, report_progress: Callable[[str], None]) -> StepMeasurement:
        assert n > self.n, "a launch only grows"
        report_progress("hold")
        self.bench.now_s += self.bench.seconds
        self.n = n
        return self.bench.measure(n)

    def remaining(self) -> dict[str, float]:
        return self.bench.room


def files(n: int) -> StepMeasurement:
    return StepMeasurement({"files(server)": float(n)})


def test_a_search_yields_after_each_step_and_says_at_last_why_it_ended() -> None:
    bench = FakeBench(files)
    *_, before, last = bench.search(capacity())

    assert (last.answer.held, last.answer.broke) == (95, 104)
    assert last.answer.first == ("files(server)",)
    assert before.ended is None
    assert last.ended is SearchEnd.FOUND
    assert last.steps == before.steps
    assert not bench.is_up
    assert bench.told[:2] == ["N = 10: start the servers", "N = 10: hold"]
    assert [s.n for s in last.steps[:5]] == [10, 20, 40, 80, 160]
    assert [s.launch for s in last.steps[:6]] == [0, 0, 0, 0, 0, 1]


def test_an_interrupted_search_goes_on_in_a_new_launch_without_repeating_a_step() -> None:
    whole = FakeBench(files).search(capacity())
    for cut in (1, 3, len(whole) - 3):
        bench = FakeBench(files)
        last = bench.search(whole[cut])[-1]
        assert [s.n for s in last.steps] == [s.n for s in whole[-1].steps]
        assert bench.launches[0] == whole[cut].steps[-1].launch + 1


def test_time_that_was_spent_before_an_interruption_counts() -> None:
    first = FakeBench(files, seconds=100).search(capacity())[2]
    assert first.spent_s == 300

    last = FakeBench(files, seconds=100).search(first)[-1]

    assert last.ended is SearchEnd.BUDGET
    assert last.spent_s <= 1000


def test_a_search_can_be_reopened_with_a_larger_budget() -> None:
    ended = FakeBench(files, seconds=100).search(capacity())[-1]
    assert ended.ended is SearchEnd.BUDGET

    larger = replace(ended, question=replace(ended.question, budget_s=1e6), ended=None)
    last = FakeBench(files, seconds=100).search(larger)[-1]

    assert last.ended is SearchEnd.FOUND
    assert last.steps[: len(ended.steps)] == ended.steps


def test_a_build_that_dies_has_broken_and_the_next_step_gets_a_new_launch() -> None:
    def dies(n: int) -> StepMeasurement:
        return StepMeasurement({}, "server of the candidate exited with 2") if n >= 60 else files(n)

    bench = FakeBench(dies)
    last = bench.search(capacity())[-1]

    assert last.ended is SearchEnd.FOUND
    assert last.answer.first == ("alive",)
    assert last.answer.held < 60 <= (last.answer.broke or 0)
    assert len(bench.launches) == len(set(bench.launches))


def test_what_broke_under_a_load_that_was_too_light_broke() -> None:
    def light(n: int) -> StepMeasurement:
        return replace(files(n), invalid=("k6 dropped 3 iterations",) if n > 100 else ())

    last = FakeBench(light).search(capacity())[-1]
    assert last.ended is SearchEnd.FOUND
    assert not [step for step in last.steps if step.invalid]


def test_a_load_that_is_never_as_asked_ends_the_search() -> None:
    def light(n: int) -> StepMeasurement:
        return replace(files(n), invalid=("k6 dropped 3 iterations",) if n > 15 else ())

    last = FakeBench(light).search(capacity())[-1]
    assert last.ended is SearchEnd.LOAD
    assert last.ended_by == "N = 20 was invalid 2 times: k6 dropped 3 iterations"
    assert (last.answer.held, last.answer.broke) == (10, None)
    assert run.exit_code(last) is Exit.WRONG_LOAD


def test_a_limited_quantity_that_nothing_reports_makes_a_step_invalid() -> None:
    last = FakeBench(files).search(capacity("memory<1GB"))[-1]
    assert last.ended is SearchEnd.LOAD
    assert "memory was not measured" in last.ended_by


@pytest.mark.parametrize(
    ("error", "why", "said"),
    [
        pytest.param(
            BudgetExhaustedError(),
            SearchEnd.BUDGET,
            "the budget ended before N = 40",
            id="deadline",
        ),
        pytest.param(
            HeadroomExhaustedError("the disk has 0.5 GB left"),
            SearchEnd.MACHINE,
            "on the way to N = 40: the disk has 0.5 GB left",
            id="machine",
        ),
    ],
)
def test_a_step_that_is_cut_short_ends_the_search_with_what_is_known(
    error: Exception, why: SearchEnd, said: str
) -> None:
    def cut(n: int) -> StepMeasurement:
        if n == 40:
            raise error
        return files(n)

    bench = FakeBench(cut)
    last = bench.search(capacity())[-1]

    assert last.ended is why
    assert said in last.ended_by
    assert last.answer.held == 20
    assert not bench.is_up
    assert run.exit_code(last) is Exit.NO_REGRESSION


def test_the_machine_stops_a_search_before_it_gives_out() -> None:
    last = FakeBench(files, room={"files(server)": 30.0}).search(capacity("files(server)<9999"))[-1]
    assert last.ended is SearchEnd.MACHINE
    assert "the build may hold more on a larger one" in last.ended_by


def test_an_error_stops_the_servers_and_passes_on() -> None:
    def wrong(n: int) -> StepMeasurement:
        raise LoadError(f"N = {n}: k6 exited with 107")

    bench = FakeBench(wrong)
    with pytest.raises(LoadError, match="107"):
        bench.search(capacity())
    assert not bench.is_up


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "capacity.json"
    for known in FakeBench(files).search(capacity("files(server)<100", "memory<1GB")):
        codec.CAPACITY.write(path, known)
        assert codec.CAPACITY.read(path) == known


def test_a_step_edited_into_nonsense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "capacity.json"
    codec.CAPACITY.write(path, FakeBench(files).search(capacity())[-1])
    path.write_text(path.read_text().replace('"n": 20', '"n": -20'))
    with pytest.raises(BaselineError, match="step at -20"):
        codec.CAPACITY.read(path)
