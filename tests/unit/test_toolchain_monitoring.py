"""A Prometheus is found, or it is said how to get one; the rules say what is known."""

from pathlib import Path

import pytest

from pipeline.model.health import Check, Status
from pipeline.system import paths as files
from pipeline.system import processes
from pipeline.system.errors import Exit, LoadError
from pipeline.toolchain import doctor
from pipeline.toolchain.programs import prometheus


def write(folder: Path, name: str, says: str = "{name}, version 2.42.0+ds (branch: x)") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says.format(name=name)}'\n")
    path.chmod(0o755)
    return path


def monitoring_checks() -> list[Check]:
    return [check for check in doctor.checks() if check.name in ("prometheus", "promtool")]


def test_prometheus_bin_wins_and_promtool_is_the_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path, name) for name in ("prometheus", "promtool")]
    monkeypatch.setenv("PROMETHEUS_BIN", str(paths[0]))
    found = [prometheus(), prometheus("promtool")]
    assert [one.path for one in found] == paths
    assert {one.version for one in found} == {"2.42.0+ds"}
    assert all(one.digest.startswith("sha256:") for one in found)
    assert [check.status for check in monitoring_checks()] == [Status.OK, Status.OK]


def test_without_prometheus_bin_it_is_the_first_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "prometheus")
    monkeypatch.delenv("PROMETHEUS_BIN", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert prometheus().path == path


def test_where_there_is_none_it_is_said_how_to_get_one_and_only_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match="no prometheus on the path") as caught:
        prometheus()
    assert caught.value.exit_code is Exit.WRONG_LOAD
    assert "apt-get install prometheus" in caught.value.hint
    found = monitoring_checks()
    assert [check.name for check in found] == ["prometheus", "promtool"]
    assert {check.status for check in found} == {Status.WARNING}


@pytest.mark.parametrize(
    ("says", "message"),
    [
        pytest.param("k6 v1.1.0", "does not answer like prometheus", id="something else"),
        pytest.param(None, "is not an executable file", id="not there"),
    ],
)
def test_a_prometheus_bin_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str | None, message: str
) -> None:
    if says:
        write(tmp_path, "prometheus", says)
    monkeypatch.setenv("PROMETHEUS_BIN", str(tmp_path / "prometheus"))
    with pytest.raises(LoadError, match=message):
        prometheus()


def test_the_recording_rules_say_what_is_known_of_known_counters(tmp_path: Path) -> None:
    try:
        program = prometheus("promtool")
    except LoadError as error:
        pytest.skip(str(error))
    for arguments in (
        ("check", "rules", str(files.project_path("cl2_configs", "prometheus", "rules.yml"))),
        ("test", "rules", str(Path(__file__).parents[1] / "prometheus" / "rules.yml")),
    ):
        processes.run(
            [str(program.path), *arguments],
            output=tmp_path / "promtool.log",
            timeout_s=60,
        )
    assert "SUCCESS" in (tmp_path / "promtool.log").read_text()
