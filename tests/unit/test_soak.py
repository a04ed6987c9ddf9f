"""A soak records every cycle, ends for a stated reason, and says what leaks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge.growth import MIN_CYCLES, broken_limits, growth_of_resources
from pipeline.model.capacity import Capacity, CapacityQuestion, CountedResource
from pipeline.model.headroom import HeadroomExhaustedError
from pipeline.model.limit import parse_limits
from pipeline.model.request import SoakRequest
from pipeline.model.results import Machine
from pipeline.model.soak import GrowthVerdict, Soak, SoakCycle, SoakEnd, SoakQuestion
from pipeline.model.subject import Subject
from pipeline.render.capacity import reproduce_command
from pipeline.render.soak import soak_command, soak_headline, soak_svg, soak_text
from pipeline.runs.soak import run
from pipeline.runs.soak.cycle import CycleRunner, settings_of
from pipeline.runs.soak.cycle_loop import MAX_FAILURES, run_cycles
from pipeline.storage import codec
from pipeline.system.errors import ConfigError, Exit, LoadError, SubjectDiedError
from pipeline.system.processes import CommandError, ExitStatus
from tests.builders import NOW
from tests.unit.test_filling import k6, target


def new_soak(*limits: str, **changes: object) -> Soak:
    given = parse_limits(limits) if limits else ()
    question = SoakQuestion(600, given, projects=3, seed=1)
    return Soak(
        question=replace(question, **changes),  # type: ignore[arg-type]  # any field
        subject=Subject("binary:./milo", "sha256:aa"),
        environment="local",
        load_digest="",
        machine=Machine({}, {}),
        tools={},
        taken_at=NOW,
    )


def values_at(deleted: int) -> dict[str, float]:
    """Return a leak of 10 goroutines per Project beside files and memory that are steady."""
    return {
        "goroutines(server)": 1000.0 + 10 * deleted,
        "files(server)": 20.0,
        "memory": 3e8 + 100 * (deleted % 7),
    }


@dataclass
class FakeBuild:
    """A build whose cycles take ten seconds each."""

    error_at: Mapping[int, Exception] = field(default_factory=dict)
    values: Callable[[int], dict[str, float]] = values_at
    launch: int = 0
    ready_s: float = 0.3
    now_s: float = 0.0
    is_dead: bool = False

    def cycle(self, number: int, deleted: int) -> SoakCycle:
        self.now_s += 10
        if error := self.error_at.get(number):
            self.is_dead = isinstance(error, SubjectDiedError)
            raise error
        now = deleted + 3
        return SoakCycle(self.launch, self.now_s, now, self.values(now), (self.ready_s,) * 3)

    def check(self) -> None:
        if self.is_dead:
            raise SubjectDiedError("the server exited with 2")

    def soak(self, soak: Soak) -> list[Soak]:
        def ignore(_what: str, _left_s: float) -> None:
            return None

        return list(run_cycles(soak, self.cycle, self.check, ignore, lambda: self.now_s))


def test_every_cycle_is_recorded_until_the_time_is_over() -> None:
    *steps, last = FakeBuild().soak(new_soak())
    assert [len(one.cycles) for one in steps] == list(range(1, 61))
    assert last.ended is SoakEnd.TIME
    assert last.spent_s == 600
    verdicts = {name: one.verdict for name, one in last.growth.items()}
    assert verdicts == {
        "goroutines(server)": GrowthVerdict.LEAK,
        "files(server)": GrowthVerdict.PLATEAU,
    }  # memory contains the history of etcd, which fills for ten minutes
    assert last.growth["goroutines(server)"].per_unit == pytest.approx(10, rel=1e-3)
    assert steps[MIN_CYCLES - 2].growth == {}
    assert run.exit_code(last) is Exit.NO_REGRESSION
    assert run.exit_code(last, is_strict=True) is Exit.REGRESSION


def test_the_history_of_etcd_is_judged_once_it_has_filled() -> None:
    *_, last = FakeBuild().soak(new_soak(lasts_s=600 + 10.0 * MIN_CYCLES))
    assert last.growth["memory"].verdict is GrowthVerdict.PLATEAU
    assert last.growth["memory"].cycles == MIN_CYCLES + 1


def test_a_build_that_dies_is_a_result() -> None:
    died = {5: SubjectDiedError("the server exited with 2")}
    *_, last = FakeBuild(died).soak(new_soak())
    assert (last.ended, last.ended_by) == (SoakEnd.FAILED, "the server exited with 2")
    assert len(last.cycles) == 4
    assert run.exit_code(last) is Exit.REGRESSION
    assert soak_headline(last) == "FAILED: the server exited with 2"


def test_a_build_that_stops_working_is_a_result_and_one_failed_cycle_is_left_out() -> None:
    stuck = LoadError("status 503")
    *_, last = FakeBuild({3: stuck}).soak(new_soak())
    assert last.ended is SoakEnd.TIME
    assert len(last.cycles) == 59
    *_, last = FakeBuild(dict.fromkeys(range(3, 3 + MAX_FAILURES), stuck)).soak(new_soak())
    assert last.ended is SoakEnd.FAILED
    assert last.ended_by == "3 cycles in a row failed: status 503"


def test_a_load_generator_that_fails_is_no_result_of_the_build() -> None:
    broken = CommandError(["k6"], ExitStatus(255), "", message="k6 churn.js exited with 255")
    *_, last = FakeBuild({3: broken, 4: broken}).soak(new_soak())
    assert last.ended is SoakEnd.TIME
    with pytest.raises(LoadError, match=r"3 cycles in a row failed: k6 churn\.js exited"):
        FakeBuild(dict.fromkeys(range(3, 3 + MAX_FAILURES), broken)).soak(new_soak())
    with pytest.raises(LoadError, match=r"the only cycle failed: k6 churn\.js exited"):
        FakeBuild({1: broken}).soak(new_soak(lasts_s=5))


def test_a_build_that_is_stuck_until_the_time_is_over_is_a_result() -> None:
    *_, last = FakeBuild({1: LoadError("no Project was Ready")}).soak(new_soak(lasts_s=5))
    assert (last.ended, last.cycles) == (SoakEnd.FAILED, ())
    assert last.ended_by == "the only cycle failed: no Project was Ready"
    assert run.exit_code(last) is Exit.REGRESSION


REFUSED = "http_req_duration,1,5,1403,false,op=create,403\n"
DONE = "project_ready,1,300,,,unit=ms,\nprojects_created,1,1,,,,\nprojects_deleted,1,1,,,,\n"
STAYS = "project_ready,1,300,,,unit=ms,\nprojects_created,1,1,,,,\n"


def run_cycle(folder: Path, rows: str) -> SoakCycle:
    """Run one cycle of two Projects against a build that gives some points."""
    question = SoakQuestion(60, projects=2, rest_s=0.01)
    runner = CycleRunner(
        question, target(folder), k6(folder, rows), folder, 0, lambda: None, time.monotonic()
    )
    return runner.run(1, 10)


def test_a_project_that_is_refused_is_neither_ready_nor_gone(tmp_path: Path) -> None:
    half = run_cycle(tmp_path, DONE + REFUSED)
    assert (half.ready_s, half.deleted, half.never_ready, half.never_gone) == ((0.3,), 11, 1, 0)


def test_a_project_whose_deletion_is_refused_is_never_gone(tmp_path: Path) -> None:
    half = run_cycle(tmp_path, DONE + STAYS)
    assert (half.deleted, half.never_ready, half.never_gone) == (11, 0, 1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [(REFUSED, "no Project was Ready .* status 403"), (STAYS, "no Project was gone")],
)
def test_a_cycle_that_does_nothing_has_failed(rows: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=said):
        run_cycle(tmp_path, rows)


def test_a_machine_that_gives_out_ends_it_with_what_was_measured() -> None:
    *_, last = FakeBuild({4: HeadroomExhaustedError("the disk has 0.9 GB left")}).soak(new_soak())
    assert (last.ended, last.ended_by) == (SoakEnd.MACHINE, "the disk has 0.9 GB left")
    assert len(last.cycles) == 3


def test_a_limit_ends_it() -> None:
    *_, last = FakeBuild().soak(new_soak("goroutines(server)<1100"))
    assert last.broke == ("goroutines(server)<1100",)
    assert len(last.cycles) == 4
    assert run.exit_code(last) is Exit.REGRESSION
    *_, slow = FakeBuild(ready_s=12).soak(new_soak("p95(ready)<10s"))
    assert slow.broke == ("p95(ready)<10s",)
    assert len(slow.cycles) == 7  # 20 Projects have a p95


@given(st.integers(0, 3), st.integers(0, 40))
def test_a_project_that_is_never_ready_took_as_long_as_the_deadline(never: int, more: int) -> None:
    cycle = SoakCycle(0, 10.0, 3, {}, (0.1,) * (20 + more), never_ready=20 * never)
    soak = replace(new_soak("ready<10s"), cycles=(cycle,))
    assert bool(broken_limits(soak)) == (never > 0)


def test_a_limit_that_was_not_judged_is_named() -> None:
    *_, last = FakeBuild().soak(new_soak("ready<1s", "db<1GB", "files(server)<99", lasts_s=50))
    assert (last.broke, len(last.cycles)) == ((), 5)  # of three Projects each
    words = " ".join(soak_text(last).split())
    assert "The limit ready<1s was not judged: a p95 needs 20 Projects." in words
    assert "The limit db<1GB was not judged: no value." in words
    assert "files(server)<99 was not judged" not in words


@given(st.floats(0.1, 1e4))
def test_a_project_that_is_given_up_breaks_every_limit_of_ready(limit_s: float) -> None:
    asked = run.question_of(SoakRequest(600, (f"ready<{limit_s:f}s",)))
    assert asked.deadline_s >= max(120, 2 * asked.limits[0].below)


def test_verdicts_are_of_the_launch_that_the_report_names() -> None:
    many = tuple(SoakCycle(0, 9.0 * i, i, {"keys": 7.0}) for i in range(1, 31))
    large = tuple(SoakCycle(1, 9.0 * i, 50 * i, {"keys": 7.0 * i}) for i in range(1, 21))
    cycles = (*many, *large)
    soak = replace(new_soak(), cycles=cycles, growth=growth_of_resources(cycles))
    assert soak_headline(soak) == "NO LEAK: 1 resource settled"
    assert "the verdicts are of the one with 30 deleted" in " ".join(soak_text(soak).split())


def test_a_resumed_soak_goes_on_in_another_launch() -> None:
    first = FakeBuild().soak(new_soak(lasts_s=300.0))[-1]
    again = replace(first, question=replace(first.question, lasts_s=700), ended=None, ended_by="")
    *_, last = FakeBuild(launch=1).soak(again)
    assert [cycle.launch for cycle in last.cycles] == [0] * 30 + [1] * 40
    assert last.growth["files(server)"].cycles == 40
    assert "continued in 2 launches" in " ".join(soak_text(last).split())


def test_a_soak_is_read_as_it_was_written(tmp_path: Path) -> None:
    *_, last = FakeBuild().soak(new_soak("ready<10s"))
    codec.SOAK.write(tmp_path / "soak.json", last)
    assert codec.SOAK.read(tmp_path / "soak.json") == last


@pytest.mark.parametrize("width", [100, 40])
def test_the_report_names_the_leak_and_its_size(width: int) -> None:
    *_, last = FakeBuild().soak(new_soak())
    shown = soak_text(last, width=width)
    words = " ".join(shown.split())
    assert "LEAK: goroutines(server) +10 per Project (10 to 10)" in words
    assert "180 created and deleted in 10 min 00 s" in words
    assert all(len(row) <= width for row in shown.split("Reproduce:", maxsplit=1)[0].splitlines())
    assert "soak --candidate binary:./milo --for 600s" in soak_command(last)
    picture = soak_svg(last)
    assert picture.count('class="panel"') == 4
    assert "Not judged: memory; the history of etcd fills for 10 min 00 s" in words
    assert picture.count('class="leak"') == 1


@pytest.mark.parametrize(("more", "place"), [({}, "kind"), ({"replicas": "2"}, "environment.toml")])
def test_the_command_starts_the_build_as_it_was_started(more: dict[str, str], place: str) -> None:
    facts = {"profile": "production", **more}
    subject = Subject("source:../milo@main", "sha256:aa", facts={"build": "go build -o {out}"})
    machine = Machine(facts, {})
    soak = replace(new_soak(), subject=subject, environment="kind", machine=machine)
    asked = CapacityQuestion(CountedResource.PROJECTS, parse_limits(["db<1GB"]), 60, 5)
    capacity = Capacity(asked, subject, "kind", "", machine, {}, NOW)
    for command in (soak_command(soak), reproduce_command(capacity)):
        assert "--candidate source:../milo@main --build 'go build -o {out}'" in command
        assert f"--environment {place} --profile production" in command


def test_a_report_of_nothing_claims_nothing() -> None:
    soak = new_soak()
    assert soak_headline(soak) == "CANNOT TELL: 0 cycles of create, use and delete are too few"
    assert "<svg" in soak_svg(soak)
    begun = replace(soak, cycles=(SoakCycle(0, 32.0, 3, {"keys": 4.0}),))
    assert "12 cycles in one launch; a cycle takes 32 s" in " ".join(soak_text(begun).split())

    def steady(_: int) -> dict[str, float]:
        return {"keys": 7.0}

    *_, last = FakeBuild(values=steady).soak(new_soak())
    assert soak_headline(last) == "NO LEAK: 1 resource settled"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"limits": ("p99(get)<1s",)}, "a soak has limits of ready, memory", id="get"),
        pytest.param({"limits": ("db<",)}, "expected a number", id="limit"),
        pytest.param({"lasts_s": float("inf")}, "lasts_s: must be finite", id="time"),
        pytest.param({"watches": -1}, "watches: a cycle can hold 60", id="watches"),
        pytest.param({"watches": 16, "projects": 2}, "watches: a cycle", id="many watches"),
        pytest.param({"projects": 0}, "projects: must be at least 1", id="projects"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused(
    changes: dict[str, object], said: str
) -> None:
    good = SoakRequest(600)
    with pytest.raises(ConfigError, match=said):
        run.question_of(replace(good, **changes))  # type: ignore[arg-type]  # any field


def test_a_cycle_does_all_of_its_projects_in_one_iteration() -> None:
    settings = settings_of(SoakQuestion(60, projects=4, objects=2, watches=3))
    assert (settings.iterations, settings.projects, settings.objects) == (1, 4, 2)
    assert settings.parameters["WATCHES"] == 3
    assert settings.longest_s > 2 * 120
