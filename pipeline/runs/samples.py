"""From readings to samples: one value per metric and trial, and how many pairs there are."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.judge.stats.summary import EFFECTIVE, ERROR, QUANTILES, fewest
from pipeline.model.metric import Scale
from pipeline.model.results import Cutoff, Reading, ResultSet, Sample, Trial
from pipeline.model.subject import Arm
from pipeline.model.units import convert
from pipeline.runs.suite_file import Suite, Workload

_PODS = "pods."
_FEW_TIMEOUTS = 0.02  # share of requests
_SLACK, _SLACK_SHARE = 5.0, 0.01  # answers that may be under way when one of the two is asked


@dataclass(frozen=True, slots=True)
class TrialValues:
    """The values of one trial, by sample key; none where the metric was not reported.

    Attributes:
        values: In the unit of the metric.
        of: Of a share of events, how many there could have been.
        cutoffs: What a deadline did, for each value that it touched or prevented.
        missing: A sentence for each metric that has no value.
    """

    values: dict[str, float] = field(default_factory=dict)
    of: dict[str, float] = field(default_factory=dict)
    cutoffs: dict[str, Cutoff] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, other: "TrialValues") -> None:
        """Add the values of another workload of the same trial."""
        self.values.update(other.values)
        self.of.update(other.of)
        self.cutoffs.update(other.cutoffs)
        self.missing.extend(other.missing)

    def drop(self, workload: str) -> None:
        """Remove the values of a workload that one of the builds failed."""
        for found in (self.values, self.of, self.cutoffs):
            for key in [key for key in found if key.startswith(f"{workload}/")]:
                del found[key]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial and its values.

    Attributes:
        trial: Which it is, and whether it counts.
        found: Its values.
    """

    trial: Trial
    found: TrialValues


def added(results: ResultSet, suite: Suite, outcomes: Sequence[Outcome]) -> ResultSet:
    """Return results with one more pair; the values of an invalid pair are missing."""
    counts = not any(outcome.trial.invalid for outcome in outcomes)
    samples: dict[Arm, tuple[Sample, ...]] = {}
    for outcome in outcomes:
        before = {s.key: s for s in results.samples.get(outcome.trial.arm, ())}
        found = outcome.found if counts else TrialValues()
        samples[outcome.trial.arm] = tuple(
            _longer(
                before.get(key) or Sample(workload.name, metric.metric(), (None,) * results.pairs),
                found,
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


def _longer(sample: Sample, found: TrialValues) -> Sample:
    """Return a sample with one more value."""
    return dataclasses.replace(
        sample,
        values=(*sample.values, found.values.get(sample.key)),
        of=_extended(sample.of, found.of.get(sample.key), len(sample.values)),
        cutoffs=_extended(sample.cutoffs, found.cutoffs.get(sample.key), len(sample.values)),
    )


def unexplained(readings: Sequence[Reading], arm: Arm) -> list[str]:
    """Return why timeouts were not the build's doing, if its own counters say so.

    A request that is given up is a measurement, unless the server says that it answered every
    request, and was quick: then the answers were lost on the way, or k6 had no time to read them.
    Reads of single objects tell, because nothing else sends them: a server that never answered one
    has not counted it.

    Args:
        readings: Of the load and the probes.
        arm: That they are of.
    """
    found = {reading.name: reading.value for reading in readings}
    sent, given_up = found.get("reads", 0.0), found.get("reads_given_up", 0.0)
    answered, served_s = found.get("server.reads"), found.get("server.answer_time")
    if answered is None or served_s is None or given_up <= _FEW_TIMEOUTS * sent:
        return []
    if answered < sent or served_s > found.get("timed_out", 0.0) / 2:
        return []
    return [
        (
            f"k6 gave up on {given_up:.0f} of {sent:.0f} reads of the {arm}, and its server"
            f" answered all {answered:.0f} of them in time: the answers were lost"
        )
    ]


_Item = TypeVar("_Item")


def _extended(
    known: tuple[_Item | None, ...], item: _Item | None, before: int
) -> tuple[_Item | None, ...]:
    """Return one item more; a tuple is empty until the first item that says something."""
    if not known and item is None:
        return ()
    return (*(known or (None,) * before), item)


def values_of(workload: Workload, readings: Sequence[Reading]) -> TrialValues:
    """Return what a trial says of each metric of a workload."""
    by_name = {reading.name: reading for reading in readings}
    found = TrialValues()
    for metric in workload.metrics:
        key = f"{workload.name}/{metric.name}"
        reading = by_name.get(metric.select)
        per = by_name.get(metric.per) if metric.per else None
        if reading is None or (metric.per and per is None):
            absent = metric.select if reading is None else metric.per
            why = refused(absent, by_name) or f"nothing reported `{absent}`"
            found.missing.append(f"{metric.name}: {why}")
            if _was_prevented(absent, by_name):
                found.cutoffs[key] = Cutoff.NOTHING_DONE
            continue
        value = convert(reading.value, reading.unit, metric.unit)
        if per is not None and per.value == 0:
            found.missing.append(f"{metric.name}: `{metric.per}` was 0")
            if _has_cutoffs(by_name):
                found.cutoffs[key] = Cutoff.NOTHING_DONE
            continue
        value = value / per.value if per is not None else value
        if not metric.metric().allows(value):
            found.missing.append(
                f"{metric.name}: {value:g} {metric.unit} is not a {metric.scale}'s value"
            )
            continue
        found.values[key] = value
        if reading.at_least:
            found.cutoffs[key] = Cutoff.AT_LEAST
        if reading.of and not metric.per:
            found.of[key] = reading.of
    return found


def _has_cutoffs(by_name: Mapping[str, Reading]) -> bool:
    """Return whether a deadline cut something off in this workload."""
    cut = by_name.get("cut_off")
    return cut is not None and cut.value > 0


def _was_prevented(absent: str, by_name: Mapping[str, Reading]) -> bool:
    """Return whether a time of the driver is missing because a deadline came first.

    Readings of probes have a component before a dot; a probe that failed is another matter.
    """
    name = absent.rpartition("/")[0]
    return bool(name) and "." not in name and _has_cutoffs(by_name)


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
