"""A metric that nothing can report is refused before a build, and no valid suite is."""

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drivers.k6.reading_names import names_of_script
from pipeline.drivers.k6.summarize import read_points
from pipeline.model.request import RunRequest
from pipeline.model.subject import Arm
from pipeline.probes.names import OPT_IN_READINGS
from pipeline.probes.registry import OPT_IN_PROBES
from pipeline.runs import request, suite_file
from pipeline.system import paths
from pipeline.system.errors import ConfigError

ROOT = paths.project_path()
OURS = [
    path
    for folder in ("suites", "docs/examples")
    for path in sorted((ROOT / folder).rglob("*.toml"))
    if "[[workload]]" in path.read_text(encoding="utf-8")
]
SUITE = """name = "mine"
description = "x"
pairs = 3
[environment]
kind = "local"
[[workload]]
name = "mine"
probes = []
{driver}
[[workload.metric]]
name = "a"
select = "{select}"
per = "{per}"
unit = "{unit}"
margin = 0.05
"""
LOADS = {
    "k6": 'driver = { kind = "k6", script = "object_crud.js", rate = 9, duration_s = 5 }',
    "own": 'driver = { kind = "k6", script = "mine.js", rate = 9, duration_s = 5 }',
    "cl2": 'driver = { kind = "clusterloader2", config = "object-crud", rate = 9, duration_s = 5 }',
    "herd": 'driver = { kind = "watch-herd", watches = 4, rate = 9, projects = 2, duration_s = 5 }',
}
CL2_QUERY = "cl2.query{name=Mine,verb=POST}/Perc99"


def load(folder: Path, kind: str, select: str, unit: str = "s", per: str = "") -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "mine.toml"
    (folder / "mine.js").write_text("export default function () {}\n")
    text = SUITE.format(driver=LOADS[kind], select=select, unit=unit, per=per)
    path.write_text(text, encoding="utf-8")
    suite_file.load_to_measure(path)


def test_every_probe_of_a_suite_declares_its_readings() -> None:
    assert set(OPT_IN_READINGS) == set(OPT_IN_PROBES)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_every_suite_of_ours_can_be_measured(path: Path) -> None:
    suite_file.load_to_measure(path)


@pytest.mark.parametrize(
    ("kind", "select", "nearest"),
    [
        ("k6", "http_req_duration{op=gett}/p50", "http_req_duration{op=get}/p50"),
        ("k6", "http_req_duration{op=get}/p98", "http_req_duration{op=get}/p9"),
        ("k6", "http_req_duration{op=get}", "http_req_duration{op=get}/p"),
        ("k6", "http_req_duration", ""),
        ("k6", "http_req_waiting/p95", ""),  # k6 has it, and we drop it
        ("k6", "errors_shares", "errors_share"),
        ("k6", "unfinished_share", ""),  # of fixed work only
        ("k6", "server.cpux", "server.cpu"),
        ("k6", "sever.cpu", "server.cpu"),
        ("own", "server.cpux", "server.cpu"),
        ("own", "my_time/p98", ""),
        ("own", "http_req_duration{op=mine}", ""),
        ("own", "http_reqs", ""),
        ("cl2", "server.cpux", "server.cpu"),
        ("cl2", "http_req_duration{op=get}/p50", ""),
        ("cl2", "cl2.stp{step=create objects}", ""),
        ("cl2", "project_created", "projects_created"),
        ("herd", "watch_lag/p90", "watch_lag/p9"),
        ("herd", "etcd.keys", "etcd.keys"),
    ],
)
def test_what_nothing_reports_is_refused_with_the_nearest_name(
    kind: str, select: str, nearest: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, kind, select)
    message = f"mine.toml:12: workload.0.metric.0.select: nothing reports `{select}` of this load"
    assert message in f"{caught.value}"
    assert nearest in f"{caught.value}".partition("did you mean")[2]


@pytest.mark.parametrize(
    ("select", "probe"),
    [
        ("server.heap", "heap"),
        ("etcd.keys_slope_low", "series"),
        ("projects.gone/p90", "projects"),
        ("availability.longest_gap", "availability"),
    ],
)
def test_a_probe_that_a_workload_does_not_name_is_named(
    select: str, probe: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"only the probe `{probe}` reports"):
        load(tmp_path, "k6", select)


@pytest.mark.parametrize(
    ("select", "unit", "per", "key"),
    [
        ("server.cpu", "B", "", "unit"),
        ("http_req_duration{op=get}/p50", "1", "requests", "unit"),
        ("server.cpu", "x", "requests", "unit"),
        ("server.cpu", "s", "requestz", "per"),
    ],
)
def test_a_divisor_and_a_unit_that_cannot_be_are_refused(
    select: str, unit: str, per: str, key: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"workload.0.metric.0.{key}: ")):
        load(tmp_path, "k6", select, unit, per)


@pytest.mark.parametrize(
    ("kind", "select", "unit", "per"),
    [
        ("own", "my_time/p99_error", "s", "my_counter"),
        ("own", "my_time{op=a b/c.d}/p50", "s", "my_counter{op=x}"),
        ("own", "http_req_duration{op=anything}/mean", "s", ""),
        ("k6", "server.duration_p99_width", "s", "pods.answers{code=2xx}"),
        ("cl2", CL2_QUERY, "B", "cl2.timer{label=total}"),
        ("herd", "watch_restarts{reason=503}", "1", "events_delivered"),
    ],
)
def test_what_only_a_run_knows_is_accepted(
    kind: str, select: str, unit: str, per: str, tmp_path: Path
) -> None:
    load(tmp_path, kind, select, unit, per)


def test_a_plan_is_refused_and_stored_results_are_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SUITE.format(driver=LOADS["k6"], select="server.cpux", unit="s", per=""))
    with pytest.raises(ConfigError, match=r"did you mean `server\.cpu`"):
        request.preview(RunRequest(suite=f"{path}", candidate="reference"))
    suite_file.load(path)


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=2, max_size=20), st.text(max_size=9))
def test_a_script_of_somebodys_own_may_have_any_metric(name: str, operation: str) -> None:
    operation = re.sub(r"[{}]", "", operation)
    names = names_of_script(None, is_fixed=False)
    if name not in ("vus", "checks"):
        assert names.allow(f"{name}{{op={operation}}}/p95")
        assert names.allow(name)
    assert names.allow(f"http_req_duration{{op={operation}}}/p95")


@pytest.mark.parametrize("script", sorted((ROOT / "k6_scripts").glob("*.js")), ids=lambda p: p.name)
def test_the_operations_and_counters_of_a_script_are_found(script: Path) -> None:
    scripts = [script, *(ROOT / "k6_scripts" / "lib").glob("*.js")]
    names = names_of_script(scripts, is_fixed=True)
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        for op in re.findall(r"\bop(?:: |\()'(\w+)'", text):
            assert names.allow(f"http_req_duration{{op={op}}}/p50"), op
        for counter in re.findall(r"new Counter\('(\w+)'\)", text):
            assert names.allow(counter), counter
        for timing in re.findall(r"\btiming\('(\w+)'", text):
            assert names.allow(f"{timing}/p50"), timing
    assert not names.allow("http_req_duration{op=gett}/p50")


@pytest.mark.parametrize("points", sorted((ROOT / "tests/golden/k6").glob("*.csv.gz")), ids=str)
def test_every_reading_of_recorded_points_has_a_name(points: Path, tmp_path: Path) -> None:
    copy = shutil.copy(points, tmp_path)
    names = names_of_script(None, is_fixed=True)
    arms = read_points(Path(copy), list(Arm), is_open=False).arms
    for one in (reading for arm in arms.values() for reading in arm.readings):
        assert names.allow(one.name)
        assert names.units.get(one.name, one.unit) == one.unit
