"""apache-otava in a virtual environment of its own, beside ours on the same numbers."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.system import paths

VERSION = "0.8.0"
_CODE = """
import json, sys
from otava.series import AnalysisOptions, Metric, Series
options = AnalysisOptions()
options.window_len = int(sys.argv[1])
for line in sys.stdin:
    values = json.loads(line)
    series = Series("s", None, list(range(len(values))), {"m": Metric()}, {"m": values}, {})
    points = series.analyze(options).change_points["m"]
    print(json.dumps([int(point.index) for point in points]))
"""


def python() -> Path | None:
    """Return an interpreter that has it, made at the first call; None where that fails."""
    folder = paths.cache() / f"otava-{VERSION}"
    found = folder / "bin" / "python"
    if found.exists():
        return found
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(partial)], check=True)
        install = ("-m", "pip", "install", "--quiet", f"apache-otava=={VERSION}")
        subprocess.run([str(partial / "bin" / "python"), *install], check=True)
    except subprocess.CalledProcessError as error:
        print(f"apache-otava {VERSION} cannot be installed: {error}", file=sys.stderr)
        return None
    partial.rename(folder)
    return found


def steps(
    interpreter: Path, series: Iterable[Sequence[float]], window: int = 50
) -> list[list[int]]:
    """Return the change points of each series by otava's defaults, in one process."""
    lines = "".join(json.dumps(list(values)) + "\n" for values in series)
    done = subprocess.run(
        [str(interpreter), "-c", _CODE, str(window)],
        input=lines,
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
