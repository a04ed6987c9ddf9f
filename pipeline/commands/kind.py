"""The commands `kind up` and `kind down`, and `pack`, which writes images."""

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.system import output
from pipeline.system.errors import ConfigError, Exit, PipelineError
from pipeline.system.log import log

if TYPE_CHECKING:  # it would load what `--help` does not need
    from pipeline.environments.kind import KindCluster


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    kind = commands.add_parser("kind", help="make or delete the kind cluster of this machine")
    verbs = kind.add_subparsers(title="commands", metavar="COMMAND", required=True)
    up = verbs.add_parser("up", help="make the cluster, unless it is there; runs then use it")
    down = verbs.add_parser("down", help="delete the cluster with all that is in it")
    for parser, command in ((up, _up), (down, _down)):
        parser.add_argument(
            "--environment", metavar="FILE", help="a .toml file with the settings of kind"
        )
        parser.set_defaults(command=command)
    pack = commands.add_parser("pack", help="write container images of builds, and of etcd")
    pack.add_argument("spec", nargs="+", metavar="SPEC", help="such as binary:PATH or reference")
    pack.add_argument("--registry", required=True, metavar="NAME", help="where you will push them")
    pack.add_argument("--build", default="", metavar="COMMAND", help="how a source is built")
    pack.add_argument(
        "--load-pods", action="store_true", help="the images of load pods too: `run --load-pods N`"
    )
    pack.set_defaults(command=_pack)


def _up(args: argparse.Namespace) -> Exit:
    cluster = _cluster(args)
    if not cluster.is_there():
        cluster.make()
    cluster.found()
    output.show(
        f"the kind cluster {cluster.settings.name} is up; its kubeconfig: {cluster.kubeconfig}\n"
    )
    return Exit.NO_REGRESSION


def _down(args: argparse.Namespace) -> Exit:
    _cluster(args).down()
    return Exit.NO_REGRESSION


def _cluster(args: argparse.Namespace) -> "KindCluster":
    from pipeline import toolchain
    from pipeline.environments.kind import Kind, KindCluster
    from pipeline.environments.registry import chosen

    settings, _ = chosen(args.environment or "kind")
    if not isinstance(settings, Kind):
        raise ConfigError(f"{args.environment}: is no environment of the kind `kind`")
    return KindCluster(settings, toolchain.kind())


def _pack(args: argparse.Namespace) -> Exit:
    for reference, archive in packed(
        args.spec, args.registry, args.build, load_pods=args.load_pods
    ):
        output.show(f"{shlex.join(['crane', 'push', str(archive), reference])}\n")
    return Exit.NO_REGRESSION


def packed(
    specs: Sequence[str], registry: str, build: str, *, load_pods: bool = False
) -> list[tuple[str, Path]]:
    """Return reference and archive of the images of builds, of etcd, and of load pods if wanted.

    Raises:
        ConfigError: A spec cannot be used, or is of an image already.
        LaunchError: A build cannot be made, or is not static.
    """
    from pipeline import toolchain
    from pipeline.environments.images import pack
    from pipeline.runs.request import spec_of

    etcd = toolchain.etcd()
    images = [pack("etcd", {"etcd": etcd.path}, etcd.digest, registry)]
    if load_pods:
        images += [pack(*one, registry) for one in _load_images()]
    for written in specs:
        artifact = toolchain.artifact(spec_of(written), build)
        if artifact.image:
            raise ConfigError(f"`{written}` is an image already", hint="name it in the run itself")
        name = str(artifact.product)
        images.append(pack(name, {name: artifact.binary}, artifact.subject.digest, registry))
    return [(image.reference, image.archive) for image in images]


def _load_images() -> Iterator[tuple[str, Mapping[str, Path], str]]:
    """Yield what is in images of load pods: of k6, and of ClusterLoader2 where it is at hand."""
    from pipeline import toolchain
    from pipeline.environments.images import load_image

    keeper = toolchain.keeper()
    yield load_image(keeper, toolchain.k6())
    try:
        program = toolchain.clusterloader2()
    except PipelineError as error:
        log.info("no image of load pods with ClusterLoader2: %s", error)
        return
    yield load_image(keeper, program)
    try:
        yield load_image(keeper, program, toolchain.prometheus(), toolchain.gateway())
    except PipelineError as error:
        log.info("no image of load pods with a Prometheus: %s", error)
