"""What a reader should take care of: a few sentences, each with what to do about it.

All warnings are in verdict.json and results.json.  Here they are told together by what they are
about, so that the ones that matter are read.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.model.report import Finding, Report, WarningKind
from pipeline.render import words

MOST = 5
"""Largest number of cautions in a report; each is one kind of warning."""

_SENTENCES = 3  # of one kind
_DO = {
    WarningKind.FAILURES: "Read the logs of the build in the folder of the pair",
    WarningKind.LOAD: "Repeat on a machine with less other work, or with less load",
    WarningKind.METRICS: (
        "Where values are missing nothing is decided: find out why, or do not gate on it"
    ),
    WarningKind.BUILDS: "Build both from committed source with the same toolchain",
    WarningKind.TRIALS: (
        "A longer or heavier load makes metrics steadier; results.json names each trial"
    ),
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
    """Return the warnings of a report by kind, the gravest first."""
    texts: dict[WarningKind, list[str]] = {kind: [] for kind in WarningKind}
    for warning in report.warnings:
        texts[warning.kind].append(warning.text)
    texts[WarningKind.METRICS] += of_metrics(report.findings)
    return [
        Caution(tuple(own[:_SENTENCES]), max(0, len(own) - _SENTENCES), _DO.get(kind, ""))
        for kind, own in texts.items()
        if own
    ][:MOST]


def of_metrics(findings: Iterable[Finding]) -> list[str]:
    """Return what is to be known of single metrics, each sentence once with all its metrics."""
    return [f"{where}: {sentence}" for sentence, where in words.notes(findings)]
