"""Keys and tokens are removed by the run that made them, or by the next command."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.system import paths
from pipeline.system.private_folder import measurement_lock, private_folder, remove_leftovers

_KILLED = """
import sys, time
from pathlib import Path
from pipeline.system.private_folder import measurement_lock, private_folder
out = Path(sys.argv[1])
with measurement_lock(out), private_folder(out / "pairs" / "000") as private:
    (private / "admin.token").write_text("secret")
    print("made", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(out: Path) -> "subprocess.Popen[str]":
    """Start a process that measures into a folder, and return it once it has keys there."""
    (out / "pairs" / "000").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"
    return process


def killed(out: Path) -> Path:
    """Leave in a folder what a run leaves that is killed; return the folder of its keys."""
    with run(out) as process:
        process.send_signal(signal.SIGKILL)
    private = out / "pairs" / "000" / "private"
    assert (private / "admin.token").exists()
    return private


def test_only_we_can_read_it_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    def interrupted() -> None:
        with private_folder(tmp_path) as private:
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            (private / "admin.token").write_text("secret")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_its_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with private_folder(Path()) as private:
        assert private == tmp_path / "private"


@pytest.mark.parametrize("command", [["compare", "OUT"], ["run", "--resume", "OUT"]])
def test_the_next_command_that_is_given_the_folder_removes_what_a_killed_run_left(
    tmp_path: Path, command: list[str]
) -> None:
    private = killed(tmp_path / "out")
    main.main([word.replace("OUT", str(tmp_path / "out")) for word in command])

    assert not private.exists()


def test_the_next_run_removes_it_wherever_it_measures(tmp_path: Path) -> None:
    private = killed(tmp_path / "out")
    with measurement_lock(tmp_path / "another"):
        assert not private.exists()


def test_what_is_in_use_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with run(out) as process:
        remove_leftovers(out)
        assert (out / "pairs" / "000" / "private" / "admin.token").exists()
        process.kill()
    remove_leftovers(out)
    assert not (out / "pairs" / "000" / "private").exists()


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / "private"
    theirs.mkdir(parents=True)
    (theirs / "letters.txt").touch()
    (theirs / ".milo-perf").symlink_to(theirs / "letters.txt")
    ours = killed(tmp_path / "ours")
    out = tmp_path / "out"
    (out / "pairs" / "000").mkdir(parents=True)
    (out / "pairs" / "000" / "private").symlink_to(ours)
    (out / "pairs" / "001").symlink_to(ours.parent)
    for folder in (tmp_path / "theirs", out, tmp_path / "nowhere"):
        remove_leftovers(folder)

    assert (theirs / "letters.txt").exists()
    assert (ours / "admin.token").exists()


@pytest.mark.parametrize("note", ["", "out", "/no/such/folder", "\udcff", "/\udcff"])
def test_an_owner_who_left_nothing_that_can_be_used_is_no_error(note: str, tmp_path: Path) -> None:
    (paths.cache() / "run.owner").write_bytes(os.fsencode(note))
    with measurement_lock(tmp_path / os.fsdecode(b"na\xefve")):
        assert (paths.cache() / "run.owner").read_bytes().endswith(b"na\xefve")
