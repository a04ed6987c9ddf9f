"""A spec that the server would refuse is refused before anything is built."""

import re

import pytest

from pipeline.environments.bootstrap import FIRST_PROJECT
from pipeline.model.subject import parse_spec
from pipeline.system import paths
from pipeline.system.errors import ConfigError, Exit
from pipeline.toolchain.reference import FAULTS, check_settings

FAULTS_GO = paths.project_path("go", "reference", "internal", "faults")


def test_the_faults_are_those_of_the_reference_server() -> None:
    table = FAULTS_GO.joinpath("table.go").read_text(encoding="utf-8")
    sizes = FAULTS_GO.joinpath("size.go").read_text(encoding="utf-8")
    units = dict(re.findall(r'^\t(\w+)\s+= Unit\{"([a-z:]+)"', sizes, re.MULTILINE))
    names = dict(re.findall(r'^\t(\w+)\s+= "([a-z-]+)"$', table, re.MULTILINE))
    rows = re.findall(r'^\t\{(\w+), (\w+), "([^"]+)"', table, re.MULTILINE)
    assert {names[name]: units[unit] for name, unit, _ in rows} == FAULTS
    for name, _, example in rows:
        check_settings(parse_spec(f"reference?{names[name]}={example}"))


def test_the_project_that_no_fault_keeps_from_ready_is_the_one_a_launch_makes() -> None:
    hooks = FAULTS_GO.joinpath("projects.go").read_text(encoding="utf-8")
    assert re.findall(r'^const FirstProject = "(.+)"$', hooks, re.MULTILINE) == [FIRST_PROJECT]


@pytest.mark.parametrize(
    "setting",
    [
        "slow-create=20ms",
        "slow-list=1.5s",
        "cpu=200us",
        "slow-ready=1m30s",
        "leak-memory=4KiB",
        "leak-memory=1MiB",
        "leak-memory=512B",
        "leak-memory=512",
        "leak-goroutines=0.1",
        "leak-goroutines=1",
        "leak-project-goroutines=1",
        "leak-files=20",
        "leak-project-goroutines=0.1",
        "leak-files=0.1",
        "lose-event=0.1%",
        "foreign-event=0.001",
        "delay-events=20ms",
        "leak-watchers=0.1",
        "never-ready=10%",
        "project-lock=20ms",
        "slow-gc=100ms",
        "orphans=1",
        "errors=0.5%",
        "errors=0.005",
        "hang=1%",
        "slow-gc=120s",
        "stuck-gc=50%",
        "deletion-lock=100ms",
        "skip-finalizers=50%",
        "slow-resume=200ms",
        "crash-after=20s",
        "shared-lock=10ms",
        "blocking-list=50ms",
        "slow-tail=5%:20ms",
        "slow-tail=0.05:1m30s",
    ],
)
def test_a_size_of_the_right_kind_passes(setting: str) -> None:
    check_settings(parse_spec(f"reference?{setting}"))


@pytest.mark.parametrize(
    "setting",
    [
        "slow-create=20",
        "slow-create=fast",
        "slow-create=-20ms",
        "slow-create=20 ms",
        "leak-memory=4kb",
        "leak-memory=0.3B",
        "leak-memory=2GiB",
        "leak-goroutines=10%",
        "leak-goroutines=2000000",
        "orphans=0.5",
        "leak-project-goroutines=10%",
        "leak-files=2000000",
        "lose-event=2",
        "foreign-event=1s",
        "delay-events=20",
        "leak-watchers=10%",
        "never-ready=2",
        "project-lock=20",
        "slow-gc=10%",
        "errors=101%",
        "errors=5",
        "errors=nan",
        "hang=1s",
        "stuck-gc=50",
        "crash-after=20",
        "crash-after=5%:20s",
        "slow-tail=5%",
        "slow-tail=20ms",
        "slow-tail=20ms:5%",
        "slow-tail=5%:20",
        "slow-tail=101%:20ms",
        "slow-tail=:20ms",
        "slow-tail=5%:20ms:20ms",
    ],
)
def test_a_size_of_another_kind_is_an_error_with_an_example(setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(parse_spec(f"reference?{setting}"))
    assert caught.value.exit_code is Exit.BAD_ARGUMENTS
    assert caught.value.hint.startswith("write it like ")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("slow-crate", "slow-create"),
        ("leak-mem", "leak-memory"),
        ("leak-file", "leak-files"),
        ("error", "errors"),
        ("stuck", "stuck-gc"),
        ("crash", "crash-after"),
        ("x", ""),
    ],
)
def test_an_unknown_fault_names_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(parse_spec(f"reference?{wrong}=1"))
    assert f"no fault `{wrong}`; did you mean `{meant}" in str(caught.value)
    assert all(name in caught.value.hint for name in FAULTS)
