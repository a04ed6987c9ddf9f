"""Known faults of `reference`, and which driver's workloads turn red for each of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pipeline.model.evaluation import FaultDetection
from pipeline.model.report import Report, Verdict
from pipeline.model.request import RunRequest
from pipeline.runs import run, suite_file
from pipeline.runs.suite_file import Suite
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import LoadError
from pipeline.system.log import log

DETECTION_FILE = "seen.json"

SIZES: Mapping[str, str] = MappingProxyType(
    {
        "slow-create": "500us",
        "slow-list": "600us",
        "slow-tail": "5%:20ms",
        "cpu": "100us",
        "leak-memory": "16KiB",
        "leak-project-goroutines": "1",
        "leak-files": "1",
        "orphans": "1",
        "errors": "0.5%",
        "hang": "1%",
        "slow-ready": "50ms",
        "never-ready": "10%",
        "project-lock": "20ms",
        "slow-gc": "100ms",
        "stuck-gc": "50%",
        "crash-after": "20s",
    }
)
"""Sizes that were chosen before anything was measured: what a reviewer wants to hear of.  A latency
a tenth to a sixth longer, a twentieth more CPU, one key or goroutine or file for each Project, one
request in a hundred that is never answered."""

LARGE_SIZES: Mapping[str, str] = MappingProxyType(
    {"slow-create": "5s", "slow-list": "5s", "errors": "20%", "slow-gc": "120s"}
)
"""Sizes with which a build hardly works.  That is a result too, and never an error of ours."""

FAULTS_TO_DETECT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "slow-create": ("5ms", "object-crud"),
        "slow-list": ("6ms", "object-crud"),
        "slow-tail": ("10%:200ms", "object-crud"),
        "cpu": ("1ms", "object-crud"),
        "leak-memory": ("160KiB", "object-crud"),
        "leak-project-goroutines": ("10", "project-lifecycle"),
        "leak-files": ("10", "project-lifecycle"),
        "orphans": ("1", "garbage-collection"),
        "errors": ("1%", "object-crud"),
        "hang": ("1%", "object-crud"),
        "slow-ready": ("500ms", "project-lifecycle"),
        "never-ready": ("25%", "project-lifecycle"),
        "project-lock": ("200ms", "project-lifecycle"),
        "slow-gc": ("1s", "garbage-collection"),
        "stuck-gc": ("50%", "garbage-collection"),
    }
)
"""Ten times as large, where that can be (a load of which 2 % fail does not count), and the workload
that is about it.  The question here is what a driver can see at all, in few pairs; how small a
fault a suite sees is another table.  No driver is needed to see a crash."""

_OWN = {"k6": ("http_req_duration", "errors_share", "project"), "clusterloader2": ("cl2.",)}
"""With what the names of a driver's own readings begin; all others are of probes."""


@dataclass(frozen=True, slots=True)
class FaultTable:
    """Where the rows are measured.

    Attributes:
        suite: Each workload once for each driver.
        text: Of the suite, as TOML.
        pairs: Of each row.
        seed: Of every random choice.
        out: Existing folder; each row gets a folder in it, and keeps it.
        is_trusted: Whether a row that was not begun here may be gone on with.
    """

    suite: Suite
    text: str
    pairs: int
    seed: int
    out: Path
    is_trusted: bool = False

    def rows(self) -> Iterator[FaultDetection]:
        """Yield a row for each fault; one that was measured is not measured again.

        Raises:
            PipelineError: Of every kind but a load that could not be applied: that is a row.
        """
        for fault, (size, workload) in FAULTS_TO_DETECT.items():
            candidate = f"reference?{fault}={size}"
            folder = self.out / fault
            kept = folder / DETECTION_FILE
            if not kept.exists():
                log.info("fault %s", candidate)
                self._measure(candidate, fault, workload, folder)
            yield codec.SEEN.read(kept)

    def _measure(self, candidate: str, fault: str, workload: str, folder: Path) -> None:
        """Measure a fault with both drivers, or with one where the other cannot apply its load."""
        self.out.mkdir(parents=True, exist_ok=True)
        name = candidate.partition("?")[2]
        try:
            row = self.seen(
                name, self._report(candidate, select_workload(self.text, workload), folder)
            )
        except LoadError as error:
            log.warning("%s: %s", candidate, error)
            failed = [w.driver.kind for w in self.suite.workloads if f" {w.name}: " in f"{error}"]
            row = FaultDetection(name, 0, {}, {}, {kind: str(error) for kind in failed})
            for kind in {w.driver.kind for w in self.suite.workloads if failed} - set(failed):
                row = self._alone(candidate, row, workload, kind)
        folder.mkdir(exist_ok=True)
        codec.SEEN.write(folder / DETECTION_FILE, row)

    def _alone(
        self, candidate: str, row: FaultDetection, workload: str, kind: str
    ) -> FaultDetection:
        """Return a row with what one driver alone sees of the fault."""
        folder = self.out / f"{row.fault.partition('=')[0]}-{kind}"
        try:
            report = self._report(candidate, select_workload(self.text, workload, kind), folder)
        except LoadError as error:
            log.warning("%s, by %s alone: %s", candidate, kind, error)
            return replace(row, failed={**row.failed, kind: str(error)})
        return replace(self.seen(row.fault, report), failed=row.failed)

    def _report(self, candidate: str, text: str, folder: Path) -> Report:
        if (folder / paths.RESULTS).exists():
            return run.resume(folder, is_trusted=self.is_trusted)
        suite = folder.with_suffix(".toml")
        codec.write_text(suite, text)
        suite_file.keep_files(self.suite, suite.parent)
        request = RunRequest(
            str(suite), candidate, "reference", pairs=self.pairs, seed=self.seed, prior="none"
        )
        return run.run(request, folder)

    def seen(self, fault: str, report: Report) -> FaultDetection:
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
        return FaultDetection(fault, pairs, _frozen(red), _frozen(own))


def select_workload(text: str, name: str, kind: str = "") -> str:
    """Return the TOML of a suite with only the workload of a name, by every driver or by one."""
    head, *tables = re.split(r"(?m)^(?=\[\[workload\]\])", text)
    named = [(table, re.search(r'(?m)^name = "(.+)-\w+"', table)) for table in tables]
    driver = re.compile(rf'(?m)^kind = "{kind or ".*"}"')
    return head + "".join(
        table for table, found in named if found and found[1] == name and driver.search(table)
    )


def _frozen(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(sorted(names)) for kind, names in found.items()}
