"""Run other programs: the only module that imports subprocess.

Every program gets a process group of its own, so that its children can be stopped too, and a
tether, so that it dies with this process (see tether.py).  Start programs from the main thread.
Ctrl-C stops all of them at the same moment.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.system.errors import PipelineError
from pipeline.system.log import log
from pipeline.system.redact import command_line
from pipeline.system.sanitize import reason_lines

GRACE_S = 10.0
"""Seconds between asking a program to end and killing it."""

INTERRUPTED_GRACE_S = 2.0
"""The same once the user has interrupted us: nobody needs what the program would still write."""

TAIL_LINES = 12
_TAIL_BYTES = 65_536  # of a log: the stack of a panic can be long
_POLL_S = 0.05
_running: list["Service"] = []
_TETHER = Path(__file__).with_name("die_with_parent.py")


@dataclass(frozen=True, slots=True)
class Service:
    """A program that runs beside us.

    Attributes:
        name: For messages, such as `etcd of the candidate`.
        process: The running program.
        output: The file that its output goes to.
        error: What to raise when it dies before it is ready.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    output: Path
    error: type[PipelineError]

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self.process.pid

    def ended(self) -> str:
        """Return how it ended, as the rest of a sentence; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        return f"was killed by signal {-code}" if code < 0 else f"exited with {code}"

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return once `ready()` is true.

        Raises:
            PipelineError: `error`, as soon as the program ends, or after `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if how := self.ended():
                raise self.error(f"{self.name} {how} before it was ready", hint=last(self.output))
            if time.monotonic() > deadline:
                raise self.error(
                    f"{self.name} was not ready after {timeout_s:g} s", hint=last(self.output)
                )
            time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class Command:
    """A program that is to run to its end beside others.

    Attributes:
        name: For messages, such as `clusterloader2 of the candidate`.
        argv: Program and arguments; never a shell string.
        output: Where stdout and stderr go together.
        env: Variables to add to this process's own.
    """

    name: str
    argv: Sequence[str]
    output: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How and when a program ended.

    Attributes:
        code: Its exit code; below 0 the number of the signal that killed it.
        start_s: When it was started, in seconds of Unix time.
        end_s: When its end was seen.
        gave_up: True if it was still running at the deadline, and was stopped.
    """

    code: int
    start_s: float
    end_s: float
    gave_up: bool = False


def together(
    commands: Sequence[Command],
    *,
    timeout_s: float,
    error: type[PipelineError],
    hide: tuple[str, ...] = (),
    check: Callable[[], None] = lambda: None,
) -> tuple[Ended, ...]:
    """Run programs side by side to their ends, and return those ends in the order given.

    Args:
        commands: To start, all at once.
        timeout_s: Seconds until all that still run are stopped.
        error: What to raise when one cannot be started.
        hide: Beginnings of the names of our own variables that they must not see.
        check: Called often while they run; what it raises stops them.

    Raises:
        PipelineError: `error`.
    """
    with ExitStack() as stack:
        services: list[Service] = []
        starts: list[float] = []
        for one in commands:
            starts.append(time.time())
            services.append(
                stack.enter_context(
                    started(
                        one.argv,
                        name=one.name,
                        output=one.output,
                        env=one.env,
                        hide=hide,
                        error=error,
                    )
                )
            )
        deadline = time.monotonic() + timeout_s
        ended: dict[int, Ended] = {}
        while len(ended) < len(services):
            check()
            late = time.monotonic() > deadline
            running = [one for one in services if one.process.poll() is None]
            if late:
                stop(running)
            for number, service in enumerate(services):
                code = service.process.poll()
                if code is not None and number not in ended:
                    gave_up = late and service in running
                    ended[number] = Ended(code, starts[number], time.time(), gave_up)
            time.sleep(_POLL_S)
    check()
    return tuple(ended[number] for number in range(len(services)))


def run(
    argv: Sequence[str],
    *,
    output: Path,
    timeout_s: float,
    error: type[PipelineError],
    env: Mapping[str, str] | None = None,
    hide: tuple[str, ...] = (),
    cwd: Path | None = None,
    check: Callable[[], None] = lambda: None,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Run a program to its end, its output going to a file.

    Args:
        argv: Program and arguments; never a shell string.
        output: Where stdout and stderr go together, for people and for artifacts.
        timeout_s: Seconds until the program and its children are stopped.
        error: What to raise when the program fails.
        env: Variables to add to this process's own.
        hide: Beginnings of the names of our own variables that the program must not see.
        cwd: Folder to run in.
        check: Called often while the program runs; what it raises stops the program.
        tick: Called about once a second, for progress.

    Raises:
        PipelineError: `error`, when it cannot be started, exits non-zero or takes too long.
    """
    with started(
        argv, name=f"`{argv[0]}`", output=output, env=env, hide=hide, cwd=cwd, error=error
    ) as program:
        deadline = time.monotonic() + timeout_s
        next_tick = 0.0
        while not (how := program.ended()):
            check()
            now = time.monotonic()
            if now > deadline:
                raise error(
                    f"`{command_line(argv)}` was still running after {timeout_s:g} s",
                    hint=last(output),
                )
            if now >= next_tick:
                tick()
                next_tick = now + 1.0
            with suppress(subprocess.TimeoutExpired):
                program.process.wait(4 * _POLL_S)
    check()
    if how != "exited with 0":
        raise error(f"`{command_line(argv)}` {how}", hint=last(output))


def cpu_of_children_s() -> float:
    """Return the CPU seconds of all programs that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def capture(
    argv: Sequence[str],
    *,
    timeout_s: float = 30.0,
    cwd: Path | None = None,
    errors: str = "replace",
) -> str | None:
    """Return what a quick program prints to stdout, or None when it fails or is not there.

    Args:
        argv: Program and arguments; never a shell string.
        timeout_s: Seconds until it is stopped.
        cwd: Folder to run in.
        errors: What becomes of bytes that are not UTF-8, as `bytes.decode` calls it.
    """
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            cwd=cwd,
            encoding="utf-8",
            errors=errors,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@contextmanager
def started(
    argv: Sequence[str],
    *,
    name: str,
    output: Path,
    error: type[PipelineError],
    env: Mapping[str, str] | None = None,
    hide: tuple[str, ...] = (),
    cwd: Path | None = None,
) -> Iterator[Service]:
    """Keep a program running while the block runs; stop its whole group on leaving.

    When the block is interrupted, every other program that runs is stopped at the same moment.
    """
    log.debug("$ %s", command_line(argv))
    program = shutil.which(argv[0])
    if program is None:
        raise error(
            f"`{argv[0]}` is not there, or not executable",
            hint="`python -m pipeline doctor` says what is missing and how to get it",
        )
    with output.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**_visible(hide), **(env or {})},
            cwd=cwd,
            start_new_session=True,  # so that we can stop its children too
        )
    service = Service(name, process, output, error)
    _running.append(service)
    try:
        yield service
    except KeyboardInterrupt:
        stop(_running, INTERRUPTED_GRACE_S)
        raise
    finally:
        stop([service])


def _visible(hide: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(hide)}


def last(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log under a heading; of a crash, those that say why."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"its output, {path}, cannot be read: {error.strerror}"
    found = [line[:300] for line in reason_lines(text.splitlines(), lines)]
    return f"its last lines, of {path}:\n" + "\n".join(f"  {line}" for line in found)


@contextmanager
def stopped_together(grace_s: float) -> Iterator[ExitStack]:
    """Enter with a stack for programs; on leaving, all that were started inside stop at once.

    Args:
        grace_s: Seconds that all of them together have.
    """
    before = list(_running)
    with ExitStack() as stack:
        try:
            yield stack
        finally:
            stop([service for service in _running if service not in before], grace_s)


def stop(services: Sequence[Service], grace_s: float | None = None) -> None:
    """End programs with their children: ask all at once, then kill those that still run.

    Args:
        services: Those that were stopped before are left alone.
        grace_s: Seconds that all of them together have; `GRACE_S` if not given.
    """
    asked = [service for service in services if service in _running]
    deadline = time.monotonic() + (GRACE_S if grace_s is None else grace_s)
    try:
        for service in asked:
            with suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGTERM)
        for service in asked:
            with suppress(subprocess.TimeoutExpired):
                service.process.wait(max(0.0, deadline - time.monotonic()))
    finally:  # also when a second Ctrl-C ends the wait
        for service in asked:
            with suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
        for service in asked:
            service.process.wait()
            _running.remove(service)
