"""Readings become quantities, and say whether a build has come to rest."""

import pytest

from pipeline.model.limit import QUANTITIES
from pipeline.model.ports import Span
from pipeline.model.results import Reading
from pipeline.runs.capacity.launcher import has_settled, is_steady, quantity_values


def test_readings_become_the_quantities_that_can_have_limits() -> None:
    readings = [
        Reading("http_req_duration{op=get}/p99", 250.0, "ms"),
        Reading("http_req_duration{op=fill}/p99", 9.0, "s"),
        Reading("errors_share", 0.01, "1"),
        Reading("server.memory_max", 2e6, "B"),
        Reading("etcd.memory_max", 1e6, "B"),
        Reading("server.cpu", 4.0, "s"),
        Reading("etcd.files", 7, "1"),
        Reading("server.goroutines", 1000, "1"),
    ]
    found = quantity_values(readings, Span(100, 108))
    assert found == {
        "p99(get)": 0.25,
        "errors": 0.01,
        "memory(server)": 2e6,
        "memory(etcd)": 1e6,
        "memory": 3e6,
        "cpu(server)": 0.5,
        "files(etcd)": 7,
        "goroutines(server)": 1000,
    }
    assert set(found) <= set(QUANTITIES)
    assert quantity_values([], Span(0, 1)) == {}


@pytest.mark.parametrize(("after", "steady"), [(104.9, True), (105.1, False), (94.9, False)])
def test_a_hold_is_steady_when_the_memory_of_its_halves_agrees(after: float, steady: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    def half(memory: float) -> list[Reading]:
        return [
            Reading("server.memory_mean", 0.6 * memory, "B"),
            Reading("etcd.memory_mean", 0.4 * memory, "B"),
            Reading("server.cpu", memory, "s"),
        ]

    assert is_steady(half(100), half(after)) is steady


@pytest.mark.parametrize(
    ("before", "after", "projects", "settled"),
    [
        pytest.param(1800 * 400, 1800 * 402, 400, False, id="two of many Projects are taken on"),
        pytest.param(1800 * 400, 1800 * 400 + 300, 400, True, id="a few goroutines come and go"),
        pytest.param(1800 * 400, 1800 * 398, 400, False, id="they fall"),
        pytest.param(1200, 1300, 4, True, id="a small build with connections that close"),
        pytest.param(0, 0, 1, True, id="nothing says how many there are"),
    ],
)
def test_a_build_has_settled_when_no_project_is_still_taken_on(
    before: float,
    after: float,
    projects: int,
    settled: bool,  # noqa: FBT001 (of the test)
) -> None:
    def half(goroutines: float) -> list[Reading]:
        return [
            Reading("server.goroutines", 0.6 * goroutines, "1"),
            Reading("manager.goroutines", 0.4 * goroutines, "1"),
            Reading("etcd.db_bytes", 1e6 * goroutines, "B"),
        ]

    assert has_settled(half(before), half(after), projects) is settled
