"""k6 is the one that was asked for, and whole; a machine is described without its name."""

import socket
from pathlib import Path

import pytest

from pipeline.system.errors import Exit, LoadError
from pipeline.toolchain import own_version, programs, read_machine
from pipeline.toolchain.machine import cpu_model, steal_share
from pipeline.toolchain.programs import clusterloader2, k6


def write_k6(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{path.name} v{version} (commit/0, go1.24.4, linux/amd64)'\n")
    path.chmod(0o755)
    return path


def test_k6_bin_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_k6(tmp_path / "my-k6", "1.4.2")
    monkeypatch.setenv("K6_BIN", str(path))
    found = k6()
    assert (found.path, found.version) == (path, "1.4.2")
    assert found.digest.startswith("sha256:")


@pytest.mark.parametrize("name", ["k6", "k6-v2", "k6-v0.9.0-linux-amd64", "k6-v3.0.0"])
@pytest.mark.parametrize("version", ["1.0.0", "1.8.1", "2.0.0-rc1", "2.2.0"])
def test_k6_1_and_2_are_told_by_their_version_and_not_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    monkeypatch.setenv("K6_BIN", str(write_k6(tmp_path / name, version)))
    assert k6().version == version


def test_a_k6_bin_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K6_BIN", str(tmp_path / "nothing"))
    with pytest.raises(LoadError, match="K6_BIN") as caught:
        k6()
    assert caught.value.exit_code is Exit.WRONG_LOAD


def test_a_k6_bin_that_cannot_be_executed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_k6(tmp_path / "k6", "1.4.2")
    path.chmod(0o644)
    monkeypatch.setenv("K6_BIN", str(path))
    with pytest.raises(LoadError, match="K6_BIN"):
        k6()


@pytest.mark.parametrize("version", ["0.57.0", "0.9.9"])
def test_an_old_k6_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("K6_BIN", str(write_k6(tmp_path / "k6", version)))
    with pytest.raises(LoadError, match=r"1\.0 is the oldest"):
        k6()


def test_what_does_not_answer_like_k6_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K6_BIN", "/bin/false")
    with pytest.raises(LoadError, match="does not answer like k6"):
        k6()


def test_without_k6_bin_it_is_the_installed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K6_BIN", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert k6().version == "1.1.0"


def test_a_changed_k6_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    changed = write_k6(tmp_path / "k6", "1.1.0")
    with pytest.raises(LoadError, match=r"not the k6 1\.1\.0 that was published"):
        programs.verify_k6(changed, "1.1.0")


def test_etcd_is_of_the_version_that_the_module_names() -> None:
    assert programs.recipe("etcd").title == "etcd 3.6.16"


def test_our_own_digest_is_of_the_code() -> None:
    assert own_version() == own_version()
    assert own_version().digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        pytest.param(
            "model name\t: Intel(R) Xeon(R) CPU E5-2673 v4 @ 2.30GHz\ncpu MHz\t: 2294.6\n",
            "Intel(R) Xeon(R) CPU E5-2673 v4",
            id="Intel, with its speed",
        ),
        pytest.param(
            "model name\t: AMD EPYC 7763 64-Core Processor\n",
            "AMD EPYC 7763 64-Core Processor",
            id="AMD",
        ),
        pytest.param(
            "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "part 0x41/0xd0c", id="Arm, by number"
        ),
        pytest.param("", "unknown", id="nothing"),
    ],
)
def test_the_cpu_model_has_no_speed(cpuinfo: str, expected: str) -> None:
    assert cpu_model(cpuinfo) == expected


def test_a_machine_is_described_the_same_twice_and_without_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = read_machine()
    assert found.fingerprint == read_machine().fingerprint
    assert set(found.fingerprint) == {
        *("cpu", "architecture", "logical cpus", "memory", "os", "kernel")
    }
    assert all([*found.fingerprint.values(), *found.facts.values()])
    assert "load" in found.facts
    assert socket.gethostname() not in {*found.fingerprint.values(), *found.facts.values()}


def test_steal_is_a_share_of_the_time_that_passed() -> None:
    assert steal_share((1.0, 100.0), (2.0, 120.0)) == pytest.approx(0.05)
    assert steal_share((1.0, 100.0), (1.0, 100.0)) == 0.0


def write_cl2(path: Path, content: bytes = b"\x7fELF k8s.io/perf-tests/clusterloader2/cmd") -> Path:
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_clusterloader2_bin_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cl2(tmp_path / "my-cl2")
    monkeypatch.setenv("CLUSTERLOADER2_BIN", str(path))
    found = clusterloader2()
    assert (found.path, found.version) == (path, "unknown")
    assert found.digest.startswith("sha256:")


def test_clusterloader2_on_the_path_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTERLOADER2_BIN", raising=False)
    path = write_cl2(tmp_path / "clusterloader2")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert clusterloader2().path == path


def test_without_clusterloader2_the_hint_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTERLOADER2_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match="CLUSTERLOADER2_BIN") as caught:
        clusterloader2()
    assert caught.value.exit_code is Exit.WRONG_LOAD
    assert "go build -o clusterloader2 ./cmd" in caught.value.hint


@pytest.mark.parametrize(
    "content", [pytest.param(b"", id="empty"), pytest.param(b"\x7fELF", id="another program")]
)
def test_a_clusterloader2_that_is_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("CLUSTERLOADER2_BIN", str(write_cl2(tmp_path / "it", content)))
    with pytest.raises(LoadError, match="is not ClusterLoader2"):
        clusterloader2()


def test_a_clusterloader2_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERLOADER2_BIN", str(tmp_path / "nothing"))
    with pytest.raises(LoadError, match="not an executable file"):
        clusterloader2()
