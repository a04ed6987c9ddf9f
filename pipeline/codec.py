"""Results, baselines and verdicts as JSON files: versioned, validated, the same bytes each time."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.errors import BaselineError, LoadError
from pipeline.model.calibration import Calibration
from pipeline.model.capacity import Capacity
from pipeline.model.metric import Better, Scale
from pipeline.model.report import Report, Rule, Verdict
from pipeline.model.results import Baseline, Interleave, ResultSet
from pipeline.model.subject import Arm, Subject

# 1: the first version.
# When the meaning of a field changes, add a number here and a step that upgrades older files.
RESULTS = "milo-perf.results/1"
BASELINE = "milo-perf.baseline/1"
CALIBRATION = "milo-perf.calibration/1"
CAPACITY = "milo-perf.capacity/1"
VERDICT: Final = "milo-perf.verdict/1"

_T = TypeVar("_T")
_RESULTS = TypeAdapter(ResultSet)
_BASELINE = TypeAdapter(Baseline)
_CALIBRATION = TypeAdapter(Calibration)
_CAPACITY = TypeAdapter(Capacity)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChangeBody(_Strict):
    """A ratio (0.1 is +10 %) or, where `scale` is `difference`, an amount in the unit."""

    low: float
    estimate: float
    high: float


class MetricBody(_Strict):
    """One finding."""

    workload: str
    metric: str
    unit: str
    direction: Better
    scale: Scale
    margin: float
    floor: float
    gate: bool
    baseline: float | None
    candidate: float | None
    change: ChangeBody | None
    p_worse: float | None
    p_better: float | None
    smallest_detectable: float | None
    verdict: Verdict
    pairs: int
    stored: float | None
    warnings: tuple[str, ...]


class InvalidTrial(_Strict):
    """A trial that never became a number."""

    pair: int
    arm: Arm
    reasons: tuple[str, ...]


class VerdictBody(_Strict):
    """verdict.json: what a machine needs to act on a run."""

    schema_name: Literal["milo-perf.verdict/1"] = Field(default=VERDICT, alias="schema")
    verdict: Verdict
    exit_code: int
    suite: str
    suite_digest: str
    environment: str
    interleave: Interleave
    seed: int
    subjects: dict[Arm, Subject]
    taken_at: datetime
    pairs_asked: int
    pairs_valid: int
    looks: tuple[int, ...]
    rule: Rule
    metrics: tuple[MetricBody, ...]
    warnings: tuple[str, ...]
    invalid_trials: tuple[InvalidTrial, ...]


def write_results(path: Path, results: ResultSet) -> None:
    """Write results, all or nothing, keys sorted."""
    write_text(path, results_json(results))


def results_json(results: ResultSet) -> str:
    """Return the text of results.json."""
    return _text({"schema": RESULTS, **_RESULTS.dump_python(results, mode="json")})


def read_results(path: Path) -> ResultSet:
    """Read results.

    Raises:
        BaselineError: Missing, or not what `write_results` wrote.
    """
    return _validated(_RESULTS, path, RESULTS, "run the suite again")


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, all or nothing, keys sorted, so that its diff shows what changed."""
    _write(path, {"schema": BASELINE, **_BASELINE.dump_python(baseline, mode="json")})


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        BaselineError: Missing, or not what `write_baseline` wrote.
    """
    return _validated(_BASELINE, path, BASELINE, "save it again from a run")


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration, all or nothing, keys sorted."""
    _write(path, {"schema": CALIBRATION, **_CALIBRATION.dump_python(calibration, mode="json")})


def read_calibration(path: Path) -> Calibration:
    """Read a calibration.

    Raises:
        BaselineError: Missing, or not what `write_calibration` wrote.
    """
    return _validated(_CALIBRATION, path, CALIBRATION, "run `baseline calibrate` again")


def write_capacity(path: Path, capacity: Capacity) -> None:
    """Write what is known of a capacity, all or nothing, keys sorted."""
    write_text(path, capacity_json(capacity))


def capacity_json(capacity: Capacity) -> str:
    """Return the text of capacity.json."""
    return _text({"schema": CAPACITY, **_CAPACITY.dump_python(capacity, mode="json")})


def read_capacity(path: Path) -> Capacity:
    """Read what is known of a capacity.

    Raises:
        BaselineError: Missing, or not what `write_capacity` wrote.
    """
    return _validated(_CAPACITY, path, CAPACITY, "start a new search")


def verdict_body(report: Report, exit_code: int) -> VerdictBody:
    """Return what verdict.json says."""
    results = report.results
    return VerdictBody(
        verdict=report.verdict,
        exit_code=exit_code,
        suite=results.suite,
        suite_digest=results.suite_digest,
        environment=results.environment,
        interleave=results.interleave,
        seed=results.seed,
        subjects=results.subjects,
        taken_at=results.taken_at,
        pairs_asked=results.pairs_asked,
        pairs_valid=len(results.valid_pairs),
        looks=results.looks,
        rule=report.rule,
        metrics=tuple(
            MetricBody(
                workload=c.workload,
                metric=c.metric.name,
                unit=c.metric.unit,
                direction=c.metric.better,
                scale=c.metric.scale,
                margin=c.metric.margin,
                floor=c.metric.floor,
                gate=c.metric.gate,
                baseline=c.baseline,
                candidate=c.candidate,
                change=c.change
                and ChangeBody(low=c.change.low, estimate=c.change.estimate, high=c.change.high),
                p_worse=c.p_worse,
                p_better=c.p_better,
                smallest_detectable=c.smallest_detectable,
                verdict=finding.verdict,
                pairs=c.pairs,
                stored=c.stored,
                warnings=c.warnings,
            )
            for finding in report.findings
            for c in (finding.comparison,)
        ),
        warnings=report.warnings,
        invalid_trials=tuple(
            InvalidTrial(pair=trial.pair, arm=trial.arm, reasons=trial.invalid)
            for trial in results.trials
            if trial.invalid
        ),
    )


def verdict_json(report: Report, exit_code: int) -> str:
    """Return the text of verdict.json."""
    return _text(verdict_body(report, exit_code).model_dump(mode="json", by_alias=True))


def write_text(path: Path, text: str) -> None:
    """Replace a text file, all or nothing, so that a full disk leaves the old one readable.

    Raises:
        LoadError: It cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise LoadError(
            f"{path}: cannot be written: {error.strerror}",
            hint="what was measured before stays as it is; make room, then `run --resume`",
        ) from error


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each file, by file name."""
    return {
        "calibration-1.schema.json": _titled(
            _CALIBRATION.json_schema(mode="serialization"), CALIBRATION
        ),
        "capacity-1.schema.json": _titled(_CAPACITY.json_schema(mode="serialization"), CAPACITY),
        "results-1.schema.json": _titled(_RESULTS.json_schema(mode="serialization"), RESULTS),
        "verdict-1.schema.json": VerdictBody.model_json_schema(mode="serialization", by_alias=True),
    }


def _titled(schema: dict[str, Any], name: str) -> dict[str, Any]:
    schema["properties"]["schema"] = {"const": name, "type": "string"}
    schema["required"] = sorted([*schema.get("required", []), "schema"])
    return schema


def _write(path: Path, body: dict[str, Any]) -> None:
    write_text(path, _text(body))


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _validated(adapter: TypeAdapter[_T], path: Path, schema: str, hint: str) -> _T:
    try:
        body = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except FileNotFoundError:
        raise BaselineError(f"{path}: no such file", hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: cannot be read: {error}", hint=hint) from error
    except ValueError as error:  # JSON's own error is one of these
        raise BaselineError(f"{path}: not JSON: {error}", hint=hint) from error
    found = body.pop("schema", None) if isinstance(body, dict) else None
    if found != schema:
        raise BaselineError(f"{path}: its schema is {found!r}, expected {schema!r}", hint=hint)
    try:
        return adapter.validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise BaselineError(f"{path}: {where + ': ' if where else ''}{said}", hint=hint) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
