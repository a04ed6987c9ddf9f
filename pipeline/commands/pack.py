"""`pack`: write container images of builds, of etcd and of load pods."""

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import ConfigError, Exit, PipelineError
from pipeline.system.log import log


def add(commands: "options.Commands") -> None:
    """Add the command."""
    pack = commands.add_parser("pack", help="write container images of builds, and of etcd")
    pack.add_argument("spec", nargs="+", metavar="SPEC", help="such as binary:PATH or reference")
    pack.add_argument("--registry", required=True, metavar="NAME", help="where you will push them")
    pack.add_argument("--build", default="", metavar="COMMAND", help="how a source is built")
    pack.add_argument(
        "--load-pods", action="store_true", help="the images of load pods too: `run --load-pods N`"
    )
    pack.set_defaults(command=_pack)


def _pack(args: argparse.Namespace) -> Exit:
    for reference, archive in write_images(
        args.spec, args.registry, args.build, load_pods=args.load_pods
    ):
        output.print_stdout(f"{shlex.join(['crane', 'push', str(archive), reference])}\n")
    return Exit.NO_REGRESSION


def write_images(
    specs: Sequence[str], registry: str, build: str, *, load_pods: bool = False
) -> list[tuple[str, Path]]:
    """Write images of builds, of etcd and of load pods; return their references and archives."""
    from pipeline import toolchain
    from pipeline.environments.images import pack
    from pipeline.runs.request import spec_of

    etcd = toolchain.program("etcd")
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

    agent = toolchain.program("load-agent")
    yield load_image(agent, toolchain.program("k6"))
    for names, title in (
        (("clusterloader2",), "ClusterLoader2"),
        (("clusterloader2", "prometheus", "gateway"), "a Prometheus"),
    ):
        try:
            yield load_image(agent, *toolchain.programs_of(names).values())
        except PipelineError as error:
            log.info("no image of load pods with %s: %s", title, error)
            return
