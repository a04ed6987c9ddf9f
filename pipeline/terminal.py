"""What a command prints on, and the folder it writes to."""

import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any


def shape() -> dict[str, Any]:
    """Return how wide and how colourful standard output is."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if is_terminal else 100
    return {"width": width, "color": is_terminal and not os.environ.get("NO_COLOR")}


def new_folder(suite: str | None) -> Path:
    """Return a folder below `out/` that is named by the time, for a suite's name or file."""
    name = Path(suite or "pr").stem
    return Path("out") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}"
