"""The published image: an OCI layout whose digests hold, with a static program in each layer."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import main
from pipeline.environments import oci
from pipeline.environments.oci import PlatformImage
from pipeline.model.ports import Program
from pipeline.system import processes
from pipeline.system.errors import Exit, LaunchError, StorageError
from pipeline.toolchain import image_programs
from pipeline.toolchain.image_programs import PackedProgram

MACHINES = {"amd64": 62, "arm64": 183}
LABELS = {"org.opencontainers.image.source": "https://example.org/x"}


def program(path: Path, architecture: str, *, interpreter: bool = False) -> Path:
    """Write the head of a program of 64-bit Linux, with one program header."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<H", head, 18, MACHINES[architecture])
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    path.write_bytes(bytes(head) + struct.pack("<I", 3 if interpreter else 1) + bytes(52))
    return path


def images(folder: Path) -> list[PlatformImage]:
    return [
        PlatformImage(
            one, {"etcd": program(folder / one, one), "bin/k6": folder / one}, {"NOTICE": "é\n"}
        )
        for one in MACHINES
    ]


class Layout:
    """The files of an archive, read as the specification says."""

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as tar:
            self.files = {one.name: self._bytes(tar, one) for one in tar.getmembers()}

    @staticmethod
    def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
        file = tar.extractfile(member)
        assert file is not None
        return file.read()

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        """Return a blob, after its size and digest were checked."""
        content = self.files[f"blobs/{descriptor['digest'].replace(':', '/')}"]
        assert len(content) == descriptor["size"]
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        return content


def test_an_archive_is_an_oci_layout_for_each_architecture(tmp_path: Path) -> None:
    digest = oci.write_archive(tmp_path / "out" / "x.tar", images(tmp_path), "0.1.0", LABELS)

    layout = Layout(tmp_path / "out" / "x.tar")
    assert json.loads(layout.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(layout.files["index.json"])["manifests"]
    assert entry["digest"] == digest
    assert entry["annotations"] == {
        "org.opencontainers.image.ref.name": "0.1.0",
        "io.containerd.image.name": "docker.io/library/milo-perf:0.1.0",
    }
    index = json.loads(layout.blob(entry))
    assert index["annotations"] == LABELS
    platforms = [one["platform"] for one in index["manifests"]]
    assert platforms == [{"architecture": one, "os": "linux"} for one in MACHINES]
    for architecture, descriptor in zip(MACHINES, index["manifests"], strict=True):
        manifest = json.loads(layout.blob(descriptor))
        config = json.loads(layout.blob(manifest["config"]))
        assert (config["architecture"], config["os"]) == (architecture, "linux")
        assert config["config"] == {"User": "65534:65534", "Labels": LABELS, "Env": ["PATH=/:/bin"]}
        plain = [gzip.decompress(layout.blob(layer)) for layer in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [
            f"sha256:{hashlib.sha256(one).hexdigest()}" for one in plain
        ]
        assert len(config["history"]) == len(plain) == 3
        files: dict[str, int] = {}
        for one in plain:
            with tarfile.open(fileobj=io.BytesIO(one)) as tar:
                files |= {member.name: member.mode for member in tar.getmembers()}
        assert files == {"etcd": 0o755, "bin/k6": 0o755, "NOTICE": 0o644}
    named = {entry["digest"], *(one["digest"] for one in index["manifests"])}
    assert len(named) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.tar"]


def test_the_same_programs_make_the_same_bytes(tmp_path: Path) -> None:
    first = oci.write_archive(tmp_path / "a.tar", images(tmp_path), "0.1.0", LABELS)
    again = oci.write_archive(tmp_path / "b.tar", images(tmp_path), "0.1.0", LABELS)
    assert first == again
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_program_of_another_architecture_is_refused(tmp_path: Path) -> None:
    wrong = PlatformImage("arm64", {"etcd": program(tmp_path / "x", "amd64")}, {})
    with pytest.raises(LaunchError, match="is a program for amd64, and the image is for arm64"):
        oci.write_archive(tmp_path / "x.tar", [wrong], "1", {})
    assert not (tmp_path / "x.tar").exists()


def test_a_dynamic_program_is_refused(tmp_path: Path) -> None:
    dynamic = PlatformImage(
        "amd64", {"etcd": program(tmp_path / "x", "amd64", interpreter=True)}, {}
    )
    with pytest.raises(LaunchError, match="is dynamically linked"):
        oci.write_archive(tmp_path / "x.tar", [dynamic], "1", {})


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="the image cannot be written"):
        oci.write_archive(tmp_path / "file" / "x.tar", images(tmp_path), "1", {})


def test_a_place_that_cannot_be_written_is_named_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> None:
        raise AssertionError("nothing may be built")

    monkeypatch.setattr(image_programs, "for_architecture", build)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "x.tar", tmp_path):
        assert main.main(["pack", "--oci", f"{place}"]) == Exit.STORAGE
        assert "the image cannot be written" in capsys.readouterr().err


VERSION_M = """x: go1.26.8
\tpath\tgo.etcd.io/etcd/server/v3
\tmod\tgo.etcd.io/etcd/server/v3\tv3.6.16\th1:aaa=
\tdep\texample.org/old\tv1.0.0
\t=>\texample.org/new\tv1.2.0\th1:bbb=
\tbuild\tCGO_ENABLED=0
"""


def test_the_list_of_what_is_in_it_names_every_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "capture", lambda *_, **__: VERSION_M)
    monkeypatch.setattr("pipeline.toolchain.go.find", lambda _: Program(Path("go"), "1", ""))
    etcd = PackedProgram("etcd", Program(tmp_path / "x", "3.6.16", "sha256:ab"), "Apache-2.0", "")
    bill = image_programs.bill_of_materials({"amd64": [etcd], "arm64": [etcd]}, "0.1.0")

    names = [component["name"] for component in bill["components"]]
    assert names == [
        "/etcd (amd64)",
        "go.etcd.io/etcd/server/v3",
        "example.org/new",
        "/etcd (arm64)",
    ]
    assert bill["components"][2]["purl"] == "pkg:golang/example.org/new@v1.2.0"
    monkeypatch.setattr(processes, "capture", lambda *_, **__: None)
    with pytest.raises(LaunchError, match="does not say which Go modules"):
        image_programs.bill_of_materials({"amd64": [etcd]}, "0.1.0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give at least one SPEC, and --registry NAME"),
        (["reference"], "give at least one SPEC, and --registry NAME"),
        (["--registry", "x"], "give at least one SPEC"),
        (["--oci", "x.tar", "reference"], "--oci takes no SPEC"),
        (["--oci", "x.tar", "--label", "x"], "--label x: write NAME=VALUE"),
        (["--arch", "arm64", "--registry", "x", "reference"], "are for --oci FILE"),
        (["--registry", "BAD NAME", "reference"], "--registry BAD NAME: cannot be in the name"),
        (["--registry", "https://x", "reference"], "cannot be in the name of an image"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["pack", *arguments]) == Exit.BAD_ARGUMENTS
    assert said in capsys.readouterr().err
