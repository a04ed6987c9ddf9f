"""The command line: parse arguments, run one command, return the exit code.

Heavy libraries are imported by the command that needs them, so that `--help` answers at once.
"""

import argparse
import contextlib
import errno
import io
import itertools
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.commands import (
    baseline,
    bisect,
    capacity,
    cluster,
    compare,
    completion,
    demo,
    deploy,
    doctor,
    evaluate,
    explain,
    history,
    judge,
    kind,
    load,
    options,
    pack,
    plan,
    publish,
    releases,
    render,
    run,
    site,
    soak,
)
from pipeline.system import log, output, paths
from pipeline.system.errors import Exit, PipelineError, hint_for
from pipeline.system.sanitize import truncate

COMMANDS = (
    *(run, explain, bisect, plan, deploy, load, compare, render, judge, releases, capacity, soak),
    *(history, site, baseline, publish, evaluate, demo, doctor, kind, pack, cluster, completion),
)
"""Every command, in the order of --help."""

_EXITS = (
    "exit codes: 0 no regression, 1 crash, 2 bad arguments or configuration, 3 regression,"
    " 4 inconclusive with --strict, 5 a build or tool did not start, 6 the load was not applied as"
    " asked, 7 baseline missing or unreadable, 8 disk full or a folder that cannot be used,"
    " 9 a service such as GitHub does not answer, 10 a publication was refused, 130 interrupted"
)


_ERROR_FILE = "--error-file"
_MAX_NAME = 200  # characters of a path in a message


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    completion.answer(build_parser)
    output.prepare()
    args = _parse(argv)
    log.configure(verbose=args.verbose, quiet=args.quiet)
    _catch_signals()
    exit_code = _exit_code(args)
    if exit_code is Exit.NO_REGRESSION and output.has_failed():
        return Exit.STORAGE
    return exit_code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; help and errors of argparse go through `output`."""
    text, errors = io.StringIO(), io.StringIO()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(errors):
            parser = build_parser()
            _require_filled(parser, words)
            return parser.parse_args(words)
    except SystemExit as stopped:  # after --help, or an error
        output.print_stdout(text.getvalue())
        if said := errors.getvalue().removesuffix("\n"):
            output.print_stderr(said)
            _write_error(_error_file(words), said)
        if not stopped.code and output.has_failed():
            raise SystemExit(Exit.STORAGE) from stopped
        raise


def _require_filled(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Refuse an empty argument: a variable of the shell that is not set chooses no build.

    Options whose default is a text may be empty.
    """
    for before, word in itertools.pairwise(("", *words)):
        option, equals, value = word.partition("=")
        if not word:
            option = before
        elif not (option.startswith("--") and equals and not value):
            continue
        name = option.removeprefix("--").replace("-", "_")
        defaults = [one.get_default(name) for one in options.parsers_of(parser)]
        if not any(isinstance(default, str) for default in defaults):
            parser.error(f"argument {option}: its value is empty")


def _exit_code(args: argparse.Namespace) -> Exit:
    """Run a command and return the exit code; print the error that stopped it."""
    try:
        paths.require_current_folder()
        _remove_leftovers(args)
        return Exit(args.command(args))
    except PipelineError as error:
        log.log.debug("where it was raised:", exc_info=True)
        return _report_error(args, f"{error}", error.hint, error.exit_code)
    except KeyboardInterrupt:
        output.print_stderr("interrupted: everything that was started is stopped")
        return Exit.INTERRUPTED
    except ModuleNotFoundError as error:
        if (error.name or "pipeline").startswith("pipeline"):
            raise
        return _report_error(
            args,
            f"the Python package `{error.name}` is not installed",
            "in a clone: `python3 -m venv .venv && .venv/bin/pip install .`, or `nox -s perf`",
            Exit.NOT_STARTED,
        )
    except OSError as error:
        log.log.debug("where it was raised:", exc_info=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"the disk is full: {error.filename or 'a file'}"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
            message = f"{error.filename}: {error.strerror}"
        elif error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR) and error.filename:
            name = truncate(f"{error.filename}", _MAX_NAME)
            return _report_error(args, f"{name}: {error.strerror}", "", Exit.BAD_ARGUMENTS)
        else:
            raise
        return _report_error(args, message, hint_for(error), Exit.STORAGE)


def _report_error(args: argparse.Namespace, message: str, hint: str, exit_code: Exit) -> Exit:
    """Print an error and its hint, write them to the file of `--error-file`; return the code."""
    text = f"error: {message}\nhint: {hint}" if hint else f"error: {message}"
    output.print_stderr(text)
    _write_error(args.error_file, text)
    return exit_code


def _error_file(words: Sequence[str]) -> Path | None:
    """Return the file of `--error-file`, where the other arguments cannot be parsed."""
    for before, word in itertools.pairwise((*words, "")):
        if before == _ERROR_FILE and word:
            return Path(word)
        if before.startswith(f"{_ERROR_FILE}="):
            return Path(before.partition("=")[2])
    return None


def _write_error(file: Path | None, text: str) -> None:
    if file is None:
        return
    try:
        file.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        log.log.warning("%s: cannot be written: %s", file, error.strerror)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with every command."""
    parser = argparse.ArgumentParser(
        prog="milo-perf",
        description="Load the Milo API server, measure it, and judge one build against another.",
        epilog=_EXITS,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    parser.add_argument(
        _ERROR_FILE,
        type=Path,
        metavar="FILE",
        help="if the command fails, also write the error and its hint to this file",
    )
    _add_verbosity(parser, default=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    options.describe_commands(parser)
    for subparser in options.parsers_of(parser):
        if subparser is not parser:
            _add_verbosity(subparser, default=argparse.SUPPRESS)
    return parser


def _add_verbosity(parser: argparse.ArgumentParser, *, default: object) -> None:
    """Add --verbose and --quiet, which may stand before or after the command."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        *("-v", "--verbose"), action="store_true", default=default, help="log every program run"
    )
    either.add_argument(
        *("-q", "--quiet"), action="store_true", default=default, help="log only warnings"
    )


class _PrintVersion(argparse.Action):
    """Print the version and stop; the package's metadata is read only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from pipeline.system.paths import package_version

        print(f"milo-perf {package_version()}")  # noqa: T201 (argparse's output is collected and shown)
        parser.exit()


def _catch_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's `&` lets it be ignored
        signal.signal(number, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` asks for that
        signal.signal(signal.SIGHUP, _interrupt)


def _remove_leftovers(args: argparse.Namespace) -> None:
    """Remove keys that a killed run left in a folder that is an argument of the command."""
    folders = [getattr(args, name, None) for name in ("dir", "out", "resume")]
    for folder in folders:
        if isinstance(folder, Path):
            from pipeline.system.private_folder import remove_leftovers

            remove_leftovers(folder)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
