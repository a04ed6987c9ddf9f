"""How a history looks on a terminal."""

import pytest

from pipeline.judge.history import HistoryRule, analyze_series
from pipeline.model.history import ChangePoint, HistorySeries, JudgedSeries
from pipeline.model.metric import Scale
from pipeline.render.history import history_text, sparkline, step_marks
from tests.unit.test_history import noisy


def test_a_sparkline_shows_the_shape_in_as_much_room_as_there_is() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 80) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0] * 4, 80) == "▄▄▄▄"
    assert sparkline([0.0] * 500 + [1.0] * 500, 10) == "▁▁▁▁▁█████"
    assert sparkline([], 10) == ""


@pytest.mark.parametrize("n", [10, 98, 99, 250, 1999])
def test_the_mark_of_a_step_stands_below_its_point(n: int) -> None:
    for index in range(3, n - 3, 7):
        step = ChangePoint(index, 0.1, 0.05, 0.15, is_worse=True)
        values = tuple(1.0 if number < index else 2.0 for number in range(n))
        drawn = JudgedSeries(HistorySeries("x", values), (step,))
        column = len(step_marks(drawn, 98)) - 1
        assert set(sparkline(values, 98)[:column]) <= {"▁"}
        assert set(sparkline(values, 98)[column + 1 :]) <= {"█"}


def test_hostile_names_are_shown_as_text() -> None:
    line = HistorySeries("\x1b[31m<b>\n\u202ex", tuple(noisy((30, 1.0), (30, 2.0))), Scale.RATIO)
    text = history_text([analyze_series(line, HistoryRule())])
    assert "\x1b" not in text
    assert "\u202e" not in text
