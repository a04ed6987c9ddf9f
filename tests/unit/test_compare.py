"""Evidence: what the numbers of two arms come to, whatever their order, size and direction."""

import math
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge import compare as judge
from pipeline.judge import policy
from pipeline.judge.constants import RULE
from pipeline.judge.policy import decide
from pipeline.judge.rows import floor_notes, rows_of_results
from pipeline.model.metric import MAX_VALUE, Better, Metric
from pipeline.model.report import Comparison, Finding, Verdict
from pipeline.model.results import BaselineRef, ResultSet, Sample
from pipeline.model.subject import Arm
from pipeline.render import answer_line
from pipeline.runs import reports
from pipeline.storage import codec
from pipeline.storage.verdict_file import finding_body
from tests.builders import COUNT, LATENCY, NOW, THROUGHPUT, results

PAIR = st.tuples(st.floats(0.5, 2.0), st.floats(0.9, 1.2))
PAIRS = st.lists(PAIR, min_size=2, max_size=8)
Pairs = list[tuple[float, float]]


def compare(run: ResultSet) -> tuple[Comparison, ...]:
    return judge.compare(rows_of_results(run), RULE)


def one(metric: Metric, before: list[float], after: list[float]) -> Comparison:
    (comparison,) = compare(results((metric, before, after)))
    return comparison


def arms(pairs: Pairs) -> tuple[list[float], list[float]]:
    """Return both arms, from values and ratios."""
    return [value for value, _ in pairs], [value * ratio for value, ratio in pairs]


def numbers(c: Comparison) -> list[float]:
    assert c.change is not None
    assert c.p_worse is not None
    assert c.p_better is not None
    assert c.detectable_change is not None
    three = (c.change.low, c.change.estimate, c.change.high)
    return [*map(math.log1p, three), c.p_worse, c.p_better, math.log1p(c.detectable_change)]


def is_clear(c: Comparison) -> bool:
    """Whether no number is so near a limit that rounding could carry it over."""
    *bounds, p_worse, p_better, _ = numbers(c)
    limit = math.log1p(c.metric.margin)
    near = any(math.isclose(abs(x), limit, rel_tol=1e-5) for x in bounds)
    return not (near or any(math.isclose(p, RULE.alpha, rel_tol=1e-5) for p in (p_worse, p_better)))


def test_a_ratio_is_tested_on_logarithms() -> None:
    before, after = [1.0, 2.0, 4.0, 1.5], [1.1, 2.3, 4.2, 1.8]
    low, mean, high, p_worse, p_better, _ = numbers(one(LATENCY, before, after))
    d = [math.log(b / a) for a, b in zip(before, after, strict=True)]
    expected = stats.ttest_1samp(d, 0).confidence_interval(RULE.confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx(sum(d) / 4)
    p = stats.ttest_1samp(d, 0, alternative="greater").pvalue
    assert p_worse == pytest.approx(RULE.min_family_size * p)
    assert p_better == min(1.0, RULE.min_family_size * (1 - p))


def test_a_count_is_tested_on_differences() -> None:
    c = one(COUNT, [100.0, 0.0, 7.0], [104.0, 5.0, 10.0])
    assert c.change is not None
    assert c.change.estimate == pytest.approx(4.0)
    assert c.detectable_change is not None
    assert c.detectable_change > COUNT.margin


def test_a_count_that_never_varies_is_sure() -> None:
    c = one(COUNT, [100.0, 101.0, 99.0], [105.0, 106.0, 104.0])
    assert c.change is not None
    assert (c.change.low, c.change.high, c.p_worse, c.p_better) == (5.0, 5.0, 0.0, 1.0)
    assert c.detectable_change == COUNT.margin
    assert decide(c) is Verdict.REGRESSED


def test_equal_changes_are_equal_whatever_their_last_digits() -> None:
    c = one(COUNT, [0.1, 0.7, 1.1], [3.3, 3.9, 4.3])  # 3.2 each, but not as doubles
    assert c.change is not None
    assert c.change.low == c.change.high


@pytest.mark.parametrize(
    ("metric", "after"),
    [
        pytest.param(COUNT, [103.0, 104.0, 106.0], id="count"),
        pytest.param(LATENCY, [105.0, 106.05, 108.15], id="ratio"),
    ],
)
def test_a_change_of_exactly_the_margin_is_neither_within_it_nor_beyond(
    metric: Metric, after: list[float]
) -> None:
    assert decide(one(metric, [100.0, 101.0, 103.0], after)) is Verdict.INCONCLUSIVE


def test_a_floor_is_subtracted_and_said() -> None:
    floored = one(replace(LATENCY, floor=0.05), [0.06, 0.06], [0.061, 0.061])
    assert floored.change is not None
    assert floored.change.estimate == pytest.approx(0.1)
    body = finding_body(Finding(floored, Verdict.INCONCLUSIVE))
    assert any("subtracted" in warning for warning in body.warnings)


@given(PAIRS)
def test_swapping_the_arms_mirrors_everything(pairs: Pairs) -> None:
    before, after = arms(pairs)
    there, back = one(LATENCY, before, after), one(LATENCY, after, before)
    low, mean, high, p_worse, p_better, smallest = numbers(there)
    expected = [-high, -mean, -low, p_better, p_worse, smallest]
    assert numbers(back) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert (decide(there) is Verdict.REGRESSED) == (decide(back) is Verdict.IMPROVED)


@given(PAIRS, st.floats(1e-6, 1e9))
def test_the_unit_does_not_matter_on_the_ratio_scale(pairs: Pairs, factor: float) -> None:
    before, after = arms(pairs)
    plain = one(LATENCY, before, after)
    scaled = one(LATENCY, [factor * v for v in before], [factor * v for v in after])
    assume(len({round(ratio, 9) for _, ratio in pairs}) > 1)  # else rounding is all there is
    assert numbers(scaled) == pytest.approx(numbers(plain), rel=1e-3, abs=1e-9)
    assume(is_clear(plain))
    assert decide(scaled) is decide(plain)


@given(st.data())
def test_the_order_of_the_pairs_does_not_matter(data: st.DataObject) -> None:
    pairs = data.draw(PAIRS)
    shuffled = data.draw(st.permutations(pairs))
    plain, other = one(LATENCY, *arms(pairs)), one(LATENCY, *arms(list(shuffled)))
    assert numbers(other) == pytest.approx(numbers(plain), rel=1e-6, abs=1e-9)


@given(PAIRS)
def test_more_is_better_mirrors_less_is_better(pairs: Pairs) -> None:
    before, after = arms(pairs)
    less = one(LATENCY, before, after)
    more = one(replace(LATENCY, better=Better.HIGHER), after, before)
    low, mean, high, p_worse, p_better, smallest = numbers(less)
    expected = [-high, -mean, -low, p_worse, p_better, -smallest]
    assert numbers(more) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert decide(more) is decide(less)


@example([(0.0, 0.0), (0.0, 1e-200)])
@given(st.lists(st.tuples(*2 * [st.floats(0, 1e12)]), min_size=2, max_size=5))
def test_any_values_give_finite_numbers_or_a_reason(pairs: Pairs) -> None:
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    for metric in (LATENCY, COUNT, THROUGHPUT):
        c = one(metric, before, after)
        if c.change is None:
            assert c.warnings
        else:
            found = [c.change.low, c.change.estimate, c.change.high, c.detectable_change or 0.0]
            assert all(map(math.isfinite, found))
            assert c.change.low <= c.change.estimate <= c.change.high


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param([1.0, 1.0], None, "nothing was reported by the candidate", id="absent"),
        pytest.param([None, None], [1.0, 1.0], "nothing was reported by the baseline", id="nulls"),
        pytest.param([1.0, None, 1.0], [1.0, 1.0, 1.0], "in 2 of 3 valid trials", id="some"),
        pytest.param([1.0, None], [None, 1.0], "fewer than two pairs", id="no pair has both"),
        pytest.param([1.0], [1.0], "fewer than two pairs", id="one pair"),
        pytest.param([0.0, 1.0], [1.0, 1.0], "the baseline has a value of 0 s", id="zero"),
    ],
)
def test_what_cannot_be_compared_says_why(
    before: list[float | None], after: list[float | None] | None, said: str
) -> None:
    (c,) = compare(results((LATENCY, before, after)))
    assert any(said in warning for warning in c.warnings)
    assert c.change is None or c.pairs == 2


@pytest.mark.parametrize(
    ("floor", "before", "after"),
    [
        pytest.param(0.0, [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], id="no ratio"),
        pytest.param(0.0, [10.0, 10.0, 9.0], [11.0, 11.0, 10.0], id="coarse steps"),
        pytest.param(0.5, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], id="floor"),
    ],
)
def test_a_value_without_a_dimension_is_written_without_its_unit(
    floor: float, before: list[float], after: list[float]
) -> None:
    metric = replace(LATENCY, unit="1", floor=floor)
    (c,) = compare(results((metric, before, after)))
    said = [*c.warnings, *floor_notes(c.metric)]
    assert said
    assert not any(re.search(r"\d 1\b", sentence) for sentence in said)


def test_invalid_pairs_are_not_numbers() -> None:
    run = results((LATENCY, [1.0, 9.0, 1.0], [1.0, 90.0, 1.0]), invalid={1: "dropped iterations"})
    (c,) = compare(run)
    assert (c.pairs, c.baseline, c.candidate) == (2, 1.0, 1.0)
    assert c.change is not None
    assert c.change.high == 0


def test_the_correction_is_for_each_family_alone() -> None:
    before, after = [1.0, 1.0, 1.0], [1.10, 1.11, 1.13]
    gating = [replace(LATENCY, name=f"gate{i}") for i in range(7)]
    others = [replace(LATENCY, name=f"other{i}", gate=False) for i in range(9)]
    lost = replace(LATENCY, name="lost")
    found = compare(
        results(*((m, before, after) for m in (*gating, *others)), (lost, before, None))
    )
    d = [math.log(b) for b in after]
    p = stats.ttest_1samp(d, 0, alternative="greater").pvalue
    assert found[0].p_worse == pytest.approx(7 * p)  # Holm
    assert found[-2].p_worse == pytest.approx(5 * p)  # all alike: corrected as the least number
    assert found[-1].p_worse is None
    assert (found[0].tests, found[-2].tests) == (7, 9)


def test_a_metric_alone_is_tested_as_one_of_several() -> None:
    before, after = [1.0, 1.0, 1.0], [1.10, 1.11, 1.13]
    c = one(LATENCY, before, after)
    p = stats.ttest_1samp([math.log(b) for b in after], 0, alternative="greater").pvalue
    assert c.p_worse == pytest.approx(5 * p)
    assert c.tests == 5


def test_a_share_of_counted_events_is_tested_by_its_score() -> None:
    metric = replace(COUNT, name="errors", margin=0.002)
    run = results((metric, [0.0, 0.0, 0.0], [0.01, 0.0, 0.02]))
    counted: dict[Arm, tuple[Sample, ...]] = {
        arm: (replace(sample, denominators=(1000.0, 1000.0, 1000.0)),)
        for arm, (sample,) in run.samples.items()
    }
    (c,) = compare(replace(run, samples=counted))
    assert c.change is not None
    assert c.change.estimate == pytest.approx(0.01)
    assert c.change.low < 0.01 < c.change.high
    (none,) = compare(replace(run, samples={**counted, Arm.CANDIDATE: counted[Arm.BASELINE]}))
    assert none.change is not None
    assert none.change.high == pytest.approx(3.8415 / 3003.8, rel=1e-3)  # not 0: nobody saw more


def _shares(of: tuple[float | None, ...]) -> Comparison:
    """Return what is said of a candidate without errors, of so many requests in each trial."""
    metric = replace(COUNT, name="errors", margin=0.002)
    run = results((metric, [0.0] * len(of), [0.0] * len(of)))
    (before,), (after,) = (run.samples[arm] for arm in Arm)
    full = replace(before, denominators=(1000.0,) * len(of))
    samples: dict[Arm, tuple[Sample, ...]] = {
        Arm.BASELINE: (full,),
        Arm.CANDIDATE: (replace(after, denominators=of),),
    }
    (c,) = compare(replace(run, samples=samples))
    return c


def test_a_trial_without_anything_to_count_is_left_out_and_the_others_still_count() -> None:
    c = _shares((1000.0, 1000.0, None, 1000.0))
    whole = _shares((1000.0, 1000.0, 1000.0, 1000.0))
    assert c.change is not None
    assert whole.change is not None
    assert c.change.high > whole.change.high > 0
    assert "the candidate had no events to count in 1 of 4 trials, which are left out" in c.warnings


@pytest.mark.parametrize(
    "of",
    [
        pytest.param((None, None, None, 1000.0), id="in most trials"),
        pytest.param((None, None, None, None), id="in no trial"),
        pytest.param((), id="no number at all"),
    ],
)
def test_shares_of_nothing_prove_nothing(of: tuple[float | None, ...]) -> None:
    c = _shares(of) if of else _shares((None,) * 4)
    assert c.change is None
    assert any("no events to count" in warning for warning in c.warnings)


@pytest.mark.parametrize(("reported", "is_told"), [(1, False), (2, False), (4, False), (5, True)])
def test_a_metric_that_an_arm_lacks_in_most_pairs_is_inconclusive(
    reported: int, *, is_told: bool
) -> None:
    values: list[float | None] = [1.0, 1.01, 0.99, 1.0, 1.0, 1.02, 1.0, 0.99, 1.0]
    lacking = [*values[:reported], *[None] * (len(values) - reported)]
    (c,) = compare(results((LATENCY, values, lacking)))
    assert (c.change is not None) is is_told
    if reported > 1 and not is_told:
        assert f"inconclusive: only {reported} of 9 pairs have a value in both arms" in c.warnings


def test_stored_numbers_are_shown_and_never_judged_by() -> None:
    stored = BaselineRef("old", NOW, True, (), "sha256:bb", {"object-crud/create_p50": 9.0})  # noqa: FBT003 (a record)
    row = (LATENCY, [1.0, 1.1], [1.0, 1.1])
    (shown,) = compare(results(row, stored=stored))
    (without,) = compare(results(row))
    assert shown.stored == 9.0
    assert replace(shown, stored=None) == without


SIZES = st.sampled_from([None, 0.0, 5e-324, 1e-200, 1e-9, 1.0, 1.1, 2.0, 1e9, 1e149, MAX_VALUE])


@given(
    st.sampled_from([LATENCY, COUNT, THROUGHPUT]),
    st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=6),
)
def test_values_of_any_size_are_judged_and_written(
    metric: Metric, pairs: list[tuple[float | None, float | None]]
) -> None:
    """Inputs that a results file may have: a huge or a tiny value is no crash."""
    run = results((metric, [before for before, _ in pairs], [after for _, after in pairs]))
    report = policy.report(run)
    assert codec.verdict_json(report, 0, answer_line.answer(report))
    with TemporaryDirectory() as folder:
        for how in ("text", "html", "junit", "perfdata", "openmetrics"):
            assert reports.render(report, Path(folder), how)


@pytest.mark.parametrize("value", [1.1 * MAX_VALUE, 1e308, math.inf, math.nan])
def test_a_value_whose_square_is_infinite_is_refused(value: float) -> None:
    for metric in (LATENCY, COUNT):
        with pytest.raises(ValueError, match="at most 1e\\+150 in size"):
            results((metric, [1.0, value], [1.0, 1.0]))
