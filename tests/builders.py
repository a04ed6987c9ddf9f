"""Builders for the nouns, so that a test states only what matters to it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.request import RunRequest, StoredRequest
from pipeline.model.results import (
    Baseline,
    BaselineRef,
    Interleave,
    Machine,
    ResultSet,
    Sample,
    Tool,
    Trial,
)
from pipeline.model.subject import Arm, Subject

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATENCY = Metric("create_p50", "s", Better.LOWER, margin=0.05, gate=True)
THROUGHPUT = Metric("rate", "1/s", Better.HIGHER, margin=0.05, gate=True)
COUNT = Metric("files", "1", Better.LOWER, margin=3.0, gate=True, scale=Scale.DIFFERENCE)

Values = Sequence[float | None]
DIGESTS = {Arm.BASELINE: "b" * 64, Arm.CANDIDATE: "c" * 64}


def results(
    *rows: tuple[Metric, Values | None, Values | None],
    workloads: Mapping[str, str] | None = None,
    invalid: Mapping[int, str] | None = None,
    pairs_asked: int | None = None,
    specs: tuple[str, str] = ("milo@1", "milo@2"),
    digests: Mapping[Arm, str] = DIGESTS,
    facts: Mapping[Arm, Mapping[str, str]] | None = None,
    stored: BaselineRef | None = None,
    interleave: Interleave = Interleave.REQUEST,
    warnings: tuple[str, ...] = (),
) -> ResultSet:
    """Return a run: for each metric its values in the baseline and in the candidate.

    Args:
        *rows: None for the values leaves the metric out of that arm.
        workloads: By the metric's name; the others belong to `object-crud`.
        invalid: Reason by number of the pair.
        pairs_asked: As many as there are unless given.
        specs: Of the baseline and of the candidate.
        digests: Of the binaries.
        facts: Of the subjects.
        stored: See `ResultSet`.
        interleave: See `ResultSet`.
        warnings: Of every trial.
    """
    pairs = max(
        (len(values) for row in rows for values in row[1:] if values is not None), default=0
    )
    invalid, facts = invalid or {}, facts or {}
    return ResultSet(
        suite="pr",
        suite_digest="sha256:" + "5" * 64,
        environment="local",
        interleave=interleave,
        pairs_asked=pairs_asked or pairs or 1,
        seed=7,
        subjects={
            arm: Subject(spec, f"sha256:{digests[arm]}", dict(facts.get(arm, {"go": "go1.26.8"})))
            for arm, spec in zip(Arm, specs, strict=True)
        },
        machine=Machine({"cpu": "a cpu", "logical cpus": "4"}, {"load": "0.10"}),
        tools={"k6": Tool("1.1.0", "sha256:66"), "etcd": Tool("3.6.13", "sha256:ee")},
        taken_at=NOW,
        trials=tuple(
            Trial(
                pair,
                arm,
                position,
                NOW + timedelta(minutes=pair),
                40.0,
                (invalid[pair],) if pair in invalid else (),
                warnings,
            )
            for pair in range(pairs)
            for position, arm in enumerate(Arm if pair % 2 else reversed(Arm))
        ),
        samples={
            arm: tuple(
                Sample((workloads or {}).get(metric.name, "object-crud"), metric, tuple(values))
                for metric, *arms in rows
                for values in (arms[index],)
                if values is not None
            )
            for index, arm in enumerate(Arm)
        },
        stored=stored,
    )


def kept(run: ResultSet) -> Baseline:
    """Return what `baseline save` would keep of a run whose candidate is the build in question."""
    return Baseline(
        name="old",
        suite=run.suite,
        suite_digest=run.suite_digest,
        subject=run.subjects[Arm.BASELINE],
        machine=run.machine,
        tools=run.tools,
        taken_at=run.taken_at,
        samples=run.samples[Arm.BASELINE],
    )


def stored_request(results: ResultSet) -> StoredRequest:
    """Return the request.json of a run with these results."""
    candidate, baseline = (results.subjects[arm].spec for arm in (Arm.CANDIDATE, Arm.BASELINE))
    return StoredRequest(
        request=RunRequest(results.suite, candidate, baseline),
        suite_digest=results.suite_digest,
        candidate=candidate,
        baseline=baseline,
        environment={"kind": results.environment},
        pairs=results.pairs_asked,
        looks=results.looks,
        budget_s=results.budget_s,
        seed=results.seed,
    )
