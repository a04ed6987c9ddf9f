"""The files that a load is made of: ours, with those beside a suite of somebody's own over them."""

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
"""Name in pydantic's context of the folder that a suite was read from."""


class LoadFromFiles(Settings):
    """Settings of a load that is a script or a config, which uses other files.

    Where the script or config stands beside the suite, it is the one that is used, and so are the
    files in the folders beside it that have the names of ours, such as `lib/`.  All other files
    are ours.  A load is run from a folder with exactly these files, so that everything in it is
    part of the suite's digest.
    """

    root: ClassVar[str]
    """Our folder of them."""

    shared: ClassVar[tuple[str, ...]]
    """Folders below it whose files others use."""

    suffixes: ClassVar[tuple[str, ...]]

    _folder: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 (pydantic's own signature)
        """Keep where the suite is; see `FOLDER`."""
        if isinstance(context, Mapping):
            self._folder = context.get(FOLDER)

    @property
    def main(self) -> str:
        """Name of the file of this load alone."""
        raise NotImplementedError

    def own_files(self) -> dict[str, Path]:
        """Return the files beside the suite that are used, by their path in the tree of ours."""
        if self._folder is None or not (self._folder / self.main).is_file():
            return {}
        return self._found(self._folder)

    def our_files(self) -> dict[str, Path]:
        """Return those files of ours that such a load uses, by their path in the tree."""
        return self._found(files.project_path(self.root))

    def tree(self) -> dict[str, Path]:
        """Return every file that decides what is measured, by its path in the tree."""
        return self.our_files() | self.own_files()

    @contextmanager
    def laid_out(self) -> Iterator[Path]:
        """Yield a folder with the whole tree: ours, or a copy where some of it is not."""
        if not self.own_files():
            yield files.project_path(self.root)
            return
        with tempfile.TemporaryDirectory(prefix="milo-perf-load-") as folder:
            copy(self.tree(), Path(folder))
            yield Path(folder)

    def _found(self, folder: Path) -> dict[str, Path]:
        paths = [folder / self.main] if (folder / self.main).is_file() else []
        for name in self.shared:
            paths += [p for p in (folder / name).rglob("*") if p.suffix in self.suffixes]
        return {path.relative_to(folder).as_posix(): path for path in paths}


def require_file(settings: type[LoadFromFiles], name: str, context: object) -> None:
    """Return if a script or config is there; without a suite's folder nothing is looked at.

    Raises:
        ValueError: It is not.
    """
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
