"""Render the evaluation of load drivers as a Markdown document."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median, stdev

from pipeline.judge import driver_choice
from pipeline.model.evaluation import Evaluation, FaultDetection, LoadLevel, WorkloadAttempt
from pipeline.render.numbers import duration, quantity
from pipeline.render.templates import raw, render_markdown
from pipeline.system.sanitize import truncate

_MAX_REASON = 160  # characters of the reason why a driver could not apply its load
_NAMES = {"k6": "k6", "clusterloader2": "ClusterLoader2"}


def document(evaluation: Evaluation, command: str) -> str:
    """Return the whole document; the command repeats the evaluation."""
    decisions = [
        (f"`{one.workload}`", _NAMES.get(one.owner or "", "-"), decision_reason(one))
        for one in driver_choice.choose_drivers(evaluation)
    ]
    return render_markdown(
        "evaluation.md.j2",
        measured=raw(_measured(evaluation)),
        command=raw(command),
        decision=raw(_table(("workload", "owner", "deciding number"), decisions)),
        scripts=raw(_scripts(evaluation)),
        attempts=raw(_attempts(evaluation)),
        faults=raw(_faults(evaluation.seen)) if evaluation.seen else "",
        rungs=raw(_load_levels(evaluation.rungs)),
        integration=raw(_integration(evaluation)),
    )


def decision_reason(choice: driver_choice.DriverChoice) -> str:
    """Return the numbers that decided who owns a workload."""
    able = [score for score in choice.scores if score.is_able]
    match choice.reason:
        case driver_choice.ChoiceReason.NONE_VALID:
            return "no driver applied the load as asked"
        case driver_choice.ChoiceReason.ONLY_VALID:
            others = (score for score in choice.scores if score.driver != choice.owner)
            texts = (f"{_NAMES[s.driver]} was valid in {s.valid:.0%}" for s in others)
            return ", ".join(texts) or "only this driver has the workload"
        case driver_choice.ChoiceReason.FAULTS:
            counts = ", ".join(f"{_NAMES[s.driver]} {s.faults}" for s in able)
            return f"known faults detected: {counts}"
        case driver_choice.ChoiceReason.COST:
            costs = (s for s in able if s.cost_s is not None)
            texts = (f"{_NAMES[s.driver]} {quantity(s.cost_s, 's')}" for s in costs)
            return f"CPU of the tool for 1,000 requests: {', '.join(texts)}"
        case driver_choice.ChoiceReason.TIE:
            return "no number differs"


def _measured(evaluation: Evaluation) -> str:
    facts = evaluation.machine.fingerprint
    versions = sorted(evaluation.tools.items())
    tools = ", ".join(f"{_NAMES.get(name, name)} {tool.version}" for name, tool in versions)
    return (
        f"Measured on {evaluation.taken_at:%Y-%m-%d} with `{evaluation.subject.spec}`"
        f" (`{evaluation.subject.digest[:19]}`), {evaluation.repetitions} launches,"
        f" {duration(evaluation.spent_s)} in all, on {facts.get('cpu', 'a machine')},"
        f" {facts.get('logical cpus', '?')} cores; {tools}."
    )


def _scripts(evaluation: Evaluation) -> str:
    order = driver_choice.DRIVERS.index
    rows = [
        (
            f"`{one.workload}`",
            _NAMES[one.driver],
            *(f"{own} + {shared}" for own, shared in (one.files, one.lines, one.words)),
        )
        for one in sorted(evaluation.scripts, key=lambda s: (s.workload, order(s.driver)))
    ]
    head = ("workload", "driver", "files: own + shared", "lines", "words")
    return _table(head, rows, right=3)


def _attempts(evaluation: Evaluation) -> str:
    rows = []
    for workload in driver_choice.workloads(evaluation):
        for driver, name in _NAMES.items():
            attempts = driver_choice.attempts_of(evaluation, workload, driver)
            if not attempts:
                continue
            values = [_spread(metric, attempts) for metric in sorted(attempts[0].values)]
            spreads = [spread for spread in values if spread is not None]
            rows.append(
                (
                    f"`{workload}`",
                    name,
                    f"{driver_choice.valid_share(attempts):.0%} of {len(attempts)}",
                    f"{median(a.readings for a in attempts):.0f}",
                    f"{median(len(a.values) for a in attempts):.0f}",
                    f"{100 * median(spreads):.1f} %" if spreads else "-",
                )
            )
    head = ("workload", "driver", "valid", "own readings", "metrics", "spread (median CV)")
    return _table(head, rows, right=4)


def _faults(faults: Sequence[FaultDetection]) -> str:
    rows = [
        (
            f"`{fault.fault}`",
            *(_regressed_metrics(fault, driver) for driver in driver_choice.DRIVERS),
            *(("yes" if fault.own.get(driver) else "no") for driver in driver_choice.DRIVERS),
        )
        for fault in faults
    ]
    heads = [f"red by {name} alone" for name in _NAMES.values()]
    own = [f"{name}'s own numbers" for name in _NAMES.values()]
    pairs = ", ".join(sorted({f"{fault.pairs}" for fault in faults}))
    counts = ", ".join(
        f"{name} detected {sum(bool(fault.red.get(driver)) for fault in faults)}"
        for driver, name in _NAMES.items()
    )
    both = sum(any(fault.red.values()) for fault in faults)
    failed = (
        "; where one driver could not apply its load, the other ran alone"
        if any(fault.failed for fault in faults)
        else ""
    )
    return (
        f"Of {len(faults)} faults put into `reference` ({pairs} pairs each), {counts}, and both"
        f" together {both}{failed}. A number is the driver's own if the driver read it, and not a"
        " probe.\n\n" + _table(("fault", *heads, *own), rows)
    )


def _regressed_metrics(fault: FaultDetection, driver: str) -> str:
    if reason := fault.failed.get(driver):
        return f"could not apply the load: {truncate(reason, _MAX_REASON)}"
    names = fault.red.get(driver, ())
    text = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return text or "-"


def _load_levels(levels: Sequence[LoadLevel]) -> str:
    rows = [
        (
            _NAMES[level.driver],
            f"{level.asked:g} requests/s" if level.what == "rate" else f"{level.asked:g} objects",
            f"{level.requests_rate:.0f}/s",
            f"{level.span_s:.1f} s",
            f"{level.cpu_share:.0%}",
            quantity(level.memory, "B"),
            level.invalid[0] if level.invalid else "held",
        )
        for level in levels
    ]
    head = ("driver", "asked", "requests counted", "load", "CPU share", "memory", "outcome")
    return _table(head, rows, right=5)


def _integration(evaluation: Evaluation) -> str:
    rows = []
    for driver, name in _NAMES.items():
        attempts = [a for a in evaluation.attempts if a.driver == driver and not a.invalid]
        if attempts:
            rows.append(
                (
                    name,
                    quantity(median(a.start_s for a in attempts), "s"),
                    quantity(median(a.wall_s - a.span_s for a in attempts), "s"),
                    quantity(median(a.artifact for a in attempts), "B"),
                    f"{median(a.files for a in attempts):.0f}",
                    quantity(max(a.memory for a in attempts), "B"),
                    quantity(driver_choice.cpu_cost(attempts), "s"),
                )
            )
    head = ("driver", "until the load", "beside the load", "artifact", "files", "memory")
    return _table((*head, "CPU for 1,000 requests"), rows, right=6)


def _spread(metric: str, attempts: Sequence[WorkloadAttempt]) -> float | None:
    """Return the coefficient of variation over the launches; None with fewer than two values."""
    values = [a.values[metric] for a in attempts if metric in a.values and not a.invalid]
    if len(values) < 2 or fmean(values) <= 0:
        return None
    return stdev(values) / fmean(values)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 0) -> str:
    """Return a Markdown table with the last columns right-aligned."""
    rule = [":--"] * (len(head) - right) + ["--:"] * right
    lines = [head, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
