"""benchstat, built from its pinned module, reads what we write, and finds what we found."""

import csv
import io
from pathlib import Path

import pytest

from pipeline.judge import policy
from pipeline.model.results import Cutoff
from pipeline.render.benchfmt import benchfmt
from pipeline.render.exports import of_report
from pipeline.system import processes
from pipeline.toolchain import go
from tests import pages
from tests.unit.test_exports import with_bounds

MODULE = Path(__file__).parents[1] / "benchstat"


@pytest.fixture(scope="module")
def benchstat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program; the packages that it needs are fetched once, and compiled once."""
    found = go.find_local(go.minimum_version(MODULE))
    if found is None:
        pytest.skip("there is no Go to build benchstat with")
    folder = tmp_path_factory.mktemp("benchstat")
    processes.run(
        [
            *(str(found.path), "build", "-trimpath", "-buildvcs=false"),
            *("-o", str(folder / "benchstat"), "golang.org/x/perf/cmd/benchstat"),
        ],
        output=folder / "build.log",
        timeout_s=600,
        env=dict(found.environment),
        cwd=MODULE,
    )
    return folder / "benchstat"


def rows(benchstat: Path, tmp_path: Path, text: str) -> dict[tuple[str, str], list[str]]:
    """Return the rows of benchstat's tables by unit and benchmark; it had nothing to warn of."""
    (tmp_path / "run.txt").write_text(text, encoding="utf-8")
    output = tmp_path / "out.csv"
    processes.run(
        [str(benchstat), "-col", "arm", "-format", "csv", str(tmp_path / "run.txt")],
        output=output,
        timeout_s=60,
    )
    said = output.read_text(encoding="utf-8")
    assert "run.txt:" not in said, said  # its syntax errors
    unit, found = "", {}
    for row in csv.reader(io.StringIO(said)):
        if len(row) > 2 and row[2] == "CI":
            unit = row[1]
        elif len(row) > 2 and row[0] not in ("", "geomean"):
            found[unit, row[0]] = row
    return found


def test_benchstat_finds_the_regression_and_the_improvement(
    benchstat: Path, tmp_path: Path
) -> None:
    report = policy.report(pages.measured(7, invalid=None))
    found = rows(benchstat, tmp_path, benchfmt(of_report(report)))
    assert len(found) == len(report.findings)
    slower = found["sec/op", "Object-crud/create_p50"]
    assert slower[5].startswith("+31"), slower
    assert found["B/op", "Object-crud/server_memory"][5].startswith("-17")
    assert found["op/s", "Object-crud/rate"][5] == "~"
    assert "n=7" in slower[6]


def test_hostile_names_and_lower_bounds_are_read_too(benchstat: Path, tmp_path: Path) -> None:
    report, _ = pages.hostile()
    assert len(rows(benchstat, tmp_path, benchfmt(of_report(report)))) == len(report.findings)
    cut = with_bounds(pages.measured(), "create_p50", Cutoff.AT_LEAST)
    text = benchfmt(of_report(policy.report(cut)))
    assert "# object-crud/create_p50: 4 lower bounds of the candidate" in text
    assert rows(benchstat, tmp_path, text)["sec/op", "Object-crud/create_p50"][5].startswith("+31")
