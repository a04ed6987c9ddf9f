"""Pack static programs into a container image, as an archive that every engine can load.

The format is that of `docker save`: a layer, a configuration and a list, in one tar file.  There
is no base image, so nothing is fetched; see docs/decisions/0013-images-without-a-base.md.
"""

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.model.ports import Program
from pipeline.system import paths
from pipeline.system.errors import LaunchError, StorageError
from pipeline.system.lock import exclusive_lock

REPOSITORY = "milo-perf.invalid"
"""Repository of images that are only loaded, not pushed; no registry can have this name."""

GENERATOR = "generator"
"""Path of the load generator in a load pod, without the first slash."""

_ELF_MACHINES = {62: "amd64", 183: "arm64"}
_MIN_HEADER = 56  # bytes of a program header
_INTERPRETER = 3  # type of a program header that names a dynamic loader
_USER = "65534:65534"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its reference, and the path of its archive."""

    reference: str
    archive: Path


def pack(
    name: str, programs: Mapping[str, Path], digest: str, repository: str = REPOSITORY
) -> Image:
    """Return an image of static programs, from the cache if it is there.

    Args:
        name: Name of the image.
        programs: Programs by path in the image, without the first slash; the first is the entry
            point.
        digest: Digest of the programs, `sha256:…`; its first digits are the tag.
        repository: Repository of the reference.

    Raises:
        LaunchError: A program is not static, or not for the architecture of the first.
        StorageError: A program cannot be read, or the image cannot be written.
    """
    tag = digest.removeprefix("sha256:")[:16]
    reference = f"{repository}/{name}:{tag}"
    key = hashlib.sha256(f"{reference}\n{digest}".encode()).hexdigest()[:16]
    archive = paths.cache() / "images" / f"{name}-{key}.tar"
    try:
        entry, *others = programs.values()
        require_static(entry)
        for binary in others:
            require_static(binary, architecture_of(entry))
        archive.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(archive.with_suffix(".lock"), f"packing {name}"):
            if not archive.is_file():
                partial = archive.with_suffix(".partial")
                _write(partial, reference, programs)
                partial.replace(archive)
    except OSError as error:
        raise StorageError(
            f"{name} could not be packed into an image: {error.filename}: {error.strerror}",
            hint="`milo-perf doctor` shows where the cache is, and how much space is left",
        ) from error
    return Image(reference, archive)


def load_image(
    agent: Program, generator: Program, *sidecars: Program
) -> tuple[str, Mapping[str, Path], str]:
    """Return the name, programs and digest of the image of load pods.

    The agent has the path at which the k6-operator starts k6.
    """
    programs = {"bin/k6": agent, GENERATOR: generator}
    programs |= {sidecar_path(number): one for number, one in enumerate(sidecars)}
    digests = " ".join(one.digest for one in programs.values())
    digest = hashlib.sha256(digests.encode()).hexdigest()
    return "load", {name: one.path for name, one in programs.items()}, f"sha256:{digest}"


def sidecar_path(number: int) -> str:
    """Return the path of a sidecar in a load pod, without the first slash."""
    return f"sidecar-{number}"


def require_static(binary: Path, architecture: str = "") -> None:
    """Raise LaunchError unless a program is static, and for an architecture such as `arm64`.

    Without an architecture, any will do.
    """
    if not is_static(binary):
        raise LaunchError(
            f"{binary} is dynamically linked, and an image has no libraries",
            hint="build it with CGO_ENABLED=0, as most releases of Go programs are; or give"
            " an image instead of a program: image:REF@sha256:…",
        )
    found = architecture_of(binary)
    if architecture not in ("", found):
        raise LaunchError(f"{binary} is a program for {found}, and the image is for {architecture}")


def architecture_of(binary: Path) -> str:
    """Return the architecture of a program for Linux, such as `arm64`."""
    with binary.open("rb") as file:
        (machine,) = struct.unpack_from("<H", file.read(20), 18)
    return _ELF_MACHINES.get(machine, f"machine {machine}")


def is_static(binary: Path) -> bool:
    """Return True if a program needs no dynamic loader; it must be for 64-bit Linux."""
    with binary.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            raise LaunchError(f"{binary} is not a program for 64-bit Linux, which an image needs")
        (table,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(table)
        headers = file.read(size * count)
    if size < _MIN_HEADER or len(headers) < size * count:
        raise LaunchError(f"{binary} is not a whole program: its program headers are cut off")
    kinds = [struct.unpack_from("<I", headers, at)[0] for at in range(0, len(headers), size)]
    return _INTERPRETER not in kinds


def _write(path: Path, reference: str, programs: Mapping[str, Path]) -> None:
    """Write the archive; the same programs make the same bytes."""
    layer = path.with_suffix(".layer")
    try:
        with tarfile.open(layer, "w") as tar:
            for name, binary in programs.items():
                with binary.open("rb") as file:
                    add_file(tar, name, file, binary.stat().st_size, 0o755)
        with layer.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        config = {
            "architecture": architecture_of(next(iter(programs.values()))),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": [f"/{next(iter(programs))}"], "User": _USER},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "milo-perf"}],
        }
        content = json.dumps(config, sort_keys=True).encode()
        config_name = f"{hashlib.sha256(content).hexdigest()}.json"
        entries = [{"Config": config_name, "RepoTags": [reference], "Layers": [f"{digest}.tar"]}]
        manifest = json.dumps(entries).encode()
        with tarfile.open(path, "w") as tar, layer.open("rb") as file:
            add_file(tar, config_name, io.BytesIO(content), len(content))
            add_file(tar, f"{digest}.tar", file, layer.stat().st_size)
            add_file(tar, "manifest.json", io.BytesIO(manifest), len(manifest))
    finally:
        layer.unlink(missing_ok=True)


def add_file(
    tar: tarfile.TarFile, name: str, file: IO[bytes], size: int, mode: int = 0o644
) -> None:
    """Add a file to an archive, without owner and time."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, mode
    tar.addfile(entry, file)
