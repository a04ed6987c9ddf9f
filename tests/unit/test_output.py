"""The verdict reaches the person: nothing about where it is printed changes how a process ends."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.commands import main as cli
from pipeline.judge import policy
from pipeline.render.answer_line import answer
from pipeline.storage import codec
from pipeline.system import output, terminal
from pipeline.system.errors import Exit
from tests import pages

NIGHTS = "time,series,value\n" + "".join(
    f"2026-01-{day:02},a b,{100 if day < 15 else 130}\n" for day in range(1, 31)
)
PAIRS = "pair,arm,metric,value\n" + "".join(
    f"{pair},{arm},create · p50,{value + pair / 1000}\n"
    for pair in range(8)
    for arm, value in (("baseline", 1.0), ("candidate", 1.5))
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run, a file of pairs and a file of nights, all of them red."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "run").mkdir()
    codec.RESULTS.write(folder / "run" / "results.json", pages.measured())
    (folder / "pairs.csv").write_text(PAIRS, encoding="utf-8")
    (folder / "nights.csv").write_text(NIGHTS, encoding="utf-8")
    return folder


DECIDES = {
    "compare": (["compare", "run"], 3),
    "compare as JSON": (["compare", "run", "--json"], 3),
    "render": (["render", "run"], 0),
    "render markdown": (["render", "run", "--format", "markdown"], 0),
    "judge": (["judge", "pairs.csv"], 3),
    "judge as JSON": (["judge", "pairs.csv", "--json"], 3),
    "history": (["history", "nights.csv", "--alarm"], 3),
    "plan": (["plan", "--suite", "smoke"], 0),
    "help": (["--help"], 0),
    "a wrong argument": (["run", "--pairs", "·"], 2),
    "a wrong name": (["run", "--suite", "jährlich…"], 2),
}


def ended(
    place: Path, words: list[str], *, reader: str = "cat", **variables: str
) -> tuple[int, str]:
    """Return the exit code of a command whose output another program reads, and what that says."""
    code = 'set -o noglob; "$@" 2>&1 | ' + reader + "; exit ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", code, "bash", sys.executable, "-m", "pipeline", *words],
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), **variables},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", DECIDES)
def test_no_encoding_of_the_output_changes_the_exit_code(place: Path, name: str) -> None:
    words, code = DECIDES[name]
    for encoding in ("ascii", "cp1252"):
        found, said = ended(place, words, PYTHONIOENCODING=encoding, reader="iconv -f latin1")
        assert (found, "Traceback" in said) == (code, False), (encoding, said)


@pytest.mark.parametrize("name", DECIDES)
def test_a_reader_that_has_gone_does_not_change_the_exit_code(place: Path, name: str) -> None:
    words, code = DECIDES[name]
    for reader, unbuffered in (("true", ""), ("head -1", "1")):
        found, said = ended(place, words, reader=reader, PYTHONUNBUFFERED=unbuffered)
        assert (found, "Traceback" in said) == (code, False), (reader, said)


def test_a_closed_output_does_not_change_the_exit_code(place: Path) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        words = ["-c", f"{sys.executable} -m pipeline compare run {closed}"]
        root = str(Path(cli.__file__).parents[2])
        done = subprocess.run(
            ["bash", *words], env={**os.environ, "PYTHONPATH": root}, cwd=place, check=False
        )
        assert done.returncode == Exit.REGRESSION


def test_a_disk_without_room_for_the_output_is_no_pass_and_keeps_a_red_one(place: Path) -> None:
    for words, code in ((["compare", "run"], 3), (["render", "run"], 8)):
        line = f"{sys.executable} -m pipeline {' '.join(words)} > /dev/full"
        root = str(Path(cli.__file__).parents[2])
        done = subprocess.run(
            ["bash", "-c", line],
            env={**os.environ, "PYTHONPATH": root},
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert "standard output cannot be written: No space left" in done.stderr


@given(text=st.text(), encoding=st.sampled_from(["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"]))
def test_any_text_can_be_printed_and_what_an_encoding_has_stays(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        output.prepare()
        output.print_stdout(text)
    printed = raw.getvalue().decode(encoding)
    had = "".join(c for c in text if _has(c, encoding))
    rest = iter(printed)
    assert all(c in rest for c in had)  # in their order
    if had == text:
        assert printed == text


def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def test_what_reports_draw_with_has_a_sign_of_its_own_in_ascii() -> None:
    raw = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(raw, encoding="ascii")
        patch.setattr(sys, "stdout", stream)
        output.prepare()
        output.print_stdout("····┊├●┤┊···► │ ─ ◄ ▲▼△▽ … −3 µs ▁▂▃▄▅▆▇█ ü")
    assert raw.getvalue() == b"----:[*]:---> | - < ^vAV ... -3 us _.,-=+*# ?"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_the_answer_can_be_read_in_every_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    said = "IMPROVED: open files −63 %, goroutines −19 %, 8 more; nothing worse"
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(raw, encoding=encoding)
        patch.setattr(sys, "stdout", stream)
        output.prepare()
        output.print_stdout(said)
    assert raw.getvalue().decode(encoding) == said.replace("−", "-")


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "cp1252"}, {"TERM": "dumb"}])
def test_the_first_line_is_the_answer_wherever_it_is_printed(
    place: Path, variables: dict[str, str]
) -> None:
    code, said = ended(place, ["compare", "run"], reader="head -1", **variables)
    line = answer(policy.report(pages.measured()))
    assert code == Exit.REGRESSION
    assert said.splitlines()[0] == line.replace("−", "-")
    body = json.loads((place / "run" / "verdict.json").read_text(encoding="utf-8"))
    assert body["answer"] == line


@pytest.mark.parametrize(
    "variables", [{"TERM": "dumb"}, {"TERM": ""}, {"NO_COLOR": "1", "TERM": "xterm"}]
)
def test_a_terminal_that_takes_no_escapes_gets_none(place: Path, variables: dict[str, str]) -> None:
    code = (
        "from pipeline.system import output, progress, log\n"
        "log.configure(verbose=False)\n"
        "with progress.shown() as shown: shown.stage('pair 1', 90.0)"
    )
    for words in (["-m", "pipeline", "compare", "run"], ["-c", code]):
        assert "\x1b" not in on_a_terminal(place, words, variables)


def test_a_terminal_that_takes_escapes_gets_colours(place: Path) -> None:
    said = on_a_terminal(place, ["-m", "pipeline", "compare", "run"], {"TERM": "xterm"})
    assert "\x1b[1;31mREGRESSION: " in said


def on_a_terminal(place: Path, words: list[str], variables: dict[str, str]) -> str:
    """Return what Python prints on a terminal of 80 columns."""
    main, other = os.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM", "COLUMNS")}
    env |= {"PYTHONPATH": str(Path(cli.__file__).parents[2]), **variables}
    with subprocess.Popen(
        [sys.executable, *words], stdin=other, stdout=other, stderr=other, env=env, cwd=place
    ):
        os.close(other)
        said = b""
        while True:
            try:
                more = os.read(main, 65536)
            except OSError:  # the other end is closed: Linux says EIO
                break
            if not more:
                break
            said += more
    os.close(main)
    return said.decode()


def test_a_folder_that_cannot_be_written_still_gives_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec.RESULTS.write(tmp_path / "results.json", pages.measured())
    for name in ("verdict.json", "report.html"):
        (tmp_path / f"{name}.{os.getpid()}.partial").mkdir()  # also root cannot write there
    assert cli.main(["compare", str(tmp_path)]) == Exit.REGRESSION
    said = capsys.readouterr()
    assert said.out.startswith("REGRESSION: ")
    assert f"{tmp_path}: verdict.json, report.html cannot be written: Is a directory" in said.err
    assert "everything is in" not in said.err
    assert (tmp_path / "report.txt").is_file()


def test_a_page_that_cannot_be_written_keeps_the_alarm_and_is_no_pass(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["history", str(place / "nights.csv"), "--html", str(place / "none" / "x.html")]
    assert cli.main([*words, "--alarm"]) == Exit.REGRESSION
    said = capsys.readouterr()
    assert "30 points" in said.out
    assert "x.html cannot be written: No such file or directory" in said.err
    assert "hint: make its folder first" in said.err
    assert cli.main(words) == Exit.STORAGE


@pytest.mark.parametrize("below", ["", "deeper"])
@pytest.mark.parametrize(
    "words",
    [
        ["run", "--suite", "smoke", "--candidate", "reference", "--against", "reference"],
        ["capacity", "projects", "--limit", "p99(get)<1s"],
        ["evaluate"],
    ],
)
def test_a_new_folder_that_cannot_be_made_is_one_sentence_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], below: str
) -> None:
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / below
    assert cli.main([*words, "--out", str(out)]) == Exit.STORAGE
    said = capsys.readouterr().err
    assert said.splitlines() == [
        f"error: {out}: the folder for the results cannot be used: Not a directory",
        "hint: give --out a new folder in a place that you can write",
    ]


@given(name=st.binary(min_size=1, max_size=12).filter(lambda one: not {0, 10, 47} & set(one)))
@example(name=b"my runs it's $HOME")
@example(name=b"-x")
@example(name=b"i\xff")
@example(name="\u00e9\u2028".encode())
def test_a_command_that_is_printed_can_be_pasted(name: bytes) -> None:
    said = terminal.command("run", "--resume", Path(os.fsdecode(name)))
    assert said.isprintable()
    line = f"printf '%s\\n' {said}".encode()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    *words, folder, end = done.stdout.split(b"\n")
    assert words == [b"milo-perf", b"run", b"--resume"]
    assert folder.removeprefix(b"./") == name
    assert not folder.startswith(b"-")
    assert not end


def test_help_that_cannot_be_printed_is_no_success() -> None:
    for word in ("--help", "--version"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "pipeline", word],
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert done.returncode == 8


def test_what_may_not_be_touched_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/cache/run.lock")

    monkeypatch.setattr(codec.Document, "read", refused)
    assert cli.main(["compare", str(place / "run")]) == Exit.STORAGE
    said = capsys.readouterr().err
    assert "error: /cache/run.lock: Permission denied" in said
    assert "hint: look at the permissions" in said
    assert "Traceback" not in said
