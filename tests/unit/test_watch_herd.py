"""A herd of watches: its settings, and what its result means."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.drivers.watch_herd.driver import WatchHerdDriver
from pipeline.drivers.watch_herd.result import HerdResult, judge_herd, read_result
from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.ports import Load, Program
from pipeline.model.results import Sample
from pipeline.model.subject import Arm
from pipeline.runs import suite_file
from pipeline.system import paths
from pipeline.system.errors import LoadError

CANDIDATE = Arm.CANDIDATE
SETTINGS: dict[str, Any] = {
    "kind": "watch-herd",
    "watches": 100,
    "rate": 10.0,
    "projects": 5,
    "duration_s": 10,
}


def account(**changes: object) -> dict[str, object]:
    return {
        **dict.fromkeys(("lost", "duplicated", "out_of_order", "foreign", "late"), 0),
        "expected": 1000,
        "delivered": 1000,
        "bookmarks": 3,
        "restarts": {},
        "lag_s": [0.004, *[0.001] * 99],
        "writes": 100,
        "refused": {},
        "write_s": [0.04, *[0.01] * 99],
        "list_s": {"full": [0.3, 0.1, 0.2]},
        "synced_s": 1.5,
        "watches": 100,
        "usage": {
            "before": {"goroutines": 200, "heap": 40e6},
            "open": {"goroutines": 500, "heap": 46e6},
            "ended": {"goroutines": 203, "heap": 39e6},
        },
        **changes,
    }


def part(one: dict[str, object], **changes: float) -> HerdResult:
    given = {"arms": {"candidate": one}, "began_s": 0.0, "ended_s": 10.0, "cpu_share": 0.1}
    return HerdResult.model_validate(given | changes)


def result(path: Path, **candidate: object) -> Path:
    arms = {"baseline": account(), "candidate": account(**candidate)}
    text = json.dumps({"arms": arms, "began_s": 100.0, "ended_s": 110.0, "cpu_share": 0.1})
    path.write_text(text)
    return path


def judged(path: Path, **changes: object) -> Load:
    settings = WatchHerd.model_validate(SETTINGS)
    return judge_herd(settings, {"watch-herd": read_result(result(path, **changes))})


def values(load: Load, arm: Arm) -> dict[str, float]:
    names = WatchHerd.model_validate(SETTINGS).reading_names()
    for one in load.readings[arm]:
        assert names.allow(one.name)
        assert names.units.get(one.name, one.unit) == one.unit
    return {reading.name: reading.value for reading in load.readings[arm]}


def test_every_figure_is_a_reading(tmp_path: Path) -> None:
    load = judged(tmp_path / "r", foreign=2, lost=3, restarts={"410": 2, "ended": 1})
    found = values(load, Arm.CANDIDATE)
    assert (load.invalid, load.failed, load.failing) == ((), {}, {})
    assert (load.spans[Arm.BASELINE].start_s, load.spans[Arm.BASELINE].end_s) == (100.0, 110.0)
    assert (found["watch_lag/p50"], found["watch_lag/max"]) == (0.001, 0.004)
    assert found["events_of_other_projects"] == 0.002
    assert found["events_lost"] == 0.003
    assert (found["watch_restarts"], found["watch_restarts{reason=410}"]) == (3, 2)
    assert found["herd_list{way=full}/p50"] == 0.2
    assert found["generator_cpu_share"] == pytest.approx(0.1)
    assert values(load, Arm.BASELINE)["events_lost"] == 0


def test_every_value_can_be_a_sample_whatever_a_build_does(tmp_path: Path) -> None:
    # An event may come before the answer of its write, and a slow build takes seconds for both.
    times = [-0.001, 2.0, 30.0, 60.0]
    counts = {"lost": 1000, "duplicated": 5000, "foreign": 2000, "out_of_order": 7}
    load = judged(tmp_path / "r", lag_s=times, write_s=times, **counts)
    for one in load.readings[CANDIDATE]:
        metric = Metric(one.name, one.unit, Better.LOWER, 0.1, scale=Scale.DIFFERENCE)
        denominators = (one.denominator,) if one.denominator else ()
        assert Sample("watch-herd", metric, (one.value,), denominators).values == (one.value,)


def test_restarts_are_counted_by_reason_and_a_timeout_is_none(tmp_path: Path) -> None:
    restarts = {"timeout": 90, "410": 2, "503": 1, "start: 429": 40, "start: 503": 2}
    found = values(judged(tmp_path / "r", restarts=restarts), CANDIDATE)
    assert (found["watch_timeouts"], found["watch_restarts"]) == (90, 3)
    assert found["watch_start_retries"] == 42
    reasons = {name[22:-1]: value for name, value in found.items() if "{reason=" in name}
    assert reasons == {"410": 2, "503": 1, "429": 0, "ended": 0, "connection": 0}


def test_a_watch_has_a_cost_and_leaves_nothing(tmp_path: Path) -> None:
    load = judged(tmp_path / "r")
    found = values(load, CANDIDATE)
    assert (found["watch_goroutines"], found["watch_heap"]) == (3.0, 60e3)
    assert (found["goroutines_left"], found["heap_left"], found["heap_ended"]) == (3, 0, 39e6)
    assert not load.warnings


def test_a_cost_that_cannot_be_read_is_missing_with_a_warning(tmp_path: Path) -> None:
    load = judged(tmp_path / "r", usage={}, usage_error="status 403: no")
    assert "goroutines_left" not in values(load, CANDIDATE)
    assert load.warnings == ("what watches use of the candidate is unknown: status 403: no",)
    assert not load.invalid


def test_each_metric_of_the_suite_selects_a_reading_or_is_of_a_probe(tmp_path: Path) -> None:
    suite = suite_file.load(paths.project_path("suites", "watch.toml")).suite
    lists = {way: [0.1] for way in WatchHerd.model_validate(SETTINGS).list_ways}
    found = values(judged(tmp_path / "r", list_s=lists), Arm.CANDIDATE)
    for _, metric in suite.keyed_metrics():
        for name in filter(None, (metric.select, metric.per)):
            assert name in found or name.startswith("server."), name


@given(st.integers(0, 1000), st.floats(0, 2))
def test_what_the_generator_did_wrong_is_invalid_and_what_the_build_did_is_not(
    late: int, cpu_share: float
) -> None:
    settings = WatchHerd.model_validate(SETTINGS)
    load = judge_herd(settings, {"watch-herd": part(account(late=late), cpu_share=cpu_share)})
    assert bool(load.invalid) == (late > 2 or cpu_share > settings.max_generator_cpu)


def test_a_build_that_refuses_most_writes_is_failing(tmp_path: Path) -> None:
    load = judged(tmp_path / "r", refused={"POST 500": 60}, writes=40)
    assert load.failing == {Arm.CANDIDATE: "60 requests to the candidate failed: POST 500"}
    assert values(load, Arm.CANDIDATE)["errors_share"] == pytest.approx(0.6)


@given(st.integers(0, 100), st.integers(0, 900))
def test_refused_lists_are_a_share_of_writes_and_lists(writes: int, lists: int) -> None:
    settings = WatchHerd.model_validate(SETTINGS | {"rate": 10, "duration_s": 10, "list_rate": 90})
    one = part(account(refused={"POST 500": writes, "list full 504": lists}))
    load = judge_herd(settings, {"watch-herd": one})
    share = values(load, CANDIDATE)["errors_share"]
    assert share == pytest.approx((writes + lists) / 1000)
    assert bool(load.failing) == (share > 0.5)


def test_a_build_that_could_not_be_prepared_has_failed(tmp_path: Path) -> None:
    load = judged(tmp_path / "r", failed="the Project herd-0 is not Ready")
    assert load.failed == {Arm.CANDIDATE: "the Project herd-0 is not Ready"}
    assert load.readings[Arm.BASELINE] == ()


@pytest.mark.parametrize("text", ["", "{}", '{"arms": {"moon": {}}}'])
def test_a_result_that_cannot_be_read_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result"
    path.write_text(text)
    with pytest.raises(LoadError, match="not the result of a herd"):
        read_result(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"watches": 9}, "10 are needed", id="few watches"),
        pytest.param({"watches": 1_000_000}, "less than or equal to 100000", id="many watches"),
        pytest.param({"rate": 0}, "greater than or equal to 0.001", id="no rate"),
        pytest.param({"list_ways": ["all"]}, "Input should be 'page'", id="unknown way"),
        pytest.param({"list_ways": []}, "at least 1 item", id="no way"),
        pytest.param({"script": "x.js"}, "Extra inputs", id="unknown key"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WatchHerd.model_validate(SETTINGS | changes)


def test_the_sources_of_the_program_are_part_of_the_digest_and_its_tests_are_not() -> None:
    settings = WatchHerd.model_validate(SETTINGS)
    sources = {"client.go", "go.mod", "ledger.go", "main.go", "part.go", "usage.go", "watch.go"}
    assert sources == set(settings.tree())
    assert WatchHerdDriver(settings, Program(Path("herd"), "1", "sha256:00")).settings == settings
