"""Run the tests of a Go module of ours."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.system import paths, processes
from pipeline.toolchain import go
from pipeline.toolchain.build import FLAGS
from pipeline.toolchain.programs import minimum_go


def go_tests(module: str, out: Path, *args: str, variables: Mapping[str, str] | None = None) -> str:
    """Return what the tests of a module said; they passed.

    Args:
        module: Its folder below `go/`.
        out: Existing folder for their log.
        args: Of `go test`, after those with which the module is built, so that what was compiled
            then is used again.
        variables: Of their environment.

    The test that asks fails with what they said if one of them failed.
    """
    chosen, log = go.find(minimum_go()), out / "go-test.log"
    try:
        processes.run(
            [str(chosen.path), "test", *FLAGS, *args],
            output=log,
            timeout_s=900,
            env={**dict(chosen.environment), **(variables or {})},
            cwd=paths.project_path("go", module),
        )
    except processes.CommandError as error:
        pytest.fail(f"{error}\n{_failures(log.read_text())}", pytrace=False)
    return log.read_text()


def _failures(log: str) -> str:
    """Return what failing tests said: before the first failure, as `-v` does, and after it."""
    first = max(0, log.find("--- FAIL") - 3000)
    return log[first : first + 8000]
