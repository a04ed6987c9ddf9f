"""`demo`: measure `reference` against itself with a fault of known size."""

from typing import Final

from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.request import RunRequest

SUITE: Final = "demo"
EXTRA_PAIRS: Final = 3
"""Number of pairs with profiles, from which the cause is named."""

METRIC: Final = "object-crud/server_goroutines"
"""Sample key of the metric that the fault makes worse.

Nothing but a leak moves it, so that the fault is caught on a busy machine, too.
"""


def request() -> RunRequest:
    """Return the run of the demo; earlier runs on this machine do not help it."""
    return RunRequest(SUITE, "reference?leak-goroutines=5", "reference", prior="none")


def caught_finding(report: Report) -> Finding | None:
    """Return the finding on the metric of the fault; None unless it regressed."""
    regressed = (f for f in report.gating if f.verdict is Verdict.REGRESSED)
    return next((f for f in regressed if f.comparison.key == METRIC), None)
