"""Bytes of others, each of which once ended in a crash or got into a message as it was."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dev.fuzz import mutate
from dev.fuzz.readers import READERS
from dev.fuzz.seeds import seeds
from pipeline.drivers.k6.summarize import read_points
from pipeline.model.metric import Better, Scale
from pipeline.model.results import Sample
from pipeline.model.subject import Arm
from pipeline.probes import prometheus
from pipeline.probes.scrape import LineSelection, parse_scrape
from pipeline.runs.history import nightly_records
from pipeline.runs.history import points_csv as history_table
from pipeline.runs.history.source import Meaning
from pipeline.storage import measurements_csv, strict_json
from pipeline.system.errors import BaselineError, ConfigError, LoadError
from pipeline.system.sanitize import truncate
from tests import pages
from tests.builders import COUNT

DIGITS = "9" * 400
HEADER = "metric_name,timestamp,metric_value,error_code,expected_response,status,extra_tags"


@pytest.mark.parametrize("reader", sorted(READERS))
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(rng=st.randoms(use_true_random=True), is_bytes=st.booleans())
def test_a_reader_understands_or_refuses_in_one_sentence(
    reader: str, rng: random.Random, *, is_bytes: bool
) -> None:
    data = rng.choice(seeds(reader))
    READERS[reader](data)
    READERS[reader]((mutate.in_bytes if is_bytes else mutate.of(reader))(rng, data))


def test_a_counter_of_400_digits_is_an_error() -> None:
    text = f"# TYPE go_goroutines gauge\ngo_goroutines {DIGITS}\n"
    with pytest.raises(LoadError, match="not Prometheus text"):
        prometheus.select_lines("server", text)


def test_a_bucket_without_a_bound_is_an_error_that_names_it() -> None:
    name = "apiserver_request_duration_seconds"
    text = f'# TYPE {name} histogram\n{name}_bucket{{verb="GET",le="x"}} 3\n'
    wanted = LineSelection(f"{name}_bucket", {})
    found = parse_scrape(text, [wanted])
    with pytest.raises(LoadError, match=f"{name}_bucket has no bound `le`"):
        prometheus.load_buckets(wanted, found, found)


@pytest.mark.parametrize("time", [DIGITS, "99999999999999999999", "1e308"])
def test_a_time_of_too_many_digits_is_an_error(tmp_path: Path, time: str) -> None:
    path = tmp_path / "points.csv.gz"
    line = f"http_req_duration,{time},1.0,,true,200,arm=baseline&phase=load"
    path.write_bytes(gzip.compress(f"{HEADER}\n{line}\n".encode()))
    with pytest.raises(LoadError, match="not what k6 writes"):
        read_points(path, [Arm.BASELINE])


def _nights(tmp_path: Path, *changes: dict[str, object]) -> Path:
    path = tmp_path / "nights.jsonl"
    body = nightly_records.nightly_record(pages.measured()).model_dump(mode="json", by_alias=True)
    value = body["metrics"]["object-crud/create_p50"]
    lines = [
        {**body, "run": f"{number}", "metrics": {"object-crud/create_p50": {**value, **change}}}
        for number, change in enumerate(changes)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_night_whose_ratio_is_not_above_0_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"jsonl:2: .*a ratio must be above 0"):
        nightly_records.load(_nights(tmp_path, {}, {"value": 0.0}))


def test_nights_of_a_metric_that_changed_its_scale_are_left_out_and_said(tmp_path: Path) -> None:
    path = _nights(tmp_path, {"scale": "difference", "value": -1.0}, {}, {})
    (series,) = nightly_records.read(path).series
    assert len(series.series.values) == 2
    assert series.series.notes == ("1 records on another scale or in another unit are left out",)


@pytest.mark.parametrize("value", ["\x1b[31m", "\u202e", "\x00", "x" * 5000])
@pytest.mark.parametrize("head", ["pair,arm,metric,value", "VALUE,metric"])
def test_what_a_csv_has_is_quoted_short_and_printable(
    tmp_path: Path, value: str, head: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{head.replace('VALUE', value)}\n1,baseline,m,{value}\n")
    with pytest.raises(ConfigError) as caught:
        measurements_csv.read(path)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < len(str(path)) + 400


def test_times_none_of_which_is_iso_8601_may_have_parts_of_seconds(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = [f"Jan {day} 2026 00:00:00.030,{day}\n" for day in (1, 2, 3)]
    path.write_text("time,value\n" + "".join(rows))
    (series,) = history_table.read(path, Meaning(Scale.RATIO, Better.LOWER)).series
    assert series.series.values == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("share", ["5.0", "-0.1", "1.0001"])
def test_a_share_of_events_beyond_all_of_them_is_refused(tmp_path: Path, share: str) -> None:
    path = tmp_path / "table.csv"
    head = "pair,arm,metric,value,margin,scale,of"
    arms = ("baseline", "candidate", "baseline")
    rows = [f"{n},{arm},errors,0.1,0.01,difference,1000" for n, arm in enumerate(arms)]
    path.write_text("\n".join([head, *rows, f"2,candidate,errors,{share},0.01,difference,9", ""]))
    with pytest.raises(ConfigError, match=r"csv:5: value: .* is not a share from 0 to 1"):
        measurements_csv.read(path)
    with pytest.raises(ValueError, match="a share of events must be between 0 and 1"):
        Sample("w", COUNT, (0.5, float(share)), (10.0, 10.0))


def test_json_of_equal_keys_is_refused_wherever_they_are() -> None:
    with pytest.raises(ValueError, match="`b` is there twice"):
        strict_json.loads(b'{"a": [{"b": 1, "c": 2, "b": 1}]}')


def test_json_at_the_limits_is_read() -> None:
    deepest = b"[" * strict_json.MAX_DEPTH + b"]" * strict_json.MAX_DEPTH
    assert strict_json.loads(deepest)
    with pytest.raises(ValueError, match="nested more than"):
        strict_json.loads(b"[" + deepest + b"]")
    many = [0] * (strict_json.FOREIGN.values - 1)
    assert strict_json.loads(json.dumps(many).encode()) == many
    with pytest.raises(ValueError, match="more than 50000 values"):
        strict_json.loads(json.dumps([*many, 0]).encode())
    assert strict_json.loads(b'{"a": 9.2e18}')
    with pytest.raises(ValueError, match="too large a number"):
        strict_json.loads(f"[{2**63}]".encode())


def test_text_is_cut_and_made_one_line() -> None:
    assert truncate("a\nb\x1bc", 10) == "a b?c"
    assert truncate("x" * 11, 10) == "x" * 10 + "…"
    assert truncate("x" * 10, 10) == "x" * 10
