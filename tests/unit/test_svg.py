"""Axes and ticks: round numbers where they belong."""

import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.model.metric import Scale
from pipeline.model.subject import Arm
from pipeline.model.traces import Distribution, Track, TrackPair
from pipeline.render import plots, svg
from tests import pages


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        pytest.param(0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0], id="unit"),
        pytest.param(55.2, 56.4, 5, [55.5, 56.0], id="between"),
        pytest.param(-3, 3, 6, [-3, -2, -1, 0, 1, 2, 3], id="around 0"),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]) -> None:
    assert svg.ticks(low, high, most) == pytest.approx(expected)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(2, 12))
def test_ticks_are_within_and_few(low: float, size: float, most: int) -> None:
    assume(size > 1e-8 * abs(low))  # or a tick is as exact as a float can be, and no better
    found = svg.ticks(low, low + size, most)
    assert len(found) <= most + 1
    assert all(low - size * 1e-6 <= tick <= low + size * (1 + 1e-6) for tick in found)


def test_ticks_of_ratios_are_1_2_5_and_plain_where_the_range_is_narrow() -> None:
    assert svg.log_ticks(0.9, 110, 8) == pytest.approx([1, 2, 5, 10, 20, 50, 100])
    assert svg.log_ticks(0.9, 1.1e6, 7) == pytest.approx([10.0**p for p in range(7)])
    assert svg.log_ticks(52, 58, 4) == pytest.approx([52, 54, 56, 58])


def test_a_value_beyond_an_axis_is_drawn_at_its_end() -> None:
    axis = svg.Axis(1, 100, 0, 200, is_log=True)
    assert [axis.at(v) for v in (0, 1, 10, 100, 1e9)] == pytest.approx([0, 0, 100, 200, 200])


def test_text_and_attributes_are_escaped() -> None:
    assert svg.label(0, 0, "<b>&", "tick").count("<") == 2
    assert "&lt;b&gt;&amp;" in svg.label(0, 0, "<b>&", "tick")
    assert svg.tag("g", aria_label='"><x') == '<g aria-label="&quot;&gt;&lt;x"/>'


def _x(drawing: str) -> float:
    found = re.search(r'class="estimate"|d="M([\d.]+) [\d.]+[^"]*" class="estimate"', drawing)
    assert found is not None
    return float(found[1])


def test_worse_is_to_the_right_whatever_is_better() -> None:
    findings = {f.comparison.metric.name: f for f in pages.report().findings}
    middle = plots.WIDTH / 2
    assert _x(plots.interval_plot(findings["create_p50"])) > middle
    assert _x(plots.interval_plot(findings["server_memory"])) < middle
    faster = next(f for f in pages.report().findings if f.comparison.metric.name == "rate")
    assert "-0.01 %" in plots.interval_plot(faster)
    assert "in margins" in plots.interval_axis(Scale.DIFFERENCE)
    assert "in margins" not in plots.interval_axis(Scale.RATIO)
    amount = findings["server_files"]
    assert "in margins" in plots.interval_plot(amount, among_ratios=True)


def test_a_pair_without_a_value_has_no_mark_and_an_invalid_one_has_a_cross() -> None:
    values = {Arm.BASELINE: (1.0, None, 1.2), Arm.CANDIDATE: (1.1, 1.3, None)}
    drawn = plots.pair_by_pair(pages.METRICS[0][0], values, [2])
    assert drawn.count('class="dot baseline"') == 1
    assert drawn.count('class="dot candidate"') == 2
    assert drawn.count('class="tie"') == 1
    assert drawn.count("✕") == 1
    nothing: dict[Arm, tuple[float | None, ...]] = dict.fromkeys(Arm, (None,))
    assert plots.pair_by_pair(pages.METRICS[0][0], nothing, []) == ""


def test_equal_values_have_an_axis() -> None:
    for value in (0.0, 5.0, -2.0):
        same = dict.fromkeys(Arm, (value, value))
        drawn = plots.pair_by_pair(pages.METRICS[6][0], same, [])
        assert "nan" not in drawn
        assert drawn.count('class="grid"') >= 2


def test_two_looks_are_marks_and_many_a_line() -> None:
    def drawn(count: int) -> str:
        values = tuple(float(i) for i in range(count))
        track = Track(values, values, values, values)
        return plots.over_time(TrackPair("w", "server.goroutines", "1", {Arm.CANDIDATE: track}))

    assert drawn(2).count('class="dot candidate"') == 2
    assert 'class="line' not in drawn(2)
    assert drawn(9).count('class="line candidate"') == 1
    assert 'class="dot' not in drawn(9)


def test_a_tail_is_shown_from_where_it_begins() -> None:
    shares = tuple((i + 1) / 100 for i in range(100))
    curve = Distribution(100, shares, tuple(math.exp(s) for s in shares))
    whole, tail = (plots.cumulative({Arm.BASELINE: curve}, q) for q in (0.5, 0.99))
    assert ">0 %<" in whole
    assert ">0 %<" not in tail
    assert ">80 %<" in tail
