"""`evaluate`: run the same workloads with every driver."""

import argparse
from pathlib import Path

from pipeline.commands import options
from pipeline.system import output, terminal
from pipeline.system.errors import ConfigError, Exit

_EXITS = (
    "exit codes: 0 evaluated, 1 crash, 2 bad arguments or configuration, 5 the build did not start,"
    " 6 a driver is missing or its load could not be applied, 8 disk full or a folder"
    " that cannot be used, 130 interrupted"
)
_MOST = 100  # launches, or pairs of a fault: more results could not be read again
_FIXED = ("candidate", "build", "suite", "repetitions", "seed")


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate", help="run the same workloads with every driver", epilog=_EXITS
    )
    options.add_candidate(parser)
    options.add_build(parser)
    parser.add_argument(
        "--suite", help="suite with each workload once per driver (default: drivers)"
    )
    parser.add_argument(
        "--repetitions", type=options.integer, metavar="N", help="number of launches (default: 5)"
    )
    options.add_seed(parser)
    parser.add_argument(
        "--faults",
        type=options.integer,
        metavar="PAIRS",
        help="also inject each known fault into `reference`, and see which driver turns red;"
        " pairs of each (default: none; a fault takes minutes)",
    )
    parser.add_argument(
        "--document", type=Path, metavar="FILE", help="also write the answer to a file"
    )
    options.add_out(parser)
    options.add_resume(parser, "resume an interrupted evaluation")
    options.add_json(parser, "the evaluation")
    parser.set_defaults(command=_evaluate)


def _evaluate(args: argparse.Namespace) -> Exit:
    options.check_resume(args, _FIXED, "start a new evaluation")
    for name, least in (("repetitions", 2), ("faults", 3)):
        value = getattr(args, name)
        if value is not None and not least <= value <= _MOST:
            raise ConfigError(f"--{name} {value}: write a number from {least} to {_MOST}")
    from pipeline.model.request import EvaluateRequest
    from pipeline.runs.evaluate import run
    from pipeline.runs.request import default_candidate
    from pipeline.storage import codec

    if args.resume is not None:
        out = args.resume
        evaluation = run.resume(out, args.faults, is_trusted=args.trust)
    else:
        out = args.out or terminal.new_folder("evaluate")
        typed = options.typed_options(args, *_FIXED, "faults")
        typed.setdefault("candidate", default_candidate())
        evaluation = run.run(EvaluateRequest(**typed), out)
    run.write(evaluation, out, args.document)
    text = codec.EVALUATION.dumps(evaluation) if args.json else run.report_text(evaluation)
    output.print_stdout(text)
    return Exit.NO_REGRESSION
