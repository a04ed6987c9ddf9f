"""Stored baselines: files in a folder of the repository."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.results import Baseline
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Directory:
    """A folder, which need not exist, with one JSON file per baseline.

    Attributes:
        path: Folder in which baselines are saved.
        shipped: Folder of the baselines of an installed package, which are read if `path` has none
            of that name; None in a clone.
    """

    path: Path
    shipped: Path | None = None

    def load(self, name: str) -> Baseline:
        """Return a baseline.

        Raises:
            BaselineError: The baseline is missing or unreadable.
        """
        file = self._file(name)
        if not file.is_file() and self.shipped is not None:
            file = self.shipped / file.name
        if not file.is_file():
            raise BaselineError(
                f"there is no baseline `{name}` in {self.path}",
                hint=f"known: {', '.join(self.names()) or 'none'};"
                " `milo-perf baseline save DIR NAME` keeps the candidate of a run",
            )
        return codec.BASELINE.read(file)

    def save(self, baseline: Baseline) -> Path:
        """Write a baseline, all or nothing, and return its path."""
        file = self._file(baseline.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        codec.BASELINE.write(file, baseline)
        return file

    def names(self) -> list[str]:
        """Return the names of all baselines, sorted."""
        folders = [self.path, *([] if self.shipped is None else [self.shipped])]
        return sorted({file.stem for folder in folders for file in folder.glob("*.json")})

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"`{name}` cannot be the name of a baseline",
                hint="use small letters, digits, `.`, `_` and `-`",
            )
        return self.path / f"{name}.json"
