"""Histories made of nothing but numbers: steps of every kind, and names that are hostile."""

import math
from dataclasses import replace

from pipeline.judge.history import HistoryRule, analyze_series
from pipeline.model.history import CommitRef, HistorySeries, JudgedSeries
from pipeline.model.metric import Better, Scale
from tests.pages import HOSTILE


def points(*levels: tuple[int, float], size: float = 0.01) -> tuple[float, ...]:
    """Return values about levels, each given as (points, level), the same everywhere."""
    flat = [level for n, level in levels for _ in range(n)]
    return tuple(v * (1 + size * math.sin(12.9898 * (at + 1) ** 2)) for at, v in enumerate(flat))


def placed(line: HistorySeries, *, reason: str = "") -> JudgedSeries:
    """Return a series with its steps, found as ever, each at a time and between two commits."""
    judged = analyze_series(line, HistoryRule())
    steps = tuple(
        replace(
            step,
            before=CommitRef(f"night {step.index - 1}", f"b{step.index:011}"),
            after=CommitRef(f"night {step.index}", f"a{step.index:011}"),
            acknowledged=reason,
        )
        for step in judged.steps
    )
    return replace(judged, steps=steps, first=CommitRef("night 0"), last=CommitRef("last night"))


def of_every_kind() -> list[JudgedSeries]:
    """Return series with steps up, down, acknowledged, of amounts, none, and with hostile names."""
    rate = HistorySeries("crud/rate", points((60, 118.0)), better=Better.HIGHER)
    amounts = HistorySeries("crud/errors", points((40, -1.0), (40, 3.0)), scale=Scale.DIFFERENCE)
    hostile = HistorySeries(HOSTILE, points((30, 1.0), (30, 2.0)), notes=(HOSTILE,))
    bad = placed(hostile, reason=HOSTILE)
    step = replace(
        bad.steps[0], after=CommitRef(HOSTILE, HOSTILE), before=CommitRef(HOSTILE, HOSTILE)
    )
    return [
        placed(HistorySeries("crud/create_p50", points((40, 5.0), (40, 5.5), (40, 4.5)))),
        placed(
            HistorySeries("crud/get_p50", points((60, 1.6), (30, 1.8))),
            reason="audit log switched on",
        ),
        placed(rate),
        placed(amounts),
        placed(HistorySeries("crud/new", points((4, 1.0)))),
        replace(bad, steps=(step,)),
    ]
