"""`deploy`: start two builds that stay up."""

import argparse
from pathlib import Path

from pipeline.commands import options, run
from pipeline.commands.options import duration_s
from pipeline.system import output, terminal
from pipeline.system.errors import ConfigError, Exit

_EXITS = (
    "exit codes: 0 both builds are up, or stopped; 2 bad arguments, or a folder in use; 5 a build"
    " did not start; 7 the stored baseline is missing; 130 interrupted, and nothing is left running"
)


def add(commands: "options.Commands") -> None:
    """Add the command."""
    parser = commands.add_parser("deploy", help="start two builds that stay up", epilog=_EXITS)
    options.add_candidate(parser)
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--against", metavar="SPEC", help="build to compare it with")
    against.add_argument(
        "--baseline", metavar="NAME", help="stored baseline to compare it with; see `run`"
    )
    parser.add_argument("--suite", help="suite that `load` applies (default: pr)")
    parser.add_argument(
        "--driver",
        choices=run.DRIVERS,
        help="let `load` run only the workloads of this driver (default: all of the suite)",
    )
    options.add_build(parser)
    options.add_environment(parser, "the suite's")
    options.add_seed(parser)
    parser.add_argument(
        "--for",
        dest="life_s",
        type=duration_s,
        metavar="TIME",
        help="end the deployment after this time (default: 2h; at most 24h)",
    )
    options.add_out(parser)
    options.add_resume(parser, "start a deployment that has ended again")
    parser.add_argument("--stop", type=Path, metavar="DIR", help="end a deployment")
    parser.add_argument("--keeper", type=Path, help=argparse.SUPPRESS)
    options.add_json(parser, "the deployment")
    parser.set_defaults(command=_deploy)


_REQUEST = (
    *("candidate", "against", "baseline", "suite", "driver", "build", "environment"),
    *("profile", "seed"),
)


def _deploy(args: argparse.Namespace) -> Exit:
    from pipeline.runs.deploy import run as deployments

    if args.keeper is not None:
        from pipeline.runs.deploy import keeper

        keeper.keep(args.keeper)
        return Exit.NO_REGRESSION
    if args.stop is not None:
        for name in (*_REQUEST, "life_s", "out", "resume"):
            if getattr(args, name) is not None:
                raise ConfigError("--stop DIR takes no other option")
        deployments.stop(args.stop)
        return Exit.NO_REGRESSION
    options.check_resume(args, _REQUEST, "deploy into another folder")
    life_s = args.life_s or deployments.LIFE_S
    if args.resume is not None:
        out = args.resume
        deployment = deployments.resume(out, life_s, is_trusted=args.trust)
    else:
        from pipeline.model.request import RunRequest
        from pipeline.runs.request import default_candidate

        out = args.out or terminal.new_folder("deploy")
        typed = options.typed_options(args, *_REQUEST)
        typed.setdefault("candidate", default_candidate())
        deployment = deployments.deploy(RunRequest(**typed), out, life_s)
    if args.json:
        output.print_stdout((out / "deployment.json").read_text())
    else:
        output.print_stdout(deployments.deployment_text(deployment, out))
    return Exit.NO_REGRESSION
