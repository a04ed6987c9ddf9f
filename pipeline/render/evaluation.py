"""What an evaluation of load drivers found, as a document.  Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from pipeline.model.evaluation import Attempt, Evaluation, Rung, Seen
from pipeline.render.numbers import minutes, quantity
from pipeline.system.sanitize import clipped

_SENTENCE = 160  # characters of why a driver could not apply its load

NAMES = {"k6": "k6", "clusterloader2": "ClusterLoader2"}
"""Of the drivers, in the order shown."""

LEAST_VALID = 0.8
"""A driver that is valid less often cannot own a workload."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one driver did with one workload.

    Attributes:
        driver: Its kind.
        valid: Share of its attempts that count.
        faults: Known faults for which its metrics turned red; None where none was tried.
        cost_s: CPU seconds of the tool for a thousand requests, the median; None without any.
    """

    driver: str
    valid: float
    faults: int | None
    cost_s: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which driver owns a workload, and the number that decided."""

    workload: str
    owner: str
    why: str


def document(found: Evaluation, command: str) -> str:
    """Return the whole document.

    Args:
        found: The evaluation.
        command: What makes it again.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 (Markdown of our own measurements, for our own docs)
        loader=PackageLoader("pipeline", "render"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template("evaluation.md.j2").render(
        measured=_measured(found),
        command=command,
        decision=_decision(found),
        scripts=_scripts(found),
        attempts=_attempts(found),
        faults=_faults(found.seen) if found.seen else "",
        rungs=_rungs(found.rungs),
        integration=_integration(found),
    )


def choices(found: Evaluation) -> tuple[Choice, ...]:
    """Return which driver owns each workload.

    In this order: one that is valid in fewer than `LEAST_VALID` of its attempts owns nothing; the
    one whose metrics turned red for more known faults owns it; at a tie, the one that takes less
    CPU for a request.
    """
    return tuple(_choice(name, scores(found, name)) for name in _workloads(found))


def scores(found: Evaluation, workload: str) -> tuple[Score, ...]:
    """Return what each driver did with a workload."""
    return tuple(
        Score(
            driver=kind,
            valid=_share_valid(attempts),
            faults=_faults_seen(found.seen, workload, kind),
            cost_s=_cost(attempts),
        )
        for kind in NAMES
        if (attempts := _of(found, workload, kind))
    )


def _choice(workload: str, of: Sequence[Score]) -> Choice:
    able = [score for score in of if score.valid >= LEAST_VALID]
    if not able:
        return Choice(workload, "", "no driver applied it as asked")
    if len(able) == 1:
        others = ", ".join(
            f"{NAMES[s.driver]} was valid in {s.valid:.0%}" for s in of if s is not able[0]
        )
        return Choice(workload, able[0].driver, others or "only this one has it")
    faults = [score.faults or 0 for score in able]
    if len(set(faults)) > 1:
        best = max(able, key=lambda score: score.faults or 0)
        counts = ", ".join(f"{NAMES[s.driver]} {s.faults}" for s in able)
        return Choice(workload, best.driver, f"known faults that turn it red: {counts}")
    costs = [score for score in able if score.cost_s is not None]
    if not costs:
        return Choice(workload, able[0].driver, "nothing tells them apart")
    best = min(costs, key=lambda score: score.cost_s or 0.0)
    shown = ", ".join(f"{NAMES[s.driver]} {quantity(s.cost_s, 's')}" for s in costs)
    return Choice(workload, best.driver, f"CPU of the tool for 1,000 requests: {shown}")


def _decision(found: Evaluation) -> str:
    rows = [(f"`{one.workload}`", NAMES.get(one.owner, "-"), one.why) for one in choices(found)]
    return _table(("workload", "owner", "the number that decided"), rows)


def _measured(found: Evaluation) -> str:
    facts = found.machine.fingerprint
    tools = ", ".join(
        f"{NAMES.get(name, name)} {tool.version}" for name, tool in sorted(found.tools.items())
    )
    return (
        f"Measured on {found.taken_at:%Y-%m-%d} with `{found.subject.spec}`"
        f" (`{found.subject.digest[:19]}`), {found.repetitions} launches,"
        f" {minutes(found.spent_s)} in all, on {facts.get('cpu', 'a machine')},"
        f" {facts.get('logical cpus', '?')} cores; {tools}."
    )


def _scripts(found: Evaluation) -> str:
    rows = [
        (
            f"`{one.workload}`",
            NAMES[one.driver],
            *(f"{own} + {shared}" for own, shared in (one.files, one.lines, one.words)),
        )
        for one in sorted(found.scripts, key=lambda s: (s.workload, list(NAMES).index(s.driver)))
    ]
    head = ("workload", "driver", "files: own + shared", "lines", "words")
    return _table(head, rows, right=3)


def _attempts(found: Evaluation) -> str:
    rows = []
    for name in _workloads(found):
        for kind, called in NAMES.items():
            if not (of := _of(found, name, kind)):
                continue
            values = [_spread(metric, of) for metric in sorted(of[0].values)]
            spreads = [spread for spread in values if spread is not None]
            rows.append(
                (
                    f"`{name}`",
                    called,
                    f"{_share_valid(of):.0%} of {len(of)}",
                    f"{median(a.readings for a in of):.0f}",
                    f"{median(len(a.values) for a in of):.0f}",
                    f"{100 * median(spreads):.1f} %" if spreads else "-",
                )
            )
    head = ("workload", "driver", "valid", "own readings", "metrics", "spread (median CV)")
    return _table(head, rows, right=4)


def _faults(seen: Sequence[Seen]) -> str:
    rows = [
        (
            f"`{one.fault}`",
            *(_red(one, kind) for kind in NAMES),
            *(("yes" if one.own.get(kind) else "no") for kind in NAMES),
        )
        for one in seen
    ]
    heads = [f"red by {NAMES[kind]} alone" for kind in NAMES]
    own = [f"{NAMES[kind]}'s own numbers" for kind in NAMES]
    pairs = ", ".join(sorted({f"{one.pairs}" for one in seen}))
    counts = [sum(bool(one.red.get(kind)) for one in seen) for kind in NAMES]
    both = sum(any(one.red.values()) for one in seen)
    failed = (
        "; where one could not apply its load, the other did alone"
        if any(one.failed for one in seen)
        else ""
    )
    caught = ", ".join(f"{NAMES[k]} {n}" for k, n in zip(NAMES, counts, strict=True))
    return (
        f"Of {len(seen)} faults put into `reference` ({pairs} pairs each),"
        f" caught by {caught}, both together {both}{failed}. A metric counts as the driver's own"
        " where the driver itself read it, and not a probe beside it.\n\n"
        + _table(("fault", *heads, *own), rows)
    )


def _red(one: Seen, kind: str) -> str:
    if why := one.failed.get(kind):
        return f"could not load it: {clipped(why, _SENTENCE)}"
    names = one.red.get(kind, ())
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return shown or "-"


def _rungs(rungs: Sequence[Rung]) -> str:
    rows = [
        (
            NAMES[one.driver],
            f"{one.asked:g} requests/s" if one.what == "rate" else f"{one.asked:g} objects",
            f"{one.requests_rate:.0f}/s",
            f"{one.span_s:.1f} s",
            f"{one.cpu_share:.0%}",
            quantity(one.memory, "B"),
            one.invalid[0] if one.invalid else "held",
        )
        for one in rungs
    ]
    head = ("driver", "asked", "requests seen", "load", "CPU share", "memory", "outcome")
    return _table(head, rows, right=5)


def _integration(found: Evaluation) -> str:
    rows = []
    for kind, called in NAMES.items():
        of = [a for a in found.attempts if a.driver == kind and not a.invalid]
        if not of:
            continue
        rows.append(
            (
                called,
                quantity(median(a.start_s for a in of), "s"),
                quantity(median(a.wall_s - a.span_s for a in of), "s"),
                quantity(median(a.artifact for a in of), "B"),
                f"{median(a.files for a in of):.0f}",
                quantity(max(a.memory for a in of), "B"),
                quantity(_cost(of), "s"),
            )
        )
    head = ("driver", "until the load", "beside the load", "artifact", "files", "memory")
    return _table((*head, "CPU for 1,000 requests"), rows, right=6)


def _workloads(found: Evaluation) -> tuple[str, ...]:
    return tuple(sorted({attempt.workload for attempt in found.attempts}))


def _of(found: Evaluation, workload: str, kind: str) -> list[Attempt]:
    return [a for a in found.attempts if (a.workload, a.driver) == (workload, kind)]


def _share_valid(attempts: Sequence[Attempt]) -> float:
    return fmean(not attempt.invalid for attempt in attempts)


def _cost(attempts: Iterable[Attempt]) -> float | None:
    costs = [1000 * a.cpu_s / a.requests for a in attempts if a.requests and not a.invalid]
    return median(costs) if costs else None


def _spread(metric: str, attempts: Sequence[Attempt]) -> float | None:
    """Return the coefficient of variation over the launches; None without two values above 0."""
    values = [a.values[metric] for a in attempts if metric in a.values and not a.invalid]
    if len(values) < 2 or fmean(values) <= 0:
        return None
    return stdev(values) / fmean(values)


def _faults_seen(seen: Sequence[Seen], workload: str, kind: str) -> int | None:
    if not seen:
        return None
    return sum(any(_is_of(key, workload) for key in one.red.get(kind, ())) for one in seen)


def _is_of(key: str, workload: str) -> bool:
    """Return whether a metric is of a workload, whose name ends in a word for the driver."""
    return key.partition("/")[0].rpartition("-")[0] == workload


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 0) -> str:
    """Return a table, its last columns set to the right."""
    rule = [":--"] * (len(head) - right) + ["--:"] * right
    lines = [head, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
