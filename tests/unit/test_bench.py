"""A launch of a capacity is guarded while it is filled and probed."""

import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.model.capacity import CapacityQuestion, CountedResource
from pipeline.model.headroom import Headroom, HeadroomExhaustedError, remaining, require_reserves
from pipeline.model.limit import parse_limits
from pipeline.model.ports import Artifact, Program, ResourceUsage, Target
from pipeline.model.subject import Arm, Subject
from pipeline.runs.capacity.launcher import K6Launcher, growing_sizes
from pipeline.runs.capacity.search_loop import BudgetExhaustedError
from pipeline.system.errors import ConfigError, LoadError, SubjectDiedError

MUCH = Headroom(memory=10e9, memory_total=20e9, disk=50e9, files=20_000, open_files={"server": 50})


@dataclass
class FakeEnvironment:
    """Gives out a target whose server may be dead."""

    folder: Path
    died: str = ""
    is_up: bool = False

    @contextmanager
    def launch(self, artifacts: Mapping[Arm, Artifact], out: Path) -> Iterator[dict[Arm, Target]]:
        for name in ("ca", "token"):
            (self.folder / name).write_text(name)
        self.is_up = True
        yield {Arm.CANDIDATE: self.target()}
        self.is_up = False

    def target(self) -> Target:
        def check() -> None:
            if self.died:
                raise SubjectDiedError(self.died)

        return Target(
            url="https://127.0.0.1:1",
            ca_file=self.folder / "ca",
            token_file=self.folder / "token",
            admin_token_file=self.folder / "token",
            processes={"server": 1, "etcd": 2},
            metrics={},
            etcd_url="",
            check=check,
        )


def bench(folder: Path, *limits: str, k6: str = "time.sleep(60)") -> K6Launcher:
    program = folder / "k6"
    program.write_text(f"#!{sys.executable}\nimport sys, time\n{k6}\n")
    program.chmod(0o755)
    return K6Launcher(
        question=CapacityQuestion(
            CountedResource.PROJECTS, parse_limits(limits or ["db<1GB"]), 60, 5
        ),
        environment=FakeEnvironment(folder),
        artifact=Artifact(Subject("reference", "sha256:aa"), folder / "server"),
        k6=Program(program, "1.1.0", "sha256:00"),
        out=folder,
        deadline_s=time.monotonic() + 60,
        headroom=lambda _target: MUCH,
    )


def quiet(_what: str) -> None:
    pass


def test_a_limit_of_a_component_that_the_build_has_not_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"`memory\(manager\)<1GB`: the subject has no manager"),
        bench(tmp_path, "memory(manager)<1GB").launch(0),
    ):
        pass


def test_the_deadline_ends_a_filling(tmp_path: Path) -> None:
    late = replace(bench(tmp_path), deadline_s=time.monotonic() - 1)
    with late.launch(0) as launch, pytest.raises(BudgetExhaustedError):
        launch.measure(8, quiet)


def test_a_machine_that_gives_out_ends_a_filling(tmp_path: Path) -> None:
    small = replace(bench(tmp_path), headroom=lambda _target: replace(MUCH, memory=1e9))
    with (
        small.launch(0) as launch,
        pytest.raises(HeadroomExhaustedError, match=r"1\.0 GB of memory left"),
    ):
        launch.measure(8, quiet)


def test_a_server_that_dies_is_what_failed_and_no_error(tmp_path: Path) -> None:
    dying = bench(tmp_path)
    assert isinstance(dying.environment, FakeEnvironment)
    with dying.launch(0) as launch:
        dying.environment.died = "server of the candidate was killed by signal 9"
        measured = launch.measure(8, quiet)
    assert measured.failed == "server of the candidate was killed by signal 9"


def test_a_k6_that_fails_while_the_build_lives_is_an_error_that_says_where(tmp_path: Path) -> None:
    wrong = bench(tmp_path, k6="sys.exit(107)")
    with wrong.launch(3) as launch, pytest.raises(LoadError, match=r"launch 3, N = 8: .*107"):
        launch.measure(8, quiet)


def test_the_folder_of_an_interrupted_launch_is_made_anew(tmp_path: Path) -> None:
    left = tmp_path / "launches" / "003" / "private"
    left.mkdir(parents=True)
    with bench(tmp_path).launch(3) as launch:
        assert not left.exists()
        assert launch.remaining()["memory"] == 8e9


def test_a_limit_that_breaks_during_a_filling_ends_it(tmp_path: Path) -> None:
    full = replace(bench(tmp_path, "memory<1kB", "errors<1%"), sizes_s=0.05)
    with full.launch(0) as launch:
        launch.target = replace(launch.target, processes={"server": os.getpid()})
        began_s = time.monotonic()
        measured = launch.measure(8, quiet)
    assert time.monotonic() - began_s < 30  # the fake k6 fills for a minute
    assert set(measured.values) == {"memory"}
    assert measured.values["memory"] > 1e6
    assert not measured.failed


def test_a_limit_that_holds_does_not_end_a_filling(tmp_path: Path) -> None:
    roomy = bench(tmp_path, "memory<100GB", k6="time.sleep(0.5); sys.exit(107)")
    with replace(roomy, sizes_s=0.05).launch(0) as launch:
        launch.target = replace(launch.target, processes={"server": os.getpid()})
        with pytest.raises(LoadError, match="107"):
            launch.measure(8, quiet)


def test_files_in_another_machine_cannot_have_a_limit(tmp_path: Path) -> None:
    elsewhere = bench(tmp_path, "files(server)<1000")
    target = replace(
        FakeEnvironment(tmp_path).target(), processes={}, metrics={"server": "http://x"}
    )
    fake = FakeEnvironment(tmp_path)
    fake.target = lambda: target  # type: ignore[method-assign]
    with (
        pytest.raises(ConfigError, match="open files of a process in another machine"),
        replace(elsewhere, environment=fake).launch(0),
    ):
        pass


def test_sizes_of_containers_come_from_the_kubelet(tmp_path: Path) -> None:
    def usage() -> dict[str, ResourceUsage]:
        return {"server": ResourceUsage(0.0, 1.0, 3_000), "etcd": ResourceUsage(0.0, 1.0, 500)}

    target = replace(FakeEnvironment(tmp_path).target(), processes={}, usage=usage)
    wanted = ("memory", "memory(server)", "p99(get)", "cpu(server)")
    assert growing_sizes(target, wanted) == {"memory": 3_500, "memory(server)": 3_000}


def test_a_machine_elsewhere_has_no_bound_of_memory_here() -> None:
    elsewhere = replace(MUCH, memory=math.inf, memory_total=0.0)
    assert set(remaining(elsewhere)) == {"db", "files(server)"}
    require_reserves(elsewhere)
