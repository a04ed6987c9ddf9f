"""The files of a load: those of this project, and those beside a suite, which take precedence."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr

from pipeline.storage.settings import Settings
from pipeline.system import paths as files

FOLDER = "folder"
"""Key of the suite's folder in pydantic's context."""


class LoadFromFiles(Settings):
    """Settings of a load that is a script or a config with other files.

    A script or config beside the suite takes precedence over ours, and so do the files in the
    folders beside it that have the names of ours, such as `lib/`.  All other files are ours.  A
    load runs in a folder with exactly these files, so that all of them are part of the suite's
    digest.
    """

    root: ClassVar[str]
    """Our folder of scripts or configs."""

    shared: ClassVar[tuple[str, ...]]
    """Folders in it whose files other scripts use."""

    suffixes: ClassVar[tuple[str, ...]]

    _folder: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 (pydantic's own signature)
        """Keep the folder of the suite; see `FOLDER`."""
        if isinstance(context, Mapping):
            self._folder = context.get(FOLDER)

    @property
    def main(self) -> str:
        """Name of the script or config that belongs to this load alone."""
        raise NotImplementedError

    def own_files(self) -> dict[str, Path]:
        """Return the used files beside the suite, by their path in the tree."""
        if self._folder is None or not (self._folder / self.main).is_file():
            return {}
        return self._files_in(self._folder)

    def our_files(self) -> dict[str, Path]:
        """Return the used files of this project, by their path in the tree."""
        return self._files_in(files.project_path(self.root))

    def tree(self) -> dict[str, Path]:
        """Return every file that decides what is measured, by its path in the tree."""
        return self.our_files() | self.own_files()

    @contextmanager
    def laid_out(self) -> Iterator[Path]:
        """Yield a folder with the whole tree: ours, or a copy if a file is beside the suite."""
        if not self.own_files():
            yield files.project_path(self.root)
            return
        with tempfile.TemporaryDirectory(prefix="milo-perf-load-") as folder:
            copy(self.tree(), Path(folder))
            yield Path(folder)

    def _files_in(self, folder: Path) -> dict[str, Path]:
        paths = [folder / self.main] if (folder / self.main).is_file() else []
        for name in self.shared:
            paths += [p for p in (folder / name).rglob("*") if p.suffix in self.suffixes]
        return {path.relative_to(folder).as_posix(): path for path in paths}


def require_file(settings: type[LoadFromFiles], name: str, context: object) -> None:
    """Raise ValueError unless a script or config exists, if the suite has a folder."""
    folder = context.get(FOLDER) if isinstance(context, Mapping) else None
    ours = files.project_path(settings.root)
    if folder is None or (folder / name).is_file() or (ours / name).is_file():
        return
    known = sorted(path.name for path in ours.iterdir() if path.suffix in settings.suffixes)
    raise ValueError(f"there is no {name} beside the suite, and ours are {', '.join(known)}")


def copy(tree: Mapping[str, Path], folder: Path) -> None:
    """Copy files to their places below a folder."""
    for name, path in tree.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
