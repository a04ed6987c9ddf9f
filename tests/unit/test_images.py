"""An image holds one static program and nothing else, and the same program makes the same bytes."""

import hashlib
import json
import shutil
import struct
import tarfile
from pathlib import Path

import pytest

from pipeline.environments import images
from pipeline.system import paths
from pipeline.system.errors import LaunchError, StorageError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "cache", lambda: tmp_path)


def program(path: Path, *, interpreter: bool = False, machine: int = 62) -> Path:
    """Write the head of a program of 64-bit Linux, with one program header."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<H", head, 18, machine)
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    path.write_bytes(bytes(head) + struct.pack("<I", 3 if interpreter else 1) + bytes(52))
    return path


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_an_archive_has_the_program_as_its_entry_point(tmp_path: Path) -> None:
    binary = program(tmp_path / "x")
    image = images.pack("milo", {"milo": binary}, digest(binary))

    assert image.reference == f"milo-perf.invalid/milo:{digest(binary)[7:23]}"
    with tarfile.open(image.archive) as tar:
        (entry,) = json.loads(_read(tar, "manifest.json"))
        config = json.loads(_read(tar, entry["Config"]))
        (layer,) = entry["Layers"]
        said = _read(tar, layer)
        assert entry["RepoTags"] == [image.reference]
        assert entry["Config"] == f"{hashlib.sha256(_read(tar, entry['Config'])).hexdigest()}.json"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(said).hexdigest()}"]
    assert config["config"] == {"Entrypoint": ["/milo"], "User": "65534:65534"}
    assert config["os"] == "linux"
    (tmp_path / "layer.tar").write_bytes(said)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode) == ("milo", 0o755)
        assert _read(tar, "milo") == binary.read_bytes()


def test_the_same_program_makes_the_same_bytes(tmp_path: Path) -> None:
    binary = program(tmp_path / "x")
    first = images.pack("milo", {"milo": binary}, digest(binary)).archive
    kept = first.read_bytes()
    first.unlink()
    assert images.pack("milo", {"milo": binary}, digest(binary)).archive.read_bytes() == kept


def test_an_archive_is_made_once(tmp_path: Path) -> None:
    binary = program(tmp_path / "x")
    before = images.pack("milo", {"milo": binary}, digest(binary)).archive.stat().st_mtime_ns
    assert (
        images.pack("milo", {"milo": binary}, digest(binary)).archive.stat().st_mtime_ns == before
    )


@pytest.mark.parametrize(("machine", "name"), [(62, "amd64"), (183, "arm64")])
def test_an_image_is_for_the_architecture_of_its_programs(
    machine: int, name: str, tmp_path: Path
) -> None:
    binary = program(tmp_path / "x", machine=machine)
    with tarfile.open(images.pack("milo", {"milo": binary}, digest(binary)).archive) as tar:
        (entry,) = json.loads(_read(tar, "manifest.json"))
        assert json.loads(_read(tar, entry["Config"]))["architecture"] == name
    other = program(tmp_path / "y", machine=245 - machine)
    with pytest.raises(LaunchError, match=f"and the image is for {name}"):
        images.pack("load", {"milo": binary, "other": other}, digest(other))


@pytest.mark.parametrize("size", [64, 65, 68, 119])
def test_a_program_that_was_cut_off_is_refused(size: int, tmp_path: Path) -> None:
    binary = program(tmp_path / "x")
    binary.write_bytes(binary.read_bytes()[:size])
    with pytest.raises(LaunchError, match="not a whole program"):
        images.pack("milo", {"milo": binary}, digest(binary))


def test_a_program_that_needs_libraries_is_refused(tmp_path: Path) -> None:
    binary = program(tmp_path / "x", interpreter=True)
    with pytest.raises(LaunchError, match="is dynamically linked") as caught:
        images.pack("milo", {"milo": binary}, digest(binary))
    assert "CGO_ENABLED=0" in caught.value.hint


def test_a_real_program_of_this_machine_is_told_by_its_loader() -> None:
    assert not images.is_static(Path(shutil.which("git") or "/usr/bin/git"))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01" + bytes(80)])
def test_what_is_no_program_of_linux_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LaunchError, match="is not a program for 64-bit Linux"):
        images.pack("milo", {"milo": tmp_path / "x"}, "sha256:00")


def test_a_program_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be packed into an image"):
        images.pack("milo", {"milo": tmp_path / "gone"}, "sha256:00")


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
