"""`demo`: catch a fault of known size, to show what a run says."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.system import log, output, terminal
from pipeline.system.errors import Exit, PipelineError

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = (
    "exit codes: 0 the fault was caught, 4 it was not; others say what went wrong:"
    " `milo-perf --help`"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo", help="catch a fault of known size in the embedded server", epilog=_EPILOG
    )
    options.add_out(parser)
    parser.add_argument("--no-open", action="store_true", help="do not open the page in a browser")
    parser.set_defaults(command=_demo)


def _demo(args: argparse.Namespace) -> Exit:
    from pipeline.judge import policy
    from pipeline.render.demo import conclusion, introduction
    from pipeline.render.text import text
    from pipeline.runs import demo, reports, run
    from pipeline.runs.request import preview

    request, out = demo.request(), args.out or terminal.new_folder(demo.SUITE)
    plan, _ = preview(request)
    output.print_stdout(introduction(plan, demo.EXTRA_PAIRS))
    report = run.run(request, out)
    caught = demo.caught_finding(report)
    output.print_stdout(text(report, **terminal.width_and_color()))
    output.print_stdout(conclusion(report, caught))
    is_written = reports.write(report, out, policy.exit_code(report, strict=False))
    if caught is not None:
        _print_cause(out)
    if is_written:
        _show_page(out / "report.html", may_open=not args.no_open)
        log.log.info("everything is in %s", out)
    return Exit.INCONCLUSIVE if caught is None else Exit.NO_REGRESSION


def _print_cause(out: "Path") -> None:
    """Measure the cause with profiles, print it, and add it to the page.

    The fault was caught before, so an error here is a warning.
    """
    from pipeline.render.explanation import text
    from pipeline.runs import demo, reports
    from pipeline.runs.explain.run import explain

    try:
        found = explain(out, metric=demo.METRIC, pairs=demo.EXTRA_PAIRS)
    except PipelineError as error:
        log.log.warning("the cause was not measured: %s", error)
        return
    output.print_stdout(f"\n{text(found, **terminal.width_and_color())}")
    reports.write_again(out)


def _show_page(page: "Path", *, may_open: bool) -> None:
    """Open a page if a person is there to see it, and print its path."""
    is_open = may_open and terminal.open_in_browser(page)
    output.print_stdout(f"{'Opened' if is_open else 'The page is'} {page}\n")
