"""An expander that does not do its work; what it does is in tests/integration/test_cl2_check.py."""

from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2.check import check
from pipeline.model.ports import Program
from pipeline.system.errors import LaunchError


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param("true", "does not print what a config expands to", id="says nothing"),
        pytest.param("false", "exited with 1", id="fails without a fault"),
        pytest.param("not-there", "is not there, or not executable", id="not there"),
    ],
)
def test_an_expander_that_does_not_work_is_no_wrong_config(
    tmp_path: Path, program: str, said: str
) -> None:
    with pytest.raises(LaunchError, match=said):
        check(tmp_path / "config.yaml", {}, Program(Path(program), "", ""))
