"""An option means the same in every command that has it."""

import argparse
import logging
from collections import defaultdict
from collections.abc import Iterator

import pytest

from pipeline.commands import main
from pipeline.commands import options as shared
from pipeline.system.errors import Exit
from pipeline.system.log import log

SHARED = ("--json", "--out", "--resume", "--trust", "--strict", "--candidate", "--build", "--quiet")


def parsers(
    parser: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, argparse.Action]]:
    """Yield every option of every command, with the name of the command."""
    for action in parser._actions:  # noqa: SLF001 (argparse has no public list of them)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 (nor a public type)
            for command, inner in action.choices.items():
                yield from parsers(inner, f"{name} {command}".strip())
        elif action.option_strings:
            yield name, action


def options() -> list[tuple[str, argparse.Action]]:
    return list(parsers(main.build_parser()))


@pytest.mark.parametrize("option", SHARED)
def test_an_option_has_one_meaning(option: str) -> None:
    shapes = defaultdict(list)
    for command, action in options():
        if option in action.option_strings:
            shape = (type(action).__name__, action.dest, action.type, action.nargs, action.metavar)
            shapes[shape].append(command)
    assert len(shapes) == 1, shapes


@pytest.mark.parametrize("command", ["run", "plan", "capacity", "evaluate", "baseline calibrate"])
def test_the_build_under_test_is_named_by_one_option(command: str) -> None:
    names = {
        name for where, action in options() if where == command for name in action.option_strings
    }
    assert "--candidate" in names


@pytest.mark.parametrize("command", [["capacity", "projects"], ["baseline", "calibrate"]])
def test_an_older_name_of_an_option_works_and_is_not_shown(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    args = main.build_parser().parse_args([*command, "--subject", "reference?cpu=1ms"])
    assert args.candidate == "reference?cpu=1ms"
    with pytest.raises(SystemExit):
        main.main([*command, "--help"])
    assert "--subject" not in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["--version"])
    assert caught.value.code == Exit.NO_REGRESSION
    assert capsys.readouterr().out.startswith("milo-perf ")


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (["-q", "baseline", "list"], logging.WARNING),
        (["baseline", "list", "-q"], logging.WARNING),
        (["baseline", "list"], logging.INFO),
        (["-v", "baseline", "list"], logging.DEBUG),
    ],
)
def test_quiet_logs_only_warnings(
    arguments: list[str], level: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == Exit.NO_REGRESSION
    assert log.level == level
    assert "reference-pr" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "capacity", "evaluate", "releases"])
def test_what_resume_restores_cannot_be_given_again(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([command, "--resume", "out/x", "--seed", "3"]) == Exit.BAD_ARGUMENTS
    assert "--seed cannot be changed by --resume" in capsys.readouterr().err


def test_the_help_of_every_command_begins_with_what_it_does() -> None:
    for parser in shared.parsers_of(main.build_parser()):
        assert parser.description, parser.prog
        assert parser.description.endswith("."), parser.prog


def test_every_option_of_every_command_is_described() -> None:
    for command, action in options():
        assert action.help, f"{command} {action.option_strings}"
