"""Known faults of `reference`, and which driver's workloads turn red for each of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline import codec, stages
from pipeline.config import Suite
from pipeline.errors import LoadError
from pipeline.log import log
from pipeline.model.evaluation import Seen
from pipeline.model.report import Report, Verdict
from pipeline.wish import Wish

SIZES: Mapping[str, str] = MappingProxyType(
    {
        "slow-create": "500us",
        "slow-list": "600us",
        "cpu": "100us",
        "leak-memory": "16KiB",
        "leak-project-goroutines": "1",
        "leak-files": "1",
        "orphans": "1",
        "errors": "0.5%",
        "slow-ready": "50ms",
        "never-ready": "10%",
        "project-lock": "20ms",
        "slow-gc": "100ms",
    }
)
"""Chosen before anything was measured: what a reviewer would want to hear of.  A latency a tenth
to a sixth longer, a twentieth more CPU, one key or goroutine or file for each Project."""

WORKLOADS = ("object-crud", "project-lifecycle", "garbage-collection")
"""In which the faults are looked for: one of objects, one of Projects, one of their end.  The
others would double the time of a table that takes most of an hour."""

_OWN = {"k6": ("http_req_duration", "errors_share", "project"), "clusterloader2": ("cl2.",)}
"""With what the names of a driver's own readings begin; all others are of probes."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Where the rows are measured.

    Attributes:
        suite: Each workload once for each driver.
        text: Of the suite, as TOML.
        pairs: Of each row.
        seed: Of every random choice.
        out: Existing folder; each row gets a folder in it, and keeps it.
    """

    suite: Suite
    text: str
    pairs: int
    seed: int
    out: Path

    def rows(self) -> Iterator[Seen]:
        """Yield a row for each fault; one that was measured is not measured again.

        Raises:
            PipelineError: Of every kind but a load that could not be applied: that is a row.
        """
        for fault, size in SIZES.items():
            candidate = f"reference?{fault}={size}"
            folder = self.out / fault
            kept = folder / "seen.json"
            if not kept.exists():
                log.info("fault %s", candidate)
                self._measure(candidate, fault, folder, kept)
            yield codec.read_seen(kept)

    def _measure(self, candidate: str, fault: str, folder: Path, kept: Path) -> None:
        results = folder / stages.RESULTS
        suite = self.out / "suite.toml"
        self.out.mkdir(parents=True, exist_ok=True)
        codec.write_text(suite, only(self.text, WORKLOADS))
        try:
            if results.exists():
                report = stages.resume(folder)
            else:
                wish = Wish(str(suite), candidate, "reference", pairs=self.pairs, seed=self.seed)
                report = stages.run(wish, folder)
            row = self.seen(f"{fault}={SIZES[fault]}", report)
        except LoadError as error:
            log.warning("%s: %s", candidate, error)
            row = Seen(f"{fault}={SIZES[fault]}", 0, {}, {})
        codec.write_seen(kept, row)

    def seen(self, fault: str, report: Report) -> Seen:
        """Return which gating metrics of which driver are red in a report."""
        red: dict[str, list[str]] = {}
        own: dict[str, list[str]] = {}
        selects = {
            f"{workload.name}/{metric.name}": (workload.driver.kind, metric.select)
            for workload in self.suite.workloads
            for metric in workload.metrics
        }
        for finding in report.findings:
            found = finding.comparison
            if finding.verdict is not Verdict.REGRESSED or not found.metric.gate:
                continue
            key = f"{found.workload}/{found.metric.name}"
            kind, select = selects[key]
            red.setdefault(kind, []).append(key)
            if select.startswith(_OWN[kind]):
                own.setdefault(kind, []).append(key)
        pairs = len(report.results.valid_pairs)
        return Seen(fault, pairs, _frozen(red), _frozen(own))


def only(text: str, names: Sequence[str]) -> str:
    """Return the TOML of a suite with only the workloads of some names, by every driver."""
    head, *tables = re.split(r"(?m)^(?=\[\[workload\]\])", text)
    named = [(table, re.search(r'(?m)^name = "(.+)-\w+"', table)) for table in tables]
    return head + "".join(table for table, found in named if found and found[1] in names)


def _frozen(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(sorted(names)) for kind, names in found.items()}
