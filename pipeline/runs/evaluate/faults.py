"""Measure which driver's workloads detect each known fault of `reference`."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pipeline.model.evaluation import FaultDetection
from pipeline.model.report import Report, Verdict
from pipeline.model.request import RunRequest
from pipeline.runs import run, suite_file
from pipeline.runs.suite_file import Suite
from pipeline.storage import codec, toml_file
from pipeline.system import paths
from pipeline.system.errors import LoadError
from pipeline.system.log import log

DETECTION_FILE = "seen.json"

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
"""Size and workload of each fault that drivers should detect.  The sizes are ten times larger where
possible (a load of which 2 % fail is invalid), because the question is what a driver can detect at
all, in few pairs.  Crashes need no driver to be detected; faults of deletion and restart are only
reached by workloads that ClusterLoader2 does not have."""

_OWN = {"k6": ("http_req_duration", "errors_share", "project"), "clusterloader2": ("cl2.",)}
"""Prefixes of the names of a driver's own readings; all others come from probes."""


@dataclass(frozen=True, slots=True)
class FaultTable:
    """Measures the faults by a suite that has each workload once for each driver.

    `text` is the TOML of the suite.  The run of each fault is kept in a folder in `out`.
    """

    suite: Suite
    text: str
    pairs: int
    seed: int
    out: Path
    is_trusted: bool = False

    def rows(self) -> Iterator[FaultDetection]:
        """Yield a row for each fault; a fault with a stored row is not measured again.

        A LoadError becomes part of the row.
        """
        for fault, (size, workload) in FAULTS_TO_DETECT.items():
            path = self.out / fault / DETECTION_FILE
            if not path.exists():
                setting = f"{fault}={size}"
                log.info("fault %s", setting)
                row = self._measure(setting, workload, self.out / fault)
                path.parent.mkdir(parents=True, exist_ok=True)
                codec.FAULT_DETECTION.write(path, row)
            yield codec.FAULT_DETECTION.read(path)

    def _measure(self, setting: str, workload: str, folder: Path) -> FaultDetection:
        """Measure a fault with both drivers; if one cannot apply its load, with each alone."""
        try:
            return self.detection(setting, self._run(setting, workload, None, folder))
        except LoadError as error:
            log.warning("%s: %s", setting, error)
        row = FaultDetection(setting, 0, {}, {})
        for kind in sorted({one.driver.kind for one in self.suite.workloads}):
            alone = folder.with_name(f"{folder.name}-{kind}")
            try:
                found = self.detection(setting, self._run(setting, workload, kind, alone))
            except LoadError as error:
                log.warning("%s, by %s alone: %s", setting, kind, error)
                row = replace(row, failed={**row.failed, kind: str(error)})
                continue
            row = replace(
                row,
                pairs=max(row.pairs, found.pairs),
                red={**row.red, **found.red},
                own={**row.own, **found.own},
            )
        return row

    def _run(self, setting: str, workload: str, kind: str | None, folder: Path) -> Report:
        if (folder / paths.RESULTS).exists():
            return run.resume(folder, is_trusted=self.is_trusted)
        suite = folder.with_suffix(".toml")
        suite.parent.mkdir(parents=True, exist_ok=True)
        codec.write_text(suite, select_workload(self.text, workload, kind))
        suite_file.keep_files(self.suite, suite.parent)
        request = RunRequest(
            suite=str(suite),
            candidate=f"reference?{setting}",
            against="reference",
            pairs=self.pairs,
            seed=self.seed,
            prior="none",
        )
        return run.run(request, folder)

    def detection(self, fault: str, report: Report) -> FaultDetection:
        """Return which gating metrics of which driver are red in a report."""
        red: dict[str, list[str]] = {}
        own: dict[str, list[str]] = {}
        sources = {
            f"{workload.name}/{metric.name}": (workload.driver.kind, metric.select)
            for workload in self.suite.workloads
            for metric in workload.metrics
        }
        for finding in report.findings:
            comparison = finding.comparison
            if finding.verdict is not Verdict.REGRESSED or not comparison.metric.gate:
                continue
            key = f"{comparison.workload}/{comparison.metric.name}"
            kind, select = sources[key]
            red.setdefault(kind, []).append(key)
            if select.startswith(_OWN[kind]):
                own.setdefault(kind, []).append(key)
        pairs = len(report.results.valid_pairs)
        return FaultDetection(fault, pairs, _sorted_names(red), _sorted_names(own))


def select_workload(text: str, name: str, kind: str | None = None) -> str:
    """Return the TOML of a suite with one workload only, for one driver or for all."""
    suite = tomllib.loads(text)
    suite["workload"] = [
        workload
        for workload in suite["workload"]
        if workload["name"].rpartition("-")[0] == name
        and kind in (None, workload["driver"]["kind"])
    ]
    return toml_file.dumps(suite)


def _sorted_names(by_kind: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(sorted(names)) for kind, names in by_kind.items()}
