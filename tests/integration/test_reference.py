"""The tests of the reference server, which are written in Go, on a real etcd."""

from pathlib import Path

import pytest

from pipeline import files, proc, toolchain
from pipeline.errors import LaunchError
from pipeline.model.subject import parse_spec
from pipeline.toolchain import go
from pipeline.toolchain.programs import needed


@pytest.mark.real
def test_the_go_tests_of_the_reference_server_pass(tmp_path: Path) -> None:
    chosen = go.find(needed())
    variables = {
        **dict(chosen.environment),
        "ETCD_BIN": str(toolchain.etcd().path),
        "REFERENCE_BIN": str(toolchain.reference(parse_spec("reference")).binary),
    }
    proc.run(
        # The flags are those of the build, so that what it compiled is used again.
        [str(chosen.path), "test", "-trimpath", "-buildvcs=false", "./..."],
        output=tmp_path / "go-test.log",
        timeout_s=900,
        error=LaunchError,
        env=variables,
        cwd=files.ours("reference"),
    )

    said = (tmp_path / "go-test.log").read_text()
    assert "ok  \tgithub.com/milo-os/milo-perf/reference/e2e" in said
    assert "FAIL" not in said
