"""k6 is told what to do without secrets, and its load is judged before it counts."""

import dataclasses
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.drivers.k6.command import argv, environment
from pipeline.drivers.k6.driver import K6Driver
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import ArmSummary, PointsSummary
from pipeline.drivers.k6.validity import judge
from pipeline.model.ports import Program, Span, Target
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

GOLDEN = Path(__file__).parents[1] / "golden" / "k6"
BOTH = (Arm.BASELINE, Arm.CANDIDATE)


def settings(**changes: Any) -> K6:  # noqa: ANN401 (any field, right or wrong)
    return K6.model_validate(
        {"kind": "k6", "script": "object_crud.js", "rate": 10.0, "duration_s": 3} | changes
    )


def targets(folder: Path, *arms: Arm) -> dict[Arm, Target]:
    (folder / "ca.crt").write_text("a certificate\n")
    (folder / "token").write_text("a secret")
    return {
        arm: Target(
            url=f"https://127.0.0.1/{arm}",
            ca_file=folder / "ca.crt",
            token_file=folder / "token",
            admin_token_file=folder / "admin",
            processes={},
            metrics={},
            etcd_url="",
            check=lambda: None,
        )
        for arm in arms
    }


def program(folder: Path, code: str) -> Program:
    """Make a program that stands in for k6; `points` is where it should write."""
    path = folder / "k6"
    path.write_text(
        f"#!{sys.executable}\nimport os, pathlib, shutil, sys\n"
        "points = os.environ['K6_CSV_FILENAME']\n"
        f"{code}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Program(path, "1.1.0", "sha256:00")


def driver(folder: Path, code: str, **changes: Any) -> K6Driver:  # noqa: ANN401 (any)
    return K6Driver(settings(**changes), program(folder, code))


def out(folder: Path) -> Path:
    made = folder / "out"
    made.mkdir()
    return made


def points(  # a load of 10 iterations per second over 3 s, as asked
    *,
    dropped: int = 0,
    seconds: float = 3.0,
    baseline: Mapping[str, Any] | None = None,
) -> PointsSummary:
    span = Span(100.0, 100.0 + seconds)
    good = ArmSummary(span, (Reading("iterations", 30.0, "1"),), 30, 0.0, 0.0, 0.0, "")
    changed = dataclasses.replace(good, **(baseline or {}))
    return PointsSummary(dropped, {Arm.BASELINE: changed, Arm.CANDIDATE: good})


COPY = f"shutil.copy({str(GOLDEN / 'object_crud.csv.gz')!r}, points)"


def test_no_secret_is_in_the_command_or_in_the_environment(tmp_path: Path) -> None:
    told = argv(program(tmp_path, ""), settings(), tmp_path)
    told += environment(settings(), targets(tmp_path, *BOTH), tmp_path, 7).values()
    assert not [word for word in told if "a secret" in word]


def test_two_k6_can_run_at_once_and_send_nothing_home(tmp_path: Path) -> None:
    assert "--address=" in argv(program(tmp_path, ""), settings(), tmp_path)
    variables = environment(settings(), targets(tmp_path, *BOTH), tmp_path, 7)
    assert variables["K6_NO_USAGE_REPORT"] == "true"
    assert variables["K6_AUTO_EXTENSION_RESOLUTION"] == "false"


@pytest.mark.parametrize(
    ("arms", "rate"),
    [pytest.param(BOTH, "20", id="together"), pytest.param(BOTH[1:], "10", id="alone")],
)
def test_an_arm_gets_the_same_rate_together_or_alone(
    tmp_path: Path, arms: tuple[Arm, ...], rate: str
) -> None:
    variables = environment(settings(), targets(tmp_path, *arms), tmp_path, 7)
    assert variables["ARMS"] == ",".join(arms)
    assert variables["RATE"] == rate
    assert all(f"{arm.upper()}_URL" in variables for arm in arms)


def test_parameters_of_the_script_are_passed_and_cannot_replace_ours(tmp_path: Path) -> None:
    changed = settings(parameters={"PREFILL": 5, "RATE": 1000})
    variables = environment(changed, targets(tmp_path, *BOTH), tmp_path, 7)
    assert (variables["PREFILL"], variables["RATE"]) == ("5", "20")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"script": "../x.js"}, id="a script elsewhere"),
        pytest.param({"rate": 0}, id="no load"),
        pytest.param({"warmup_s": -1}, id="negative warm-up"),
        pytest.param({"parameters": {"prefill": 1}}, id="parameter in lower case"),
        pytest.param({"durations": 1}, id="unknown key"),
        pytest.param({"iterations": 5}, id="open and fixed"),
        pytest.param({"rate": None}, id="neither open nor fixed"),
        pytest.param({"rate": None, "iterations": 5, "warmup_s": 1}, id="fixed with warm-up"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


def test_estimates_count_warm_up_and_both_arms() -> None:
    found = settings(warmup_s=1, requests_per_iteration=4.2)
    assert found.load_s == 4
    assert found.requests_expected(2) == 336


def test_a_load_as_asked_counts() -> None:
    load = judge(settings(), points(), 0.2, [])
    assert (load.invalid, load.warnings) == ((), ())
    assert set(load.spans.values()) == {Span(100.0, 103.0)}
    names = {reading.name for reading in load.readings[Arm.BASELINE]}
    assert names == {"iterations", "generator_cpu_share"}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        pytest.param({"dropped": 3}, "k6 dropped 3 iterations", id="drops"),
        pytest.param({"seconds": 1.5}, "the load lasted 1.5 s, not 3 s", id="short"),
        pytest.param(
            {"baseline": {"unsent_share": 0.031, "failed_with": "no answer (k6 error 1101)"}},
            "k6 could not send 3.1% of the baseline's requests, most with no answer",
            id="no DNS, no port, no TLS",
        ),
        pytest.param(
            {"baseline": {"iterations": 20}},
            "the baseline got 6.67 iterations per second, but 10 were requested",
            id="too slow",
        ),
        pytest.param({"baseline": {"iterations": 40}}, "the baseline got 13.3", id="too fast"),
    ],
)
def test_a_load_that_was_not_as_asked_does_not_count_and_says_why(
    what: dict[str, Any], said: str
) -> None:
    (reason,) = judge(settings(), points(**what), 0.2, []).invalid
    assert reason.startswith(said)


def test_a_project_that_is_never_ready_is_a_number_and_no_fault_of_the_load() -> None:
    never_ready = Reading("projects_never_ready", 2.0, "1")
    load = judge(settings(), points(baseline={"readings": (never_ready,)}), 0.2, [])
    assert load.invalid == ()
    assert never_ready in load.readings[Arm.BASELINE]


def fixed(**changes: Any) -> K6:  # noqa: ANN401 (any field, right or wrong)
    return settings(rate=None, iterations=30, **changes)


def test_fixed_work_counts_when_all_of_it_is_done_however_long_it_took() -> None:
    assert judge(fixed(), points(seconds=0.5), 0.2, []).invalid == ()
    assert judge(fixed(), points(seconds=9), 0.2, []).invalid == ()
    (reason,) = judge(fixed(), points(baseline={"iterations": 31}), 0.2, []).invalid
    assert reason == "the baseline ended 31 iterations, but 30 were requested"


def test_fixed_work_that_a_build_does_not_end_is_measured_as_a_share() -> None:
    span = Reading("span", 9.0, "s")
    slow = {"iterations": 24, "readings": (span, Reading("cut_off", 2.0, "1"))}
    load = judge(fixed(), points(baseline=slow), 0.2, [])
    found = {reading.name: reading for reading in load.readings[Arm.BASELINE]}
    assert load.invalid == ()
    assert (found["unfinished_share"].value, found["unfinished_share"].denominator) == (0.2, 30)
    assert found["span"].at_least
    assert found["cut_off"].value == 8
    other = {reading.name: reading for reading in load.readings[Arm.CANDIDATE]}
    assert other["unfinished_share"].value == 0


def test_a_build_most_of_whose_requests_fail_is_measured_and_said_to_fail() -> None:
    bad = {"failed_share": 0.6, "failed_with": "status 500"}
    load = judge(settings(), points(baseline=bad), 0.2, [])
    assert load.invalid == ()
    assert load.failing == {
        Arm.BASELINE: "60.0% of the baseline's requests failed, most with status 500; 50.0% is the"
        " limit"
    }
    assert load.overloaded == frozenset()


@pytest.mark.parametrize(("timed_out", "overloaded"), [(0.6, {Arm.BASELINE}), (0.5, set())])
def test_a_build_that_answers_too_late_is_overloaded_and_one_that_refuses_is_not(
    timed_out: float, overloaded: set[Arm]
) -> None:
    bad = {"failed_share": 0.6, "timed_out_share": timed_out, "failed_with": "no answer"}
    assert judge(settings(), points(baseline=bad), 0.2, []).overloaded == overloaded


def test_fixed_work_is_told_how_much_and_how_long_at_most(tmp_path: Path) -> None:
    variables = environment(fixed(projects=8), targets(tmp_path, *BOTH), tmp_path, 7)
    assert (variables["ITERATIONS"], variables["LONGEST_S"]) == ("30", "33")
    assert variables["PROJECTS"] == "8"
    assert not {"RATE", "OBJECTS"} & set(variables)
    assert fixed(requests_per_iteration=2).requests_expected(2) == 120


@pytest.mark.parametrize("what", [{"iterations": 29}, {"unsent_share": 0.02}])
def test_a_load_at_a_limit_counts(what: dict[str, Any]) -> None:
    assert judge(settings(), points(baseline=what), 0.9, []).invalid == ()


def test_a_generator_without_cpu_to_spare_makes_the_load_invalid() -> None:
    (reason,) = judge(settings(), points(), 0.95, []).invalid
    assert reason == "k6 used 95% of the processors, and 90% is the limit"


def test_what_k6_complains_of_and_a_busy_k6_are_warnings() -> None:
    load = judge(settings(), points(), 0.6, ["one", "two"])
    assert load.invalid == ()
    assert load.warnings == (
        "errors in k6's log: 2, the first: one",
        "k6 used 60% of the processors that it shares with the builds",
    )


def test_a_run_yields_readings_for_each_arm(tmp_path: Path) -> None:
    code = f"{COPY}; print('level=error msg=\"lost\"')"
    load = driver(tmp_path, code).measure(targets(tmp_path, *BOTH), out(tmp_path), 7)
    assert set(load.readings) == set(BOTH)
    assert load.invalid == ()
    assert load.warnings == ("errors in k6's log: 1, the first: lost",)


def test_every_authority_that_signed_a_server_is_trusted(tmp_path: Path) -> None:
    both = targets(tmp_path, *BOTH)
    (tmp_path / "other.crt").write_text("another certificate\n")
    both[Arm.CANDIDATE] = dataclasses.replace(both[Arm.CANDIDATE], ca_file=tmp_path / "other.crt")
    folder = out(tmp_path)
    code = f"print(open(os.environ['SSL_CERT_FILE']).read()); {COPY}"
    driver(tmp_path, code).measure(both, folder, 7)
    assert "a certificate\nanother certificate" in (folder / "k6.log").read_text()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param(
            "sys.exit(107)",
            "k6 object_crud.js exited with 107: the script threw an exception",
            id="script threw",
        ),
        pytest.param("sys.exit(3)", "k6 object_crud.js exited with 3$", id="unknown code"),
        pytest.param("pass", "points.csv.gz: k6 wrote nothing", id="wrote nothing"),
        pytest.param(
            "pathlib.Path(points).write_text('what?')",
            "points.csv.gz: not what k6 writes",
            id="wrote garbage",
        ),
        pytest.param(f"{COPY}; os.truncate(points, 9000)", "points.csv.gz: .* cut", id="cut off"),
        pytest.param("os.kill(os.getpid(), 9)", "was killed by signal 9", id="killed"),
    ],
)
def test_a_k6_that_fails_is_an_error_that_says_how(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(LoadError, match=said):
        driver(tmp_path, code).measure(targets(tmp_path, *BOTH), out(tmp_path), 7)


SETUP_GAVE_UP = (
    "import gzip; pathlib.Path(points).write_bytes(gzip.compress("
    "b'metric_name,timestamp,metric_value,error_code,expected_response,name,scenario,status,"
    "extra_tags,metadata\\nsetup_failed,1000000,1.0,,,,,,arm=candidate,\\n'));"
    "print('level=error msg=\"Error: setup of candidate was not done within 90 s: 12 objects were"
    ' not created\\\\n\\\\tat failSetup" hint="script exception"\'); sys.exit(107)'
)


def test_a_build_that_cannot_be_prepared_in_time_has_failed_and_is_no_error(
    tmp_path: Path,
) -> None:
    load = driver(tmp_path, SETUP_GAVE_UP).measure(targets(tmp_path, *BOTH), out(tmp_path), 7)
    said = "setup of candidate was not done within 90 s: 12 objects were not created"
    assert load.failed == {Arm.CANDIDATE: said}
    assert load.readings == dict.fromkeys(BOTH, ())


def test_a_target_that_dies_under_load_ends_it(tmp_path: Path) -> None:
    def check() -> None:
        raise LoadError("server of the candidate exited with 1 while it was measured")

    both = targets(tmp_path, *BOTH)
    both[Arm.CANDIDATE] = dataclasses.replace(both[Arm.CANDIDATE], check=check)
    with pytest.raises(LoadError, match="server of the candidate exited with 1 while"):
        driver(tmp_path, "import time; time.sleep(60)").measure(both, out(tmp_path), 7)
