"""What a command prints on, the folder it writes to, and how it is typed again."""

import shlex
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.system import output


def shape() -> dict[str, Any]:
    """Return how wide and how colourful standard output is."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if is_terminal else 100
    return {"width": width, "color": output.takes_escapes(sys.stdout)}


def command(*words: object) -> str:
    """Return a command of ours as it can be pasted into a shell."""
    return shlex.join([Path(sys.executable).name, "-m", "pipeline", *map(str, words)])


def new_folder(suite: str | None) -> Path:
    """Return a folder below `out/` that is named by the time, for a suite's name or file."""
    name = Path(suite or "pr").stem
    return Path("out") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}"
