"""A hostile artifact: how to make it, and what has to become of it."""

import copy
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.model.report import Verdict
from pipeline.storage import codec
from tests import pages


@dataclass(frozen=True)
class Case:
    """One artifact.

    Attributes:
        name: What is wrong with it, in words.
        by: What refuses it, or makes it harmless.
        make: Writes it into an empty folder, and returns its path.
        said: What the refusal has to say; empty where the artifact is read and is only text.
        verdict: Of one that is read.
    """

    name: str
    by: str
    make: Callable[[Path], Path]
    said: str = ""
    verdict: Verdict = Verdict.REGRESSED


def body() -> dict[str, Any]:
    """Return an honest results.json, of a run with one regression."""
    found: dict[str, Any] = json.loads(codec.RESULTS.dumps(pages.measured()))
    return found


def folder(at: Path, data: bytes | str | None = None, **files: bytes | str) -> Path:
    """Write an artifact that is a folder; other files by name, `_` for the dot."""
    named = {name.replace("_", "."): text for name, text in files.items()}
    if data is not None:
        named["results.json"] = data
    for name, text in named.items():
        (at / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return at


def text(data: bytes | str) -> Callable[[Path], Path]:
    """Return the maker of a folder with a results.json of these bytes."""
    return lambda at: folder(at, data)


def edited(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    """Return the maker of a folder with an honest results.json that was changed."""

    def make(at: Path) -> Path:
        changed = copy.deepcopy(body())
        edit(changed)
        return folder(at, json.dumps(changed))

    return make


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip with an honest results.json and other entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        archive.writestr("results.json", codec.RESULTS.dumps(pages.measured()))
        for entry, data in entries:
            archive.writestr(entry, data)
    return file.getvalue()


def zipped(data: bytes) -> Callable[[Path], Path]:
    """Return the maker of a zip of these bytes."""

    def make(at: Path) -> Path:
        (at / "artifact.zip").write_bytes(data)
        return at / "artifact.zip"

    return make


def sample(found: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """Return a sample of the candidate."""
    one: dict[str, Any] = found["samples"]["candidate"][at]
    return one
