"""docs/howto/gke.md and its setup.sh, checked as far as a fake Google goes."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.environments.gke import compute
from pipeline.system.errors import Exit
from tests.google.commands import ACCOUNT
from tests.google.fake import PROJECT, ZONE, Google

ROOT = Path(__file__).parents[2]
HOWTO = (ROOT / "docs" / "howto" / "gke.md").read_text(encoding="utf-8")
SETUP = (ROOT / "docs" / "examples" / "gke" / "setup.sh").read_text(encoding="utf-8")


def typed() -> list[list[str]]:
    """Return every command of ours for a project, its variables filled in."""
    values = {"$PROJECT": PROJECT, "$ZONE": ZONE, "$NODES": ACCOUNT}
    lines = re.findall(r"^milo-perf (cluster .*--project .*)$", HOWTO, re.MULTILINE)
    return [[values.get(word, word) for word in shlex.split(line)] for line in lines]


def test_every_command_of_the_howto_is_carried_out(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = typed()
    assert {words[1] for words in commands} == {"create", "list", "delete", "sweep"}
    seen = []
    for words in commands:
        assert main.main(words) == Exit.NO_REGRESSION, words
        seen.append(sorted(name for _, name in cloud.clusters))
    assert seen == [[], ["milo-perf-by-hand"], ["milo-perf-by-hand"], [], [], []]
    assert "milo-perf-by-hand" in capsys.readouterr().out


def test_the_costs_of_the_howto_are_those_that_are_printed(
    cloud: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(typed()[0]) == Exit.NO_REGRESSION
    assert cloud.asked == []
    said = capsys.readouterr().out
    for what in (
        "management fee",
        "server: 2 x n2-standard-8",
        "load: 2 x n2-standard-4",
        "total",
    ):
        row = re.search(rf"\| {what}[^|]*\| ([0-9.]+) \|", HOWTO)
        assert row, what
        part = what.split(": 2 x ")[-1]
        printed = re.search(rf"{part}.* ([0-9.]+) USD/h", said)
        assert printed, what
        assert f"{float(printed[1]):.2f}" == row[1], what
    assert "in 3 h: 3.29 USD" in said
    assert "in 5 h: 5.49 USD" in said


def test_every_permission_that_the_code_names_is_in_the_setup() -> None:
    text = "".join(
        path.read_text() for path in (ROOT / "pipeline" / "environments" / "gke").glob("*.py")
    )
    named = set(re.findall(r'"(container\.[a-z]+\.[a-z]+)"', text))
    named |= {
        f"{part}.{verb}" for part in compute.PERMISSIONS.values() for verb in ("list", "delete")
    }
    assert len(named) >= 12
    (granted,) = re.findall(r"--permissions (\S+)", SETUP)
    assert named <= set(granted.split(","))
    for permission in granted.split(","):
        assert permission in SETUP.replace(granted, ""), permission


def test_the_variables_of_the_workflows_are_set_by_the_setup() -> None:
    texts = [
        (ROOT / ".github/workflows" / f"{name}.yml").read_text()
        for name in ("nightly-gke", "sweep")
    ]
    needed = set(re.findall(r"\$\{\{ vars\.(GKE_\w+) \}\}", "".join(texts)))
    assert len(needed) >= 6
    assert needed <= set(re.findall(r"gh variable set (GKE_\w+)", SETUP))
