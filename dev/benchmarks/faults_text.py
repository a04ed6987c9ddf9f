"""The table of faults as text, from what was put in and what was seen.  Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dev.benchmarks.runs import Run, key
from pipeline.model.metric import Scale
from pipeline.model.report import Verdict
from pipeline.storage.verdict_file import FindingBody

_COLUMNS = ("fault", "red metrics", "other red metrics", "outcome")
_HEAD = """\
# Faults

Does a suite find a [fault](../go/reference/README.md#faults) of known size in `reference`, and
nothing in equal builds? The sizes were chosen before anything was measured.

{measured}

Repeat: `{command}`; one row: add `--only FAULT`.

*Caught*: the verdict is `regressed`, and an expected metric is red. *Shown*: it does not gate.
*Error N*: the run failed with [exit code N](exit-codes.md).
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A worsening of known size, or none.

    Attributes:
        name: Name of a fault of `reference`, or a word for equal builds.
        size: Chosen before it was measured; empty for nothing changed.
        expected: Patterns of WORKLOAD/METRIC; at least one metric of these is to be red.
        in_both: Whether the baseline has it too, so that both builds are equal.
    """

    name: str
    size: str
    expected: tuple[str, ...]
    in_both: bool = False

    @property
    def candidate(self) -> str:
        """The spec of the build that has it."""
        return f"reference?{self.name}={self.size}" if self.size else "reference"

    @property
    def baseline(self) -> str:
        """The spec of the build that it is compared with."""
        return self.candidate if self.in_both else "reference"

    @property
    def is_equal(self) -> bool:
        """Whether both builds are the same."""
        return self.candidate == self.baseline

    def expects(self, metric: FindingBody) -> bool:
        """Return True if a metric is expected to be red."""
        return any(fnmatchcase(key(metric), pattern) for pattern in self.expected)


@dataclass(frozen=True, slots=True)
class Row:
    """What was put in, and the run that was to see it."""

    fault: Fault
    run: Run

    @property
    def red(self) -> list[FindingBody]:
        """The red metrics that were expected to be."""
        return [metric for metric in self.run.red if self.fault.expects(metric)]

    @property
    def others(self) -> list[FindingBody]:
        """The red metrics that were not expected to be."""
        return [metric for metric in self.run.red if not self.fault.expects(metric)]

    @property
    def outcome(self) -> str:
        """What the run was worth, in a word or two."""
        verdict = self.run.verdict
        if verdict is None:
            return self.run.answer
        red = verdict.verdict is Verdict.REGRESSED
        if self.fault.is_equal:
            return "false alarm" if red else "quiet"
        return "caught" if red and self.red else "missed"


def line(row: Row) -> str:
    """Return a row in one line of a terminal."""
    said = f"{row.outcome}, {_time(row.run.seconds)}"
    if row.run.verdict is None:
        return said
    return f"{said}, {row.run.answer}, red: {_metrics(row.run.red) or 'nothing'}"


def document(rows: Sequence[Row], command: str) -> str:
    """Return the whole document.

    Args:
        rows: In the order shown; at least one.
        command: What makes it again.
    """
    faults = [row for row in rows if not row.fault.is_equal]
    equal = [row for row in rows if row.fault.is_equal]
    parts = [_HEAD.format(measured=_provenance(rows), command=command)]
    if faults:
        parts.append(f"## Made worse\n\n{_count(faults)}\n\n{_table(faults)}\n")
    if equal:
        parts.append(f"## Nothing changed\n\n{_count(equal)}\n\n{_table(equal)}\n")
    return "\n".join(parts)


def _provenance(rows: Sequence[Row]) -> str:
    """Return when, where and of what, each as often as it differed."""
    verdicts = [row.run.verdict for row in rows if row.run.verdict]
    days = sorted({f"{verdict.taken_at:%Y-%m-%d}" for verdict in verdicts})
    machines = _distinct(_machine(row.run.machine) for row in rows if row.run.machine)
    commits = _distinct(f"`{row.run.commit}`" for row in rows if row.run.commit)
    suites = _distinct(f"{one.suite}, {one.pairs_valid} pairs" for one in verdicts)
    when = f"on {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    what = f"commit {commits}" if commits else ""
    return f"Measured {'; '.join(part for part in (when, machines, suites, what) if part)}."


def _machine(facts: dict[str, str]) -> str:
    """Return the facts of a machine, the processor first and its cores in words."""
    named = {"cpu": "{}", "logical cpus": "{} cores", "memory": "{}"}
    rest = {name: f"{name} {{}}" for name in facts if name not in named}
    shown = {**named, **rest}
    return ", ".join(shown[name].format(facts[name]) for name in shown if name in facts)


def _distinct(texts: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(texts))


def _count(rows: Sequence[Row]) -> str:
    outcomes = Counter(row.outcome for row in rows)
    count = ", ".join(f"{count} {what}" for what, count in outcomes.items())
    seconds = [row.run.seconds for row in rows if row.run.seconds is not None]
    ends = dict.fromkeys(map(_time, (min(seconds), max(seconds)))) if seconds else ()
    took = f" A run took {' to '.join(ends)}." if ends else ""
    return f"Of {len(rows)}: {count}.{took}"


def _table(rows: Sequence[Row]) -> str:
    """Return a table in which equal rows share a line."""
    counts = Counter(map(_cells, rows))
    lines = [f"| {' | '.join(_COLUMNS)} |", "|:--" * len(_COLUMNS) + "|"]
    for (fault, *rest), count in counts.items():
        name = f"{fault}, {count} runs" if count > 1 else fault
        lines.append(f"| {' | '.join((name, *rest))} |")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.run.verdict is None:
        return (_fault(row.fault), "", "", row.outcome)
    others = _metrics(row.others) or "none"
    return (_fault(row.fault), _metrics(row.red), others, f"{row.run.answer}, {row.outcome}")


def _fault(fault: Fault) -> str:
    if not fault.size:
        return fault.name
    return f"`{fault.name}={fault.size}`{' in both' if fault.in_both else ''}"


def _metrics(metrics: Iterable[FindingBody]) -> str:
    return ", ".join(
        f"{key(metric)}{_change(metric)}{'' if metric.gate else ' (shown)'}" for metric in metrics
    )


def _change(metric: FindingBody) -> str:
    match metric.change, metric.scale:
        case None, _:
            return ""
        case change, Scale.RATIO:
            return f" {100 * change:+.3g} %"
        case change, Scale.DIFFERENCE:
            return f" {change:+.3g}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
