"""Write one container image for several architectures, as an archive of an OCI image layout.

podman, skopeo, crane and kind read it, and Docker from version 25 on.  Like the images of
`images.py`, it has no base: a layer for each static program, and nothing else.

Source: the OCI image format specification 1.1, image-layout.md, image-index.md, manifest.md and
config.md.
"""

import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.environments.images import add_file, require_static
from pipeline.system.errors import StorageError, hint_for

USER = "65534:65534"
CREATED = "1970-01-01T00:00:00Z"
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Machine, as `uname -m` names it, of each architecture, as Go and OCI name it."""

_MEDIA = "application/vnd.oci.image"
_COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """The content of an image for one architecture.

    Attributes:
        architecture: Name of the architecture in OCI, such as `arm64`.
        programs: Programs by path in the image, without the first slash.
        texts: Texts by path in the image, such as licenses; they are in one layer.
    """

    architecture: str
    programs: Mapping[str, Path]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Blob:
    """A blob of the layout, and the digest of its content before compression."""

    digest: str
    size: int
    diff_id: str = ""

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """Return the reference to the blob."""
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


def write_archive(
    path: Path, images: Sequence[PlatformImage], tag: str, labels: Mapping[str, str]
) -> str:
    """Write an image for several architectures; return the digest of its index.

    The same programs and the same zlib make the same bytes.

    Args:
        path: Archive to write; an existing one is replaced.
        images: Content for each architecture.
        tag: Tag, such as `0.1.0`.  skopeo finds it as `ref.name`; containerd, and so kind, names
            the image `milo-perf:0.1.0`.
        labels: Annotations of the index, and labels of every image.

    Raises:
        LaunchError: A program is not static, or not of its architecture.
        StorageError: A program cannot be read, or the archive cannot be written.
    """
    for image in images:
        for program in image.programs.values():
            require_static(program, image.architecture)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".oci-") as folder:
            blobs = Path(folder, "blobs", "sha256")
            blobs.mkdir(parents=True)
            index = _add_index(blobs, images, labels)
            entry = index.descriptor(f"{_MEDIA}.index.v1+json")
            entry["annotations"] = {
                "org.opencontainers.image.ref.name": tag,
                "io.containerd.image.name": f"docker.io/library/milo-perf:{tag}",
            }
            Path(folder, "index.json").write_bytes(_json(_list_of([entry])))
            Path(folder, "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
            partial = Path(folder, "archive")
            _write_tar(partial, Path(folder))
            partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    return index.digest


def require_writable(path: Path) -> None:
    """Return if an archive can be written; nothing is left.

    Raises:
        StorageError: The archive cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), f"{path}")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: the image cannot be written: {error.filename}: {error.strerror}",
        hint=hint_for(error),
    )


def _add_index(blobs: Path, images: Sequence[PlatformImage], labels: Mapping[str, str]) -> _Blob:
    manifests = []
    for image in images:
        manifest = _add_manifest(blobs, image, labels).descriptor(f"{_MEDIA}.manifest.v1+json")
        manifest["platform"] = {"architecture": image.architecture, "os": "linux"}
        manifests.append(manifest)
    return _add_json(blobs, {**_list_of(manifests), "annotations": dict(labels)})


def _list_of(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    media_type = f"{_MEDIA}.index.v1+json"
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}


def _add_manifest(blobs: Path, image: PlatformImage, labels: Mapping[str, str]) -> _Blob:
    layers = [_add_layer(blobs, {name: path}) for name, path in image.programs.items()]
    if image.texts:
        layers.append(_add_layer(blobs, image.texts))
    names = [*image.programs, "texts"][: len(layers)]
    config = _add_json(
        blobs,
        {
            "architecture": image.architecture,
            "os": "linux",
            "created": CREATED,
            "config": {"User": USER, "Labels": dict(labels), "Env": ["PATH=/:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": CREATED, "created_by": f"milo-perf: {n}"} for n in names],
        },
    )
    return _add_json(
        blobs,
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": config.descriptor(f"{_MEDIA}.config.v1+json"),
            "layers": [one.descriptor(f"{_MEDIA}.layer.v1.tar+gzip") for one in layers],
        },
    )


def _add_layer(blobs: Path, files: Mapping[str, Path] | Mapping[str, str]) -> _Blob:
    """Add a layer with programs by their paths, or texts."""
    with tempfile.TemporaryFile(dir=blobs) as plain:
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, content in files.items():
                if isinstance(content, Path):
                    with content.open("rb") as file:
                        add_file(tar, name, file, content.stat().st_size, 0o755)
                else:
                    data = content.encode()
                    add_file(tar, name, io.BytesIO(data), len(data))
        plain.seek(0)
        diff_id = f"sha256:{hashlib.file_digest(plain, 'sha256').hexdigest()}"
        packed = blobs / "layer"
        plain.seek(0)
        with packed.open("wb") as out:
            _compress(plain, out)
    return _keep(blobs, packed, diff_id)


def _compress(source: IO[bytes], out: IO[bytes]) -> None:
    """Compress without a name and a time."""
    with gzip.GzipFile(
        filename="", mode="wb", fileobj=out, mtime=0, compresslevel=_COMPRESSION
    ) as packed:
        shutil.copyfileobj(source, packed, 1 << 20)


def _add_json(blobs: Path, body: Mapping[str, Any]) -> _Blob:
    file = blobs / "document"
    file.write_bytes(_json(body))
    return _keep(blobs, file)


def _keep(blobs: Path, file: Path, diff_id: str = "") -> _Blob:
    """Give a file the name of a blob: its digest."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    size = file.stat().st_size
    file.replace(blobs / digest)
    return _Blob(f"sha256:{digest}", size, diff_id)


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True).encode()


def _write_tar(archive: Path, folder: Path) -> None:
    """Write the files of a layout; their order, owners and times do not vary."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != archive)
    with tarfile.open(archive, "w") as tar:
        for path in files:
            with path.open("rb") as file:
                name = path.relative_to(folder).as_posix()
                add_file(tar, name, file, path.stat().st_size)
