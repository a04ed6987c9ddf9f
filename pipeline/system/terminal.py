"""The shape of the terminal, the default output folder, and commands that can be pasted."""

import shlex
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.system import output


def width_and_color() -> dict[str, Any]:
    """Return the width of standard output, and whether it takes colours."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if is_terminal else 100
    return {"width": width, "color": output.supports_escapes(sys.stdout)}


def command(*words: object) -> str:
    """Return a command line of milo-perf, quoted for the shell."""
    return shlex.join(["milo-perf", *map(str, words)])


def new_folder(suite: str | None) -> Path:
    """Return a new folder below `out/`, named after the time and a suite's name or file."""
    name = Path(suite or "pr").stem
    return Path("out") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}"
