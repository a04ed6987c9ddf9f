"""Values that one arm lacks: what is left decides nothing where the other arm lacks none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.judge.rows import MissingValues
from pipeline.judge.stored import report_against
from pipeline.model.metric import Metric
from pipeline.model.report import Finding, Verdict
from pipeline.model.subject import Arm
from pipeline.storage import measurements_csv
from pipeline.system.errors import Exit
from tests.builders import COUNT, LATENCY, THROUGHPUT, Values, kept, results

METRICS = [LATENCY, THROUGHPUT, COUNT]
PAIRS = 10


def without(pairs: int, lost: int, factor: float = 1.0) -> list[float | None]:
    """Return values that hardly vary, of which the last ones are missing."""
    there = [factor * (1000 + 0.001 * at) for at in range(pairs)]
    return [value if at < pairs - lost else None for at, value in enumerate(there)]


def in_a_run(metric: Metric, before: Values, after: Values, _: Path) -> Finding:
    report = policy.report(results((metric, before, after)))
    (found,) = report.findings
    if found.verdict is Verdict.INCONCLUSIVE:
        assert policy.exit_code(report, strict=True) is Exit.INCONCLUSIVE
    return found


def in_a_table(metric: Metric, before: Values, after: Values, path: Path) -> Finding:
    lines = ["pair,arm,metric,value,better,scale,margin"]
    for arm, own in zip(Arm, (before, after), strict=True):
        lines += [
            f"{pair},{arm},m,{value!r},{metric.better},{metric.scale},{metric.margin}"
            for pair, value in enumerate(own)
            if value is not None
        ]
    (path / "table.csv").write_text("\n".join([*lines, ""]))
    (found,) = policy.judge_table(measurements_csv.read(path / "table.csv"))
    return found


def beside_stored_numbers(metric: Metric, before: Values, after: Values, _: Path) -> Finding:
    run = results((metric, [1000.0] * len(before), after))
    stored = kept(results((metric, before, before)))
    (found,) = report_against(run, stored).findings
    return found


Judged = Callable[[Metric, Values, Values, Path], Finding]
EVERYWHERE = pytest.mark.parametrize("judged", [in_a_run, in_a_table, beside_stored_numbers])


@EVERYWHERE
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("arm", Arm)
@pytest.mark.parametrize("factor", [1.0, 2.0, 0.5], ids=["equal", "double", "half"])
@pytest.mark.parametrize("lost", [3, 4, 5])
def test_what_is_left_decides_nothing_where_one_arm_lacks_many(  # noqa: PLR0917
    judged: Judged, metric: Metric, arm: Arm, factor: float, lost: int, tmp_path: Path
) -> None:
    fewer = {Arm.BASELINE: 0, Arm.CANDIDATE: 0, arm: lost}
    arms = without(PAIRS, fewer[Arm.BASELINE]), without(PAIRS, fewer[Arm.CANDIDATE], factor)
    found = judged(metric, *arms, tmp_path)
    assert found.verdict is Verdict.INCONCLUSIVE
    said = f"inconclusive: the {arm} lacks {lost} of {PAIRS} values"
    assert any(said in warning for warning in found.comparison.warnings)
    assert found.advice is None


@EVERYWHERE
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 2), (2, 2), (1, 2)])
def test_what_is_left_decides_where_both_arms_lack_about_as_many(
    judged: Judged, before: int, after: int, tmp_path: Path
) -> None:
    arms = without(PAIRS, before), without(PAIRS, after)
    found = judged(LATENCY, *arms, tmp_path)
    assert found.verdict is Verdict.UNCHANGED


def test_a_run_goes_on_where_more_pairs_may_settle_what_one_arm_lacks() -> None:
    report = policy.report(results((LATENCY, [1.0] * 3, [1.0, 1.0, None]), pairs_asked=8))
    (found,) = report.findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert not policy.is_settled(report.findings)


def test_arms_of_different_sizes_lack_nothing(tmp_path: Path) -> None:
    lines = [",baseline,m,1000"] * 20 + [",candidate,m,1000"] * 3
    (tmp_path / "table.csv").write_text("\n".join(["pair,arm,metric,value", *lines, ""]))
    (found,) = policy.judge_table(measurements_csv.read(tmp_path / "table.csv"), between_run_sd=0.0)
    assert found.verdict is Verdict.UNCHANGED


COUNTS = st.integers(0, 3000)


@given(COUNTS, COUNTS, st.integers(1, 3000), st.integers(1, 3000))
def test_a_loss_is_judged_alike_in_both_arms_and_the_more_the_worse(
    before: int, after: int, of_before: int, of_after: int
) -> None:
    before, after = min(before, of_before), min(after, of_after)
    asked = {Arm.BASELINE: of_before, Arm.CANDIDATE: of_after}
    found = MissingValues({Arm.BASELINE: before, Arm.CANDIDATE: after}, asked).are_lopsided
    mirror = dict(zip(Arm, reversed(asked.values()), strict=True))
    mirrored = MissingValues({Arm.BASELINE: after, Arm.CANDIDATE: before}, mirror)
    assert found == mirrored.are_lopsided
    apart = after / of_after - before / of_before
    if before == of_before or after == of_after:
        assert not found  # there is nothing to compare at all
    elif abs(apart) > 0.2 + 1e-6:
        assert found
    if abs(apart) <= 0.05 - 1e-6:
        assert not found
    if found and apart > 0 and after + 1 < of_after:
        assert MissingValues({Arm.BASELINE: before, Arm.CANDIDATE: after + 1}, asked).are_lopsided


def test_a_smaller_loss_counts_where_chance_does_not_explain_it() -> None:
    def is_said(pairs: int, lost: int) -> bool:
        asked = dict.fromkeys(Arm, pairs)
        return MissingValues({Arm.BASELINE: 0, Arm.CANDIDATE: lost}, asked).are_lopsided

    assert is_said(100, 7)
    assert not is_said(100, 6)
    assert not is_said(40, 4)
    assert not is_said(10_000, 100)
