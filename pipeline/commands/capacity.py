"""`capacity`: find how much one build holds."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.commands.options import duration_s, positive_integer, positive_number
from pipeline.system import output, terminal
from pipeline.system.errors import ConfigError, Exit

if TYPE_CHECKING:
    from pipeline.model.request import CapacityRequest

_EXITS = (
    "exit codes: 0 answered, also with an open interval; 1 crash, 2 bad arguments or configuration,"
    " 5 a subject did not start, 6 the load was not applied as asked, 7 nothing to resume,"
    " 8 disk full or a folder that cannot be used, 130 interrupted"
)
_FIXED = (
    *("candidate", "limit", "start", "projects", "object_bytes", "rate", "hold", "seed", "build"),
    *("environment", "profile"),
    *("forecast", "machine"),
)
_LIMITS = (
    "limits: p50|p90|p95|p99|mean(get|list|create|update|delete) < TIME; p95(ready) < TIME;"
    " memory[(server|manager|etcd)] < BYTES; db < BYTES; errors < PERCENT;"
    " files|goroutines|cpu|idle_cpu(server|manager|etcd) < NUMBER"
    " -- units: ms, s, m; B, kB, MB, GB, KiB, MiB, GiB; %"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "capacity",
        help="find how many Projects or objects a build holds",
        epilog=f"{_LIMITS} -- {_EXITS}",
    )
    parser.add_argument("things", nargs="?", choices=("projects", "objects"), help="what to count")
    options.add_resume(parser, "resume an interrupted search")
    options.add_candidate(parser, alias="--subject")
    options.add_build(parser)
    parser.add_argument(
        "--limit",
        action="append",
        metavar="LIMIT",
        help="upper bound, such as 'p99(get)<1s'; may be repeated",
    )
    parser.add_argument(
        "--budget", type=duration_s, metavar="TIME", help="time budget of the search (default: 30m)"
    )
    parser.add_argument(
        "--start",
        type=positive_integer,
        metavar="N",
        help="first N (default: 5 Projects, 100 objects)",
    )
    parser.add_argument(
        "--projects",
        type=positive_integer,
        metavar="N",
        help="number of Projects that hold the objects (default: 3)",
    )
    parser.add_argument(
        "--object-bytes",
        type=positive_integer,
        metavar="N",
        help="size of an object (default: 1000)",
    )
    parser.add_argument(
        "--rate",
        type=positive_number,
        metavar="N",
        help="requests per second of the probing load (default: 20)",
    )
    parser.add_argument(
        "--hold", type=duration_s, metavar="TIME", help="duration of one measurement (default: 20s)"
    )
    parser.add_argument(
        "--forecast",
        type=positive_integer,
        metavar="N",
        help="forecast what N needs; without --limit, measure only up to a quarter of it",
    )
    parser.add_argument(
        "--machine",
        metavar="SIZE",
        help="with --forecast: machine that must hold it, such as 64GB or 64GB,16 (cores)",
    )
    options.add_seed(parser)
    options.add_environment(parser, "local")
    options.add_out(parser)
    options.add_json(parser, "the answer")
    parser.set_defaults(command=_capacity)


def _capacity(args: argparse.Namespace) -> Exit:
    options.check_resume(args, _FIXED, "start a new search; only --budget may be given again")
    if args.resume is not None and args.things is not None:
        raise ConfigError("what is counted cannot be changed by --resume", hint="start a new one")
    if args.resume is None and args.things is None:
        raise ConfigError("capacity of what?", hint="`capacity projects` or `capacity objects`")
    from pipeline.render.capacity import capacity_text
    from pipeline.runs.capacity import run
    from pipeline.storage import codec

    if args.resume is not None:
        out = args.resume
        capacity = run.resume(out, args.budget, is_trusted=args.trust)
    else:
        out = args.out or terminal.new_folder(f"capacity-{args.things}")
        capacity = run.run(_request(args), out)
    run.write(capacity, out)
    text = (
        codec.CAPACITY.dumps(capacity)
        if args.json
        else capacity_text(capacity, run.forecast_of(capacity), **terminal.width_and_color())
    )
    output.print_stdout(text)
    return run.exit_code(capacity)


def _request(args: argparse.Namespace) -> "CapacityRequest":
    from pipeline.model.capacity import CountedResource
    from pipeline.model.request import CapacityRequest
    from pipeline.runs.request import default_candidate

    typed = options.typed_options(
        args,
        *("candidate", "build", "start", "projects", "object_bytes", "rate", "seed"),
        *("environment", "profile", "forecast", "machine"),
    )
    typed.setdefault("candidate", default_candidate())
    if args.budget is not None:
        typed["budget_s"] = args.budget
    if args.hold is not None:
        typed["hold_s"] = args.hold
    return CapacityRequest(CountedResource(args.things), tuple(args.limit or ()), **typed)
