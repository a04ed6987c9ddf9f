"""Which findings a report shows first: what changed, what did not, what could not be decided."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.model.report import Finding, Verdict
from pipeline.render import words
from pipeline.render.names import group_of


@dataclass(frozen=True, slots=True)
class Group:
    """Unchanged metrics of one operation or resource of a workload."""

    workload: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Name of the group with its workload, such as `object-crud: create`."""
        return ": ".join(part for part in (self.workload, self.name) if part)


def changed(findings: Iterable[Finding]) -> list[Finding]:
    """Return what regressed, then what improved, worst first."""
    moved = (Verdict.REGRESSED, Verdict.IMPROVED)
    return words.worst_first(f for f in findings if f.verdict in moved)


def inconclusive(findings: Iterable[Finding]) -> list[Finding]:
    """Return what could not be decided: what gates first, and what could be worst first."""
    return sorted(
        (f for f in findings if f.verdict is Verdict.INCONCLUSIVE),
        key=lambda f: (not f.comparison.metric.gate, -words.at_worst_in_tolerances(f)),
    )


def unchanged(findings: Iterable[Finding]) -> list[Group]:
    """Return what did not change, by operation and resource, in the suite's order.

    What is alone in its group comes last in its workload, under `other`.
    """
    found: dict[str, dict[str, list[Finding]]] = {}
    for finding in findings:
        if finding.verdict is Verdict.UNCHANGED:
            groups = found.setdefault(finding.comparison.workload, {})
            groups.setdefault(group_of(finding.comparison), []).append(finding)
    shown = []
    for workload, groups in found.items():
        alone = [members[0] for members in groups.values() if len(members) == 1]
        together = {name: members for name, members in groups.items() if len(members) > 1}
        if alone:
            together["other" if together else ""] = alone
        shown += [Group(workload, name, tuple(members)) for name, members in together.items()]
    return shown
