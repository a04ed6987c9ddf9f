"""Raw points of k6 become exact readings, or an error that names the file."""

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest

from pipeline.drivers.k6.summarize import PointsSummary, read_points
from pipeline.judge.stats.summary import min_values
from pipeline.model.ports import Span
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

GOLDEN = Path(__file__).parents[1] / "golden" / "k6"
HEADER = (
    "metric_name,timestamp,metric_value,error_code,expected_response,name,scenario,status,"
    "extra_tags,metadata"
)


def line(
    metric: str = "http_req_duration",
    value: object = 10.0,
    at_us: int = 1_000_000,
    *,
    arm: str = "baseline",
    phase: str = "load",
    op: str = "create",
    status: int | str = 201,
    expected: bool = True,
    error_code: str = "",
    more: str = "",
) -> str:
    tags = f"arm={arm}&op={op}&phase={phase}{more}"
    was = "true" if expected else "false"
    return f"{metric},{at_us},{value},{error_code},{was},{op},load,{status},{tags},"


def written(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "points.csv.gz"
    path.write_bytes(gzip.compress("\n".join([header, *lines, ""]).encode()))
    return path


def read(tmp_path: Path, *lines: str, arms: Sequence[Arm] = (Arm.BASELINE,)) -> PointsSummary:
    return read_points(written(tmp_path, *lines), arms)


def values(points: PointsSummary, arm: Arm = Arm.BASELINE) -> dict[str, float]:
    return {reading.name: reading.value for reading in points.arms[arm].readings}


def rows(name: str) -> list[dict[str, str]]:
    """Read a recorded file with another library, one dictionary a line, its tags spread out."""
    text = gzip.decompress((GOLDEN / name).read_bytes()).decode()
    found = csv.DictReader(io.StringIO(text))
    return [row | {k: v[0] for k, v in parse_qs(row["extra_tags"]).items()} for row in found]


def of(name: str, **wanted: str) -> list[float]:
    return [
        float(row["metric_value"])
        for row in rows(name)
        if all(row.get(key) == value for key, value in wanted.items())
    ]


@pytest.mark.parametrize("arm", list(Arm))
@pytest.mark.parametrize("op", ["create", "get", "list", "update", "delete"])
def test_percentiles_of_a_recorded_run_are_those_of_all_its_requests(arm: Arm, op: str) -> None:
    name = "object_crud.csv.gz"
    found = values(read_points(GOLDEN / name, list(Arm)), arm)
    wanted = of(name, metric_name="http_req_duration", arm=arm, op=op, phase="load")
    key = f"http_req_duration{{op={op}}}"
    assert found[f"{key}/count"] == len(wanted) >= 5
    assert found[f"{key}/mean"] == pytest.approx(sum(wanted) / len(wanted) / 1e3)
    assert found[f"{key}/p50"] == pytest.approx(np.percentile(wanted, 50) / 1e3)


@pytest.mark.parametrize("arm", list(Arm))
def test_readings_over_all_operations_of_a_recorded_run_are_there(arm: Arm) -> None:
    name = "object_crud.csv.gz"
    found = values(read_points(GOLDEN / name, list(Arm)), arm)
    wanted = of(name, metric_name="http_req_duration", arm=arm, phase="load")
    assert found["http_req_duration/p95"] == pytest.approx(np.percentile(wanted, 95) / 1e3)
    assert ("http_req_duration/p99" in found) == (len(wanted) >= min_values(0.99))
    assert found["iterations"] == len(of(name, metric_name="iterations", arm=arm, phase="load"))
    assert found["errors_share"] == 0


@pytest.mark.parametrize("arm", list(Arm))
@pytest.mark.parametrize("name", ["project_ready", "project_gone"])
def test_times_that_a_script_measures_itself_are_read_like_requests(arm: Arm, name: str) -> None:
    file = "project_lifecycle.csv.gz"
    found = values(read_points(GOLDEN / file, list(Arm)), arm)
    wanted = of(file, metric_name=name, arm=arm, phase="load")
    assert found[f"{name}/count"] == len(wanted)
    assert found[f"{name}/p50"] == pytest.approx(np.percentile(wanted, 50) / 1e3)
    assert name not in found


@pytest.mark.parametrize("arm", list(Arm))
def test_points_of_k6_2_are_read_like_those_of_k6_1(arm: Arm) -> None:
    file = "project_burst_k6_2.2.0.csv.gz"
    found = values(read_points(GOLDEN / file, list(Arm), is_open=False), arm)
    for metric, key in (("project_ready", "project_ready"), ("http_req_duration", "{op=create}")):
        wanted = of(file, metric_name=metric, arm=arm, phase="load")
        name = key if key == metric else f"{metric}{key}"
        assert found[f"{name}/count"] == len(wanted) == 10
        assert found[f"{name}/p50"] == pytest.approx(np.percentile(wanted, 50) / 1e3)
    assert found["projects_created"] == found["iterations"] == 10
    assert found["requests"] == 20  # a watch and a create for each Project


@pytest.mark.parametrize("arm", list(Arm))
def test_a_counter_is_summed_over_warm_up_too(arm: Arm) -> None:
    file = "project_lifecycle.csv.gz"
    found = values(read_points(GOLDEN / file, list(Arm)), arm)
    assert found["projects_deleted"] == sum(of(file, metric_name="projects_deleted", arm=arm))
    assert found["projects_deleted"] > found["iterations"]


def test_the_span_is_from_the_first_to_the_last_start_of_a_request_under_load() -> None:
    starts = [
        float(row["timestamp"]) / 1e6 - float(row["metric_value"]) / 1e3
        for row in rows("object_crud.csv.gz")
        if row["metric_name"] == "http_req_duration" and row.get("phase") == "load"
    ]
    span = read_points(GOLDEN / "object_crud.csv.gz", list(Arm)).arms[Arm.BASELINE].span
    assert (span.start_s, span.end_s) == pytest.approx((min(starts), max(starts)), abs=1e-6)


def test_requests_are_counted_in_the_span_whatever_their_phase(tmp_path: Path) -> None:
    points = read(
        tmp_path,
        line(at_us=1_000_000),
        line(at_us=1_500_000, phase="warmup", op="get"),  # slow, but begun within
        line(at_us=1_900_000, metric="ws_sessions", value=1, op="watch", status=101),
        line(at_us=2_000_000),
        line(at_us=500_000, phase="warmup"),
        line(at_us=900_000, metric="ws_sessions", value=1, phase="warmup", op="watch"),
    )
    found = values(points)
    assert found["requests"] == 4
    assert found["span"] == pytest.approx(1.0, abs=0.1)  # from the first start to the last
    assert found["requests{op=create}"] == 2
    assert found["requests{op=get}"] == 1
    assert found["requests{op=watch}"] == 1
    assert found["http_req_duration/count"] == 2


def test_an_obeyed_429_is_a_retry_and_neither_a_latency_nor_a_failure(tmp_path: Path) -> None:
    points = read(
        tmp_path,
        line(),
        line(status=429, expected=True, value=0.1),
        line("retries", 1, status=""),
    )
    found = values(points)
    assert found["http_req_duration/count"] == 1
    assert found["errors_share"] == 0
    assert found["retries"] == found["retries{op=create}"] == 1


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        pytest.param({"status": 500}, "status 500", id="server error"),
        pytest.param({"status": 429}, "status 429", id="the last of too many 429"),
        pytest.param({"status": 0, "error_code": "1212"}, "k6 error 1212", id="no connection"),
        pytest.param({"status": ""}, "k6 error unknown", id="no status at all"),
    ],
)
def test_a_failed_request_is_counted_and_named(
    tmp_path: Path, failure: dict[str, str], said: str
) -> None:
    points = read(tmp_path, line(), line(), line(), line(expected=False, **failure))  # type: ignore[arg-type]
    assert values(points)["errors_share"] == 0.25
    assert said in points.arms[Arm.BASELINE].failed_with


def test_an_answer_that_the_script_expects_is_no_failure(tmp_path: Path) -> None:
    assert values(read(tmp_path, line(), line(status=404, expected=True)))["errors_share"] == 0


def test_no_retries_are_none_and_not_missing(tmp_path: Path) -> None:
    assert values(read(tmp_path, line()))["retries"] == 0


def test_dropped_iterations_are_counted_in_every_phase(tmp_path: Path) -> None:
    dropped = "dropped_iterations,1000000,3.000000,,,,load,,,"
    assert read(tmp_path, line(), dropped, dropped).dropped == 6


def test_the_arms_are_kept_apart(tmp_path: Path) -> None:
    lines = [line(value=10, arm="baseline"), line(value=30, arm="candidate")]
    points = read(tmp_path, *lines, arms=list(Arm))
    assert values(points, Arm.BASELINE)["http_req_duration/mean"] == pytest.approx(0.010)
    assert values(points, Arm.CANDIDATE)["http_req_duration/mean"] == pytest.approx(0.030)


def test_requests_of_setup_have_no_arm_and_count_nowhere(tmp_path: Path) -> None:
    setup = "http_req_duration,1000000,5.0,,true,setup,,201,op=setup,"
    assert values(read(tmp_path, line(), setup))["requests"] == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda p: p.write_bytes(b""), "k6 wrote nothing", id="empty"),
        pytest.param(lambda p: p.unlink(), "k6 wrote nothing", id="not there"),
        pytest.param(lambda p: p.write_bytes(gzip.compress(b"")), "k6 wrote nothing", id="no line"),
        pytest.param(cut, "cut off", id="cut off"),
        pytest.param(damage, "cut off or damaged|not what k6", id="damaged"),
        pytest.param(lambda p: p.write_bytes(b"what?"), "not what k6 writes", id="no gzip"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(
    tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    path = written(tmp_path, *(line(value=v) for v in range(2000)))
    change(path)
    with pytest.raises(LoadError, match=said) as caught:
        read_points(path, [Arm.BASELINE])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [pytest.param(bad, id=str(bad)) for bad in ("NaN", "nan", "-1", "inf", "", "fast")],
)
def test_a_value_that_is_no_time_is_an_error_that_names_the_file(
    tmp_path: Path, value: str
) -> None:
    path = written(tmp_path, line(), line(value=value))
    with pytest.raises(LoadError, match="not") as caught:
        read_points(path, [Arm.BASELINE])
    assert str(path) in str(caught.value)


def test_another_header_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "a,1,2", header="name,time,value")
    with pytest.raises(LoadError, match="not what k6 writes"):
        read_points(path, [Arm.BASELINE])


def test_an_arm_without_requests_under_load_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = written(tmp_path, line(), line(arm="candidate", phase="warmup"))
    with pytest.raises(LoadError, match="no request of the candidate"):
        read_points(path, list(Arm))


def test_fixed_work_has_a_span_for_each_arm_that_ends_with_its_last_iteration(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        line(at_us=1_000_000),
        line(at_us=1_200_000, arm="candidate"),
        line("iterations", 1, 5_000_000),
        line("iterations", 1, 3_000_000, arm="candidate"),
        line("cycles", 1, 2_000_000, arm="candidate"),
        line("cycles", 1, 3_000_000, arm="candidate"),
    )
    found = read_points(path, list(Arm), is_open=False).arms
    assert found[Arm.BASELINE].span == Span(0.99, 5.0)
    assert found[Arm.CANDIDATE].span == Span(1.19, 3.0, (2.0, 3.0))


def test_iterations_beside_the_load_are_not_counted(tmp_path: Path) -> None:
    found = read(
        tmp_path, line(), line("iterations", 1), line("iterations", 1, more="&beside=yes")
    ).arms[Arm.BASELINE]
    assert found.iterations == 1
    names = {reading.name for reading in found.readings}
    assert {"retries", "projects_never_ready", "projects_never_gone"} <= names
