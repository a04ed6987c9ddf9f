"""A known fault is caught by the driver whose own workloads turn red for it."""

from pathlib import Path

import pytest

from dev.benchmarks.faults import SIZES
from pipeline.judge import policy
from pipeline.model.evaluation import FaultDetection
from pipeline.model.metric import Metric
from pipeline.model.report import Report
from pipeline.model.request import RunRequest
from pipeline.runs import run as run_module
from pipeline.runs import suite_file
from pipeline.runs.evaluate.faults import FAULTS_TO_DETECT, FaultTable, select_workload
from pipeline.runs.evaluate.launcher import workload_name
from pipeline.runs.evaluate.run import suite_path
from pipeline.storage import codec
from pipeline.system.errors import LoadError
from tests.builders import results

LOADED = suite_file.load(suite_path("drivers"))
SUITE, TEXT = LOADED.suite, LOADED.text
QUIET = (1.0, 1.001, 0.999, 1.0, 1.0)
WORSE = (2.0, 2.002, 1.998, 2.0, 2.0)


def metric(workload: str, name: str) -> Metric:
    found = next(w for w in SUITE.workloads if w.name == workload)
    return next(m.metric() for m in found.metrics if m.name == name)


def faults(out: Path) -> FaultTable:
    return FaultTable(SUITE, TEXT, 3, 1, out)


def test_a_red_metric_belongs_to_the_driver_of_its_workload(tmp_path: Path) -> None:
    latency, mean = (
        metric("object-crud-k6", "get_p50"),
        metric("object-crud-cl2", "get_server_mean"),
    )
    found = results(
        (latency, QUIET, QUIET),
        (mean, QUIET, WORSE),
        workloads={"get_p50": "object-crud-k6", "get_server_mean": "object-crud-cl2"},
    )
    row = faults(tmp_path).detection("cpu=100us", policy.report(found))
    assert row.red == {"clusterloader2": ("object-crud-cl2/get_server_mean",)}
    assert row.own == {}  # a probe read it from the server's text
    assert row.pairs == 5


def test_what_the_driver_itself_read_is_its_own(tmp_path: Path) -> None:
    latency = metric("object-crud-k6", "get_p50")
    found = results((latency, QUIET, WORSE), workloads={"get_p50": "object-crud-k6"})
    row = faults(tmp_path).detection("cpu=100us", policy.report(found))
    assert row.own == {"k6": ("object-crud-k6/get_p50",)}


def test_each_fault_is_looked_for_in_one_workload_by_both_drivers(tmp_path: Path) -> None:
    left_out = {
        "crash-after",  # no driver needs to see it
        *("skip-finalizers", "deletion-lock", "slow-resume"),  # reached by workloads of k6 alone
        *("shared-lock", "blocking-list"),  # likewise
        *("lose-event", "foreign-event", "delay-events", "leak-watchers"),  # of watches alone
    }
    assert set(FAULTS_TO_DETECT) == set(SIZES) - left_out
    for _, workload in FAULTS_TO_DETECT.values():
        path = tmp_path / "suite.toml"
        path.write_text(select_workload(TEXT, workload))
        found = suite_file.load(path).suite.workloads
        assert {workload_name(one) for one in found} == {workload}
        assert {one.driver.kind for one in found} == {"k6", "clusterloader2"}


def test_where_one_driver_cannot_load_the_faulty_build_the_other_does_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(request: RunRequest, _out: Path) -> Report:
        assert request.prior == "none"
        workloads = [w.name for w in suite_file.load(Path(request.suite)).suite.workloads]
        asked.append(workloads)
        if "object-crud-cl2" in workloads:
            raise LoadError("pair 0, object-crud-cl2: it was still running after 460 s")
        latency = metric("object-crud-k6", "get_p50")
        found = results((latency, QUIET, WORSE), workloads={"get_p50": "object-crud-k6"})
        return policy.report(found)

    monkeypatch.setattr(run_module, "run", run)
    for name, (size, _) in FAULTS_TO_DETECT.items():
        if name != "errors":
            (tmp_path / name).mkdir()
            codec.FAULT_DETECTION.write(
                tmp_path / name / "seen.json", FaultDetection(f"{name}={size}", 3, {}, {})
            )
    (row,) = [row for row in faults(tmp_path).rows() if row.fault == "errors=1%"]
    both, *alone = asked
    assert both == ["object-crud-k6", "object-crud-cl2"]
    assert sorted(alone) == [["object-crud-cl2"], ["object-crud-k6"]]
    assert row.red == {"k6": ("object-crud-k6/get_p50",)}
    assert row.failed == {
        "clusterloader2": "pair 0, object-crud-cl2: it was still running after 460 s"
    }


def test_a_fault_that_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    for name, (size, _) in FAULTS_TO_DETECT.items():
        (tmp_path / name).mkdir()
        codec.FAULT_DETECTION.write(
            tmp_path / name / "seen.json", FaultDetection(f"{name}={size}", 3, {}, {})
        )
    rows = list(faults(tmp_path).rows())
    assert [row.fault for row in rows] == [
        f"{name}={size}" for name, (size, _) in FAULTS_TO_DETECT.items()
    ]
