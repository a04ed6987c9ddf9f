"""How much a build holds, from the command to the answer, on real parts."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from pipeline.model.capacity import Capacity, SearchEnd
from pipeline.storage import codec
from pipeline.system.errors import Exit
from tests.running import Command, finished, nothing_is_left, until

pytestmark = [pytest.mark.real, pytest.mark.measuring]
QUICK = ("--candidate", "reference", "--hold", "3s", "--rate", "10", "--seed", "1")


def known(out: Path) -> Capacity:
    return codec.CAPACITY.read(out / "capacity.json")


def has_steps(out: Path, count: int) -> Callable[[], bool]:
    return lambda: (out / "capacity.json").is_file() and len(known(out).steps) >= count


def test_the_edge_of_a_limit_is_found_and_everything_is_left_in_the_folder(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command(
        *("capacity", "projects", "--start", 4, "--json"),
        *("--limit", "goroutines(server)<1250", "--limit", "errors<1%", "--limit", "ready<60s"),
        *("--budget", "60s", "--out", out, *QUICK),
    )
    stdout, _ = finished(process, Exit.NO_REGRESSION)
    body, found = json.loads(stdout), known(out)

    jsonschema.validate(body, codec.schemas()["capacity-1.schema.json"])
    assert body == json.loads((out / "capacity.json").read_text())
    assert found.ended in (SearchEnd.FOUND, SearchEnd.BUDGET)
    assert found.answer.first == ("goroutines(server)",)
    assert found.answer.broke is not None
    assert 0 < found.answer.held < found.answer.broke <= 2 * found.answer.held
    for step in found.steps:
        assert step.values["memory"] > step.values["memory(server)"] > 1e7
        assert step.values["db"] > 1e4
        assert step.values["ready"] < 60
        assert step.values["errors"] == 0
    assert "goroutines(server)<1250" in (out / "capacity.txt").read_text()
    assert "<svg" in (out / "capacity.svg").read_text()
    assert nothing_is_left(tmp_path, out)


def test_objects_are_counted_in_each_project_and_a_budget_leaves_the_interval_open(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command(
        *("capacity", "objects", "--limit", "db<50GB", "--start", 10, "--projects", 2),
        *("--object-bytes", 2000, "--budget", "60s", "--out", out, *QUICK),
    )
    stdout, _ = finished(process, Exit.NO_REGRESSION)
    found = known(out)

    assert found.ended is SearchEnd.BUDGET
    assert found.answer.broke is None
    assert found.answer.held == found.steps[-1].n >= 20
    assert {step.launch for step in found.steps} == {0}
    assert stdout.startswith(f"AT LEAST {found.answer.held:,} objects in each Project")
    assert nothing_is_left(tmp_path, out)


def test_an_interrupted_search_leaves_nothing_running_and_goes_on_later(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command(
        *("capacity", "projects", "--limit", "files(server)<100000", "--start", 2),
        *("--budget", "60s", "--out", out, *QUICK),
    )
    until(has_steps(out, 1), process)
    process.send_signal(signal.SIGINT)
    _, stderr = finished(process, Exit.INTERRUPTED)
    before = known(out)

    assert f"capacity --resume {out}" in stderr
    assert before.ended is None
    assert nothing_is_left(tmp_path, out)

    finished(command("capacity", "--resume", out), Exit.NO_REGRESSION)
    after = known(out)
    assert after.steps[: len(before.steps)] == before.steps
    assert after.steps[len(before.steps)].n == 2 * before.steps[-1].n
    assert after.steps[len(before.steps)].launch == before.steps[-1].launch + 1
    assert after.ended is SearchEnd.BUDGET
    assert nothing_is_left(tmp_path, out)
