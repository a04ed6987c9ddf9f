"""How much has to be written for a workload: files, lines and words of what a driver is told."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.drivers.clusterloader2.phases import CONFIGS
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.model.evaluation import WorkloadSource
from pipeline.model.ports import DriverSettings
from pipeline.runs.evaluate.launcher import workload_name
from pipeline.runs.suite_file import Suite
from pipeline.system import paths as files

_COMMENTS = ("//", "/*", "*", "#")


def script_sizes(suite: Suite) -> tuple[WorkloadSource, ...]:
    """Return what every workload of a suite is written in."""
    found = []
    for workload in suite.workloads:
        own, shared = _files(workload.driver)
        found.append(
            WorkloadSource(
                workload=workload_name(workload),
                driver=workload.driver.kind,
                files=(len(own), len(shared)),
                lines=(_count(own)[0], _count(shared)[0]),
                words=(_count(own)[1], _count(shared)[1]),
            )
        )
    return tuple(found)


def _files(driver: DriverSettings) -> tuple[list[Path], list[Path]]:
    """Return the files that are only of this workload, and those that it shares with others."""
    tree = driver.tree()
    own = [tree[driver.main]]
    return own, sorted({*tree.values()} - {*own, *_others(driver)})


def _others(driver: DriverSettings) -> set[Path]:
    """Return the configs of other workloads, which this one does not use."""
    if not isinstance(driver, ClusterLoader2):
        return set()
    used = {f"{stage.config}.yaml" for stage in driver.stages}
    return {path for path in files.project_path(CONFIGS).glob("*.yaml") if path.name not in used}


def _count(paths: Iterable[Path]) -> tuple[int, int]:
    """Return the lines that are neither empty nor a comment, and the words in them."""
    lines = [
        line
        for path in paths
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.strip().startswith(_COMMENTS)
    ]
    return len(lines), sum(len(line.split()) for line in lines)
