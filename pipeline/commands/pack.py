"""`pack`: write container images of builds, of etcd and of load pods."""

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.commands import options
from pipeline.system import output
from pipeline.system.errors import ConfigError, Exit, PipelineError
from pipeline.system.log import log

_REPOSITORY = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
"""Name of a repository, as in the OCI Distribution Specification."""


def add(commands: "options.Commands") -> None:
    """Add the command."""
    pack = commands.add_parser("pack", help="write container images of builds, and of etcd")
    pack.add_argument(
        "spec", nargs="*", metavar="SPEC", help="build, such as binary:PATH or reference"
    )
    pack.add_argument(
        "--registry", metavar="NAME", help="registry and folder that you will push the images to"
    )
    pack.add_argument("--build", default="", metavar="COMMAND", help="command that builds a source")
    pack.add_argument(
        "--load-pods",
        action="store_true",
        help="also write the images of load pods, for `run --load-pods N`",
    )
    pack.add_argument(
        "--oci",
        type=Path,
        metavar="FILE",
        help="instead, write one OCI archive with etcd, reference, k6 and the load agent, and its"
        " CycloneDX list beside it",
    )
    pack.add_argument(
        "--arch",
        action="append",
        choices=("amd64", "arm64"),
        help="with --oci: architecture; may be repeated (default: both)",
    )
    pack.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="with --oci: label, such as org.opencontainers.image.source=URL; may be repeated",
    )
    pack.set_defaults(command=_pack)


def _pack(args: argparse.Namespace) -> Exit:
    if args.oci:
        if args.spec or args.registry or args.load_pods or args.build:
            raise ConfigError("--oci takes no SPEC, --registry, --build or --load-pods")
        output.print_stdout(f"{write_oci(args.oci, args.arch, _labels(args.label))}\n")
        return Exit.NO_REGRESSION
    if args.arch or args.label:
        raise ConfigError("--arch and --label are for --oci FILE")
    if not (args.spec and args.registry):
        raise ConfigError("give at least one SPEC, and --registry NAME", hint="or --oci FILE")
    for reference, archive in write_images(
        args.spec, args.registry, args.build, load_pods=args.load_pods
    ):
        output.print_stdout(f"{shlex.join(['crane', 'push', str(archive), reference])}\n")
    return Exit.NO_REGRESSION


def _labels(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [
        text for text, pair in zip(texts, pairs, strict=True) if not (pair[0] and pair[2])
    ]:
        raise ConfigError(f"--label {wrong[0]}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def write_oci(path: Path, architectures: Sequence[str] | None, labels: Mapping[str, str]) -> str:
    """Write the image of our programs and its bill of materials; return its digest."""
    from pipeline.environments import oci
    from pipeline.storage import codec
    from pipeline.system import paths
    from pipeline.toolchain import image_programs

    oci.require_writable(path)  # before anything is built
    chosen = sorted(set(architectures or oci.ARCHITECTURES))
    packed = {one: image_programs.for_architecture(one, oci.ARCHITECTURES[one]) for one in chosen}
    version = paths.package_version()
    if not re.fullmatch(r"[\w.-]+", version):  # of a clone that is not installed
        version = "latest"
    names = {
        "title": "milo-perf",
        "description": "etcd, reference, k6 and the load agent of milo-perf",
        "version": version,
        "licenses": "Apache-2.0 AND AGPL-3.0-only",
    }
    images = [
        oci.PlatformImage(
            one,
            {program.path: program.program.path for program in found},
            {"NOTICE": image_programs.notice(found)},
        )
        for one, found in packed.items()
    ]
    named = {f"org.opencontainers.image.{name}": text for name, text in names.items()}
    labels = named | dict(labels)
    digest = oci.write_archive(path, images, version, labels)
    bill = image_programs.bill_of_materials(packed, version)
    codec.write_text(path.with_suffix(".cdx.json"), json.dumps(bill, indent=1) + "\n")
    return digest


def write_images(
    specs: Sequence[str], registry: str, build: str, *, load_pods: bool = False
) -> list[tuple[str, Path]]:
    """Write images of builds, of etcd and of load pods; return their references and archives."""
    from pipeline import toolchain
    from pipeline.environments.images import pack
    from pipeline.runs.request import spec_of

    if not _REPOSITORY.fullmatch(registry):
        raise ConfigError(
            f"--registry {registry}: cannot be in the name of an image",
            hint="such as europe-docker.pkg.dev/project/folder",
        )
    builds = [toolchain.artifact(spec_of(written), build) for written in specs]
    for written, artifact in zip(specs, builds, strict=True):
        if artifact.image:
            raise ConfigError(f"`{written}` is an image already", hint="name it in the run itself")
    etcd = toolchain.program("etcd")
    images = [pack("etcd", {"etcd": etcd.path}, etcd.digest, registry)]
    if load_pods:
        images += [pack(*one, registry) for one in _load_images()]
    for artifact in builds:
        name = str(artifact.product)
        images.append(pack(name, {name: artifact.binary}, artifact.subject.digest, registry))
    return [(image.reference, image.archive) for image in images]


def _load_images() -> Iterator[tuple[str, Mapping[str, Path], str]]:
    """Yield what is in images of load pods: k6, `watch-herd`, and ClusterLoader2 if at hand."""
    from pipeline import toolchain
    from pipeline.environments.images import load_image

    agent = toolchain.program("load-agent")
    yield load_image(agent, toolchain.program("k6"))
    yield load_image(agent, toolchain.program("watch-herd"))
    for names, title in (
        (("clusterloader2",), "ClusterLoader2"),
        (("clusterloader2", "prometheus", "gateway"), "a Prometheus"),
    ):
        try:
            yield load_image(agent, *toolchain.programs_of(names).values())
        except PipelineError as error:
            log.info("no image of load pods with %s: %s", title, error)
            return
