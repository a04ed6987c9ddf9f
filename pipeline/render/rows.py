"""Choose and order the findings that a report shows, and format the cells of their rows."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.model.report import Finding, Verdict
from pipeline.model.subject import Arm
from pipeline.render import words
from pipeline.render.answer_line import at_worst_in_tolerances, change_in_margins
from pipeline.render.names import describe_metric, group_name
from pipeline.render.numbers import amount, interval, quantity


@dataclass(frozen=True, slots=True)
class ReportDetail:
    """How much of a report or a publication to show in Markdown."""

    metrics: bool = True
    changed: int = 10
    warnings: int = words.MAX_WARNING_GROUPS
    method: bool = True
    command: bool = True


DETAIL_LEVELS = (
    ReportDetail(),
    ReportDetail(metrics=False),
    ReportDetail(metrics=False, warnings=2, method=False),
    ReportDetail(metrics=False, changed=3, warnings=0, method=False, command=False),
)
"""What is shown of a text that would be too long: its folded parts are left out first."""


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Unchanged metrics of one operation or resource of a workload."""

    workload: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Name of the group with its workload, such as `object-crud: create`."""
        return ": ".join(part for part in (self.workload, self.name) if part)


def cells(finding: Finding) -> dict[str, str]:
    """Return the texts that a row of any format shows of a finding."""
    comparison = finding.comparison
    metric = comparison.metric
    return {
        "verdict": finding.verdict.value,
        "name": words.finding_name(finding),
        "about": describe_metric(metric),
        "baseline": words.arm_mean(finding, Arm.BASELINE),
        "candidate": words.arm_mean(finding, Arm.CANDIDATE),
        "stored": quantity(comparison.stored, metric.unit),
        "change": interval(metric, comparison.change),
        "at_worst": words.at_worst_text(finding),
        "margin": words.margin_and_tolerance(metric),
        "detectable": amount(metric, comparison.detectable_change),
        "kept": words.kept_text(finding),
        "advice": "; ".join(filter(None, (*comparison.warnings, words.advice_text(finding)))),
    }


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by verdict, gating ones first, then by the size of the change."""
    order = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED)
    return sorted(
        findings,
        key=lambda f: (
            order.index(f.verdict),
            not f.comparison.metric.gate,
            -abs(change_in_margins(f.comparison)),
        ),
    )


def changed_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return regressions, then improvements, worst first."""
    moved = (Verdict.REGRESSED, Verdict.IMPROVED)
    return worst_first(f for f in findings if f.verdict in moved)


def inconclusive_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return inconclusive findings: gating ones first, then by the worst possible change."""
    return sorted(
        (f for f in findings if f.verdict is Verdict.INCONCLUSIVE),
        key=lambda f: (not f.comparison.metric.gate, -at_worst_in_tolerances(f)),
    )


def unchanged_groups(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Return unchanged findings by operation and resource, in the suite's order.

    A finding that is alone in its group comes last in its workload, under `other`.
    """
    workloads: dict[str, dict[str, list[Finding]]] = {}
    for finding in findings:
        if finding.verdict is Verdict.UNCHANGED:
            groups = workloads.setdefault(finding.comparison.workload, {})
            groups.setdefault(group_name(finding.comparison), []).append(finding)
    ordered = []
    for workload, groups in workloads.items():
        single = [members[0] for members in groups.values() if len(members) == 1]
        several = {name: members for name, members in groups.items() if len(members) > 1}
        if single:
            several["other" if several else ""] = single
        ordered += [
            FindingGroup(workload, name, tuple(members)) for name, members in several.items()
        ]
    return ordered
