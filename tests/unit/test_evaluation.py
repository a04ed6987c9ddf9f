"""An evaluation decides by what was measured, and says by which number."""

import dataclasses
from datetime import UTC, datetime

import pytest

from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.k6.settings import K6
from pipeline.judge.driver_choice import choose_drivers
from pipeline.model.evaluation import Evaluation, FaultDetection, LoadLevel, WorkloadAttempt
from pipeline.model.ports import DriverSettings
from pipeline.model.results import Machine, Tool
from pipeline.model.subject import Subject
from pipeline.render.evaluation import decision_reason, document
from pipeline.runs import suite_file
from pipeline.runs.evaluate.launcher import scaled_load, workload_name
from pipeline.runs.evaluate.run import report_text, suite_path
from pipeline.runs.evaluate.source_size import workload_sources

SUITE = suite_file.load(suite_path("drivers")).suite


def attempt(
    driver: str, cpu_s: float = 1.0, *, invalid: str = "", **values: float
) -> WorkloadAttempt:
    return WorkloadAttempt(
        workload="object-crud",
        driver=driver,
        repetition=0,
        wall_s=20.0,
        start_s=2.0,
        span_s=15.0,
        requests=1000.0,
        cpu_s=cpu_s,
        memory=60e6,
        artifact=1000,
        files=3,
        readings=40,
        values=values or {"create_p50": 0.01},
        invalid=(invalid,) if invalid else (),
    )


def evaluation(*attempts: WorkloadAttempt, seen: tuple[FaultDetection, ...] = ()) -> Evaluation:
    return Evaluation(
        subject=Subject("binary:milo", "sha256:" + "a" * 64, {}),
        machine=Machine({"cpu": "a cpu", "logical cpus": "2"}, {}),
        tools={"k6": Tool("1.1.0", "sha256:00")},
        taken_at=datetime(2026, 11, 25, tzinfo=UTC),
        repetitions=2,
        seed=1,
        spent_s=1200,
        scripts=workload_sources(SUITE),
        attempts=attempts,
        rungs=(LoadLevel("k6", 100, "rate", 99.0, 8.0, 0.2, 60e6, ()),),
        seen=seen,
    )


def seen(fault: str, *drivers: str) -> FaultDetection:
    red: dict[str, tuple[str, ...]] = dict.fromkeys(drivers, ("object-crud-x/create_p50",))
    return FaultDetection(fault, 3, red, {one: names for one, names in red.items() if one == "k6"})


def owner(found: Evaluation) -> tuple[str | None, str]:
    (choice,) = choose_drivers(found)
    return choice.owner, decision_reason(choice)


def test_a_driver_that_does_not_apply_a_load_as_asked_owns_nothing() -> None:
    found = evaluation(
        attempt("k6", invalid="dropped"), attempt("clusterloader2", 9.0), attempt("k6", 0.1)
    )
    assert owner(found) == ("clusterloader2", "k6 was valid in 50%")


def test_the_driver_that_sees_more_faults_owns_the_workload() -> None:
    rows = (seen("a", "k6", "clusterloader2"), seen("b", "k6"))
    found = evaluation(attempt("k6", 9.0), attempt("clusterloader2", 1.0), seen=rows)
    assert owner(found) == ("k6", "known faults detected: k6 2, ClusterLoader2 1")


def test_at_a_tie_the_cheaper_driver_owns_the_workload() -> None:
    found = evaluation(attempt("k6", 0.5), attempt("clusterloader2", 2.0))
    chosen, why = owner(found)
    assert chosen == "k6"
    assert why == "CPU of the tool for 1,000 requests: k6 500 ms, ClusterLoader2 2.00 s"


def test_no_driver_is_an_answer_too() -> None:
    assert owner(evaluation(attempt("k6", invalid="dropped")))[0] is None


def test_the_document_shows_each_fault_and_who_alone_catches_it() -> None:
    rows = (seen("slow-create=500us", "k6"), seen("orphans=1"))
    text = document(evaluation(attempt("k6"), attempt("clusterloader2"), seen=rows), "again")
    assert "Of 2 faults put into `reference` (3 pairs each), k6 detected 1" in text
    assert "| `slow-create=500us` | object-crud-x/create_p50 | - | yes | no |" in text
    assert "| `orphans=1` | - | - | no | no |" in text


def test_the_document_has_the_four_criteria_and_the_command() -> None:
    text = document(evaluation(attempt("k6"), attempt("clusterloader2")), "again and again")
    for heading in (
        "## Decision",
        "## Ease of expressing tests",
        "## Observability and built-in measurements",
        "## Ability to scale",
        "## Integration in CI",
    ):
        assert heading in text
    assert "Reproduce: `again and again`" in text
    assert "Not measured here: `--faults 5`" in text


def test_a_spread_is_that_of_the_launches() -> None:
    both = [attempt("k6", create_p50=value) for value in (0.9, 1.1)]
    text = document(evaluation(*both), "again")
    assert "| 14.1 % |" in text  # of 0.9 and 1.1: standard deviation by mean


def test_every_workload_is_there_once_for_each_driver() -> None:
    by_driver: dict[str, list[str]] = {}
    for workload in SUITE.workloads:
        by_driver.setdefault(workload.driver.kind, []).append(workload_name(workload))
    assert sorted(by_driver) == ["clusterloader2", "k6"]
    assert sorted(by_driver["k6"]) == sorted(by_driver["clusterloader2"])


def test_what_is_written_for_a_workload_is_counted_without_comments() -> None:
    found = {(one.workload, one.driver): one for one in workload_sources(SUITE)}
    one = found["object-crud", "clusterloader2"]
    assert one.files[0] == 1
    assert 10 < one.lines[0] < 60
    assert one.words[0] > one.lines[0]


@pytest.mark.parametrize("what", ["rate", "objects"])
def test_both_drivers_are_asked_for_the_same_amount(what: str) -> None:
    name = "object-crud" if what == "rate" else "object-fill"
    drivers: list[DriverSettings] = [
        scaled_load(w.driver, what, 400) for w in SUITE.workloads if workload_name(w) == name
    ]
    k6, cl2 = sorted(drivers, key=lambda driver: driver.kind, reverse=True)
    assert isinstance(k6, K6)
    assert isinstance(cl2, ClusterLoader2)
    if what == "rate":
        assert k6.rate is not None
        assert k6.rate * k6.requests_per_iteration == pytest.approx(400)
        assert cl2.rate == 400
    else:
        assert k6.iterations == 400
        assert 2 * cl2.objects * cl2.projects == 400


def test_a_fault_under_which_a_driver_cannot_apply_its_load_says_so() -> None:
    row = FaultDetection(
        "errors=5%", 5, {"k6": ("object-crud-k6/errors_share",)}, {}, {"clusterloader2": "no"}
    )
    text = document(evaluation(attempt("k6"), attempt("clusterloader2"), seen=(row,)), "again")
    assert "could not apply the load: no" in text
    assert "where one driver could not apply its load, the other ran alone" in text


def test_the_document_names_no_folder_of_whoever_measured() -> None:
    found = evaluation(attempt("k6"), attempt("clusterloader2"))
    subject = dataclasses.replace(found.subject, spec="binary:/home/me/milo-v0.30.0")
    text = report_text(dataclasses.replace(found, subject=subject))
    assert "/home/me" not in text
    assert text.count("binary:milo-v0.30.0") == 2
