"""Compute samples from readings: one value per metric and trial."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from pipeline.judge.stats.summary import EFFECTIVE, ERROR, QUANTILES, min_values
from pipeline.model.metric import TIMES, Scale, convert
from pipeline.model.results import Cutoff, Reading, ResultSet, Sample, Trial
from pipeline.model.subject import Arm
from pipeline.runs.suite_file import MetricSettings, Suite, Workload

ERROR_SHARES: Final = ("errors_share", "unfinished_share")
"""Readings that a build which is too slow for a load still has."""

_PODS = "pods."
_FEW_TIMEOUTS = 0.02  # share of requests
_SLACK, _SLACK_SHARE = 5.0, 0.01  # answers that may be in flight when one of the two is read

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class TrialValues:
    """Values of one trial, by sample key (`workload/metric`); absent if not reported.

    Attributes:
        values: Values in the unit of the metric.
        denominators: Number of events a proportion is based on.
        cutoffs: What a deadline did to the values that it touched or prevented.
        missing: A sentence for each metric that has no value.
    """

    values: dict[str, float] = field(default_factory=dict)
    denominators: dict[str, float] = field(default_factory=dict)
    cutoffs: dict[str, Cutoff] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def update(self, other: "TrialValues") -> None:
        """Add the values of another workload of the same trial."""
        self.values.update(other.values)
        self.denominators.update(other.denominators)
        self.cutoffs.update(other.cutoffs)
        self.missing.extend(other.missing)

    def drop(self, workload: Workload, keep: Collection[str] = ()) -> None:
        """Remove the values of a workload, except those of the readings `keep`."""
        dropped = {f"{workload.name}/{m.name}" for m in workload.metrics if m.select not in keep}
        for by_key in (self.values, self.denominators, self.cutoffs):
            for key in dropped & by_key.keys():
                del by_key[key]


@dataclass(frozen=True, slots=True)
class MeasuredTrial:
    """One trial, and its values."""

    trial: Trial
    values: TrialValues


def add_pair(results: ResultSet, suite: Suite, trials: Sequence[MeasuredTrial]) -> ResultSet:
    """Return results with one more pair; an invalid pair has no values."""
    is_valid = not any(one.trial.invalid for one in trials)
    samples: dict[Arm, tuple[Sample, ...]] = {}
    for one in trials:
        before = {s.key: s for s in results.samples.get(one.trial.arm, ())}
        values = one.values if is_valid else TrialValues()
        samples[one.trial.arm] = tuple(
            _extend_sample(
                before.get(f"{workload.name}/{metric.name}")
                or Sample(workload.name, metric.metric(), (None,) * results.pairs),
                values,
            )
            for workload in suite.workloads
            for metric in workload.metrics
        )
    all_trials = (*results.trials, *(one.trial for one in trials))
    return replace(results, trials=all_trials, samples=samples)


def _extend_sample(sample: Sample, trial: TrialValues) -> Sample:
    """Return a sample with one more value."""
    pairs = len(sample.values)
    return replace(
        sample,
        values=(*sample.values, trial.values.get(sample.key)),
        denominators=_extend(sample.denominators, trial.denominators.get(sample.key), pairs),
        cutoffs=_extend(sample.cutoffs, trial.cutoffs.get(sample.key), pairs),
    )


def _extend(
    items: tuple[_Item | None, ...], item: _Item | None, pairs: int
) -> tuple[_Item | None, ...]:
    """Return one item more; the tuple stays empty until the first item that is not None."""
    if not items and item is None:
        return ()
    return (*(items or (None,) * pairs), item)


def count_mismatches(readings: Sequence[Reading], arm: Arm) -> list[str]:
    """Return a sentence for each count on which load pods and the server they loaded disagree.

    The server must have counted every answer that a pod received.  It may have counted more, since
    others send requests too, except reads: only the load reads single objects.
    """
    values = {reading.name: reading.value for reading in readings}
    mismatches = []
    for name, pods in values.items():
        what = name.removeprefix(_PODS)
        server = values.get(f"server.{what}")
        if what == name or server is None:
            continue
        slack = _SLACK + _SLACK_SHARE * pods
        if server < pods - slack or (what == "reads" and server > pods + slack):
            mismatches.append(
                f"load pods counted {pods:.0f} {what} of the {arm}, and its server {server:.0f}"
            )
    return mismatches


def lost_answers(readings: Sequence[Reading], arm: Arm) -> list[str]:
    """Return a sentence if requests timed out although the server says it answered them in time.

    A timeout is a measurement, unless the server's own counters show that it answered every request
    quickly.  Then the answers were lost on the way, or k6 had no time to read them.  Only reads of
    single objects are compared, because nobody else sends them.
    """
    values = {reading.name: reading.value for reading in readings}
    sent, given_up = values.get("reads", 0.0), values.get("reads_given_up", 0.0)
    answered, served_s = values.get("server.reads"), values.get("server.answer_time")
    if answered is None or served_s is None or given_up <= _FEW_TIMEOUTS * sent:
        return []
    if answered < sent or served_s > values.get("timed_out", 0.0) / 2:
        return []
    return [
        (
            f"k6 gave up on {given_up:.0f} of {sent:.0f} reads of the {arm}, and its server"
            f" answered all {answered:.0f} of them in time: the answers were lost"
        )
    ]


def absent_metrics(results: ResultSet) -> list[str]:
    """Return the gating metrics of which neither arm has a value in the last pair, by reason.

    A suite may have misspelled them, which is better known now than after all pairs.
    """
    warnings = [text for trial in results.trials[-len(Arm) :] for text in trial.warnings]
    by_reason: dict[str, list[str]] = {}
    for samples in zip(*(results.samples[arm] for arm in Arm), strict=True):
        one = samples[0]
        if not one.metric.gate or any(
            sample.values[-1] is not None or (sample.cutoffs and sample.cutoffs[-1])
            for sample in samples
        ):
            continue
        starts = (f"{one.workload}: {one.metric.name}: ", f"{one.workload}: ")
        texts = (
            text.removeprefix(start)
            for start in starts
            for text in warnings
            if text.startswith(start)
        )
        by_reason.setdefault(next(texts, "no reason is known"), []).append(one.key)
    return [f"{', '.join(keys)} ({reason})" for reason, keys in by_reason.items()]


def trial_values(workload: Workload, readings: Sequence[Reading]) -> TrialValues:
    """Return the value of each metric of a workload, in the metric's unit."""
    by_name = {reading.name: reading for reading in readings}
    cut_off = by_name.get("cut_off")
    has_cutoffs = cut_off is not None and cut_off.value > 0
    trial = TrialValues()
    for metric in workload.metrics:
        key = f"{workload.name}/{metric.name}"
        reading = by_name.get(metric.select)
        per = by_name.get(metric.per) if metric.per else None
        if reading is None or (metric.per and per is None):
            absent = metric.select if reading is None else metric.per
            reason = _withheld_percentile(absent, by_name) or f"nothing reported `{absent}`"
            trial.missing.append(f"{metric.name}: {reason}")
            series = absent.rpartition("/")[0]
            if has_cutoffs and series and "." not in series:  # a time of the driver, not of a probe
                trial.cutoffs[key] = Cutoff.NOTHING_DONE
            continue
        if per is not None and per.value == 0:
            trial.missing.append(f"{metric.name}: `{metric.per}` was 0")
            if has_cutoffs:
                trial.cutoffs[key] = Cutoff.NOTHING_DONE
            continue
        try:
            value = _value(metric, reading, per)
        except ValueError as error:
            trial.missing.append(f"{metric.name}: {error}")
            continue
        if not metric.metric().allows(value):
            shown = metric.metric().in_unit(f"{value:g}")
            trial.missing.append(f"{metric.name}: {shown} is not valid on the {metric.scale} scale")
            continue
        trial.values[key] = value
        if reading.at_least:
            trial.cutoffs[key] = Cutoff.AT_LEAST
        if reading.denominator and not metric.per:
            trial.denominators[key] = reading.denominator
    return trial


def _value(metric: MetricSettings, reading: Reading, per: Reading | None) -> float:
    """Return the value of a metric from its readings, in the metric's unit.

    Raises:
        ValueError: The readings do not have this unit, or the divisor is only a lower bound.
    """
    if per is None:
        return convert(reading.value, reading.unit, metric.unit)
    if per.at_least:
        raise ValueError(f"a deadline cut off `{metric.per}`, by which it is divided")
    if metric.unit == TIMES:
        return reading.value / convert(per.value, per.unit, reading.unit)
    return convert(reading.value, reading.unit, metric.unit) / per.value


def _withheld_percentile(select: str, by_name: Mapping[str, Reading]) -> str | None:
    """Return why a percentile was withheld; None if the reading is another one, or absent."""
    name, _, percentile = select.rpartition("/")
    count, quantile = by_name.get(f"{name}/count"), QUANTILES.get(percentile)
    if count is None or quantile is None:
        return None
    return (
        f"{percentile} of {count.value:.0f} values is withheld: with fewer than"
        f" {min_values(quantile)} it has no confidence interval"
    )


def short_trial_warnings(workload: Workload, readings: Sequence[Reading]) -> list[str]:
    """Return a sentence for each gating metric that has too few requests per trial.

    The variation within a trial is not the error term, which is the variation between launches.
    But if it moves a percentile by more than the margin, more pairs are a costly way to be sure.
    """
    values = {reading.name: reading.value for reading in readings}
    warnings = []
    for metric in workload.metrics:
        value = values.get(metric.select, 0.0)
        error = values.get(f"{metric.select}{ERROR}")
        if error is None or not metric.gate:
            continue
        quantile = QUANTILES[metric.select.rpartition("/")[2]]
        above_floor = value - metric.floor
        allowed = metric.margin * (above_floor if metric.scale is Scale.RATIO else 1.0)
        if quantile > 0.5 and values[f"{metric.select}{EFFECTIVE}"] < min_values(quantile):
            warnings.append(
                f"{metric.name}: its requests are worth fewer than the {min_values(quantile)}"
                " independent ones that it needs: the trial is too short"
            )
        elif error > allowed > 0:
            warnings.append(
                f"{metric.name}: too few requests per trial: chance moves it by more than the"
                " margin, and the trial is too short"
            )
    return warnings
