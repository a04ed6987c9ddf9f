"""Count the files, lines and words that a workload is written in, for each driver."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.drivers.clusterloader2.phases import CONFIGS
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.model.evaluation import WorkloadSource
from pipeline.model.ports import DriverSettings
from pipeline.runs.evaluate.launcher import workload_name
from pipeline.runs.suite_file import Suite
from pipeline.system import paths

_COMMENTS = ("//", "/*", "*", "#")


def workload_sources(suite: Suite) -> tuple[WorkloadSource, ...]:
    """Return the size of the source of every workload of a suite."""
    sources = []
    for workload in suite.workloads:
        own, shared = _files(workload.driver)
        (own_lines, own_words), (shared_lines, shared_words) = _count(own), _count(shared)
        sources.append(
            WorkloadSource(
                workload=workload_name(workload),
                driver=workload.driver.kind,
                files=(len(own), len(shared)),
                lines=(own_lines, shared_lines),
                words=(own_words, shared_words),
            )
        )
    return tuple(sources)


def _files(driver: DriverSettings) -> tuple[list[Path], list[Path]]:
    """Return the files of one workload only, and those that it shares with others."""
    tree = driver.tree()
    own = tree[driver.main]
    shared = {*tree.values()} - {own}
    if isinstance(driver, ClusterLoader2):  # its tree has the configs of other workloads, too
        used = {f"{stage.config}.yaml" for stage in driver.stages}
        configs = paths.project_path(CONFIGS).glob("*.yaml")
        shared -= {path for path in configs if path.name not in used}
    return [own], sorted(shared)


def _count(files: Iterable[Path]) -> tuple[int, int]:
    """Return the number of lines that are neither empty nor a comment, and of their words."""
    lines = [
        line
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.strip().startswith(_COMMENTS)
    ]
    return len(lines), sum(len(line.split()) for line in lines)
