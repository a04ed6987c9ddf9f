"""Read the results of an untrusted artifact: a folder or a zip.

The code of a pull request writes it.  Only `results.json` is read, and the verdict is decided again
from its numbers; neither `verdict.json` nor a report is used.
"""

import errno
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.model.deployment import KUBECONFIGS, SOCKET
from pipeline.model.metric import BASE_UNITS
from pipeline.model.request import MAX_PAIRS
from pipeline.model.results import ResultSet
from pipeline.storage import codec, strict_json
from pipeline.system.errors import BaselineError
from pipeline.system.sanitize import truncate

RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an artifact.

    Attributes:
        size: Bytes of all files together; of a zip, compressed and uncompressed.
        ratio: Compression ratio of a file in a zip.
        metrics: Number of metrics of an arm.
        pairs: Number of pairs, requested or measured.
    """

    size: int = 2**30
    files: int = 5_000
    depth: int = 8
    ratio: float = 100.0
    metrics: int = 1_000
    pairs: int = MAX_PAIRS


LIMITS = Limits()

_OF_A_DEPLOYMENT = frozenset((SOCKET, *KUBECONFIGS.values()))
"""What a deployment that is up has at the top of its folder; neither read nor followed."""

_NAME = re.compile(r"[a-z0-9][a-z0-9/_.-]{0,79}")
_HINT = "an artifact is what `run` leaves in its folder, as it is or as a zip"
_SHOWN = 80
_END = 22  # bytes of the record that ends a zip without a comment
_ENTRY = 46 + 512  # bytes of an entry in the directory of a zip, with a long name
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def open_artifact(path: Path, *, limits: Limits = LIMITS) -> ResultSet:
    """Return the results of an artifact, a folder or a zip.

    Raises:
        BaselineError: There are no results, or the artifact breaks a rule.
    """
    return _results(path, member(path, RESULTS, limits=limits), limits)


def results_in(folder: Path, *, name: str = RESULTS, limits: Limits = LIMITS) -> ResultSet:
    """Return the results in the folder of a run; its other files are ignored.

    Args:
        folder: Folder of the run.
        name: Name of the file.
        limits: Limits of the results.

    Raises:
        BaselineError: There are no results, or they break a rule.
    """
    return _results(folder, file_in(folder, name), limits)


def file_in(folder: Path, name: str) -> bytes | None:
    """Return a file of a folder, up to the size limit; None if it does not exist.

    Raises:
        BaselineError: The file is a link, or cannot be read.
    """
    try:
        return _read_check_regular(folder / name)
    except ValueError as error:
        raise BaselineError(f"{folder}: {error}", hint=_HINT) from error
    except OSError as error:
        message = f"{folder}: {name} cannot be read: {error.strerror}"
        raise BaselineError(message, hint=_HINT) from error


def _results(path: Path, data: bytes | None, limits: Limits) -> ResultSet:
    if data is None:
        raise BaselineError(f"{path}: there is no {RESULTS} in it", hint=_HINT)
    try:
        results = codec.RESULTS.parse(data)
        _check_results(results, limits)
    except ValueError as error:
        raise BaselineError(f"{path}: {RESULTS}: {error}", hint=_HINT) from error
    return results


def member(path: Path, name: str, *, limits: Limits = LIMITS) -> bytes | None:
    """Check an artifact and return one file at its top; None if it does not exist.

    Raises:
        BaselineError: The artifact is missing or is refused.
    """
    try:
        if path.is_dir():
            return _read_folder(path, name, limits)
        if path.is_file():
            return _read_zip(path, name, limits)
    except ValueError as error:
        raise BaselineError(f"{path}: {error}", hint=_HINT) from error
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}", hint=_HINT) from error
    raise BaselineError(f"{path}: no such folder or file", hint=_HINT)


def _read_folder(folder: Path, name: str, limits: Limits) -> bytes | None:
    size = files = 0
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > limits.depth:
            raise ValueError(f"its folders are more than {limits.depth} deep")
        with os.scandir(here) as entries:
            for entry in entries:
                files += 1
                if files > limits.files:
                    raise ValueError(f"it has more than {limits.files} files")
                if here == folder and entry.name in _OF_A_DEPLOYMENT:
                    continue
                status = entry.stat(follow_symlinks=False)
                shown = truncate(os.path.relpath(entry.path, folder), _SHOWN)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((Path(entry.path), depth + 1))
                    continue
                _check_regular(status.st_mode, shown)
                size += status.st_size
                _check_size(size, limits)
    return _read_check_regular(folder / name)


def _read_check_regular(path: Path) -> bytes | None:
    try:
        with open(path, "rb", opener=_open_no_follow) as file:
            _check_regular(os.fstat(file.fileno()).st_mode, path.name)
            return file.read(strict_json.FOREIGN.size + 1)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise ValueError(f"`{path.name}` is a folder") from None
    except OSError as error:
        if error.errno == errno.ELOOP:  # the error of O_NOFOLLOW for a link
            raise ValueError(f"`{path.name}` is a link") from None
        raise


def _open_no_follow(path: str, flags: int) -> int:
    """Open a file, but not a link or a pipe that replaced it meanwhile."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _read_zip(path: Path, name: str, limits: Limits) -> bytes | None:
    _check_size(path.stat().st_size, limits)
    try:
        _check_directory_size(path, limits)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(entries, limits)
            wanted = next((entry for entry in entries if entry.filename == name), None)
            if wanted is None:
                return None
            with archive.open(wanted) as file:
                return file.read(strict_json.FOREIGN.size + 1)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError) as error:
        message = truncate(f"{error}", _SHOWN)
        raise ValueError(f"not a zip that can be read: {message}") from error


def _check_directory_size(path: Path, limits: Limits) -> None:
    """Refuse a zip whose directory would fill the memory."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END - 20))
        tail = file.read()
    end = tail[-_END:]
    if len(end) < _END or end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise ValueError("not a zip, or one with more after its end")
    if tail[:4] == b"PK\x06\x07":
        raise ValueError("a zip of the kind for huge files (zip64), and it need not be one")
    _, _, _, _, entries, directory, _, _ = struct.unpack("<4s4H2LH", end)
    if entries > limits.files or directory > limits.files * _ENTRY:
        raise ValueError(f"it has more than {limits.files} files")


def _check_entries(entries: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.files:
        raise ValueError(f"it has more than {limits.files} files")
    size = 0
    seen: set[str] = set()
    for entry in entries:
        shown = truncate(entry.filename, _SHOWN)
        _check_path(entry.orig_filename, shown, limits)
        if entry.filename in seen:
            raise ValueError(f"`{shown}` is there twice")
        seen.add(entry.filename)
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) and not stat.S_ISDIR(mode):
            _check_regular(mode, shown)
        if entry.flag_bits & 0x1 or entry.compress_type not in _COMPRESSIONS:
            raise ValueError(f"`{shown}` is encrypted, or packed in a way that is not read")
        if entry.file_size > limits.ratio * max(1, entry.compress_size):
            raise ValueError(f"`{shown}` unpacks to more than {limits.ratio:g} times its size")
        size += entry.file_size
        _check_size(size, limits)


def _check_path(name: str, shown: str, limits: Limits) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        raise ValueError(f"`{shown}` points out of the artifact")
    if len(parts) > limits.depth + 1:
        raise ValueError(f"its folders are more than {limits.depth} deep")


def _check_regular(mode: int, shown: str) -> None:
    if stat.S_ISLNK(mode):
        raise ValueError(f"`{shown}` is a link")
    if not stat.S_ISREG(mode):
        raise ValueError(f"`{shown}` is neither a file nor a folder")


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.size:
        raise ValueError(f"it is larger than {limits.size / 2**20:g} MiB")


def _check_results(results: ResultSet, limits: Limits) -> None:
    """Refuse results that no suite could have measured.

    Raises:
        ValueError: The message names the rule.
    """
    if max(results.pairs_asked, results.pairs) > limits.pairs:
        raise ValueError(f"it has more than {limits.pairs} pairs")
    _check_name(results.suite, "suite")
    if results.stored is not None:
        _check_name(results.stored.name, "stored baseline")
    for samples in results.samples.values():
        if len(samples) > limits.metrics:
            raise ValueError(f"it has more than {limits.metrics} metrics")
        for sample in samples:
            _check_name(sample.workload, "workload")
            _check_name(sample.metric.name, "metric")
            if sample.metric.unit not in BASE_UNITS:
                raise ValueError(f"the unit of {sample.key} is not one of {', '.join(BASE_UNITS)}")


def _check_name(name: str, of: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"`{truncate(name, _SHOWN)}` cannot be the name of a {of}")
