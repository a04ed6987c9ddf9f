"""The shape of the terminal, the default output folder, and commands that can be pasted."""

import os
import shlex
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.system import output, paths

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def width_and_color() -> dict[str, Any]:
    """Return the width of standard output, and whether it takes colours."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if is_terminal else 100
    return {"width": width, "color": output.supports_escapes(sys.stdout)}


def command(*words: object) -> str:
    """Return a command line of milo-perf, quoted for the shell."""
    quoted = [paths.quote(w) if isinstance(w, Path) else shlex.quote(f"{w}") for w in words]
    return " ".join(["milo-perf", *quoted])


def new_folder(suite: str | None) -> Path:
    """Return a new folder below `out/`, named after the time and a suite's name or file."""
    name = Path(suite or "pr").stem
    return Path("out") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}"


def open_in_browser(page: Path) -> bool:
    """Open a file in the user's browser; return False if nobody is there to see it.

    Without a display, a browser that runs in the terminal could take that over.
    """
    import webbrowser

    has_display = sys.platform == "darwin" or any(map(os.environ.get, _DISPLAYS))
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and has_display and webbrowser.open(page.absolute().as_uri())
