"""A stored baseline as text."""

from statistics import median

from pipeline.model.results import Baseline


def baseline_text(baseline: Baseline) -> str:
    """Return what is stored: the subject, the machine, and the median of every metric."""
    machine = baseline.machine.fingerprint
    lines = [
        f"{baseline.name}: suite {baseline.suite}, taken {baseline.taken_at:%Y-%m-%d %H:%M} UTC",
        f"  subject  {baseline.subject.spec}",
        f"           {baseline.subject.digest}",
        *(f"  {fact:<12} {machine[fact]}" for fact in sorted(machine)),
        "",
    ]
    for sample in baseline.samples:
        values = [value for value in sample.values if value is not None]
        shown = f"{median(values):.4g} {sample.metric.unit}" if values else "not reported"
        lines.append(f"  {sample.key:<44} {shown:>16}  of {len(values)} trials")
    return "\n".join([*lines, ""])
