"""What is asked of `capacity` is refused where it cannot be answered."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.capacity import Capacity, CapacityQuestion, CapacityStep, CountedResource
from pipeline.model.limit import parse_limits
from pipeline.model.request import CapacityRequest
from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.runs.capacity import run
from pipeline.runs.folder import RunFolder
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, ConfigError
from tests.builders import NOW


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"limits": ["p99(gte)<1s"]}, "column 5", id="limit"),
        pytest.param({"limits": []}, "at least one limit", id="no limit"),
        pytest.param({"start": 0}, "start: must be at least 1", id="start"),
        pytest.param({"rate": -1.0}, "rate: must be finite", id="rate"),
        pytest.param({"projects": 3}, "needs `capacity objects`", id="projects of projects"),
        pytest.param({"hold_s": 1.0}, "--hold 1s", id="short hold"),
        pytest.param({"hold_s": 4.0}, "needs 368 requests in a hold", id="too few for a p99"),
        pytest.param(
            {"things": CountedResource.OBJECTS, "limits": ["ready<1s"]},
            "`capacity objects` adds none",
            id="ready",
        ),
        pytest.param({"limits": ["idle_cpu<1"]}, "only measured with --forecast", id="idle CPU"),
        pytest.param({"limits": ["errors<101%"]}, "at most 100 %", id="errors"),
        pytest.param({"limits": ["mean(get)<30s"]}, "given up after 30 s", id="beyond the timeout"),
        pytest.param({"object_bytes": 2_000_000}, "object_bytes: .*1048576", id="large objects"),
        pytest.param(
            {"limits": [], "forecast": 1000, "start": 32}, "a forecast needs 4 sizes", id="sizes"
        ),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused(
    changes: dict[str, object], said: str
) -> None:
    good = CapacityRequest(CountedResource.PROJECTS, ("p99(get)<1s",))
    with pytest.raises(ConfigError, match=said):
        run.question_of(replace(good, **changes))  # type: ignore[arg-type]  # any field


def test_a_request_has_defaults_of_its_own_for_projects_and_objects() -> None:
    projects = run.question_of(CapacityRequest(CountedResource.PROJECTS, ("ready<60s",)))
    objects = run.question_of(CapacityRequest(CountedResource.OBJECTS, ("db<1GB",), seed=5))
    assert (projects.start, objects.start, objects.projects) == (5, 100, 3)
    assert objects.seed == 5


def test_a_question_or_a_step_that_means_nothing_cannot_be_made() -> None:
    limits = parse_limits(["db<1GB"])
    with pytest.raises(ValueError, match="budget_s"):
        CapacityQuestion(CountedResource.PROJECTS, limits, budget_s=float("inf"), start=5)
    with pytest.raises(ValueError, match="limits"):
        CapacityQuestion(CountedResource.PROJECTS, (), budget_s=60, start=5)
    with pytest.raises(ValueError, match="cannot be"):
        CapacityStep(1, 0, NOW, 1.0, {"latency": 1.0})
    with pytest.raises(ValueError, match="duration_s"):
        CapacityStep(1, 0, NOW, -1.0, {})


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        pytest.param(
            {"rate": 21.0}, ConfigError, r"request\.json: rate: is 21\.0, and", id="changed"
        ),
        pytest.param({"rate": -1}, ConfigError, r"request\.json: .*rate", id="impossible"),
        pytest.param({"rate": "fast"}, BaselineError, "rate: Input should be", id="nonsense"),
        pytest.param(
            {"schema": "milo-perf.capacity-request/2"}, BaselineError, "newer", id="newer"
        ),
    ],
)
def test_a_search_is_not_resumed_with_another_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
    error: type[Exception],
    text: str,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    request = CapacityRequest(CountedResource.OBJECTS, ("db<1GB",), seed=5)
    out = tmp_path / "search"
    subject = Subject("reference", "sha256:00")
    RunFolder(out, "capacity").create(codec.CAPACITY_REQUEST.dumps(request))
    assert codec.CAPACITY_REQUEST.read(out / "request.json") == request
    codec.CAPACITY.write(
        out / "capacity.json",
        Capacity(run.question_of(request), subject, "local", "", Machine({}, {}), {}, NOW),
    )
    body = json.loads((out / "request.json").read_text())
    (out / "request.json").write_text(json.dumps(body | change))
    with pytest.raises(error, match=text):
        run.resume(out, is_trusted=True)
