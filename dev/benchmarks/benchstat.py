"""Benchstat, built by name, on the same numbers as ours, many comparisons at once."""

import csv
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.benchmarks.known import Values
from pipeline.system import paths as files
from pipeline.toolchain import go

VERSION = "v0.0.0-20260908200009-22c9c6c9d4da"
_GO = "1.25"
_MODULE = f"golang.org/x/perf/cmd/benchstat@{VERSION}"


@dataclass(frozen=True, slots=True)
class Said:
    """What benchstat says of one comparison.

    Attributes:
        p: Two-sided, to three digits after the point.
        wide: Half of the interval of the median, before and after, such as `3%`.
        is_worse: Whether it prints that the second is slower.
    """

    p: float
    wide: tuple[str, str]
    is_worse: bool


def install() -> Path:
    """Return the program, built once and kept beside our other tools."""
    folder = files.cache() / "bin" / f"benchstat-{VERSION}"
    program = folder / "benchstat"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        found = go.find(_GO)
        environment = {**os.environ, **dict(found.environment), "GOBIN": str(folder)}
        subprocess.run([str(found.path), "install", _MODULE], env=environment, check=True)
    return program


def compare(rows: Mapping[str, tuple[Values, Values]]) -> dict[str, Said]:
    """Return benchstat's result for each pair of groups, at its default alpha.

    Args:
        rows: Values before and after, where less is better, by a name without white space.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("before.txt", "after.txt")]
        for at, path in enumerate(paths):
            path.write_text(
                "".join(
                    f"Benchmark{name} 1 {value:.9g} ns/op\n"
                    for name, both in rows.items()
                    for value in both[at]
                )
            )
        return read(paths[0], paths[1])


def read(before: Path, after: Path, *options: str) -> dict[str, Said]:
    """Return benchstat's results for the times in two files of Go benchmarks, by benchmark."""
    command = [str(install()), "-format", "csv", *options, str(before), str(after)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, unit = {}, ""
    for line in csv.reader(done.stdout.splitlines()):
        if line and not line[0] and len(line) > 2 and line[2] == "CI":
            unit = line[1]
        elif len(line) == 7 and line[6].startswith("p=") and unit == "sec/op":
            p = float(line[6].split()[0].removeprefix("p="))
            found[line[0]] = Said(p, (line[2], line[4]), line[5].startswith("+"))
    return found
