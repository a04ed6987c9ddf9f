"""Loads on one launch count as one trial, however often the load was repeated.

A launch is the unit of statistics (docs/decisions/0001-the-trial-is-the-unit.md).  `load` may
measure a deployment several times without a new launch; of these loads, each workload's first valid
one counts.  A load of one driver and a load of the other together are one whole trial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.model.results import ResultSet, Trial
from pipeline.model.subject import Arm


def by_launch(results: ResultSet) -> ResultSet:
    """Return results with one pair for each launch; unchanged if no launch had several loads."""
    trials = {(trial.pair, trial.arm): trial for trial in results.trials}
    groups: dict[tuple[str, int], list[int]] = {}
    for trial in results.trials[:: len(Arm)]:
        key = ("pair", trial.pair) if trial.launch is None else ("launch", trial.launch)
        groups.setdefault(key, []).append(trial.pair)
    if all(len(pairs) == 1 for pairs in groups.values()):
        return results
    merged = list(groups.values())
    sources = [_sources(results, pairs) for pairs in merged]
    return replace(
        results,
        trials=tuple(
            _merged_trial([trials[pair, arm] for pair in pairs], number, sources[number])
            for number, pairs in enumerate(merged)
            for arm in _order(results, pairs[0])
        ),
        samples={
            arm: tuple(
                sample.of_pairs([one.get(sample.workload) for one in sources]) for sample in samples
            )
            for arm, samples in results.samples.items()
        },
    )


def counted_pairs(results: ResultSet) -> int:
    """Return the number of valid pairs that count, each with a launch of its own."""
    return len(by_launch(results).valid_pairs)


def _order(results: ResultSet, pair: int) -> list[Arm]:
    return [trial.arm for trial in results.trials if trial.pair == pair]


def _workloads(results: ResultSet) -> dict[str, None]:
    names = [sample.workload for samples in results.samples.values() for sample in samples]
    return dict.fromkeys(names)


def _sources(results: ResultSet, pairs: Sequence[int]) -> dict[str, int]:
    """Return the pair of a launch whose values count, by workload."""
    found = {}
    for workload in _workloads(results):
        ran = [pair for pair in results.pairs_of(workload) if pair in pairs]
        if ran:
            found[workload] = ran[0]
    return found


def _merged_trial(trials: Sequence[Trial], number: int, sources: Mapping[str, int]) -> Trial:
    """Return one trial for the loads on one launch of one arm."""
    valid = [trial for trial in trials if not trial.invalid]
    counted = [trial for trial in valid if trial.pair in sources.values()] or valid[:1]
    kept = counted or trials[-1:]
    absent = [set(trial.left_out) for trial in valid or trials]
    repeated = len(valid) - len(counted)
    note = (
        f"{len(trials)} loads were applied to one launch, which is one trial: of each workload the"
        " first counts"
    )
    return replace(
        kept[0],
        pair=number,
        duration_s=sum(trial.duration_s for trial in trials),
        invalid=() if counted else kept[0].invalid,
        warnings=(
            *(warning for trial in kept for warning in trial.warnings),
            *([note] if repeated else []),
        ),
        failures=tuple(failure for trial in valid for failure in trial.failures),
        left_out=tuple(name for name in kept[0].left_out if all(name in one for one in absent)),
    )
