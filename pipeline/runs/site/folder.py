"""Write the files of a site: only what has changed, and nothing that is not the site's."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from pipeline.storage import codec, strict_json
from pipeline.storage.settings import Settings
from pipeline.system.errors import ConfigError, StorageError

# 1: the first version.
SCHEMA_NAME: Final = "milo-perf.site/1"

MANIFEST: Final = ".milo-perf-site.json"
"""Name of the file that lists the site's files; it is no part of the site."""

_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._+-]*/)*[A-Za-z0-9_][A-Za-z0-9._+-]*")
_BOUNDS = strict_json.Bounds(size=4 * 2**20, values=80_000, characters=500, number=2.0**63)


class SiteManifest(Settings):
    """The files of a site.

    Attributes:
        files: Digest of what each file was made of, by its path; empty while it is written.
    """

    schema_name: Literal["milo-perf.site/1"] = Field(default=SCHEMA_NAME, alias="schema")
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class SiteFile:
    """One file of a site.

    Attributes:
        path: Path in the site's folder.
        inputs: Everything that the content depends on, as texts.
        content: Function that returns the content.
    """

    path: str
    inputs: tuple[str, ...]
    content: Callable[[], str | bytes]

    @property
    def digest(self) -> str:
        """The digest of the inputs and of the code that renders."""
        return digest(renderer_digest(), *self.inputs)


@dataclass(frozen=True, slots=True)
class WrittenSite:
    """What was done to a site's folder.

    Attributes:
        files: Number of files of the site.
        written: Number of files that were written.
        removed: Number of files that were removed.
        size: Size of all files in bytes.
    """

    files: int
    written: int
    removed: int
    size: int


def digest(*texts: str) -> str:
    """Return a digest of texts, which differs if they are divided otherwise."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def renderer_digest() -> str:
    """Return the digest of the code and the templates that make pages."""
    found = hashlib.sha256()
    package = Path(__file__).parents[2]
    for part in ("render", "judge", "model", "runs/site"):
        for path in sorted((package / part).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                found.update(path.relative_to(package).as_posix().encode() + b"\0")
                found.update(path.read_bytes())
    return found.hexdigest()


def require_site_folder(out: Path) -> None:
    """Return if a folder is new, empty or a site.

    Raises:
        ConfigError: The folder holds other files, which would not be safe.
        StorageError: The folder cannot be read.
    """
    try:
        is_foreign = out.exists() and (
            not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).is_file())
        )
    except OSError as error:
        raise StorageError(f"{out}: cannot be read: {error.strerror}") from error
    if is_foreign:
        raise ConfigError(
            f"{out} is not empty, and `milo-perf site` did not make it",
            hint="name a new folder; one that `site` made is brought up to date",
        )


def write_site(out: Path, files: Iterable[SiteFile]) -> WrittenSite:
    """Write the files that have changed, and remove those that the site no longer has.

    Raises:
        ConfigError: The folder is not a site, its list of files cannot be read, or two files have
            one path.
        StorageError: A file cannot be written.
    """
    require_site_folder(out)
    wanted: dict[str, SiteFile] = {}
    for file in files:
        if wanted.setdefault(file.path, file) is not file:
            raise ConfigError(
                f"two histories or folders would have the same page {file.path}",
                hint="rename one of them: pages are named after them",
            )
    before = _manifest(out)
    try:
        changed = [
            file
            for path, file in wanted.items()
            if before.get(path) != file.digest or not (out / path).is_file()
        ]
        out.mkdir(parents=True, exist_ok=True)
        pending = {file.path: "" for file in changed}
        if pending or before.keys() != wanted.keys():
            _write_manifest(out, {**before, **pending})  # so that a killed build leaves no orphans
        for folder in {(out / file.path).parent for file in changed}:
            folder.mkdir(parents=True, exist_ok=True)
        for file in changed:
            _write(out / file.path, file.content())
        gone = sorted(before.keys() - wanted.keys())
        for path in gone:
            (out / path).unlink(missing_ok=True)
        for folder in sorted({(out / path).parent for path in gone}, reverse=True):
            if folder != out and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        _write_manifest(out, {path: file.digest for path, file in wanted.items()})
        size = sum((out / path).stat().st_size for path in wanted)
    except OSError as error:
        raise StorageError.unwritable(Path(error.filename or out), error) from error
    return WrittenSite(len(wanted), len(changed), len(gone), size)


def _manifest(out: Path) -> dict[str, str]:
    path = out / MANIFEST
    if not path.is_file():
        return {}
    try:
        body = strict_json.loads(path.read_bytes(), _BOUNDS)
        files = SiteManifest.model_validate(body).files
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        reason = strict_json.sentence(error) if isinstance(error, ValidationError) else error
        raise ConfigError(f"{path}: {reason}", hint="remove the folder; it is made anew") from error
    if wrong := [one for one in files if not _PATH.fullmatch(one)]:
        raise ConfigError(
            f"{path}: {wrong[0]!r} is no file of a site", hint="remove the folder; it is made anew"
        )
    return files


def _write_manifest(out: Path, files: dict[str, str]) -> None:
    manifest = SiteManifest(schema=SCHEMA_NAME, files=dict(sorted(files.items())))
    body = manifest.model_dump(mode="json", by_alias=True)
    codec.write_text(out / MANIFEST, json.dumps(body, indent=1, sort_keys=True) + "\n")


def _write(path: Path, content: str | bytes) -> None:
    """Replace a file; it can be made again, so it is not forced to the disk."""
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # two may write at once
    partial.write_bytes(data)
    partial.replace(path)
