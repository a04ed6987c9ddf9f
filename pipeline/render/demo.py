"""The texts of `demo`: what will happen, and whether the fault was caught."""

from pipeline.model.plan import PlanSummary
from pipeline.model.report import Finding, Report
from pipeline.render.answer_line import answer
from pipeline.render.numbers import duration, quantity


def introduction(plan: PlanSummary, delay_s: float, extra_pairs: int) -> str:
    """Return what the demo will do and how long it takes; the last line ends with a line break."""
    pairs = (plan.ends[0] + extra_pairs, plan.ends[-1] + extra_pairs)
    least, most = (duration(number * plan.pair_s) for number in pairs)
    lines = [
        "This demo measures two builds, of which one is slower, and shows what milo-perf says.",
        "",
        "1. It starts `reference`, a small API server like Milo, twice on this machine. The",
        f"   candidate has a fault: it takes {quantity(delay_s, 's')} longer to create an object.",
        f"2. It sends both the same load, in up to {plan.pairs} pairs of {duration(plan.pair_s)}.",
        "3. It prints the verdict.",
        f"4. It measures {extra_pairs} more pairs with profiles, and names the cause.",
        "5. It shows the page of the run.",
        "",
        f"This takes {least} to {most}. Before that it builds what is missing, once; the next",
        "lines say what, and how long. Ctrl-C stops everything.",
        "",
    ]
    return "\n".join([*lines, ""])


def conclusion(report: Report, caught: Finding | None, delay_s: float) -> str:
    """Return whether the fault was caught, with its measured size beside the true one."""
    added = quantity(delay_s, "s")
    if caught is None:
        return (
            f"\nNot caught: a fault that adds {added} to each create was there, and the run says:\n"
            f"  {answer(report)}\n"
            "A busy machine is the usual reason: run the demo again when it is idle.\n"
        )
    comparison = caught.comparison
    measured = (comparison.candidate or 0.0) - (comparison.baseline or 0.0)
    return (
        f"\nCaught: the median create takes {quantity(measured, 's')} longer. The fault adds"
        f" {added}.\n"
    )
