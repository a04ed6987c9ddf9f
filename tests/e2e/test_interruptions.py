"""What becomes of a run that is interrupted, or whose parts fail, on real parts.

Nothing here depends on how fast the machine is, so other tests may run beside it.
"""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from pipeline.model.subject import Arm
from pipeline.storage import codec
from pipeline.system.errors import Exit
from tests.running import (
    Command,
    finished,
    line,
    load_of_pair,
    nothing_is_left,
    nothing_runs,
    private,
    running,
    until,
    verdict_of,
)

pytestmark = pytest.mark.real


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_asks_a_run_to_stop_leaves_nothing_running(
    command: Command, suite: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", suite, "--against", "reference", "--out", out)
    until(load_of_pair(out, 0), process)
    process.send_signal(number)
    _, stderr = finished(process, Exit.INTERRUPTED)

    assert f"run --resume {out}" in stderr
    assert nothing_is_left(tmp_path, out)


def test_an_interrupted_run_leaves_nothing_running_and_goes_on_later(
    command: Command, suite: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", suite, "--against", "reference", "--out", out)
    until(load_of_pair(out, 1), process)
    process.send_signal(signal.SIGINT)
    _, stderr = finished(process, Exit.INTERRUPTED)
    before = codec.RESULTS.read(out / "results.json")

    assert f"run --resume {out}" in stderr
    assert nothing_is_left(tmp_path, out)
    assert before.valid_pairs == (0,)

    finished(command("run", "--resume", out), Exit.NO_REGRESSION)
    after = codec.RESULTS.read(out / "results.json")
    assert after.valid_pairs == (0, 1)
    assert after.trials[:2] == before.trials


def test_a_pipeline_that_is_killed_takes_its_children_along(
    command: Command, suite: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", suite, "--against", "reference", "--out", out)
    until(load_of_pair(out, 0), process)
    assert len(running(out)) >= 5
    process.kill()
    process.communicate()
    assert nothing_runs(out)
    assert private(out)

    command("compare", out).communicate()
    assert nothing_is_left(tmp_path, out)


def test_an_etcd_that_dies_in_the_middle_is_named_and_what_was_measured_stays(
    command: Command, suite: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", suite, "--against", "reference", "--out", out)
    until(load_of_pair(out, 1), process)
    victim = next(
        pid for pid in running(out) if "etcd-candidate" in " ".join(line(psutil.Process(pid)))
    )
    psutil.Process(victim).kill()
    finished(process, Exit.NO_REGRESSION)  # once may be chance

    results = codec.RESULTS.read(out / "results.json")
    assert results.valid_pairs == (0, 1)
    (failed,) = [trial for trial in results.trials if trial.failures]
    assert (failed.pair, failed.arm) == (1, Arm.CANDIDATE)
    assert "object-crud: etcd of the candidate was killed by signal 9" in failed.failures[0].what
    assert verdict_of(out)["verdict"] == "inconclusive"
    assert nothing_is_left(tmp_path, out)


def test_a_full_disk_leaves_what_was_measured_readable(
    command: Command, suite: Path, tmp_path: Path
) -> None:
    suite.write_text(suite.read_text().replace("duration_s = 3", "duration_s = 20"))
    out = tmp_path / "out"
    out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(out)], check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        process = command("run", "--suite", suite, "--against", "reference", "--out", out)
        until(load_of_pair(out, 1), process)
        _fill(out / "filler")
        _, stderr = finished(process, Exit.STORAGE)

        assert codec.RESULTS.read(out / "results.json").valid_pairs == (0,)
        assert "Traceback" not in stderr
    finally:
        subprocess.run(["umount", str(out)], check=True)


def _fill(path: Path) -> None:
    """Take all the room of a disk, in steps that halve: at once, however busy the machine is."""
    step, size = 2**28, 0
    with path.open("wb") as file:
        while step >= 2**12:
            try:
                os.posix_fallocate(file.fileno(), size, step)
                size += step
            except OSError:
                step //= 2


def test_a_second_run_says_that_it_waits(command: Command, suite: Path, tmp_path: Path) -> None:
    first_out, second_out = tmp_path / "first", tmp_path / "second"
    first = command("run", "--suite", suite, "--against", "reference", "--out", first_out)
    until(load_of_pair(first_out, 0), first)
    second = command("run", "--suite", suite, "--against", "reference", "--out", second_out)
    assert second.stderr is not None
    said = ""
    while "another process is measuring" not in said:
        line = second.stderr.readline()
        assert line, said
        said += line
    second.send_signal(signal.SIGTERM)
    finished(second, Exit.INTERRUPTED)
    finished(first, Exit.NO_REGRESSION)

    assert str(first_out) in said


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("exit 107", "107", id="fails"),
        pytest.param("exit 0", "points", id="writes nothing"),
        pytest.param(
            'echo junk > "$K6_CSV_FILENAME"',
            "points",
            id="garbage",
        ),
    ],
)
def test_a_k6_that_misbehaves_is_exit_6(
    command: Command, suite: Path, tmp_path: Path, script: str, said: str
) -> None:
    fake = tmp_path / "k6"
    fake.write_text(
        f'#!/bin/sh\nif [ "$1" = version ]; then echo "k6 v1.1.0"; exit 0; fi\n{script}\n'
    )
    fake.chmod(0o755)
    out = tmp_path / "out"
    process = command(
        *("run", "--suite", suite, "--against", "reference", "--out", out), K6_BIN=str(fake)
    )
    _, stderr = finished(process, Exit.WRONG_LOAD)

    assert said in stderr
    assert "Traceback" not in stderr
    assert nothing_is_left(tmp_path, out)


def test_a_missing_k6_is_exit_6(command: Command, suite: Path, tmp_path: Path) -> None:
    process = command(
        *("run", "--suite", suite, "--against", "reference", "--out", tmp_path / "out"),
        K6_BIN="/no/such/k6",
    )
    _, stderr = finished(process, Exit.WRONG_LOAD)

    assert "K6_BIN" in stderr
