"""The change of a metric over several releases, from the changes of the steps between them."""

import math
from collections.abc import Sequence

from pipeline.judge import scale
from pipeline.judge.compare import change_of
from pipeline.judge.stats.student import Estimate, EstimateBound, sum_of_estimates
from pipeline.model.metric import Better, Metric
from pipeline.model.releases import StepChange
from pipeline.model.report import Bound, Change


def cumulative_change(
    metric: Metric, steps: Sequence[StepChange | None], confidence: float
) -> Change | None:
    """Return the change from the first release to the last: the product of the steps' ratios.

    Logarithms of ratios add, and so do their variances, because each step is a run of its own.  On
    the difference scale the amounts themselves add.

    Args:
        metric: Metric of all steps.
        steps: Change of each step, in order, each from the release where the one before ended.
        confidence: Two-sided confidence level of the interval.

    Returns:
        None without steps, if a step has no interval, or if deadlines hide in which direction the
        total differs from what was measured.
    """
    estimates = []
    for step in steps:
        if step is None or step.change is None or step.standard_error is None:
            return None
        degrees_of_freedom = step.degrees_of_freedom
        estimates.append(
            Estimate(
                scale.worse(metric, step.change.estimate),
                step.standard_error,
                math.inf if degrees_of_freedom is None else degrees_of_freedom,
                bound=_bound(metric, step.change.bound),
            )
        )
    total = sum_of_estimates(estimates) if estimates else None
    return None if total is None else change_of(metric, total, confidence)


def _bound(metric: Metric, bound: Bound) -> EstimateBound | None:
    """Return the side on which a change bounds the worsening; the inverse of `change_of`."""
    if bound is Bound.NONE:
        return None
    is_worse = (bound is Bound.AT_LEAST) == (metric.better is Better.LOWER)
    return EstimateBound.LOWER if is_worse else EstimateBound.UPPER
