"""The texts of `demo`: what will happen, and whether the fault was caught."""

from pipeline.model.plan import PlanSummary
from pipeline.model.report import Finding, Report
from pipeline.render.answer_line import answer
from pipeline.render.numbers import duration


def introduction(plan: PlanSummary, extra_pairs: int) -> str:
    """Return what the demo will do and how long it takes; the last line ends with a line break."""
    pairs = (plan.ends[0] + extra_pairs, plan.ends[-1] + extra_pairs)
    least, most = (duration(number * plan.pair_s) for number in pairs)
    lines = [
        "This demo measures two builds, of which one has a fault, and shows what milo-perf says.",
        "",
        "1. It starts `reference`, a small API server like Milo, twice on this machine. The",
        "   candidate leaks five goroutines with each write of an object.",
        f"2. It sends both the same load, in up to {plan.pairs} pairs of {duration(plan.pair_s)}.",
        "3. It prints the verdict.",
        f"4. It measures {extra_pairs} more pairs with profiles, and names the cause.",
        "5. It shows the page of the run.",
        "",
        f"This takes {least} to {most}, and longer on a busy machine. What is missing is built",
        "first, once; the next lines say what, and how long. Ctrl-C stops everything.",
        "",
    ]
    return "\n".join([*lines, ""])


def conclusion(report: Report, caught: Finding | None) -> str:
    """Return whether the fault was caught, and its measured size."""
    if caught is None:
        return (
            "\nNot caught: the candidate leaks goroutines, and the run says:\n"
            f"  {answer(report)}\n"
            "Run the demo again when the machine is idle.\n"
        )
    before, after = caught.comparison.baseline or 0.0, caught.comparison.candidate or 0.0
    return (
        f"\nCaught: after the load the baseline has {before:,.0f} goroutines, and the candidate"
        f" {after:,.0f}.\n"
    )
