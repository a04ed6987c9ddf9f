"""Run other programs: the only module that imports subprocess.

Every program gets its own process group, so that its children are stopped with it.  It dies with
this process (see die_with_parent.py), and so do its children (see watchdog.py).  Start programs
from the main thread.  Ctrl-C stops all of them at the same moment.
"""

import atexit
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.system.errors import LaunchError, PipelineError
from pipeline.system.log import log
from pipeline.system.redact import command_line
from pipeline.system.sanitize import reason_lines, truncate

GRACE_S = 10.0
"""Seconds from SIGTERM to SIGKILL."""

INTERRUPTED_GRACE_S = 2.0
"""Seconds from SIGTERM to SIGKILL after Ctrl-C, when nobody waits for the output."""

TAIL_LINES = 12

MAX_FAILURE_LINE = 600
"""Most characters of a line that says why there are no numbers."""

_FOLDER = re.compile(r"(?<![\w.:/])~?/(?:[\w.@+~-]+/)+")  # an absolute one, before a name
_TAIL_BYTES = 65_536  # of a log: the stack of a panic can be long
_POLL_S = 0.05
_running: list["Service"] = []
_GIT_VARIABLES = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    }
)
"""Variables with which a hook of git names its own repository.  Every command of ours names its
repository by a folder, and would use the hook's instead, without a word."""
_PYTHON = (sys.executable, "-I", "-S")
_DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
_WATCHDOG = Path(__file__).with_name("watchdog.py")


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a program ended; as text, the rest of a sentence such as `exited with 1`.

    Attributes:
        returncode: Exit code, or the negative number of the signal that killed the program.
    """

    returncode: int

    @property
    def is_success(self) -> bool:
        """True if the program exited with 0."""
        return self.returncode == 0

    @property
    def exit_code(self) -> int | None:
        """Exit code; None if a signal killed the program."""
        return self.returncode if self.returncode >= 0 else None

    def __str__(self) -> str:
        if self.returncode < 0:
            return f"was killed by signal {-self.returncode}"
        return f"exited with {self.returncode}"


class CommandError(LaunchError):
    """A program failed, did not start, or was still running at its deadline."""

    def __init__(
        self, argv: Sequence[str], status: ExitStatus | None, tail: str, *, message: str = ""
    ) -> None:
        """Describe the failure.

        Args:
            argv: Program and arguments.
            status: Exit status; None if the program never ran, or was stopped at its deadline.
            tail: Last lines of the program's output under a heading, or what to do; the hint.
            message: What happened; by default the command line and its exit status.
        """
        super().__init__(message or f"`{command_line(argv)}` {status}", hint=tail)
        self.argv = tuple(argv)
        self.status = status
        self.tail = tail


def failure_line(error: PipelineError) -> str:
    """Return what went wrong in one line that others may read: without folders of this machine.

    Of a program, it is its exit status and the last line that it wrote.
    """
    cause = error if isinstance(error, CommandError) else error.__cause__
    text = str(error)
    if isinstance(cause, CommandError) and cause.status is not None:
        lines = [line.strip() for line in cause.tail.splitlines() if line.strip()]
        text = ": ".join((f"{command_line(cause.argv[:1])} {cause.status}", *lines[-1:]))
    return truncate(_FOLDER.sub("", text), MAX_FAILURE_LINE)


@dataclass(frozen=True, slots=True)
class Service:
    """A program that runs in the background, with stdout and stderr in the file `output`."""

    name: str
    argv: tuple[str, ...]
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self.process.pid

    def exit_status(self) -> ExitStatus | None:
        """Return the exit status of the program; None while it runs."""
        code = self.process.poll()
        return None if code is None else ExitStatus(code)

    def wait_ready(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Return once `is_ready()` is true.

        Raises:
            CommandError: The program ended before that, or was not ready after `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if status := self.exit_status():
                raise self._not_ready(status, f"{status} before it was ready")
            if time.monotonic() > deadline:
                raise self._not_ready(None, f"was not ready after {timeout_s:g} s")
            time.sleep(_POLL_S)

    def _not_ready(self, status: ExitStatus | None, problem: str) -> CommandError:
        message = f"{self.name} {problem}"
        return CommandError(self.argv, status, log_tail(self.output), message=message)


@dataclass(frozen=True, slots=True)
class Command:
    """A program for `run_all`; `env` is added to the variables of this process."""

    name: str
    argv: Sequence[str]
    output: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How and when a program ended.

    Attributes:
        status: Exit status.
        start_s: Start, in seconds of Unix time.
        end_s: Time at which the end was noticed, in seconds of Unix time.
        timed_out: True if it was still running at the deadline and was stopped.
    """

    status: ExitStatus
    start_s: float
    end_s: float
    timed_out: bool = False


def run_all(
    commands: Sequence[Command],
    *,
    timeout_s: float,
    hide: tuple[str, ...] = (),
    check: Callable[[], None] = lambda: None,
) -> tuple[CommandResult, ...]:
    """Run programs side by side until all have ended; return their results in the given order.

    Args:
        commands: Programs, all started at once.
        timeout_s: Seconds after which the programs that still run are stopped.
        hide: Prefixes of environment variables that the programs must not see.
        check: Function called often while they run; an exception from it stops them.

    Raises:
        CommandError: One could not be started.
    """
    with ExitStack() as stack:
        services: list[Service] = []
        starts: list[float] = []
        for one in commands:
            starts.append(time.time())
            program = background(one.argv, name=one.name, output=one.output, env=one.env, hide=hide)
            services.append(stack.enter_context(program))
        deadline = time.monotonic() + timeout_s
        results: dict[int, CommandResult] = {}
        while len(results) < len(services):
            check()
            is_late = time.monotonic() > deadline
            running = [one for one in services if one.exit_status() is None]
            if is_late:
                stop(running)
            for number, service in enumerate(services):
                status = service.exit_status()
                if status is not None and number not in results:
                    timed_out = is_late and service in running
                    results[number] = CommandResult(status, starts[number], time.time(), timed_out)
            time.sleep(_POLL_S)
    check()
    return tuple(results[number] for number in range(len(services)))


def run(
    argv: Sequence[str],
    *,
    output: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    hide: tuple[str, ...] = (),
    cwd: Path | None = None,
    check: Callable[[], None] = lambda: None,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Run a program to its end, with its output in a file.

    Args:
        argv: Program and arguments; never a shell string.
        output: File that receives stdout and stderr, for people and for artifacts.
        timeout_s: Seconds after which the program and its children are stopped.
        env: Variables to add to this process's own.
        hide: Prefixes of environment variables that the program must not see.
        cwd: Working directory.
        check: Function called often while the program runs; an exception from it stops the program.
        tick: Function called about once a second, for progress.

    Raises:
        CommandError: The program could not be started, failed, or took too long.
    """
    with background(
        argv, name=f"`{argv[0]}`", output=output, env=env, hide=hide, cwd=cwd
    ) as program:
        deadline = time.monotonic() + timeout_s
        next_tick = 0.0
        while (status := program.exit_status()) is None:
            check()
            now = time.monotonic()
            if now > deadline:
                message = f"`{command_line(argv)}` was still running after {timeout_s:g} s"
                raise CommandError(argv, None, log_tail(output), message=message)
            if now >= next_tick:
                tick()
                next_tick = now + 1.0
            with suppress(subprocess.TimeoutExpired):
                program.process.wait(4 * _POLL_S)
    check()
    if not status.is_success:
        raise CommandError(argv, status, log_tail(output))


def run_for_output(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end, and return what it printed, warnings included; no file is kept.

    Raises:
        CommandError: The program could not be started, failed, or took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        try:
            run(argv, output=output, timeout_s=timeout_s, env=env, cwd=cwd)
        except CommandError as error:
            tail = error.tail.replace(f", of {output}", "")
            raise CommandError(argv, error.status, tail, message=str(error)) from None
        return output.read_text(encoding="utf-8", errors="replace")


def cpu_of_children_s() -> float:
    """Return the CPU time, in seconds, of all programs that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def capture(
    argv: Sequence[str],
    *,
    timeout_s: float = 30.0,
    cwd: Path | None = None,
    errors: str = "replace",
) -> str | None:
    """Return the stdout of a quick program; None if it fails or is not installed."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            cwd=cwd,
            env=_environment(),
            encoding="utf-8",
            errors=errors,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@contextmanager
def background(
    argv: Sequence[str],
    *,
    name: str,
    output: Path,
    env: Mapping[str, str] | None = None,
    hide: tuple[str, ...] = (),
    cwd: Path | None = None,
) -> Iterator[Service]:
    """Run a program while the block runs, and stop its process group at the end.

    If Ctrl-C interrupts the block, every other running program is stopped at the same moment.

    Raises:
        CommandError: The program is not installed.
    """
    log.debug("$ %s", command_line(argv))
    program = shutil.which(argv[0])
    if program is None:
        raise CommandError(
            argv,
            None,
            "`milo-perf doctor` says what is missing and how to get it",
            message=f"`{argv[0]}` is not there, or not executable",
        )
    with output.open("ab") as sink:
        process = subprocess.Popen(
            [
                *(*_PYTHON, str(_DIE_WITH_PARENT), str(os.getpid())),
                *(program, *argv[1:]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**_environment(hide), **(env or {})},
            cwd=cwd,
            start_new_session=True,  # so that we can stop its children too
        )
    service = Service(name, tuple(argv), process, output)
    _running.append(service)
    try:
        _tell_watchdog(f"+{service.pid}")
        yield service
    except KeyboardInterrupt:
        stop(_running, INTERRUPTED_GRACE_S)
        raise
    finally:
        stop([service])


@dataclass(frozen=True, slots=True)
class DetachedProgram:
    """A program that goes on when this process ends."""

    process: "subprocess.Popen[bytes]"

    def exit_status(self) -> ExitStatus | None:
        """Return the exit status of the program; None while it runs."""
        code = self.process.poll()
        return None if code is None else ExitStatus(code)

    def stop(self, timeout_s: float) -> None:
        """Ask the program to end, and wait; kill it after a timeout."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()


def detach(argv: Sequence[str], *, output: Path) -> DetachedProgram:
    """Start a program in a session of its own, which is not stopped when this process ends.

    Only a program that ends by itself, and stops what it started, may be detached.
    """
    log.debug("$ %s &", command_line(argv))
    with output.open("ab") as sink:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
    return DetachedProgram(process)


def _environment(hide: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables that a program may see, without those that begin with a prefix."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _GIT_VARIABLES and not name.startswith(hide)
    }


def log_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log under a heading; of a crash, the lines with the reason."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"its output, {path}, cannot be read: {error.strerror}"
    tail = [f"  {line[:300]}" for line in reason_lines(text.splitlines(), lines)]
    return f"its last lines, of {path}:\n" + "\n".join(tail)


@contextmanager
def stop_together(grace_s: float) -> Iterator[ExitStack]:
    """Yield a stack for programs; at the end, stop all that were started in the block at once.

    All of them together have `grace_s` seconds from SIGTERM to SIGKILL.
    """
    before = list(_running)
    with ExitStack() as stack:
        try:
            yield stack
        finally:
            stop([service for service in _running if service not in before], grace_s)


def stop(services: Sequence[Service], grace_s: float | None = None) -> None:
    """Stop programs and their children: SIGTERM to all at once, then SIGKILL to the rest.

    All of them together have `grace_s` seconds for it, by default `GRACE_S`; those that were
    stopped before are ignored.
    """
    stopping = [service for service in services if service in _running]
    deadline = time.monotonic() + (GRACE_S if grace_s is None else grace_s)
    try:
        for service in stopping:
            with suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGTERM)
        for service in stopping:
            with suppress(subprocess.TimeoutExpired):
                service.process.wait(max(0.0, deadline - time.monotonic()))
    finally:  # also when a second Ctrl-C ends the wait
        for service in stopping:
            with suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
        for service in stopping:
            service.process.wait()
            _running.remove(service)
            _tell_watchdog(f"-{service.pid}")


@cache
def _watchdog() -> "subprocess.Popen[bytes]":
    """Start the process that kills the groups of running programs when this process dies."""
    atexit.register(_end_watchdog)
    return subprocess.Popen(
        [*_PYTHON, str(_WATCHDOG)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        start_new_session=True,
    )


def _end_watchdog() -> None:
    with _watchdog():
        pass  # closes its stdin, and waits


def _tell_watchdog(line: str) -> None:
    with suppress(BrokenPipeError):  # somebody killed it
        if pipe := _watchdog().stdin:
            pipe.write(f"{line}\n".encode())
