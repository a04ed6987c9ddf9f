"""The files of a load: those of this project, and those beside a suite, which take precedence."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import PrivateAttr, model_validator

from pipeline.storage.settings import Settings
from pipeline.system import paths as files

FOLDER = "folder"
"""Key of the suite's folder in pydantic's context."""

_MAX_BYTES = 2**19  # of a file beside a suite: its text is part of what `--resume` trusts
_MAX_FILES = 200


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

    @model_validator(mode="after")
    def _own_files_are_usable(self) -> Self:
        """Require that the files beside the suite are few, small, readable and in its folder."""
        own = self.own_files()
        if len(own) > _MAX_FILES:
            raise ValueError(f"{len(own)} files are beside the suite, and {_MAX_FILES} are allowed")
        for path in own.values():
            _require_usable(path, self._folder or path.parent)
        return self

    @property
    def main(self) -> str:
        """Name of the script or config that belongs to this load alone."""
        raise NotImplementedError

    def own_files(self) -> dict[str, Path]:
        """Return the used files beside the suite, by their path in the tree."""
        if self._folder is None or not os.path.lexists(self._folder / self.main):
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
        """Return the used files of a folder; a folder with the name of a script is none."""
        paths = [folder / self.main] if os.path.lexists(folder / self.main) else []
        for name in self.shared:
            paths += [
                path
                for path in (folder / name).rglob("*")
                if path.suffix in self.suffixes and not path.is_dir()
            ]
        return {path.relative_to(folder).as_posix(): path for path in paths}


def require_file(settings: type[LoadFromFiles], name: str, context: object) -> None:
    """Raise ValueError unless a script or config exists, if the suite has a folder."""
    folder = context.get(FOLDER) if isinstance(context, Mapping) else None
    ours = files.project_path(settings.root)
    if folder is None or os.path.lexists(folder / name) or (ours / name).is_file():
        return
    known = sorted(path.name for path in ours.iterdir() if path.suffix in settings.suffixes)
    raise ValueError(
        f"there is no {name} in {folder}, the suite's folder, and ours are {', '.join(known)}"
    )


def refuse_folder(name: object) -> object:
    """Raise ValueError if the name of a script or config has a folder; return it unchanged."""
    if isinstance(name, str) and ("/" in name or "\\" in name):
        raise ValueError("give the name of a file in the folder of the suite, without a folder")
    return name


def _require_usable(path: Path, folder: Path) -> None:
    """Raise ValueError unless a file beside a suite is a small UTF-8 text in the suite's folder.

    A link to elsewhere is refused: the file is copied into the folder of each run, which people
    publish.
    """
    try:
        target = path.resolve(strict=True)
        if not target.is_relative_to(folder.resolve()):
            raise ValueError(f"{path}: is a symbolic link to a file outside of {folder}")
        if not target.is_file():
            raise ValueError(f"{path}: is not a file")
        if target.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path}: has more than {_MAX_BYTES:,} bytes")
        data = target.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path}: is a symbolic link to nothing") from error
    except RuntimeError as error:  # Path.resolve, before Python 3.13
        raise ValueError(f"{path}: is a symbolic link in a circle") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: is not UTF-8; save it as UTF-8") from error


def copy(tree: Mapping[str, Path], folder: Path) -> None:
    """Copy files to their places below a folder."""
    for name, path in tree.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
