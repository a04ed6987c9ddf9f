"""Zips and folders that are not what an artifact is."""

import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

from pipeline.storage import codec
from tests import pages
from tests.hostile.case import Case, folder, packed, zipped

_ZEROS = bytes(2**20)
_ZIP, _FOLDER = "the look at the zip", "the look at the folder"


def _info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _twice() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own writer warns of the name
        return packed(("results.json", b"{}"))


def _renamed(before: bytes, after: bytes) -> bytes:
    """Return a zip one name of which Python's own writer would not write."""
    return packed((before.decode(), b"x")).replace(before, after)


def _results_alone(packed_by: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packed_by) as archive:
        archive.writestr("results.json", codec.RESULTS.dumps(pages.measured()))
    return file.getvalue()


def _directory_at(data: bytes) -> int:
    return data.index(b"PK\x01\x02")


def _changed(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def _shorter_than_said() -> bytes:
    """Return a zip that says results.json has 10 bytes, and unpacks to all of them."""
    data = _results_alone(zipfile.ZIP_DEFLATED)
    return _changed(data, _directory_at(data) + 24, "<L", 10)


def _longer_than_said() -> bytes:
    data = _results_alone(zipfile.ZIP_DEFLATED)
    return _changed(data, _directory_at(data) + 24, "<L", 2**31)


def _overlapping() -> bytes:
    """Return a zip of 1,200 names for one file of 1 MiB."""
    data = packed(("0000", bytes(range(256)) * 2**12), how=zipfile.ZIP_STORED)
    entry = data[data.rindex(b"PK\x01\x02") : -22]
    many = b"".join(entry.replace(b"0000", b"%04d" % number) for number in range(1200))
    end = bytearray(data[-22:])
    struct.pack_into("<HHL", end, 8, 1200, 1200, len(many))
    return data[: _directory_at(data)] + many + bytes(end)


def _crowd() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(6000):
            archive.writestr(zipfile.ZipInfo(f"f{number}"), b"")
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("results.json"))
    return file.getvalue()


def _two_ends() -> bytes:
    return _GOOD[:-2] + b"\x16\0" + _GOOD[-22:]


def _bad_sum() -> bytes:
    data = _results_alone(zipfile.ZIP_STORED)
    return data.replace(b'"suite": "pr"', b'"suite": "xx"', 1)


_GOOD = _results_alone(zipfile.ZIP_DEFLATED)

ZIPS = [
    Case("a bomb: 64 MiB of zeros in 64 kB", _ZIP, zipped(packed(("x", _ZEROS * 64))), "100 times"),
    Case("a bomb that says it is 2 GiB", _ZIP, zipped(_longer_than_said()), "100 times"),
    Case("a zip in the zip", "never opened", zipped(packed(("in.zip", _GOOD)))),
    Case(
        "1,200 entries over one file of 1 MiB", _ZIP, zipped(_overlapping()), "larger than 1024 MiB"
    ),
    Case("an entry longer than it says", _ZIP, zipped(_shorter_than_said()), "not a zip"),
    Case("6,000 entries", _ZIP, zipped(_crowd()), "more than 5000 files"),
    Case("a link", _ZIP, zipped(packed((_info("a", stat.S_IFLNK | 0o777), b"/x"))), "is a link"),
    Case("a device", _ZIP, zipped(packed((_info("a", stat.S_IFBLK | 0o644), b""))), "neither"),
    Case("a pipe", _ZIP, zipped(packed((_info("a", stat.S_IFIFO | 0o644), b""))), "neither"),
    Case("`../` in a name", _ZIP, zipped(packed(("../results.json", b"x"))), "points out"),
    Case("`..` further in", _ZIP, zipped(packed(("a/../../x", b"x"))), "points out"),
    Case("an absolute name", _ZIP, zipped(packed(("/etc/cron.d/x", b"x"))), "points out"),
    Case("a name with a backslash", _ZIP, zipped(_renamed(b"a-b", b"a\\b")), "points out"),
    Case("a name with a drive", _ZIP, zipped(packed(("C:x", b"x"))), "points out"),
    Case("a name with a zero byte", _ZIP, zipped(_renamed(b"a-b", b"a\0b")), "points out"),
    Case("two results.json", _ZIP, zipped(_twice()), "is there twice"),
    Case("folders 20 deep", _ZIP, zipped(packed(("a/" * 20 + "x", b"x"))), "more than 8 deep"),
    Case(
        "encrypted",
        _ZIP,
        zipped(_changed(_GOOD, _directory_at(_GOOD) + 8, "<H", 1)),
        "encrypted",
    ),
    Case("packed by bzip2", _ZIP, zipped(_results_alone(zipfile.ZIP_BZIP2)), "a way that is not"),
    Case("packed by LZMA", _ZIP, zipped(_results_alone(zipfile.ZIP_LZMA)), "a way that is not"),
    Case(
        "a second zip after its end",
        _ZIP,
        zipped(_GOOD[:-2] + b"\x16\0" + _GOOD[-22:]),
        "not a zip",
    ),
    Case("text after its end", _ZIP, zipped(_GOOD + b"more"), "more after its end"),
    Case("a zip that is cut off", _ZIP, zipped(_GOOD[:-30]), "not a zip"),
    Case("a wrong checksum", _ZIP, zipped(_bad_sum()), "not a zip"),
    Case("a tar", _ZIP, zipped(_tar()), "not a zip"),
    Case("an empty file for a zip", _ZIP, zipped(b""), "not a zip"),
]


def _linked(at: Path) -> Path:
    (at / "results.json").symlink_to("/etc/passwd")
    return at


def _linked_folder(at: Path) -> Path:
    folder(at, codec.RESULTS.dumps(pages.measured()))
    (at / "pairs").symlink_to("/proc")
    return at


def _dangling(at: Path) -> Path:
    (at / "results.json").symlink_to(at / "nowhere")
    return at


def _pipe(at: Path) -> Path:
    os.mkfifo(at / "results.json")
    return at


def _no_file(at: Path) -> Path:
    (at / "results.json").mkdir()
    return at


def _many(at: Path) -> Path:
    for number in range(5001):
        (at / f"{number}").touch()
    return at


def _deep(at: Path) -> Path:
    (at / "/".join("a" * 20)).mkdir(parents=True)
    return at


def _sparse(at: Path) -> Path:
    with (at / "points.csv").open("wb") as file:
        file.truncate(10 * 2**30)
    return at


def _gzip_beside(at: Path) -> Path:
    folder(at, codec.RESULTS.dumps(pages.measured()))
    (at / "results.json.gz").write_bytes(_GOOD)
    return at


FOLDERS = [
    Case("results.json is a link to a file", _FOLDER, _linked, "`results.json` is a link"),
    Case("a folder is a link", _FOLDER, _linked_folder, "`pairs` is a link"),
    Case("a link to nowhere", _FOLDER, _dangling, "is a link"),
    Case("results.json is a pipe", _FOLDER, _pipe, "neither a file nor a folder"),
    Case("results.json is a folder", _FOLDER, _no_file, "`results.json` is a folder"),
    Case("5,001 files", _FOLDER, _many, "more than 5000 files"),
    Case("folders that are 20 deep", _FOLDER, _deep, "more than 8 deep"),
    Case("a file of 10 GiB", _FOLDER, _sparse, "larger than 1024 MiB"),
    Case("no results.json", _FOLDER, folder, "there is no results.json"),
    Case("a bomb beside results.json", "never opened", _gzip_beside),
]
