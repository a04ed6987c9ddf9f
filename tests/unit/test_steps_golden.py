"""Steps that others found in the same series, and how agreement is measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from dev.benchmarks.agreement import covering, f1
from pipeline.judge.history import HistoryRule, analyze_series
from pipeline.model.history import HistorySeries
from pipeline.model.metric import Scale

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "otava" / "golden.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_steps_that_otava_expects_in_its_series_are_found(name: str) -> None:
    body = GOLDEN[name]
    line = HistorySeries(name, tuple(map(float, body["values"])), Scale(body["scale"]))
    assert [step.index for step in analyze_series(line, HistoryRule(least=0.0)).steps] == body[
        "steps"
    ]


def test_only_large_steps_are_left_where_only_they_matter() -> None:
    line = HistorySeries("tigerbeetle", tuple(map(float, GOLDEN["tigerbeetle"]["values"])))
    assert [step.index for step in analyze_series(line, HistoryRule(least=0.05)).steps] == [15, 71]


def test_the_right_points_have_full_marks_and_near_ones_too() -> None:
    annotations = [[30, 60], [30, 60]]
    assert f1(annotations, [30, 60]) == 1.0
    assert f1(annotations, [25, 65]) == 1.0
    assert f1(annotations, [24, 66]) == pytest.approx(1 / 3)
    assert covering(annotations, [30, 60], 90) == 1.0


def test_finding_nothing_has_the_marks_that_the_measures_give() -> None:
    assert f1([[30], []], []) == pytest.approx(2 * 0.75 / 1.75)
    assert covering([[30], []], [], 90) == pytest.approx(((30 * 30 + 60 * 60) / 90 / 90 + 1) / 2)


def test_two_points_near_one_annotation_are_one_hit() -> None:
    assert f1([[30]], [28, 32]) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
