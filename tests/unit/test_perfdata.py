"""PerfData goes both ways: what is read is written the same, and what we write is read the same."""

import json
from pathlib import Path
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.drivers.clusterloader2.report import read_json, read_report
from pipeline.drivers.clusterloader2.wire import parse_perfdata
from pipeline.judge import policy
from pipeline.model.perfdata import Item
from pipeline.model.results import Cutoff
from pipeline.model.subject import Arm
from pipeline.render.perfdata import perfdata, perfdata_text
from tests import pages
from tests.builders import COUNT, LATENCY, results
from tests.cl2 import RECORDED, recorded
from tests.unit.test_exports import with_bounds

RECORDED_FILES = [
    pytest.param(path, id=f"{name} {path.name.partition('_')[0]}")
    for name in RECORDED
    for path in sorted(recorded(name).glob("*.json"))
    if "version" in path.read_text()
]


def again(tmp_path: Path, text: str) -> tuple[Item, ...]:
    path = tmp_path / "perfdata.json"
    path.write_text(text, encoding="utf-8")
    return parse_perfdata(path, read_json(path))


@pytest.mark.parametrize("path", RECORDED_FILES)
def test_items_of_a_recorded_report_are_the_same_after_a_round_trip(
    path: Path, tmp_path: Path
) -> None:
    found = parse_perfdata(path, read_json(path))
    assert found
    assert all(item.data for item in found)
    assert again(tmp_path, perfdata_text(found, {})) == found
    assert json.loads(perfdata_text(found, {})) == json.loads(path.read_text())


def test_every_perfdata_file_of_the_recorded_reports_was_in_a_round_trip() -> None:
    summaries = [s for name in RECORDED for s in read_report(recorded(name), ()).summaries]
    assert len(RECORDED_FILES) == sum(isinstance(s.content, tuple) for s in summaries) == 8


_texts = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.builds(
            Item,
            st.dictionaries(_texts, st.floats(-1e15, 1e15), max_size=4),
            _texts,
            st.dictionaries(_texts.filter(str.isprintable), _texts.filter(str.isprintable)),
        ),
        max_size=4,
    )
)
def test_any_items_are_the_same_after_a_round_trip(tmp_path: Path, found: list[Item]) -> None:
    assert again(tmp_path, perfdata_text(found, {"suite": "pr"})) == tuple(found)


def test_our_results_are_read_by_the_reader_of_clusterloader2(tmp_path: Path) -> None:
    report = pages.report()
    found = again(tmp_path, perfdata(report))
    assert len(found) == 2 * len(pages.METRICS)
    valid = report.results.valid_pairs
    assert len(valid) == 4
    for arm in Arm:
        for sample in report.results.samples[arm]:
            labels = {"workload": "object-crud", "metric": sample.metric.name, "arm": arm.value}
            item = next(i for i in found if {**i.labels, "Count": ""} == {**labels, "Count": ""})
            values = [sample.values[pair] or 0.0 for pair in valid]
            assert item.data == {"median": median(values), "min": min(values), "max": max(values)}
            assert (item.unit, item.labels["Count"]) == (sample.metric.unit, "4")


def test_labels_of_items_are_those_of_every_run_and_the_builds_are_labels_of_the_whole() -> None:
    one, two = (
        json.loads(perfdata(policy.report(results((LATENCY, v, v), specs=specs))))
        for v, specs in (([1.0, 1.1], ("a", "b")), ([3.0, 3.3], ("c", "d")))
    )
    assert [i["labels"] for i in one["dataItems"]] == [i["labels"] for i in two["dataItems"]]
    assert (one["labels"]["candidate"], two["labels"]["candidate"]) == ("b", "d")
    assert one["labels"]["candidate_digest"].startswith("sha256:")
    assert (one["labels"]["verdict"], one["labels"]["suite"]) == ("unchanged", "pr")


def test_what_was_not_measured_has_no_item_and_a_0_is_a_number(tmp_path: Path) -> None:
    run = results(
        (LATENCY, [1.0, 2.0], [None, None]), (COUNT, [0.0, 0.0], [0.0, None]), invalid={0: "short"}
    )
    found = again(tmp_path, perfdata(policy.report(run)))
    by_name = {(i.labels["metric"], i.labels["arm"]): i for i in found}
    assert set(by_name) == {("create_p50", "baseline"), ("files", "baseline")}
    assert by_name["create_p50", "baseline"].data == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert by_name["files", "baseline"].data["median"] == 0.0
    assert again(tmp_path, perfdata(policy.report(results()))) == ()


def test_values_that_a_deadline_cut_off_count_as_the_bounds_that_they_are(tmp_path: Path) -> None:
    run = with_bounds(results((LATENCY, [1.0, 1.0], [9.0, 9.0])), LATENCY.name, Cutoff.AT_LEAST)
    text = perfdata(policy.report(run))
    found = {item.labels["arm"]: item.data["median"] for item in again(tmp_path, text)}
    assert found == {"baseline": 1.0, "candidate": 9.0}
    assert json.loads(text)["labels"]["lower_bounds"] == "2"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_item_holds_no_number_that_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="every number must be finite"):
        Item({"median": value}, "s")


def test_no_percentile_of_requests_is_claimed() -> None:
    assert "Perc" not in perfdata(pages.report())


def test_the_same_report_gives_the_same_bytes() -> None:
    assert perfdata(pages.report()) == perfdata(pages.report())
