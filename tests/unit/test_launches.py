"""Loads on one launch are one trial, however often a deployment is loaded."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.judge.launches import by_launch, counted_pairs
from pipeline.model.results import ResultSet
from tests.builders import LATENCY, results

OTHER = replace(LATENCY, name="ready_p50")


def loaded(
    launches: Sequence[int | None],
    before: Sequence[float],
    after: Sequence[float],
    invalid: Sequence[int] = (),
) -> ResultSet:
    """Return results with the launch of each pair."""
    run = results(
        (
            LATENCY,
            [None if pair in invalid else value for pair, value in enumerate(before)],
            [None if pair in invalid else value for pair, value in enumerate(after)],
        ),
        invalid=dict.fromkeys(invalid, "k6 was late"),
        pairs_asked=9,
    )
    return replace(run, trials=tuple(replace(one, launch=launches[one.pair]) for one in run.trials))


def test_of_loads_on_one_launch_the_first_counts_and_the_report_says_so() -> None:
    run = loaded([0, 0, 1, 0, 2], [1, 9, 2, 9, 3], [1, 9, 2, 9, 3])
    merged = by_launch(run)

    assert [sample.values for one in merged.samples.values() for sample in one] == [(1, 2, 3)] * 2
    assert counted_pairs(run) == len(merged.valid_pairs) == 3
    warnings = [warning.text for warning in policy.report(run).warnings]
    assert any("3 loads were applied to one launch" in text for text in warnings)


def test_an_invalid_load_does_not_count_and_the_next_one_on_its_launch_does() -> None:
    merged = by_launch(loaded([0, 0], [9, 1], [9, 2], invalid=[0]))

    assert merged.valid_pairs == (0,)
    assert [sample.values for one in merged.samples.values() for sample in one] == [(1,), (2,)]


def test_a_launch_whose_loads_are_all_invalid_is_an_invalid_pair() -> None:
    merged = by_launch(loaded([0, 0, 1], [9, 9, 1], [9, 9, 1], invalid=[0, 1]))

    assert (merged.pairs, merged.valid_pairs) == (2, (1,))


def test_a_load_of_each_driver_on_one_launch_is_one_whole_trial() -> None:
    run = results(
        (LATENCY, [1.0, None], [2.0, None]),
        (OTHER, [None, 3.0], [None, 4.0]),
        workloads={"ready_p50": "churn"},
        pairs_asked=2,
    )
    absent = {0: ("churn",), 1: ("object-crud",)}
    trials = [replace(one, launch=0, left_out=absent[one.pair]) for one in run.trials]
    merged = by_launch(replace(run, trials=tuple(trials)))

    values = {
        (arm, sample.key): sample.values for arm, one in merged.samples.items() for sample in one
    }
    assert sorted(values.values()) == [(1.0,), (2.0,), (3.0,), (4.0,)]
    assert [trial.left_out for trial in merged.trials] == [(), ()]
    assert not any(trial.warnings for trial in merged.trials)


@given(launches=st.lists(st.integers(0, 3), min_size=1, max_size=9), data=st.data())
def test_repeated_loads_change_no_verdict(launches: list[int], data: st.DataObject) -> None:
    values = st.lists(st.floats(0.5, 2), min_size=len(launches), max_size=len(launches))
    run = loaded(launches, data.draw(values), data.draw(values))
    firsts = sorted({launch: launches.index(launch) for launch in launches}.values())
    before, after = (
        [samples[0].values[pair] or 0.0 for pair in firsts] for samples in run.samples.values()
    )
    once = loaded([launches[pair] for pair in firsts], before, after)
    found, expected = policy.report(run), policy.report(once)

    assert [f.verdict for f in found.findings] == [f.verdict for f in expected.findings]
    assert [f.comparison.change for f in found.findings] == [
        f.comparison.change for f in expected.findings
    ]


def test_results_of_a_run_are_the_same_object() -> None:
    run = loaded([None] * 3, [1, 2, 3], [1, 2, 3])
    assert by_launch(run) is run
    deployed = loaded([0, 1, 2], [1, 2, 3], [1, 2, 3])
    assert by_launch(deployed) is deployed
