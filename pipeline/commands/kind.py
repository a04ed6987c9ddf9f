"""`kind`: create or delete the kind cluster of this machine."""

import argparse
from typing import TYPE_CHECKING

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import ConfigError, Exit

if TYPE_CHECKING:  # it would load what `--help` does not need
    from pipeline.environments.kind import KindCluster, KindSettings


def add(commands: "options.Commands") -> None:
    """Add the command with its own commands."""
    kind = commands.add_parser("kind", help="create or delete the kind cluster of this machine")
    verbs = kind.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up = verbs.add_parser("up", help="create the cluster if it does not exist; runs then use it")
    down = verbs.add_parser("down", help="delete the cluster and everything in it")
    for parser, command in ((up, _create), (down, _delete)):
        parser.add_argument(
            "--environment", metavar="FILE", help="a .toml file with the settings of kind"
        )
        parser.set_defaults(command=command)


def _create(args: argparse.Namespace) -> Exit:
    from pipeline.environments.kind import require_engine

    settings = _settings(args)
    require_engine()  # before kind is built
    cluster = _cluster(settings)
    if not cluster.exists():
        cluster.create()
    cluster.connect()
    output.print_stdout(
        f"the kind cluster {cluster.settings.name} is up; its kubeconfig: {cluster.kubeconfig}\n"
    )
    return Exit.NO_REGRESSION


def _delete(args: argparse.Namespace) -> Exit:
    from pipeline.environments.kind import require_engine, require_ours

    settings = _settings(args)
    require_ours(settings)  # before kind is built
    require_engine()
    _cluster(settings).delete()
    return Exit.NO_REGRESSION


def _cluster(settings: "KindSettings") -> "KindCluster":
    from pipeline import toolchain
    from pipeline.environments.kind import KindCluster

    return KindCluster(settings, toolchain.program("kind"))


def _settings(args: argparse.Namespace) -> "KindSettings":
    from pipeline.environments.kind import KindSettings
    from pipeline.environments.registry import read_environment

    settings = read_environment(args.environment or "kind")
    if not isinstance(settings, KindSettings):
        raise ConfigError(f"{args.environment}: is not an environment of the kind `kind`")
    return settings
