"""The suite `full`: both drivers on one launch, and each workload by one of them."""

import pytest

from pipeline.model.subject import Product
from pipeline.runs import suite_file
from pipeline.runs.suite_file import Workload

FULL = suite_file.load(suite_file.path_of("full")).suite
ORIGINS = {
    "object-crud": "pr",
    "project-burst": "pr",
    "garbage-collection": "gc",
    "late-finalizers": "gc",
    "create-while-deleting": "gc",
}
"""Workloads that another suite has too."""


def workload_of(suite: str, name: str) -> Workload:
    """Return a workload of a suite that is shipped."""
    workloads = suite_file.load(suite_file.path_of(suite)).suite.workloads
    return next(one for one in workloads if one.name == name)


@pytest.mark.parametrize(("name", "suite"), ORIGINS.items())
def test_what_another_suite_has_too_is_the_same_in_full(name: str, suite: str) -> None:
    assert workload_of("full", name) == workload_of(suite, name)


def test_full_has_what_the_evaluation_gives_to_clusterloader2_and_k6_has_the_rest() -> None:
    drivers = {workload.name: workload.driver.kind for workload in FULL.workloads}

    assert drivers == {
        **dict.fromkeys(ORIGINS, "k6"),
        "churn": "clusterloader2",
        "project-lifecycle": "clusterloader2",
    }


@pytest.mark.parametrize("product", Product)
def test_both_drivers_have_metrics_that_gate_in_full(product: Product) -> None:
    workloads = FULL.of(product).workloads
    gating = {one.driver.kind for one in workloads if any(metric.gate for metric in one.metrics)}

    assert gating == {"k6", "clusterloader2"}


def test_full_needs_clusterloader2_but_no_prometheus() -> None:
    assert "clusterloader2" in FULL.needs
    assert "prometheus" not in FULL.needs
