"""What is compared with what, when a person says little."""

from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.request import RunRequest
from pipeline.model.subject import Arm
from pipeline.runs.request import resolve
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError


@pytest.fixture(autouse=True)
def _no_milo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (toolchain.BINARY, toolchain.BASELINE_BINARY):
        monkeypatch.delenv(name, raising=False)


def compared(request: RunRequest) -> dict[Arm, str]:
    return {arm: str(spec) for arm, spec in resolve(request).specs.items()}


def test_milo_is_compared_with_the_binary_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(toolchain.BASELINE_BINARY, "/opt/milo-before")
    assert compared(RunRequest("pr", "binary:/opt/milo")) == {
        Arm.BASELINE: "binary:/opt/milo-before",
        Arm.CANDIDATE: "binary:/opt/milo",
    }


def test_the_newest_stored_baseline_of_milo_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "baselines", lambda: tmp_path)
    for name in ("milo-v0.9.0-pr", "milo-v0.30.0-pr", "milo-v0.31.0-smoke", "reference-pr"):
        (tmp_path / f"{name}.json").write_text("{}")
    with pytest.raises(BaselineError, match=r"milo-v0\.30\.0-pr"):
        compared(RunRequest("pr", "binary:/opt/milo"))


def test_milo_without_anything_to_compare_with_is_told_what_to_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "baselines", lambda: tmp_path)
    with pytest.raises(ConfigError, match="nothing to be compared with") as caught:
        compared(RunRequest("pr", "binary:/opt/milo"))
    assert "--against" in caught.value.hint


def test_two_products_are_not_compared() -> None:
    with pytest.raises(ConfigError, match="different products"):
        compared(RunRequest("pr", "binary:/opt/milo", against="reference"))
