"""A signal that ends a terminal's programs interrupts a command, unless the user said otherwise."""

import signal
import subprocess
import sys

import pytest

_SIGNALLED = """
import os, signal, sys
from pipeline.commands import doctor, main
number = int(sys.argv[1])
def command(_):
    os.kill(os.getpid(), number)
    print("went on")
    return 0
doctor._doctor = command
sys.exit(main.main(["doctor"]))
"""


@pytest.mark.parametrize(
    ("number", "is_ignored", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGINT, True, 130),  # a shell ignores it for whatever is started with `&`
        (signal.SIGTERM, False, 130),
        (signal.SIGHUP, False, 130),
        (signal.SIGHUP, True, 0),  # `nohup`
    ],
)
def test_a_signal_interrupts_a_command(
    number: signal.Signals, *, is_ignored: bool, code: int
) -> None:
    ignore = [f'trap "" {number.name.removeprefix("SIG")};'] if is_ignored else []
    shell = " ".join([*ignore, 'exec "$@"'])
    argv = ["sh", "-c", shell, "sh", sys.executable, "-c", _SIGNALLED, str(int(number))]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)

    assert done.returncode == code, done.stderr
    assert ("went on" in done.stdout) == (code == 0)
