"""A leak of known size is found by a soak, from the command to the answer, on real parts."""

import json
import signal
from pathlib import Path

import jsonschema
import pytest

from pipeline.model.soak import GrowthVerdict, Soak, SoakEnd
from pipeline.storage import codec
from pipeline.system.errors import Exit
from tests.running import Command, finished, nothing_is_left, until

pytestmark = [pytest.mark.real, pytest.mark.measuring]


def known(out: Path) -> Soak:
    return codec.SOAK.read(out / "soak.json")


def test_a_leak_is_found_and_an_interrupted_soak_goes_on(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    candidate = "reference?leak-project-goroutines=30"
    soak = ("soak", "--candidate", candidate, "--projects", 1, "--objects", 1, "--seed", 1)
    process = command(*soak, "--for", "10m", "--limit", "ready<60s", "--out", out)
    until(lambda: (out / "soak.json").is_file() and len(known(out).cycles) >= 2, process)
    process.send_signal(signal.SIGINT)
    finished(process, Exit.INTERRUPTED)
    assert nothing_is_left(tmp_path, out)
    before = known(out)
    assert before.ended is None

    process = command("soak", "--resume", out, "--for", "70s", "--strict", "--json")
    stdout, _ = finished(process, Exit.REGRESSION)
    found = known(out)
    assert json.loads(stdout) == json.loads((out / "soak.json").read_text())
    jsonschema.validate(json.loads(stdout), codec.schemas()["soak-1.schema.json"])
    assert found.cycles[: len(before.cycles)] == before.cycles
    assert found.cycles[-1].launch == 1
    assert found.ended is SoakEnd.TIME
    leak = found.growth["goroutines(server)"]
    assert leak.verdict is GrowthVerdict.LEAK
    assert leak.low < 30 < leak.high
    assert found.growth["keys"].verdict is GrowthVerdict.PLATEAU
    assert "goroutines(server): leak" in (out / "soak.svg").read_text()
    assert "goroutines(server)" in (out / "soak.txt").read_text()
    assert nothing_is_left(tmp_path, out)
