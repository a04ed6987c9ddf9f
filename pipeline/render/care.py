"""What a reader should take care of: a few sentences, each with what to do about it.

All warnings are in verdict.json and results.json.  Here they are told together by what they are
about, so that the ones that matter are read.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.judge.policy import is_settled
from pipeline.judge.run_warnings import Kind, doubts_by_kind
from pipeline.model.report import Finding, Report
from pipeline.render import words

MOST = 5
"""Cautions in a report, at most: one for each kind of doubt."""

_SENTENCES = 3  # of one kind
_DO = {
    Kind.FAILURES: "Read the logs of the build in the folder of the pair",
    Kind.LOAD: "Repeat on a machine with less other work, or with less load",
    Kind.METRICS: "Where values are missing nothing is decided: find out why, or do not gate on it",
    Kind.BUILDS: "Build both from committed source with the same toolchain",
    Kind.TRIALS: "A longer or heavier load makes metrics steadier; results.json names each trial",
}


@dataclass(frozen=True, slots=True)
class Caution:
    """Warnings of one kind.

    Attributes:
        said: What there is to know, one sentence each.
        more: Number of further warnings of this kind.
        do: What to do about them; empty where they say it themselves.
    """

    said: tuple[str, ...]
    more: int
    do: str

    def __str__(self) -> str:
        """Return it as one paragraph."""
        more = f"; and {self.more} more, see verdict.json" if self.more else ""
        do = f". {self.do}." if self.do else ""
        return f"{'; '.join(self.said)}{more}{do}"


def cautions(report: Report) -> list[Caution]:
    """Return what to take care of in a report, at most one of each kind, the gravest first."""
    settled = is_settled(report.findings)
    found = doubts_by_kind(report.results, report.findings, is_settled=settled)
    kind_of = {one.said: one.kind for one in found}
    by_kind: dict[Kind | None, list[str]] = {kind: [] for kind in (None, *Kind)}
    for warning in report.warnings:
        by_kind[kind_of.get(warning)].append(warning)
    by_kind[Kind.METRICS] += of_metrics(report.findings)
    return [
        Caution(tuple(said[:_SENTENCES]), max(0, len(said) - _SENTENCES), _DO[kind] if kind else "")
        for kind, said in by_kind.items()
        if said
    ][:MOST]


def of_metrics(findings: Iterable[Finding]) -> list[str]:
    """Return what is to be known of single metrics, each sentence once with all its metrics."""
    return [f"{where}: {sentence}" for sentence, where in words.notes(findings)]
