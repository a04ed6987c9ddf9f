"""Programs are run, watched, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pipeline.system import processes
from pipeline.system.errors import LoadError
from pipeline.system.processes import CommandError, ExitStatus
from tests.running import gone

PYTHON = sys.executable


def python(code: str) -> list[str]:
    return [PYTHON, "-c", code]


def test_output_goes_to_the_file(tmp_path: Path) -> None:
    processes.run(python("print('hello')"), output=tmp_path / "log", timeout_s=20)

    assert (tmp_path / "log").read_text() == "hello\n"


def test_variables_that_must_not_be_seen_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K6_VUS", "99")
    code = "import os; print(os.environ.get('K6_VUS'), os.environ.get('K6_OWN'))"
    processes.run(
        python(code),
        output=tmp_path / "log",
        timeout_s=20,
        env={"K6_OWN": "1"},
        hide=("K6_",),
    )

    assert (tmp_path / "log").read_text() == "None 1\n"


def test_a_failure_says_how_it_ended_and_what_it_said_last(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="exited with 3") as caught:
        processes.run(
            python("print('no such thing'); raise SystemExit(3)"),
            output=tmp_path / "log",
            timeout_s=20,
        )

    assert "no such thing" in caught.value.hint
    assert caught.value.status == ExitStatus(3)


def test_a_missing_program_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="`no-such-program` is not there"):
        processes.run(["no-such-program"], output=tmp_path / "log", timeout_s=5)


def test_a_program_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"still running after 0\.5 s"):
        processes.run(
            python("import time; time.sleep(60)"),
            output=tmp_path / "log",
            timeout_s=0.5,
        )


def test_what_the_check_raises_stops_the_program(tmp_path: Path) -> None:
    def check() -> None:
        raise LoadError("etcd was killed by signal 9")

    began = time.monotonic()
    with pytest.raises(LoadError, match="signal 9"):
        processes.run(
            python("import time; time.sleep(60)"),
            output=tmp_path / "log",
            timeout_s=60,
            check=check,
        )

    assert time.monotonic() - began < 15


def test_leaving_stops_the_children_of_a_program_too(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    with processes.background(python(code), name="parent", output=log) as service:
        service.wait_ready(lambda: bool(log.read_text().strip()), 20)
        child = int(log.read_text())

    assert gone(child)
    assert gone(service.pid)


def test_a_program_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.3)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN);"
    code = f"{deaf} print(1, flush=True); time.sleep(60)"
    log = tmp_path / "log"
    with processes.background(python(code), name="deaf", output=log) as service:
        service.wait_ready(lambda: bool(log.read_text()), 20)

    assert f"{service.exit_status()}" == "was killed by signal 9"


def has_spoken(log: Path) -> Callable[[], bool]:
    """Return whether a program has printed anything."""
    return lambda: bool(log.read_text())


def deaf(name: str, path: Path) -> list[str]:
    """Return a program that ends only once the others were told to end, and notes what it saw.

    Of two, the one that is told first waits for the other.
    """
    return python(
        f"""
import signal, sys, time
from pathlib import Path
folder = Path({str(path)!r})
def told(number, frame):
    (folder / "told-{name}").touch()
    while len(list(folder.glob("told-*"))) < 2:
        time.sleep(0.01)
    sys.exit(0)
signal.signal(signal.SIGTERM, told)
print("ready", flush=True)
time.sleep(600)
"""
    )


def start_two(stack: ExitStack, tmp_path: Path) -> list[processes.Service]:
    services = []
    for name in ("first", "second"):
        log = tmp_path / f"{name}.log"
        started = processes.background(deaf(name, tmp_path), name=name, output=log)
        services.append(stack.enter_context(started))
        services[-1].wait_ready(has_spoken(log), 20)
    return services


def test_programs_that_are_stopped_together_are_all_told_before_one_is_killed(
    tmp_path: Path,
) -> None:
    with processes.stop_together(60) as stack:
        services = start_two(stack, tmp_path)

    assert [service.exit_status() for service in services] == [ExitStatus(0)] * 2


def test_an_interruption_stops_all_programs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "INTERRUPTED_GRACE_S", 60.0)
    services: list[processes.Service] = []

    def interrupted() -> None:
        with ExitStack() as stack:
            services.extend(start_two(stack, tmp_path))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [service.exit_status() for service in services] == [ExitStatus(0)] * 2


def test_programs_that_do_not_listen_share_one_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    real = subprocess.Popen.wait

    def wait(process: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        if timeout is not None:
            waited.append(timeout)
        return real(process, timeout)

    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
    with ExitStack() as stack:
        for name in ("first", "second", "third"):
            log = tmp_path / name
            service = stack.enter_context(
                processes.background(python(f"{code} time.sleep(600)"), name=name, output=log)
            )
            service.wait_ready(has_spoken(log), 20)
        monkeypatch.setattr(subprocess.Popen, "wait", wait)
        processes.stop(processes._running, 0.5)  # noqa: SLF001 (all that run)
        assert not processes._running  # noqa: SLF001 (all that run)

    assert len(waited) == 3
    assert max(waited) <= 0.5
    assert waited[1:] == [0.0, 0.0]


def test_a_second_interruption_kills_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
    argv, log = python(f"{code} time.sleep(600)"), tmp_path / "log"
    ended: list[processes.Service] = []

    def interrupted_while_it_waits(*_: object) -> int:
        monkeypatch.undo()
        raise KeyboardInterrupt

    def interrupted() -> None:
        with processes.background(argv, name="deaf", output=log) as service:
            ended.append(service)
            service.wait_ready(has_spoken(log), 20)
            monkeypatch.setattr(subprocess.Popen, "wait", interrupted_while_it_waits)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert f"{ended[0].exit_status()}" == "was killed by signal 9"


def test_a_death_before_readiness_is_told_at_once_with_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(CommandError, match="etcd exited with 1 before it was ready") as caught,
        processes.background(
            python("raise SystemExit('bad flag')"), name="etcd", output=log
        ) as service,
    ):
        service.wait_ready(lambda: False, 60)

    assert "bad flag" in caught.value.hint


def test_never_ready_is_an_error_after_the_time(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"was not ready after 0\.2 s"),
        processes.background(
            python("import time; time.sleep(60)"),
            name="server",
            output=tmp_path / "log",
        ) as service,
    ):
        service.wait_ready(lambda: False, 0.2)


def test_a_program_and_its_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys, time; from pathlib import Path; from pipeline.system import processes\n"
        "shell = ['sh', '-c', 'sleep 60 & echo $$ $!; wait']\n"
        f"with processes.background(shell, name='x', output=Path({str(log)!r})):\n"
        f"    while not Path({str(log)!r}).read_text().endswith('\\n'): time.sleep(0.01)\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        os.kill(parent.pid, signal.SIGKILL)

    assert [gone(int(pid)) for pid in log.read_text().split()] == [True, True]


def test_the_watchdog_kills_only_groups_that_still_run(tmp_path: Path) -> None:
    code = (
        "import subprocess; from pathlib import Path; from pipeline.system import processes\n"
        f"log = Path({str(tmp_path / 'log')!r})\n"
        "processes.run(['sh', '-c', ''], output=log, timeout_s=20)\n"
        "watchdog = processes._watchdog()\n"
        "mine = subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3)\n"
        "for sign in '+-': processes._tell_watchdog(f'{sign}{mine.pid}')\n"
        "print(watchdog.pid, mine.pid, flush=True)\n"
    )
    done = subprocess.run(python(code), capture_output=True, text=True, check=True)
    watchdog, mine = (int(pid) for pid in done.stdout.split())
    assert done.stderr == ""
    assert gone(watchdog)
    assert psutil.Process(mine).status() != psutil.STATUS_ZOMBIE
    os.kill(mine, signal.SIGKILL)


def test_capture_returns_none_for_what_fails_or_is_not_there() -> None:
    assert processes.capture(python("print(1)")) == "1\n"
    assert processes.capture(python("raise SystemExit(1)")) is None
    assert processes.capture(["no-such-program"]) is None


def test_output_that_is_not_utf_8_is_shown_as_far_as_it_can_be(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(b'na\\xefve \\xff\\r\\n'); sys.stdout.flush()"
    assert processes.capture(python(code)) == "na\ufffdve \ufffd\n"
    with pytest.raises(CommandError) as caught:
        processes.run(python(f"{code}; sys.exit(1)"), output=tmp_path / "log", timeout_s=20)
    assert "na\ufffdve" in caught.value.hint


def command(code: str, tmp_path: Path, name: str) -> processes.Command:
    return processes.Command(name, python(code), tmp_path / f"{name}.log", {"TOLD": name})


def test_programs_side_by_side_each_end_in_their_own_way(tmp_path: Path) -> None:
    ended = processes.run_all(
        [
            command("import time; time.sleep(0.5); raise SystemExit(3)", tmp_path, "slow"),
            command("import os; print(os.environ['TOLD'])", tmp_path, "quick"),
        ],
        timeout_s=20,
    )

    assert [one.status.exit_code for one in ended] == [3, 0]
    assert ended[0].end_s > ended[1].end_s
    assert (tmp_path / "quick.log").read_text() == "quick\n"


def test_one_that_takes_too_long_is_stopped_and_says_so(tmp_path: Path) -> None:
    wait = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    first, second = processes.run_all(
        [command("", tmp_path, "first"), command(wait, tmp_path, "second")],
        timeout_s=1,
    )

    assert (first.status.exit_code, first.timed_out, second.timed_out) == (0, False, True)
    assert gone(int((tmp_path / "second.log").read_text()))


def test_output_that_is_not_utf_8_is_read_all_the_same() -> None:
    command = [sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'a\xffb')"]
    assert processes.capture(command) == "a\ufffdb"
    assert processes.capture(command, errors="surrogateescape") == "a\udcffb"
