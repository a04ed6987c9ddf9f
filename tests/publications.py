"""Every state that a comment can be in, each made of nothing but numbers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache

from pipeline.judge import acceptance, policy
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.publication import Acceptance, Origin, Outcome, Publication
from pipeline.model.results import BaselineRef, Interleave, ResultSet
from pipeline.publish.options import PublishOptions, reproduce_command
from pipeline.render import answer_line
from tests.builders import NOW, results
from tests.pages import HOSTILE, metric, wave

TODAY = date(2026, 1, 2)
HEAD = "a1b2c3d4" * 5
ORIGIN = Origin(
    head_sha=HEAD,
    run_url="https://github.example/milo/milo/actions/runs/77",
    run_number=42,
    artifact_url="https://github.example/milo/milo/actions/runs/77#artifacts",
    report_url="https://github.example/milo/milo/actions/runs/78/artifacts/5",
    pull=5,
    base="main",
    base_sha="9f8e7d6c" * 5,
)
SPECS = ("source:../milo@9f8e7d6", "source:../milo@a1b2c3d")

_NOISE = (1.0, -1.1, 0.9, -0.8, 0.1)  # around 0

Row = tuple[Metric, list[float] | None, list[float] | None]


def row(of: Metric, size: float, factor: float = 1.0, spread: float = 0.004) -> Row:
    """Return values near a size in five pairs, worse by a factor."""
    before = [size * wave(pair + len(of.name), 0.02) for pair in range(5)]
    after = [b * factor * (1 + spread * n) for b, n in zip(before, _NOISE, strict=True)]
    return of, before, after


CREATE, GET = metric("create_p50"), metric("get_p50")
MEMORY, CPU = metric("server_memory", "B"), metric("server_cpu_per_request")
RATE = metric("rate", "1/s", better=Better.HIGHER)
ERRORS = metric("errors_share", "1", 0.002, scale=Scale.DIFFERENCE)
P99 = metric("get_p99", margin=0.2, gate=False)
QUIET = (
    row(GET, 1.6e-3),
    row(MEMORY, 3.1e8),
    row(RATE, 118.0),
    (ERRORS, [0.0] * 5, [0.0] * 5),
    row(P99, 4.1e-3, 1.02),
)


def run(*rows: Row, **rest: object) -> ResultSet:
    return results(*rows, specs=SPECS, **rest)  # type: ignore[arg-type]  # any argument


def published(
    of: ResultSet, *acceptances: Acceptance, origin: Origin = ORIGIN, key: str = "pr"
) -> Publication:
    found = acceptance.publication_of(key, origin, policy.report(of), acceptances, today=TODAY)
    wanted = PublishOptions(suite=key, build="go build -o {out} ./cmd/milo")
    report = found.report
    more = answer_line.more_pairs(report) if report else None
    pairs = len(of.valid_pairs) + more if more else None
    return replace(found, command=reproduce_command(replace(wanted, pairs=pairs), origin))


def accepted(until: date = date(2026, 3, 1), **rest: object) -> Acceptance:
    reason = "audit log, see the design of it"
    of = "object-crud/create_*"
    return Acceptance(of, reason, "ada", until, **rest)  # type: ignore[arg-type]  # any field


SLOW = (row(CREATE, 5.2e-3, 1.31), *QUIET)


def _many() -> ResultSet:
    """Return a run of 600 metrics, most of them inconclusive and with warnings."""
    rows = (row(metric(f"create_{number:04}_p50"), 5e-3, 1.0, 0.2) for number in range(600))
    return run(row(CREATE, 5.2e-3, 1.31), *rows, warnings=("a warning of a trial",))


def _other_machine() -> ResultSet:
    stored = BaselineRef(
        name="milo-main",
        taken_at=NOW,
        same_machine=False,
        differences=("cpu: AMD EPYC 7763 there, Intel Xeon 8370C here",),
        digest="sha256:" + "b" * 64,
        values={"object-crud/get_p50": 1.5e-3, "object-crud/create_p50": 5.0e-3},
    )
    return run(row(CREATE, 5.2e-3), *QUIET, stored=stored, interleave=Interleave.TRIAL)


def _hostile() -> Publication:
    def bad(of: Metric) -> Metric:
        return replace(of, name=f"{of.name} --> {HOSTILE}")

    rows = [(bad(of), before, after) for of, before, after in SLOW]
    origin = replace(ORIGIN, is_fork=True)
    return published(
        results(*rows, specs=(HOSTILE, HOSTILE), invalid={1: HOSTILE}, warnings=(HOSTILE,)),
        origin=origin,
    )


_MADE: dict[str, Callable[[], Publication]] = {
    "pass": lambda: published(run(row(CREATE, 5.2e-3), row(CPU, 7e-4), *QUIET)),
    "regressed": lambda: published(run(*SLOW)),
    "improved": lambda: published(run(row(CREATE, 5.2e-3, 0.7), *QUIET)),
    "mixed": lambda: published(
        run(
            row(CREATE, 5.2e-3, 1.31),
            row(metric("list_p95", margin=0.1), 2.2e-2, 1.6),
            row(metric("delete_p50"), 4e-3, 0.7),
            row(CPU, 7e-4, 1.03, 0.06),
            row(metric("watch_p99", margin=0.2, gate=False), 9e-3, 1.8),
            *QUIET,
        )
    ),
    "inconclusive": lambda: published(
        run(row(CREATE, 5.2e-3, 1.12, 0.12), row(CPU, 7e-4, 1.0, 0.2), *QUIET)
    ),
    "invalid-run": lambda: published(
        run(
            row(CREATE, 5.2e-3),
            *QUIET,
            invalid=dict.fromkeys(range(1, 5), "object-crud: k6 dropped 12 iterations"),
        )
    ),
    "broken-start": lambda: Publication(
        "pr",
        Outcome.BROKEN,
        ORIGIN,
        reason="error: milo (candidate) did not answer /readyz within 60 s\n"
        "hint: its log is out/pr/pairs/000/candidate/milo.log",
    ),
    "skipped": lambda: Publication(
        "pr", Outcome.SKIPPED, ORIGIN, reason="only ignored files were changed"
    ),
    "waiting": lambda: Publication(
        "pr",
        Outcome.WAITING,
        ORIGIN,
        reason="a maintainer must review this push from a fork first",
    ),
    "missing-baseline": lambda: Publication(
        "pr",
        Outcome.BROKEN,
        ORIGIN,
        reason="error: there is no baseline `milo-main` in baselines\nhint: known: none",
    ),
    "incomplete": lambda: replace(
        published(run((CREATE, [5e-3] * 5, None), *QUIET)),
        outcome=Outcome.INCOMPLETE,
        lacking=frozenset({"object-crud/create_p50"}),
    ),
    "stopped": lambda: Publication(
        "pr",
        Outcome.STOPPED,
        ORIGIN,
        reason="the workflow run that was to measure was cancelled",
    ),
    "other-machine": lambda: published(_other_machine()),
    "acknowledged": lambda: published(run(*SLOW), accepted()),
    "acknowledgement-expired": lambda: published(run(*SLOW), accepted(date(2026, 1, 1))),
    "new-and-removed-metric": lambda: published(
        run((metric("watch_p50"), None, [2e-3] * 5), (metric("list_p50"), [9e-3] * 5, None), *QUIET)
    ),
    "truncated": lambda: published(_many()),
    "first-run": lambda: published(run(*((of, None, after) for of, _, after in QUIET))),
    "fork": lambda: published(run(*SLOW), origin=replace(ORIGIN, is_fork=True)),
    "hostile": _hostile,
}
STATES = {name: cache(made) for name, made in _MADE.items()}
"""Each made once, by the first who asks."""
