"""Where ClusterLoader2 finds a server, and what cannot be told apart."""

from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2.endpoint import open_endpoints
from pipeline.model.ports import Program
from pipeline.model.subject import Arm
from pipeline.system.errors import ConfigError, LoadError
from tests.loopback import target
from tests.unit.test_monitoring import programs

NOTHING = {"gateway": Program(Path("/nonexistent"), "1", "sha256:00")}


def test_one_prometheus_is_not_asked_about_two_builds(tmp_path: Path) -> None:
    both = dict.fromkeys(Arm, target("https://127.0.0.1:1"))
    with (
        pytest.raises(ConfigError, match="the sum of them") as caught,
        open_endpoints(both, tmp_path, NOTHING, "http://prometheus:9090"),
    ):
        pytest.fail("it is opened")
    assert "{arm}" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_each_build_has_a_prometheus_of_its_own(tmp_path: Path) -> None:
    both = dict.fromkeys(Arm, target("https://127.0.0.1:1"))
    out = tmp_path / "out"
    (tmp_path / "bin").mkdir()
    with (
        pytest.raises(LoadError, match=r"127\.0\.0\.1:1/for-"),  # there is none
        open_endpoints(both, out, programs(tmp_path), "http://127.0.0.1:1/for-{arm}"),
    ):
        pytest.fail("it is opened")
    (said,) = [log.read_text() for log in out.rglob("gateway.log")]
    assert f"--prometheus=http://127.0.0.1:1/for-{next(iter(Arm))}" in said
