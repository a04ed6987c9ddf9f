"""Filling tells k6 what to make, and counts what is there and not what was sent."""

import gzip
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.capacity import CapacityQuestion, CountedResource
from pipeline.model.limit import parse_limits
from pipeline.model.ports import Program, Target
from pipeline.probes.scrape import current_sizes
from pipeline.runs.capacity.fill import fill, probe_settings, ready_timeout_s
from pipeline.system.processes import CommandError
from tests.loopback import Request, answering, values

ASKED = CapacityQuestion(
    CountedResource.PROJECTS,
    parse_limits(["p99(get)<1s", "db<1GB"]),
    budget_s=60,
    start=5,
    projects=2,
)
HEADER = "metric_name,timestamp,metric_value,error_code,expected_response,extra_tags,status\n"
READY = [100, 200, 300, 400, 2100]  # ms


def target(folder: Path) -> Target:
    (folder / "ca.crt").write_text("a certificate\n")
    (folder / "token").write_text("a secret")
    return Target(
        url="https://127.0.0.1/1",
        ca_file=folder / "ca.crt",
        token_file=folder / "token",
        admin_token_file=folder / "admin",
        processes={},
        metrics={},
        etcd_url="",
        check=lambda: None,
    )


def k6(folder: Path, rows: str, code: str = "") -> Program:
    """Make a program that prints what it was told and leaves points."""
    (folder / "points.gz").write_bytes(gzip.compress((HEADER + rows).encode()))
    path = folder / "k6"
    path.write_text(
        f"#!{sys.executable}\nimport os, shutil, sys\n"
        "for name in ('MODE', 'FROM', 'ITERATIONS', 'PROJECTS', 'CANDIDATE_URL'):\n"
        "    print(name, os.environ.get(name))\n"
        "points = os.environ['K6_CSV_FILENAME']\n"
        f"shutil.copy({str(folder / 'points.gz')!r}, points)\n{code}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Program(path, "1.1.0", "sha256:00")


def rows(made: int) -> str:
    lines = [f"project_ready,1,{ms},,,unit=ms,\n" for ms in READY]
    lines += ["filled,1,1,,,,\n"] * made
    lines += ["http_req_duration,1,5,1500,false,op=fill,500\n"] * 3
    lines += ["http_req_duration,1,5,,true,op=fill,201\n"] * 9
    return "".join(lines)


def out(folder: Path) -> Path:
    made = folder / "out"
    made.mkdir()
    return made


def test_projects_are_numbered_on_and_the_time_to_ready_is_of_those_added(tmp_path: Path) -> None:
    folder = out(tmp_path)
    filled = fill(
        ASKED,
        CountedResource.PROJECTS,
        range(5, 10),
        target(tmp_path),
        program=k6(tmp_path, rows(5)),
        out=folder,
        check=lambda: None,
    )
    assert (filled.asked, filled.missing) == (5, 0)
    assert filled.ready_s == pytest.approx(0.4 + 0.8 * 1.7)  # 95 % of the way through five
    said = (folder / "k6.log").read_text()
    for line in ("MODE projects", "FROM 5", "ITERATIONS 5", "CANDIDATE_URL https://127.0.0.1/1"):
        assert line in said
    assert not list(folder.glob("points*")), "raw points of a filling are not kept"


def test_objects_are_counted_in_every_project_and_what_is_missing_says_why(tmp_path: Path) -> None:
    filled = fill(
        ASKED,
        CountedResource.OBJECTS,
        range(100, 105),
        target(tmp_path),
        program=k6(tmp_path, rows(7)),
        out=out(tmp_path),
        check=lambda: None,
    )
    assert (filled.asked, filled.missing, filled.most_common_error) == (10, 3, "status 500")


def test_a_k6_that_fails_altogether_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="exited with 107"):
        fill(
            ASKED,
            CountedResource.OBJECTS,
            range(5),
            target(tmp_path),
            program=k6(tmp_path, "", "sys.exit(107)"),
            out=out(tmp_path),
            check=lambda: None,
        )


def test_the_probing_load_reaches_everything_that_was_filled() -> None:
    projects = probe_settings(ASKED, 400)
    objects = probe_settings(replace(ASKED, things=CountedResource.OBJECTS), 400)
    assert projects.projects == 400
    assert objects.projects == 2
    assert (projects.rate, projects.duration_s) == (20, 20)
    assert projects.script == "capacity.js"


@pytest.mark.parametrize(
    ("limit", "timeout_s"),
    [("p99(get)<2s", 4.0), ("p99(get)<10ms", 2.5), ("mean(list)<1m", 30.0), ("ready<60s", 2.5)],
)
def test_slow_answers_are_waited_for_until_they_break_their_limit(
    limit: str, timeout_s: float
) -> None:
    asked = replace(ASKED, limits=parse_limits([limit]))
    assert probe_settings(asked, 5).request_timeout_s == timeout_s


def test_a_project_has_longer_to_be_ready_than_its_limit() -> None:
    assert ready_timeout_s(ASKED.limits) == 120
    assert ready_timeout_s(parse_limits(["ready<5m"])) == 600


def test_sizes_are_what_a_component_says_and_never_guessed(tmp_path: Path) -> None:
    said = {
        "/etcd": "go_goroutines 50\netcd_mvcc_db_total_size_in_bytes 1.2e+07\n",
        "/server": "go_goroutines 1.2e+03\n",
    }

    def answer(one: Request, _body: bytes) -> None:
        one.say(said.get(one.path, ""), 200 if one.path in said else 500)

    with answering(answer) as url:
        metrics = {name: f"{url}/{name}" for name in ("server", "etcd", "manager")}
        found = current_sizes(replace(target(tmp_path), metrics=metrics))
    assert values(found) == {
        "server.goroutines": 1200,
        "etcd.goroutines": 50,
        "etcd.db_bytes": 12e6,
    }
