"""`explain`: say what changed inside the builds of a run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.system import log, output, terminal
from pipeline.system.errors import ConfigError, Exit, PipelineError

if TYPE_CHECKING:  # it would load what `--help` does not need
    from pipeline.model.report import Report

_EXITS = (
    "exit codes: 0 explained, also if nothing moved beyond chance; 2 bad arguments or nothing to"
    " explain; others say what went wrong: `milo-perf --help`"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "explain",
        help="measure extra pairs of a run with profiles, and say what changed inside",
        epilog=_EXITS,
    )
    parser.add_argument("dir", nargs="?", type=Path, metavar="DIR", help="folder of the run")
    options.add_resume(parser, "keep the extra pairs that the folder of a run has")
    parser.add_argument(
        "--metric",
        default="",
        metavar="WORKLOAD/METRIC",
        help="metric to explain (default: of each workload, the one that moved most)",
    )
    parser.add_argument(
        "--pairs",
        type=options.positive_integer,
        metavar="N",
        help="number of extra pairs, not judged (default: 4, or 3 if 4 take over 3 minutes)",
    )
    options.add_json(parser, "the explanation")
    parser.set_defaults(command=_explain)


def _explain(args: argparse.Namespace) -> Exit:
    from pipeline.render.explanation import text
    from pipeline.runs import reports
    from pipeline.runs.explain import run
    from pipeline.runs.explain.explanation_file import FOLDER
    from pipeline.storage import codec

    if (args.dir is None) == (args.resume is None):
        raise ConfigError(
            "explain which run?", hint="`explain DIR`, or `explain --resume DIR` to go on"
        )
    folder = args.resume or args.dir
    found = run.explain(
        folder,
        metric=args.metric,
        pairs=args.pairs,
        is_resumed=args.resume is not None,
        is_trusted=args.trust,
    )
    if args.json:
        output.print_stdout(codec.EXPLANATION.dumps(found))
    else:
        output.print_stdout(text(found, **terminal.width_and_color()))
    reports.write_again(folder)
    log.log.info("profiles are in %s", folder / FOLDER)
    return Exit.NO_REGRESSION


def explain_finished(args: argparse.Namespace, report: "Report", out: Path) -> None:
    """Explain a run that has just ended; nothing that happens here changes its answer.

    With --json only the verdict is printed: the explanation is in the folder.
    """
    from pipeline.render.explanation import text
    from pipeline.runs import reports
    from pipeline.runs.explain import run

    try:
        found = run.explain_within_budget(report, out)
    except PipelineError as error:
        log.log.warning("what changed inside is unknown: %s", error)
        return
    if found is None:
        return
    if not args.json:
        output.print_stdout("\n" + text(found, **terminal.width_and_color()))
    reports.write_again(out, strict=args.strict)
