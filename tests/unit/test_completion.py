"""A shell completes commands, options and names; `--quiet` leaves results, warnings and errors."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import completion, main, options
from pipeline.environments.registry import read_environment
from pipeline.system import log, progress

ROOT = Path(__file__).parents[2]
BASH = """
eval "$(milo-perf completion bash)"
complete -p milo-perf >&2
for line in "$@"; do
  COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMPREPLY=()
  _python_argcomplete milo-perf
  echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH with the command milo-perf of this tree."""
    script = tmp_path / "milo-perf"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m pipeline "$@"\n')
    script.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


def test_bash_completes_commands_options_and_names(tmp_path: Path, path: str) -> None:
    (tmp_path / "mine.toml").write_text("")
    typed = ["milo-perf rel", "milo-perf run --suite m", "milo-perf baseline show reference-s"]
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", *typed],
        cwd=tmp_path,
        env={"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["releases ", "mine.toml ", "reference-smoke "]
    assert "-F _python_argcomplete milo-perf" in done.stderr


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_has_its_text(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "_ARGCOMPLETE" in text
    assert "milo-perf" in text


def test_the_environments_that_are_offered_need_no_file() -> None:
    for name in completion.environment_names():
        assert read_environment(name).kind == name


def test_every_command_may_be_quiet_before_and_after_its_name() -> None:
    parsers = list(options.parsers_of(main.build_parser()))
    assert len(parsers) > 20
    for parser in parsers:
        assert "[-v | -q]" in " ".join(parser.format_usage().split()), parser.prog


@pytest.mark.parametrize(
    ("is_quiet", "lines"), [(True, ["a warning"]), (False, ["a step", "a stage", "a warning"])]
)
def test_quiet_shows_warnings_alone(
    monkeypatch: pytest.MonkeyPatch, *, is_quiet: bool, lines: list[str]
) -> None:
    class Terminal(io.StringIO):
        """A terminal, on which progress would be a live line."""

        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", shown)
    before = log.log.handlers[:], log.log.level, log.log.propagate
    log.configure(verbose=False, quiet=is_quiet)
    try:
        with log.step("a step"), progress.show_progress() as reported:
            reported.stage("a stage", 5.0)
        log.log.warning("a warning")
    finally:
        log.log.handlers[:], log.log.propagate = before[0], before[2]
        log.log.setLevel(before[1])
    assert [line for line in lines if line not in shown.getvalue()] == []
    if is_quiet:
        assert re.fullmatch(r"\d\d:\d\d:\d\d a warning\n", shown.getvalue())


def test_only_errors_and_the_log_reach_standard_error() -> None:
    """So `--quiet`, which is a level of the log, holds in every command."""
    allowed = {"pipeline/commands/main.py", "pipeline/system/log.py", "pipeline/system/output.py"}
    writers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pipeline").rglob("*.py")
        if re.search(r"print_stderr\(|sys\.stderr\.write|file=sys\.stderr", path.read_text())
    }
    assert writers - allowed == {"pipeline/__main__.py"}
