"""Results, baselines and verdicts as JSON files: versioned, validated, the same bytes each time."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from pipeline.model.calibration import Calibration
from pipeline.model.capacity import Capacity
from pipeline.model.evaluation import Evaluation, Seen
from pipeline.model.plan import PlanSummary
from pipeline.model.report import Finding, Report
from pipeline.model.request import RunRequest, StoredRequest
from pipeline.model.results import Baseline, ResultSet
from pipeline.model.sizing import ResourceEstimate
from pipeline.model.spreads import SpreadHistory
from pipeline.storage import strict_json
from pipeline.storage.verdict_file import JudgedBody, VerdictBody, judged_body, verdict_body
from pipeline.system.errors import BaselineError, StorageError, hint_for
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

# 1: the first version.  A field that is added later has a default, so that older files are read as
# before (`of` and `looks` were); a version that does not know it refuses the file.
# When the meaning of a field changes, add a number here and a step that upgrades older files.
RESULTS = "milo-perf.results/1"
BASELINE = "milo-perf.baseline/1"
CALIBRATION = "milo-perf.calibration/1"
CAPACITY = "milo-perf.capacity/1"
EVALUATION = "milo-perf.evaluation/1"
PLAN = "milo-perf.plan/1"
REQUEST = "milo-perf.request/1"
SEEN = "milo-perf.seen/1"
SPREADS = "milo-perf.spreads/1"

# A key that we do not know is refused, at every depth: it may be what decides in a newer version.
for _stored in (
    *(Baseline, Calibration, Capacity, ResultSet, RunRequest, SpreadHistory, StoredRequest),
):
    with_config(ConfigDict(extra="forbid", allow_inf_nan=False))(_stored)

_T = TypeVar("_T")
_REQUEST = TypeAdapter(StoredRequest)
_RESULTS = TypeAdapter(ResultSet)
_BASELINE = TypeAdapter(Baseline)
_CALIBRATION = TypeAdapter(Calibration)
_CAPACITY = TypeAdapter(Capacity)
_EVALUATION = TypeAdapter(Evaluation)
_SEEN = TypeAdapter(Seen)
_SPREADS = TypeAdapter(SpreadHistory)


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


def parse_results(data: bytes) -> ResultSet:
    """Return the results that the bytes of a results.json hold, which a stranger may have sent.

    Raises:
        ValueError: One sentence that says what is wrong; names in it are cut and printable.
    """
    return _parsed(_RESULTS, data, RESULTS, strict_json.FOREIGN)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, all or nothing, keys sorted, so that its diff shows what changed."""
    write_text(path, baseline_json(baseline))


def baseline_json(baseline: Baseline) -> str:
    """Return the text of a baseline's file."""
    return _text({"schema": BASELINE, **_BASELINE.dump_python(baseline, mode="json")})


def plan_json(plan: PlanSummary, need: ResourceEstimate) -> str:
    """Return a plan as JSON: durations in s, sizes in B."""
    return _text({"schema": PLAN, "plan": asdict(plan), "need": asdict(need)})


def list_json(name: str, found: Sequence[object]) -> str:
    """Return a list as JSON, below its name; dataclasses as objects.

    Its schema is `milo-perf.NAME/1`.
    """
    body = TypeAdapter(list[Any]).dump_python(list(found), mode="json")
    return _text({"schema": f"milo-perf.{name}/1", name: body})


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


def parse_calibration(data: bytes) -> Calibration:
    """Return the calibration that bytes hold, which a stranger may have sent.

    Raises:
        ValueError: As `parse_results`.
    """
    return _parsed(_CALIBRATION, data, CALIBRATION, strict_json.FOREIGN)


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


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write what is known of an evaluation, all or nothing, keys sorted."""
    write_text(path, evaluation_json(evaluation))


def evaluation_json(evaluation: Evaluation) -> str:
    """Return the text of evaluation.json."""
    return _text({"schema": EVALUATION, **_EVALUATION.dump_python(evaluation, mode="json")})


def read_evaluation(path: Path) -> Evaluation:
    """Read what is known of an evaluation.

    Raises:
        BaselineError: Missing, or not what `write_evaluation` wrote.
    """
    return _validated(_EVALUATION, path, EVALUATION, "start a new evaluation")


def write_seen(path: Path, seen: Seen) -> None:
    """Write which driver saw a fault, all or nothing."""
    _write(path, {"schema": SEEN, **_SEEN.dump_python(seen, mode="json")})


def read_seen(path: Path) -> Seen:
    """Read which driver saw a fault.

    Raises:
        BaselineError: Missing, or not what `write_seen` wrote.
    """
    return _validated(_SEEN, path, SEEN, "remove the file to measure the fault again")


def request_json(request: StoredRequest) -> str:
    """Return the text of request.json."""
    return _text({"schema": REQUEST, **_REQUEST.dump_python(request, mode="json")})


def read_request(path: Path) -> StoredRequest:
    """Read a request.json.

    Raises:
        BaselineError: Missing, or not what `request_json` returned; the message names the field.
    """
    hint = "`compare` and `render` still read the results; start a new run"
    return _validated(_REQUEST, path, REQUEST, hint)


def write_spreads(path: Path, history: SpreadHistory) -> None:
    """Write a spread file, all or nothing, keys sorted."""
    write_text(path, spreads_json(history))


def spreads_json(history: SpreadHistory) -> str:
    """Return the text of a spread file."""
    return _text({"schema": SPREADS, **_SPREADS.dump_python(history, mode="json")})


def read_spreads(path: Path) -> SpreadHistory:
    """Read a spread file.

    Raises:
        BaselineError: Missing, or not what `write_spreads` wrote.
    """
    return _validated(_SPREADS, path, SPREADS, "`baseline spreads DIR... --save` writes one")


def parse_spreads(data: bytes) -> SpreadHistory:
    """Return the spreads that the bytes of a spread file hold, which may be from elsewhere.

    Raises:
        ValueError: As `parse_results`.
    """
    return _parsed(_SPREADS, data, SPREADS, strict_json.FOREIGN)


def verdict_json(report: Report, exit_code: int, answer: str, next_step: str = "") -> str:
    """Return the text of verdict.json; see `verdict_body`."""
    body = verdict_body(report, exit_code, answer, next_step)
    return _text(body.model_dump(mode="json", by_alias=True))


def judged_json(findings: Sequence[Finding]) -> str:
    """Return findings of a table as JSON."""
    return _text(judged_body(findings).model_dump(mode="json", by_alias=True))


def write_text(path: Path, text: str) -> None:
    """Replace a text file, all or nothing, so that a full disk leaves the old one readable.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        _replace(path, text)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror}", hint=hint_for(error)
        ) from error


def write_reports(folder: Path, texts: Mapping[str, str]) -> bool:
    """Write files that say what is known already, and return whether all could be written.

    What they say stands without them, so a file that cannot be written is only logged.

    Args:
        folder: That they belong to.
        texts: By file name.
    """
    lost: dict[str, list[str]] = {}
    hints: dict[str, None] = {}
    for name, text in texts.items():
        try:
            _replace(folder / name, text)
        except OSError as error:
            lost.setdefault(error.strerror or type(error).__name__, []).append(name)
            hints[hint_for(error)] = None
    for reason, names in lost.items():
        log.warning("%s: %s cannot be written: %s", folder, ", ".join(names), reason)
    for hint in filter(None, hints):
        log.warning("hint: %s", hint)
    return not lost


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each file, by file name."""
    return {
        "calibration-1.schema.json": _titled(
            _CALIBRATION.json_schema(mode="serialization"), CALIBRATION
        ),
        "capacity-1.schema.json": _titled(_CAPACITY.json_schema(mode="serialization"), CAPACITY),
        "evaluation-1.schema.json": _titled(
            _EVALUATION.json_schema(mode="serialization"), EVALUATION
        ),
        "request-1.schema.json": _titled(_REQUEST.json_schema(mode="serialization"), REQUEST),
        "results-1.schema.json": _titled(_RESULTS.json_schema(mode="serialization"), RESULTS),
        "judged-1.schema.json": JudgedBody.model_json_schema(mode="serialization", by_alias=True),
        "spreads-1.schema.json": _titled(_SPREADS.json_schema(mode="serialization"), SPREADS),
        "verdict-2.schema.json": VerdictBody.model_json_schema(mode="serialization", by_alias=True),
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
        with path.open("rb") as file:
            data = file.read(strict_json.OURS.size + 1)
    except FileNotFoundError:
        raise BaselineError(f"{path}: no such file", hint=hint) from None
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error}", hint=hint) from error
    try:
        return _parsed(adapter, data, schema, strict_json.OURS)
    except ValueError as error:
        raise BaselineError(f"{path}: {error}", hint=hint) from error


def _parsed(adapter: TypeAdapter[_T], data: bytes, schema: str, bounds: strict_json.Bounds) -> _T:
    """Return what the bytes of a file say.

    Raises:
        ValueError: One sentence, on one line.
    """
    body = strict_json.loads(data, bounds)
    found = body.pop("schema", None) if isinstance(body, dict) else None
    if found != schema:
        raise ValueError(_other_schema(found, schema))
    try:
        # Through JSON, because only there a strict reader takes times and names of enums.
        return adapter.validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        raise ValueError(strict_json.sentence(error)) from error


def _other_schema(found: object, schema: str) -> str:
    said = f"its schema is {truncate(repr(found), 60)}, expected {schema!r}"
    kind, _, version = schema.rpartition("/")
    newer = (
        re.fullmatch(rf"{re.escape(kind)}/(\d{{1,9}})", found) if isinstance(found, str) else None
    )
    if newer and int(newer[1]) > int(version):
        return f"{said}: a newer milo-perf wrote it, and has to read it"
    return said
