"""From readings to samples: one value per metric and trial, and how many pairs there are."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import MetricSettings, Suite, Workload
from pipeline.model.metric import Scale
from pipeline.model.results import Reading, ResultSet, Sample, Trial
from pipeline.model.subject import Arm
from pipeline.model.units import convert
from pipeline.stats.summary import EFFECTIVE, ERROR, QUANTILES, fewest

_PODS = "pods."
_SLACK, _SLACK_SHARE = 5.0, 0.01  # answers that may be under way when one of the two is asked


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial and its values by sample key; no value where the metric was not reported.

    Attributes:
        trial: Which it is, and whether it counts.
        values: In the unit of the metric.
        of: Of a share of events, how many there could have been.
    """

    trial: Trial
    values: Mapping[str, float]
    of: Mapping[str, float]


def added(results: ResultSet, suite: Suite, outcomes: Sequence[Outcome]) -> ResultSet:
    """Return results with one more pair; the values of an invalid pair are missing."""
    counts = not any(outcome.trial.invalid for outcome in outcomes)
    samples: dict[Arm, tuple[Sample, ...]] = {}
    for outcome in outcomes:
        before = {s.key: s for s in results.samples.get(outcome.trial.arm, ())}
        samples[outcome.trial.arm] = tuple(
            _longer(
                before.get(key) or Sample(workload.name, metric.metric(), (None,) * results.pairs),
                outcome.values.get(key) if counts else None,
                outcome.of.get(key) if counts else None,
            )
            for workload in suite.workloads
            for metric in workload.metrics
            for key in (f"{workload.name}/{metric.name}",)
        )
    trials = (*results.trials, *(outcome.trial for outcome in outcomes))
    return dataclasses.replace(results, trials=trials, samples=samples)


def disagreeing(readings: Sequence[Reading], arm: Arm) -> list[str]:
    """Return where load pods and the server that they loaded do not count the same.

    Every answer that a pod had must be in the server's count, which has those to others too; and
    nobody else reads single objects, so of reads there must not be more either.

    Args:
        readings: Of the load and the probes.
        arm: That they are of.
    """
    found = {reading.name: reading.value for reading in readings}
    said = []
    for name, pods in found.items():
        what = name.removeprefix(_PODS)
        server = found.get(f"server.{what}")
        if what == name or server is None:
            continue
        slack = _SLACK + _SLACK_SHARE * pods
        if server < pods - slack or (what == "reads" and server > pods + slack):
            said.append(
                f"load pods counted {pods:.0f} {what} of the {arm}, and its server {server:.0f}"
            )
    return said


def _longer(sample: Sample, value: float | None, of: float | None) -> Sample:
    """Return a sample with one more value; `of` begins with the first that has any."""
    known = sample.of or (None,) * len(sample.values)
    longer = (*known, of) if sample.of or of is not None else ()
    return dataclasses.replace(sample, values=(*sample.values, value), of=longer)


def values_of(
    workload: Workload, readings: Sequence[Reading]
) -> tuple[dict[str, float], list[str]]:
    """Return the value of each metric by sample key, and a sentence for each that is missing."""
    by_name = {reading.name: reading for reading in readings}
    values: dict[str, float] = {}
    missing: list[str] = []
    for metric in workload.metrics:
        wanted = [name for name in (metric.select, metric.per) if name]
        if absent := [name for name in wanted if name not in by_name]:
            why = refused(absent[0], by_name)
            missing.append(f"{metric.name}: {why or f'nothing reported `{absent[0]}`'}")
            continue
        value = _value(metric, by_name)
        if value is None:
            missing.append(f"{metric.name}: `{metric.per}` was 0")
        elif not metric.metric().allows(value):
            missing.append(
                f"{metric.name}: {value:g} {metric.unit} is not a {metric.scale}'s value"
            )
        else:
            values[f"{workload.name}/{metric.name}"] = value
    return values, missing


def counted(workload: Workload, readings: Sequence[Reading]) -> dict[str, float]:
    """Return, for each metric that is a share of events, how many there could have been."""
    by_name = {reading.name: reading.of for reading in readings}
    return {
        f"{workload.name}/{metric.name}": of
        for metric in workload.metrics
        if not metric.per and (of := by_name.get(metric.select))
    }


def _value(metric: MetricSettings, by_name: Mapping[str, Reading]) -> float | None:
    reading = by_name[metric.select]
    value = convert(reading.value, reading.unit, metric.unit)
    if not metric.per:
        return value
    divisor = by_name[metric.per].value
    return value / divisor if divisor else None


def refused(select: str, by_name: Mapping[str, Reading]) -> str:
    """Return why a percentile is not told; empty where it is another reading, or there is none."""
    name, _, percentile = select.rpartition("/")
    count, quantile = by_name.get(f"{name}/count"), QUANTILES.get(percentile)
    if count is None or quantile is None:
        return ""
    return (
        f"{percentile} of {count.value:.0f} values is refused: with fewer than"
        f" {fewest(quantile)} it has no interval"
    )


def too_short(workload: Workload, readings: Sequence[Reading]) -> list[str]:
    """Return a sentence for each metric that a trial was too short for.

    That is no error term, which is the spread between launches: where chance within a trial moves
    a percentile by more than the margin, more pairs are a costly way to be sure.
    """
    values = {reading.name: reading.value for reading in readings}
    said = []
    for metric in workload.metrics:
        value = values.get(metric.select, 0.0)
        error = values.get(f"{metric.select}{ERROR}")
        if error is None or not metric.gate:
            continue
        quantile = QUANTILES[metric.select.rpartition("/")[2]]
        above_floor = value - metric.floor
        allowed = metric.margin * (above_floor if metric.scale is Scale.RATIO else 1.0)
        if quantile > 0.5 and values[f"{metric.select}{EFFECTIVE}"] < fewest(quantile):
            said.append(
                f"{metric.name}: its values are worth fewer than the {fewest(quantile)} independent"
                " ones that it needs: the trial is too short"
            )
        elif error > allowed > 0:
            said.append(
                f"{metric.name}: chance within the trial moves it by more than the margin: the"
                " trial is too short"
            )
    return said
