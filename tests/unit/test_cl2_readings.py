"""Readings of a report: each in its unit, once, and none of what was not measured."""

import json
from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2.readings import readings, warnings
from pipeline.drivers.clusterloader2.report import read_report
from pipeline.drivers.clusterloader2.wire import AVAILABILITY, LATENCY
from pipeline.model.metric import BASE_UNITS
from pipeline.model.results import Reading
from tests import cl2
from tests.cl2 import case, latency, named, perfdata, recorded

API = "cl2.api_latency{verb=POST,resource=secrets,scope=resource}"


def of(folder: Path) -> dict[str, Reading]:
    found = readings(read_report(folder, ()))
    assert len({reading.name for reading in found}) == len(found)
    return {reading.name: reading for reading in found}


def values(tmp_path: Path, *items: object, summary: str = LATENCY) -> dict[str, float]:
    body = perfdata(*items)  # type: ignore[arg-type]  # wrong ones too
    folder = cl2.report(tmp_path / "report", {summary: body})
    return {name: reading.value for name, reading in of(folder).items()}


def test_a_recorded_run_yields_its_steps_timers_and_availability() -> None:
    found = of(recorded("projects"))
    assert found["cl2.step{step=create projects}"].value == 0.503225154
    assert found["cl2.step{step=wait for projects}"].value == 1.102667717
    assert found["cl2.timer{label=projects-ready}"].value == 1.708473403
    assert found["cl2.availability_share"].value == 1.0
    assert found["cl2.longest_gap"].value == 0.0
    assert {reading.unit for reading in found.values()} <= set(BASE_UNITS)


def test_a_recorded_run_with_prometheus_yields_latencies_and_queries() -> None:
    found = of(recorded("prometheus"))
    assert found[f"{API}/p99"] == Reading(f"{API}/p99", 0.021, "s")
    assert found[f"{API}/p99_width"].value == 0.05
    assert (found[f"{API}/count"].value, found[f"{API}/slow_count"].value) == (200.0, 1.0)
    query = "cl2.query{name=My Metric,resource=secrets}/Perc99"
    assert found[query] == Reading(query, 7.0, "1")  # ClusterLoader2's unit is `count`


def test_the_measurements_of_a_step_run_side_by_side_so_the_longest_is_the_step(
    tmp_path: Path,
) -> None:
    steps = [
        case("c overall (c.yaml)", "9"),
        case("c: [step: 01] start [00] - A", "0.25"),
        case("c: [step: 01] start [01] - B", "0.75"),
        case("c: [step: 02] update objects", "2"),
        case("c: [step: 03] update objects", "3"),
    ]
    found = of(cl2.report(tmp_path / "report", {}, steps))
    assert found["cl2.step{step=start}"].value == 0.75
    assert found["cl2.step{step=start}/count"].value == 1
    assert found["cl2.step{step=update objects}"].value == 5
    assert found["cl2.step{step=update objects}/count"].value == 2


@pytest.mark.parametrize(
    ("p99_ms", "width_s"),
    [(1.0, 0.05), (50.0, 0.05), (51.0, 0.05), (150.0, 0.1), (1100.0, 0.25), (60_000.0, 15.0)],
)
def test_a_latency_has_the_width_of_its_bucket(
    tmp_path: Path, p99_ms: float, width_s: float
) -> None:
    found = values(tmp_path, latency(1.0, p99_ms))
    assert found[f"{API}/p99"] == pytest.approx(p99_ms / 1e3)
    assert found[f"{API}/p99_width"] == pytest.approx(width_s)


def test_beyond_the_last_bucket_and_of_another_histogram_no_width_is_claimed(
    tmp_path: Path,
) -> None:
    found = values(tmp_path, latency(1.0, 61_000.0), latency(1.0, 70.0, Verb="WATCHLIST"))
    assert f"{API}/p99_width" not in found
    watched = "cl2.api_latency{verb=WATCHLIST,resource=secrets,scope=resource}"
    assert found[f"{watched}/p99"] == 0.07
    assert f"{watched}/p99_width" not in found


def test_requests_that_were_not_made_have_no_latency(tmp_path: Path) -> None:
    nan = -9223372036854.775  # what Go makes of NaN seconds, in ms
    found = values(tmp_path, latency(nan, nan, Count="0"), latency(nan, 60.0, Verb="GET"))
    assert f"{API}/p50" not in found
    assert found[f"{API}/count"] == 0
    got = API.replace("POST", "GET")
    assert f"{got}/p50" not in found
    assert found[f"{got}/p99"] == 0.06


def test_subresources_and_summaries_of_their_own_name_are_kept_apart(tmp_path: Path) -> None:
    body = perfdata(latency(70, 80), latency(90, 90, Subresource="status"))
    folder = cl2.report(tmp_path / "report", {LATENCY: body, f"{LATENCY}_during": body})
    found = of(folder)
    assert found[f"{API}/p99"].value == 0.08
    status = "verb=POST,resource=secrets,subresource=status,scope=resource"
    assert found[f"cl2.api_latency{{{status}}}/p99"].value == 0.09
    assert found[f"cl2.api_latency{{summary={LATENCY}_during,{status}}}/p99"].value == 0.09


def test_the_unit_of_a_query_is_its_own_or_our_name_of_it(tmp_path: Path) -> None:
    found = of(
        cl2.report(
            tmp_path / "report",
            {
                f"GenericPrometheusQuery {unit}": perfdata(({"Mean": 2.0}, unit, {"verb": "GET"}))
                for unit in ("ms", "cores", "bytes", "%", "QPMs")
            },
        )
    )
    units = {
        name.split("=")[1].split(",")[0]: r.unit for name, r in found.items() if "query" in name
    }
    assert units == {"ms": "ms", "cores": "1", "bytes": "B", "%": "%", "QPMs": "QPMs"}
    assert all(r.value == 2.0 for name, r in found.items() if "query" in name)


def test_of_two_summaries_that_tell_the_same_the_later_counts_and_that_is_said(
    tmp_path: Path,
) -> None:
    folder = cl2.report(tmp_path / "report")
    later = {**cl2.AVAILABLE, "clusterMetrics": {**cl2.AVAILABLE["clusterMetrics"]}}  # type: ignore[dict-item]
    later["clusterMetrics"]["availabilityPercentage"] = 50  # type: ignore[index]
    path = folder / named(AVAILABILITY, at="2026-11-23T22:19:56+01:00")
    path.write_text(json.dumps(later))
    assert of(folder)["cl2.availability_share"].value == 0.995  # 22:19 in UTC+1 is before 21:20
    path.rename(folder / named(AVAILABILITY, at="2026-11-23T22:19:57+01:00"))
    assert of(folder)["cl2.availability_share"].value == 0.5
    assert any("2 summaries are named APIAvailability" in s for s in told(folder))


def told(folder: Path) -> tuple[str, ...]:
    return warnings(read_report(folder, ()))


def test_latencies_below_the_first_bucket_come_with_a_warning(tmp_path: Path) -> None:
    low = perfdata(latency(25, 49.5), latency(60, 90, Verb="GET"), latency(0, 0, Count="0"))
    said = told(cl2.report(tmp_path / "low", {LATENCY: low}))
    assert len(said) == 1
    assert "1 of 3 kinds of requests are below 50 ms" in said[0]
    high = perfdata(latency(60, 90, Verb="GET"))
    assert told(cl2.report(tmp_path / "high", {LATENCY: high})) == ()
