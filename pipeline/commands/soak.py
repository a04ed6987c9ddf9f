"""`soak`: find what one build leaks under steady churn."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.commands.options import duration_s
from pipeline.system import output, terminal
from pipeline.system.errors import ConfigError, Exit

if TYPE_CHECKING:
    from pipeline.model.request import SoakRequest

_EXITS = (
    "exit codes: 0 answered; 3 a limit broke, the build died, or with --strict a leak; 1 crash,"
    " 2 bad arguments or configuration, 5 a subject did not start, 6 the load was not applied as"
    " asked, 7 nothing to resume, 8 disk full or a folder that cannot be used, 130 interrupted"
)
_LIMITS = (
    "limits: p95(ready) < TIME; memory[(server|manager|etcd)] < BYTES; db < BYTES;"
    " files|goroutines(server|manager|etcd) < NUMBER -- units: ms, s, m; B, kB, MB, GB, KiB, MiB,"
    " GiB"
)
_FIXED = (
    *("candidate", "limit", "projects", "objects", "object_bytes", "watches", "seed", "build"),
    *("environment", "profile"),
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "soak", help="find what a build leaks under churn", epilog=f"{_LIMITS} -- {_EXITS}"
    )
    options.add_resume(parser, "continue an interrupted soak, in another launch")
    options.add_candidate(parser)
    options.add_build(parser)
    parser.add_argument(
        "--for",
        dest="lasts_s",
        type=duration_s,
        metavar="TIME",
        help="duration of the churn, such as 10m or 4h",
    )
    parser.add_argument(
        "--limit",
        action="append",
        metavar="LIMIT",
        help="upper bound, such as 'ready<10s'; may be repeated",
    )
    parser.add_argument(
        "--projects",
        type=options.positive_integer,
        metavar="N",
        help="Projects that are created, used and deleted in one cycle (default: 1)",
    )
    parser.add_argument(
        "--objects",
        type=options.positive_integer,
        metavar="N",
        help="Secrets, and as many ConfigMaps, in each Project (default: 5)",
    )
    parser.add_argument(
        "--object-bytes",
        type=options.positive_integer,
        metavar="N",
        help="size of an object (default: 1000)",
    )
    parser.add_argument(
        "--watches",
        type=options.whole_number,
        metavar="N",
        help="watches of Secrets, and as many of ConfigMaps, in each Project (default: 1)",
    )
    options.add_seed(parser)
    options.add_environment(parser, "local")
    options.add_out(parser)
    options.add_json(parser, "the answer")
    parser.add_argument("--strict", action="store_true", help="exit with 3 when something leaks")
    parser.set_defaults(command=_soak)


def _soak(args: argparse.Namespace) -> Exit:
    options.check_resume(args, _FIXED, "start a new soak; only --for may be given again")
    if args.resume is None and args.lasts_s is None:
        raise ConfigError("soak for how long?", hint="--for 10m, or --for 4h")
    from pipeline.render.soak import soak_text
    from pipeline.runs.soak import run
    from pipeline.storage import codec

    if args.resume is not None:
        out = args.resume
        soak = run.resume(out, args.lasts_s, is_trusted=args.trust)
    else:
        out = args.out or terminal.new_folder("soak")
        soak = run.run(_request(args), out)
    run.write(soak, out)
    is_json = args.json
    text = codec.SOAK.dumps(soak) if is_json else soak_text(soak, **terminal.width_and_color())
    output.print_stdout(text)
    return run.exit_code(soak, is_strict=args.strict)


def _request(args: argparse.Namespace) -> "SoakRequest":
    from pipeline.model.request import SoakRequest
    from pipeline.runs.request import default_candidate

    typed = options.typed_options(
        args,
        *("candidate", "build", "projects", "objects", "object_bytes", "watches", "seed"),
        *("environment", "profile"),
    )
    typed.setdefault("candidate", default_candidate())
    return SoakRequest(args.lasts_s, tuple(args.limit or ()), **typed)
