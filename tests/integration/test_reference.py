"""The tests of the reference server, which are written in Go, on a real etcd."""

from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.subject import parse_spec
from tests.gotests import go_tests


@pytest.mark.real
@pytest.mark.measuring
def test_the_go_tests_of_the_reference_server_pass(tmp_path: Path) -> None:
    variables = {
        "ETCD_BIN": str(toolchain.program("etcd").path),
        "REFERENCE_BIN": str(toolchain.artifact(parse_spec("reference")).binary),
    }
    # Its servers mostly wait: twice as many as cores on the smallest machine that we test on.
    said = go_tests("reference", tmp_path, "-parallel=4", "./...", variables=variables)
    assert "ok  \tgithub.com/milo-os/milo-perf/reference/e2e" in said
    assert "FAIL" not in said
