"""A ratio of two readings of one build has an interval of its own, in every report."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.judge.levels import levels_of_ratios
from pipeline.model.metric import Better, Metric
from pipeline.model.results import Cutoff
from pipeline.model.subject import Arm
from pipeline.model.traces import Traces
from pipeline.render import words
from pipeline.render.html import html
from pipeline.render.markdown import markdown
from pipeline.render.text import text
from tests.builders import LATENCY, results

ISOLATION = Metric("get_isolation_p50", "x", Better.LOWER, margin=0.2, gate=True)
BEFORE, AFTER = [1.2, 1.3, 1.25, 1.35, 1.22], [2.4, 2.7, 2.5, 2.6, 2.45]


def test_the_level_is_the_geometric_mean_with_students_interval() -> None:
    report = policy.report(results((ISOLATION, BEFORE, AFTER)))
    ((finding, levels),) = levels_of_ratios(report)
    assert finding.comparison.metric == ISOLATION
    level = levels[Arm.CANDIDATE]
    assert level.estimate == pytest.approx(math.prod(AFTER) ** 0.2)
    assert level.estimate == pytest.approx(finding.comparison.candidate)
    logs = [math.log(value) for value in AFTER]
    sd = math.sqrt(sum((one - sum(logs) / 5) ** 2 for one in logs) / 4)
    half = 2.776445 * sd / math.sqrt(5)  # Student's t with 4 degrees of freedom, 95 %
    assert level.high / level.estimate == pytest.approx(math.exp(half), rel=1e-5)
    assert level.estimate / level.low == pytest.approx(math.exp(half), rel=1e-5)


def test_every_report_has_it_and_only_of_ratios_of_two_readings() -> None:
    report = policy.report(results((ISOLATION, BEFORE, AFTER), (LATENCY, BEFORE, AFTER)))
    ((name, sentence),) = words.ratios_within_builds(report)
    assert name.endswith("get_isolation_p50")
    assert "baseline 1.26 [1.19, 1.34], candidate 2.53 [2.38, 2.68]" in sentence
    for rendered in (text(report), markdown(report), html(report, Traces(), "{}")):
        assert "1.19, 1.34" in rendered
    without = policy.report(results((LATENCY, BEFORE, AFTER)))
    for rendered in (text(without), markdown(without), html(without, Traces(), "{}")):
        assert "within each build" not in rendered


@given(st.lists(st.booleans(), min_size=5, max_size=5).filter(any))
def test_a_ratio_that_a_deadline_cut_off_is_never_left_out(cut: list[bool]) -> None:
    measured = results((ISOLATION, BEFORE, AFTER))
    (sample,) = measured.samples[Arm.CANDIDATE]
    cutoffs = tuple(Cutoff.AT_LEAST if one else None for one in cut)
    measured.samples[Arm.CANDIDATE] = (replace(sample, cutoffs=cutoffs),)
    report = policy.report(measured)
    ((_, levels),) = levels_of_ratios(report)
    level = levels[Arm.CANDIDATE]
    assert (level.pairs, level.high) == (5, math.inf)
    assert level.estimate == pytest.approx(math.prod(AFTER) ** 0.2)
    ((_, sentence),) = words.ratios_within_builds(report)
    assert "baseline 1.26 [1.19, 1.34], candidate at least 2.53 [2.38, ...]" in sentence


def test_an_arm_with_one_value_has_no_level() -> None:
    report = policy.report(results((ISOLATION, [1.2, 1.3], [2.4, None])))
    ((_, levels),) = levels_of_ratios(report)
    assert set(levels) == {Arm.BASELINE}


@given(st.lists(st.floats(5e-324, 1e150), min_size=2, max_size=5))
def test_no_ratio_is_too_large_for_an_interval(values: list[float]) -> None:
    report = policy.report(results((ISOLATION, BEFORE[: len(values)], values)))
    ((_, levels),) = levels_of_ratios(report)
    level = levels[Arm.CANDIDATE]
    assert 0 < level.low <= level.estimate <= level.high < math.inf
    assert words.ratios_within_builds(report)
