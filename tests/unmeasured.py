"""Runs that measure nothing: no tools, no servers, no lock, and a machine without facts."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.environments.local import LocalSettings
from pipeline.model.results import Machine
from pipeline.runs import preflight, run
from pipeline.system import private_folder


def without_machine(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """Let a run start nothing; a test says what its pairs measure, and what its builds are."""

    @contextmanager
    def opened(*_: object) -> Iterator[None]:
        yield None

    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setattr(LocalSettings, "open", opened)
    monkeypatch.setattr(run, "driver_of", lambda *_: None)
    monkeypatch.setattr(preflight, "require", lambda *_: None)
    monkeypatch.setattr(private_folder, "measurement_lock", lambda _: nullcontext())
    monkeypatch.setattr(toolchain, "programs_of", lambda _: {})
    monkeypatch.setattr(toolchain, "machine_with", lambda *_: Machine({}, {}))
