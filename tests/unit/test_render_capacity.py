"""The answer of a search, for people."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.model.capacity import (
    Capacity,
    CapacityQuestion,
    CapacityStep,
    CountedResource,
    SearchEnd,
)
from pipeline.model.limit import parse_limits
from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.render.capacity import (
    capacity_text,
    curve_svg,
    headline,
    reproduce_command,
    text_plot,
)
from pipeline.render.numbers import quantity
from pipeline.runs.capacity.search import add_step
from tests.builders import NOW

EMPTY = Capacity(
    question=CapacityQuestion(
        CountedResource.PROJECTS,
        parse_limits(["p99(get)<1s", "memory(server)<1GiB", "ready<60s"]),
        budget_s=1800,
        start=50,
        seed=7,
    ),
    subject=Subject("reference?slow-create=20ms", f"sha256:{'a' * 64}"),
    environment="local",
    load_digest="sha256:bb",
    machine=Machine({}, {}),
    tools={},
    taken_at=NOW,
)


def known(
    *seen: tuple[int, float], ended: SearchEnd | None = SearchEnd.FOUND, said: str = ""
) -> Capacity:
    """Return a search that saw these N, each with its p99 in s; 1 s and more broke."""
    capacity = EMPTY
    for launch, (n, p99_s) in enumerate(seen):
        values = {"p99(get)": p99_s, "memory(server)": 2e6 * n + 165e6, "ready": 0.2}
        step = CapacityStep(n, launch, NOW, 30.0, values, broke=("p99(get)",) if p99_s >= 1 else ())
        capacity = add_step(capacity, step)
    said = said or "the edge is found, and both of its sides were measured again"
    return replace(capacity, ended=ended, ended_by=said if ended else "")


FOUND = known((50, 0.1), (100, 0.3), (200, 2.4), (141, 0.7), (153, 1.1), (141, 0.8), (153, 1.2))
DISAGREED = known((50, 0.1), (100, 0.3), (200, 2.4), (141, 0.7), (141, 1.1), (100, 0.2), (200, 2))
OPEN = known(
    (50, 0.1), (100, 0.3), ended=SearchEnd.MACHINE, said="the machine carries about N = 105"
)


@pytest.mark.parametrize(
    ("capacity", "name"),
    [
        pytest.param(FOUND, "found", id="found"),
        pytest.param(DISAGREED, "disagreed", id="disagreed"),
        pytest.param(OPEN, "open", id="open"),
    ],
)
def test_a_person_reads(capacity: Capacity, name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"capacity/{name}.txt", capacity_text(capacity))


@pytest.mark.parametrize(
    ("capacity", "said"),
    [
        (EMPTY, "NOTHING YET"),
        (FOUND, "141 TO 153 Projects: `p99(get)<1s` broke first"),
        (DISAGREED, "100 TO 200 Projects"),
        (OPEN, "AT LEAST 100 Projects: no limit broke"),
        (
            known((50, 0.1), (100, 2.0), (70, 0.1), (100, 0.1), (200, 0.2)),
            "AT LEAST 70 Projects: `p99(get)<1s` broke above that, but not every time",
        ),
        (known((1, 2.0)), "LESS THAN 1 Projects"),
        (known((5, 2.0), (5, 0.1)), "CANNOT TELL"),
    ],
)
def test_the_first_line_is_the_answer(capacity: Capacity, said: str) -> None:
    assert headline(capacity).startswith(said)


def test_a_step_says_what_failed_and_whether_it_was_steady() -> None:
    died = CapacityStep(100, 1, NOW, 9.0, {}, failed="server of the candidate exited with 2")
    invalid = CapacityStep(
        60, 2, NOW, 9.0, {}, invalid=("k6 dropped 3 iterations",), is_steady=False
    )
    capacity = add_step(add_step(known((50, 0.1), ended=None), died), invalid)
    shown = " ".join(capacity_text(capacity).split())
    assert "50 TO 100 Projects: `alive` broke first" in shown
    assert "broke: server of the candidate exited with 2" in shown
    assert "invalid: k6 dropped 3 iterations" in shown
    assert "Not steady within the hold time, so less certain: 60." in shown
    assert "--resume continues it" in shown


@pytest.mark.parametrize("width", [30, 40, 60, 100])
def test_every_outcome_stands_beside_its_number_however_narrow_a_terminal_is(width: int) -> None:
    lines = capacity_text(FOUND, width=width).splitlines()
    for step in FOUND.steps:
        assert any(
            f"{step.n} " in f"{line} ".replace(",", " ") and step.outcome in line for line in lines
        )
        for limit in FOUND.question.limits:
            value = quantity(step.values[limit.quantity], limit.unit)
            assert value in " ".join(" ".join(lines).split())


def test_no_line_is_wider_than_asked_but_the_command() -> None:
    for width in (60, 80, 120):
        *lines, _ = capacity_text(FOUND, width=width).splitlines()
        assert max(map(len, lines)) <= width


def test_the_plot_has_every_point_and_the_limit() -> None:
    drawn = text_plot(FOUND, 80)
    assert all(mark in drawn for mark in "abc")
    assert "100 % |" in drawn
    assert text_plot(known((5, 0.5)), 80)


def test_the_same_again_is_a_command_with_everything_in_it() -> None:
    command = reproduce_command(FOUND)
    assert "--limit 'p99(get)<1s' --limit 'memory(server)<1GiB'" in command
    assert "--seed 7" in command
    objects = replace(
        FOUND, question=replace(FOUND.question, things=CountedResource.OBJECTS, projects=4)
    )
    assert "capacity objects" in reproduce_command(objects)
    assert "--projects 4" in reproduce_command(objects)


def test_the_picture_is_svg_with_a_panel_for_each_limit_and_the_same_bytes_each_time() -> None:
    picture = curve_svg(FOUND)
    assert picture == curve_svg(FOUND)
    assert ET.fromstring(picture).tag.endswith("svg")
    shown = "".join(ET.fromstring(picture).itertext())
    for limit in FOUND.question.limits:
        assert limit.text in shown
    assert picture.count('class="limit"') == len(FOUND.question.limits)
    assert picture.count('class="held"') + picture.count('class="broke"') == 3 * len(FOUND.steps)


def test_the_picture_shows_the_edge_where_one_is_known() -> None:
    assert "between 141 and 153" in curve_svg(FOUND)
    assert 'class="edge"' not in curve_svg(OPEN)


def test_a_step_without_values_draws_the_limits_alone() -> None:
    picture = curve_svg(add_step(EMPTY, CapacityStep(5, 0, NOW, 1.0, {}, failed="it died")))
    assert 'class="limit"' in picture
    assert 'class="line"' not in picture
