"""Read and write our JSON files: versioned, validated, and the same bytes each time."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from pipeline.model.bisect import Bisection
from pipeline.model.calibration import Calibration
from pipeline.model.capacity import Capacity
from pipeline.model.deployment import Deployment
from pipeline.model.evaluation import Evaluation, FaultDetection
from pipeline.model.explanation import Explanation
from pipeline.model.forecast import CapacityForecast
from pipeline.model.plan import PlanSummary
from pipeline.model.releases import ReleaseSeries
from pipeline.model.report import Finding, Report
from pipeline.model.request import (
    BisectRequest,
    CapacityRequest,
    EvaluateRequest,
    ExplainRequest,
    ReleasesRequest,
    RunRequest,
    SoakRequest,
    StoredRequest,
)
from pipeline.model.results import Baseline, ResultSet
from pipeline.model.sizing import ResourceEstimate
from pipeline.model.soak import Soak
from pipeline.model.spreads import SpreadHistory
from pipeline.storage import strict_json, verdict_file
from pipeline.storage.settings import from_table
from pipeline.system.errors import BaselineError, StorageError, hint_for
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

_T = TypeVar("_T")

_KEYS = {
    "degrees_of_freedom": "freedom",
    "denominators": "of",
    "max_pairs": "most",
    "min_tolerance": "floor",
}
"""Keys in JSON of fields that have another name in the code."""


# A key that we do not know is refused, at every depth: it may be what decides in a newer version.
_STORED = ConfigDict(
    extra="forbid",
    allow_inf_nan=False,
    alias_generator=lambda field: _KEYS.get(field, field),
    serialize_by_alias=True,
)


@dataclass(frozen=True, slots=True)
class Document(Generic[_T]):
    """One kind of JSON file.

    A field that is added later has a default, so that older files are read as before; a version
    that does not know the field refuses the file.  When the meaning of a field changes, the schema
    gets a new number and a step that upgrades older files.

    Attributes:
        adapter: Validator of the dataclass that the file holds.
        schema: Name and version of the schema, such as `milo-perf.results/1`.
        hint: What to do about a file that cannot be read.
    """

    adapter: TypeAdapter[_T]
    schema: str
    hint: str

    def write(self, path: Path, value: _T) -> None:
        """Write a file, all or nothing, with sorted keys.

        Raises:
            StorageError: The file cannot be written.
        """
        write_text(path, self.dumps(value))

    def dumps(self, value: _T) -> str:
        """Return the text of a file."""
        return _text({"schema": self.schema, **self.adapter.dump_python(value, mode="json")})

    def read(self, path: Path) -> _T:
        """Read a file.

        Raises:
            BaselineError: The file is missing, or `write` did not write it.
        """
        try:
            with path.open("rb") as file:
                data = file.read(strict_json.OURS.size + 1)
        except FileNotFoundError:
            raise BaselineError(f"{path}: no such file", hint=self.hint) from None
        except OSError as error:
            raise BaselineError(
                f"{path}: cannot be read: {error.strerror}", hint=self.hint
            ) from error
        try:
            return self._loads(data, strict_json.OURS)
        except ValueError as error:
            raise BaselineError(f"{path}: {error}", hint=self.hint) from error

    def parse(self, data: bytes) -> _T:
        """Return the content of a file that may come from an untrusted source.

        Raises:
            ValueError: One sentence; names in it are truncated and printable.
        """
        return self._loads(data, strict_json.FOREIGN)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the file."""
        schema = _describe_keys(self.adapter.json_schema(mode="serialization"), _KEYS)
        schema["properties"]["schema"] = {"const": self.schema, "type": "string"}
        schema["required"] = sorted([*schema.get("required", []), "schema"])
        return schema

    def _loads(self, data: bytes, bounds: strict_json.Bounds) -> _T:
        body = strict_json.loads(data, bounds)
        schema = body.pop("schema", None) if isinstance(body, dict) else None
        if schema != self.schema:
            raise ValueError(_other_schema(schema, self.schema))
        try:
            return from_table(self.adapter, body)
        except ValidationError as error:
            raise ValueError(strict_json.sentence(error)) from error


def _document(stored: type[_T], name: str, hint: str) -> Document[_T]:
    """Return the document of a dataclass, whose JSON then has no other keys."""
    return Document(TypeAdapter(with_config(_STORED)(stored)), f"milo-perf.{name}/1", hint)


with_config(_STORED)(RunRequest)  # a part of StoredRequest

BASELINE = _document(Baseline, "baseline", "save it again from a run")
BISECT = _document(Bisection, "bisect", "start a new search")
BISECT_REQUEST = _document(BisectRequest, "bisect-request", "start a new search")
CALIBRATION = _document(Calibration, "calibration", "run `baseline calibrate` again")
CAPACITY = _document(Capacity, "capacity", "start a new search")
CAPACITY_REQUEST = _document(CapacityRequest, "capacity-request", "start a new search")
DEPLOYMENT = _document(Deployment, "deployment", "deploy again, into another folder")
EVALUATE_REQUEST = _document(EvaluateRequest, "evaluate-request", "start a new evaluation")
EVALUATION = Document(TypeAdapter(Evaluation), "milo-perf.evaluation/1", "start a new evaluation")
EXPLAIN_REQUEST = _document(ExplainRequest, "explain-request", "delete the folder, and start again")
EXPLANATION = _document(Explanation, "explanation", "run `explain` again")
FAULT_DETECTION = Document(
    TypeAdapter(FaultDetection), "milo-perf.seen/1", "remove the file to measure the fault again"
)
FORECAST = _document(CapacityForecast, "forecast", "forecast again")
RELEASES = _document(ReleaseSeries, "releases", "start a new measurement")
RELEASES_REQUEST = _document(ReleasesRequest, "releases-request", "start a new measurement")
REQUEST = _document(
    StoredRequest, "request", "`compare` and `render` still read the results; start a new run"
)
RESULTS = _document(ResultSet, "results", "run the suite again")
SOAK = _document(Soak, "soak", "start a new soak")
SOAK_REQUEST = _document(SoakRequest, "soak-request", "start a new soak")
SPREADS = _document(SpreadHistory, "spreads", "`baseline spreads DIR... --save` writes one")

PLAN = "milo-perf.plan/1"


def plan_json(plan: PlanSummary, need: ResourceEstimate) -> str:
    """Return a plan as JSON; durations are in seconds, sizes in bytes."""
    return _text({"schema": PLAN, "plan": asdict(plan), "need": asdict(need)})


def list_json(name: str, items: Sequence[object]) -> str:
    """Return a list as JSON under its name, with the schema `milo-perf.NAME/1`."""
    body = TypeAdapter(list[Any]).dump_python(list(items), mode="json")
    return _text({"schema": f"milo-perf.{name}/1", name: body})


def verdict_json(report: Report, exit_code: int, answer: str, next_step: str = "") -> str:
    """Return the text of verdict.json; see `verdict_body`."""
    body = verdict_file.verdict_body(report, exit_code, answer, next_step)
    return _text(body.model_dump(mode="json", by_alias=True))


def judged_json(findings: Sequence[Finding]) -> str:
    """Return the findings on a CSV file as JSON."""
    body = verdict_file.JudgedBody(findings=tuple(map(verdict_file.finding_body, findings)))
    return _text(body.model_dump(mode="json", by_alias=True))


def write_text(path: Path, text: str) -> None:
    """Replace a text file, all or nothing: on a full disk the old one stays readable.

    Raises:
        StorageError: The file cannot be written.
    """
    try:
        _replace(path, text)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror}", hint=hint_for(error)
        ) from error


def write_reports(folder: Path, texts: Mapping[str, str]) -> bool:
    """Write texts by file name, and return True if all could be written; a failure is only logged.

    The caller has printed the verdict already, so a file that is missing changes no answer.
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
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # two may write at once
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
    documents: list[Document[Any]] = [
        *(BISECT, BISECT_REQUEST, CALIBRATION, CAPACITY, CAPACITY_REQUEST, DEPLOYMENT),
        *(EVALUATE_REQUEST, EVALUATION, EXPLAIN_REQUEST, EXPLANATION, FORECAST, RELEASES),
        *(RELEASES_REQUEST, REQUEST, RESULTS, SOAK, SOAK_REQUEST, SPREADS),
    ]
    names = [one.schema.removeprefix("milo-perf.").replace("/", "-") for one in documents]
    verdict, judged = (
        body.model_json_schema(mode="serialization", by_alias=True)
        for body in (verdict_file.VerdictBody, verdict_file.JudgedBody)
    )
    schemas = {name: one.json_schema() for name, one in zip(names, documents, strict=True)}
    schemas["judged-1"] = judged
    schemas["verdict-2"] = _describe_keys(verdict, verdict_file.RULE_KEYS)
    return {f"{name}.schema.json": schema for name, schema in schemas.items()}


def _describe_keys(schema: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a schema whose descriptions have the keys in JSON, not the names in the code."""
    text = json.dumps(schema)
    for field, key in keys.items():
        text = text.replace(f"    {field}: ", f"    {key}: ")
    described: dict[str, Any] = json.loads(text)
    return described


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _other_schema(found: object, schema: str) -> str:
    message = f"its schema is {truncate(repr(found), 60)}, expected {schema!r}"
    kind, _, version = schema.rpartition("/")
    newer = (
        re.fullmatch(rf"{re.escape(kind)}/(\d{{1,9}})", found) if isinstance(found, str) else None
    )
    if newer and int(newer[1]) > int(version):
        return f"{message}: a newer milo-perf wrote it, and has to read it"
    return message
