"""What tests of whole runs share: waiting for a process, and for what it does."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

Command = Callable[..., "subprocess.Popen[str]"]
WAIT_S = 300


def finished(
    process: "subprocess.Popen[str]", code: int, wait_s: float = WAIT_S
) -> tuple[str, str]:
    """Wait, and return what it printed; fail with its words when the exit code is another."""
    stdout, stderr = process.communicate(timeout=wait_s)
    assert process.returncode == code, stderr[-4000:]
    return stdout, stderr


def running(folder: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter()
        if str(folder) in " ".join(line(process)) and process.pid != psutil.Process().pid
    ]


def line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def nothing_runs(folder: Path) -> bool:
    """Wait a while for all processes of a folder to end."""
    for _ in range(100):
        if not running(folder):
            break
        time.sleep(0.1)
    return not running(folder)


def nothing_is_left(tmp_path: Path, out: Path) -> bool:
    return nothing_runs(out) and not list((tmp_path / "tmp").iterdir()) and not private(out)


def private(out: Path) -> list[Path]:
    return [path for path in out.rglob("private") if path.is_dir()]


def until(
    condition: Callable[[], bool], process: "subprocess.Popen[str]", wait_s: float = WAIT_S
) -> None:
    """Wait for a condition while a process runs."""
    deadline = time.monotonic() + wait_s
    while not condition():
        assert process.poll() is None, process.communicate()[1][-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def load_of_pair(out: Path, pair: int) -> Callable[[], bool]:
    """Return whether k6 is at work on objects in a pair."""
    log = out / "pairs" / f"{pair:03}" / "object-crud" / "k6.log"
    return log.exists


def verdict_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    return found
