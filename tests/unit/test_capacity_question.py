"""What is asked of `capacity` is refused where it cannot be answered."""

from dataclasses import replace

import pytest

from pipeline.model.capacity import CapacityQuestion, CapacityStep, CountedResource
from pipeline.model.limit import parse_limits
from pipeline.runs.capacity import stages
from pipeline.system.errors import ConfigError
from tests.builders import NOW


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"limits": ["p99(gte)<1s"]}, "column 5", id="limit"),
        pytest.param({"limits": []}, "at least one limit", id="no limit"),
        pytest.param({"start": 0}, "start: must be at least 1", id="start"),
        pytest.param({"rate": -1.0}, "rate: must be finite", id="rate"),
        pytest.param({"projects": 3}, "has no meaning here", id="projects of projects"),
        pytest.param({"hold_s": 1.0}, "--hold 1s", id="short hold"),
        pytest.param({"hold_s": 4.0}, "needs 368 requests in a hold", id="too few for a p99"),
        pytest.param(
            {"things": "objects", "limits": ["ready<1s"]},
            "`capacity objects` adds none",
            id="ready",
        ),
    ],
)
def test_a_wish_that_cannot_be_answered_is_refused(changes: dict[str, object], said: str) -> None:
    good = stages.Wish("projects", "reference", ["p99(get)<1s"], 60)
    with pytest.raises(ConfigError, match=said):
        stages.question_of(replace(good, **changes))  # type: ignore[arg-type]  # any field


def test_a_wish_has_defaults_of_its_own_for_projects_and_objects() -> None:
    projects = stages.question_of(stages.Wish("projects", "reference", ["ready<60s"], 60))
    objects = stages.question_of(stages.Wish("objects", "reference", ["db<1GB"], 60, seed=5))
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
