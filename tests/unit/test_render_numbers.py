"""Numbers and intervals, as they are written and drawn."""

from dataclasses import replace

import pytest

from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.report import Change
from pipeline.render.numbers import amount, duration, interval, percent, quantity
from pipeline.render.text import interval_line
from tests.builders import COUNT, LATENCY, THROUGHPUT

MEMORY = Metric("server_memory", "B", Better.LOWER, margin=0.05, gate=True)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.00521, "s", "5.21 ms"),
        (0.9999, "s", "1.00 s"),
        (0.05, "s", "50.0 ms"),
        (3.2e-10, "s", "0.320 ns"),
        (1234.5, "s", "1234 s"),
        (0.0, "s", "0 s"),
        (1536.0, "B", "1.50 KiB"),
        (3e8, "B", "286 MiB"),
        (0.0, "B", "0 B"),
        (112.0, "1", "112"),
        (0.2, "1", "0.200"),
        (12345.0, "1", "12345"),
        (0.0, "1", "0"),
        (12.34, "1/s", "12.3 /s"),
        (None, "s", "-"),
    ],
)
def test_a_quantity(value: float | None, unit: str, expected: str) -> None:
    assert quantity(value, unit) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.034, "+3.4 %"),
        (-0.5, "-50.0 %"),
        (0.0041, "+0.41 %"),
        (-0.00001, "0 %"),
        (1.234, "+123 %"),
        (99.0, ">+1000 %"),
    ],
)
def test_a_percentage(ratio: float, expected: str) -> None:
    assert percent(ratio) == expected


def test_an_interval_has_one_precision() -> None:
    assert interval(LATENCY, Change(-0.0016, 0.0071, 0.016)) == "+0.7 % [-0.2, +1.6]"
    assert interval(COUNT, Change(3.0, 4.0, 5.5)) == "+4 [+3, +5.50]"
    bytes_ = replace(MEMORY, scale=Scale.DIFFERENCE)
    assert interval(bytes_, Change(-1e5, 1e6, 2e6)) == "+0.954 MiB [-0.0954, +1.91]"
    assert amount(bytes_, -(2.0**21)) == "-2.00 MiB"


@pytest.mark.parametrize(
    ("metric", "change", "expected"),
    [
        pytest.param(LATENCY, None, "····┊·│·┊····", id="nothing"),
        pytest.param(LATENCY, Change(0.0, 0.0, 0.0), "····┊·●·┊····", id="a point"),
        pytest.param(LATENCY, Change(0.03, 0.08, 0.12), "····┊·│├─●─┤·", id="worse"),
        pytest.param(LATENCY, Change(0.1, 0.3, 0.6), "····┊·│·┊·├─►", id="off the end"),
        pytest.param(LATENCY, Change(-0.6, 0.0, 0.6), "◄─────●─────►", id="both ends"),
        pytest.param(THROUGHPUT, Change(0.03, 0.08, 0.12), "·├─●─┤│·┊····", id="more is better"),
        pytest.param(COUNT, Change(3.0, 3.0, 3.0), "····┊·│·●····", id="a count"),
    ],
)
def test_an_interval_is_drawn_from_better_to_worse(
    metric: Metric, change: Change | None, expected: str
) -> None:
    assert interval_line(metric, change, 13) == expected


def test_a_duration() -> None:
    assert (duration(45.2), duration(250)) == ("45 s", "4 min 10 s")
