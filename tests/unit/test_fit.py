"""A run that a machine cannot carry is refused before it starts, and is told what would fit."""

import dataclasses
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.headroom import Headroom
from pipeline.model.request import RunRequest
from pipeline.model.results import Interleave
from pipeline.model.sizing import (
    MILO_SEPARATE,
    MILO_SHARED,
    REFERENCE,
    ObjectCounts,
    estimate,
    footprint,
    most_projects,
    object_counts,
    shortfalls,
)
from pipeline.model.subject import Product, Spec, parse_spec
from pipeline.runs import preflight, request, run, suite_file
from pipeline.runs.plan import Plan
from pipeline.system.errors import ConfigError, Exit

PLENTY = Headroom(memory=1e12, memory_total=1e12, disk=1e12, files=1e6)
SUITE = """
name = "large"
description = "many Projects in two workloads"
pairs = 5
[environment]
kind = "local"
"""
WORKLOAD = """
[[workload]]
name = "fill-{number}"
metric = [ {{ name = "x", select = "requests", unit = "1", better = "lower", margin = 0.1 }} ]
[workload.driver]
kind = "k6"
script = "object_fill.js"
iterations = 10
duration_s = 10
projects = {projects}
objects = {objects}
object_bytes = 10000
"""


def plan(
    tmp_path: Path,
    product: Product = Product.MILO,
    interleave: Interleave = Interleave.REQUEST,
    projects: int = 100,
    objects: int = 50,
) -> Plan:
    path = tmp_path / "large.toml"
    workloads = (
        WORKLOAD.format(number=number, projects=projects, objects=objects) for number in (1, 2)
    )
    path.write_text(SUITE + "".join(workloads))
    return Plan(suite_file.load(path).suite.of(product), 5, interleave, 1)


OLD, NEW, UNKNOWN = (
    parse_spec(text)
    for text in ("source:milo@v0.29.3", "source:milo@v0.30.0", "binary:/nonexistent/milo")
)


def refused(
    plan: Plan, specs: list[Spec], memory: float = 1e12, files: float = 1e6, disk: float = 1e12
) -> ConfigError:
    room = Headroom(memory, 1e12, disk, files)
    with pytest.raises(ConfigError, match="the suite large does not fit this machine") as caught:
        preflight.require(plan, specs, Path("out"), room)
    return caught.value


def test_projects_of_all_workloads_of_a_launch_add_up(tmp_path: Path) -> None:
    found = preflight.resource_estimate(plan(tmp_path), [NEW])
    half = preflight.resource_estimate(plan(tmp_path, projects=50), [NEW])
    # 200 Projects at 25 MB, and 20,000 objects of 10 kB, in each of two builds
    assert found.memory == pytest.approx(
        2 * (430e6 + 200 * 25e6 + 20_000 * (2e3 + 4 * 10_000)) + 200e6
    )
    assert half.memory < found.memory
    assert found.disk > 2 * 2 * 20_000 * 10_000


def test_both_builds_at_once_take_twice_the_memory_but_no_more_files_each(tmp_path: Path) -> None:
    duet, trial = (
        preflight.resource_estimate(plan(tmp_path, interleave=how), [OLD]) for how in Interleave
    )
    assert duet.memory - 200e6 == pytest.approx(2 * (trial.memory - 200e6))
    assert duet.files == trial.files == 57 + 200 * 60 + 100


def test_the_estimate_of_milo_is_what_was_measured() -> None:
    made = object_counts([(50, 100, 1000)])  # 10,000 objects of 1,000 bytes in 50 Projects
    assert made == ObjectCounts(50, 10_000, 10e6)
    found = estimate(made, MILO_SHARED, Interleave.TRIAL, 0).memory - 200e6
    assert found == pytest.approx(1733e6, rel=0.05)
    assert estimate(
        ObjectCounts(5, 0, 0), MILO_SEPARATE, Interleave.TRIAL, 0
    ).files == pytest.approx(332 + 100, rel=0.1)


def test_a_suite_that_fits_is_not_refused(tmp_path: Path) -> None:
    preflight.require(plan(tmp_path), [OLD, NEW], Path("out"), PLENTY)


def test_too_little_memory_says_how_much_is_missing_and_what_would_fit(tmp_path: Path) -> None:
    error = refused(plan(tmp_path), [NEW], memory=9e9)
    assert "memory: a launch needs about 12.7 GB, and 9.0 GB are available, 3.7 GB too few" in str(
        error
    )
    assert error.hint == (
        "135 of its 200 Projects would fit;"
        " with --interleave trial it fits: one build is up at a time"
    )
    room = dataclasses.replace(PLENTY, memory=9e9)
    preflight.require(plan(tmp_path, projects=67), [NEW], Path("out"), room)


def test_too_few_files_say_how_many_are_missing_and_what_would_fit(tmp_path: Path) -> None:
    error = refused(plan(tmp_path), [NEW, OLD], files=10_000)
    assert (
        "open files: a process opens about 12,157, and 10,000 is the limit (`ulimit -Hn`),"
        " 2,157 too few"
    ) in str(error)
    assert error.hint == "164 of its 200 Projects would fit"


def test_too_little_disk_says_how_much_is_missing(tmp_path: Path) -> None:
    error = refused(plan(tmp_path), [NEW], disk=0.5e9)
    assert "disk: the run needs about 0.9 GB, and 0.5 GB are free, 0.4 GB too few" in str(error)
    assert "of its 200 Projects would fit" in error.hint
    assert "--interleave trial" in error.hint


def test_everything_that_does_not_fit_is_said_at_once(tmp_path: Path) -> None:
    said = str(refused(plan(tmp_path), [OLD], memory=1e8, files=50, disk=1e3))
    assert all(word in said for word in ("memory: ", "open files: ", "disk: "))


def test_a_machine_without_room_for_two_builds_at_all_is_told_so(tmp_path: Path) -> None:
    error = refused(plan(tmp_path), [NEW], memory=1e8)
    assert error.hint == "use a larger machine, or a smaller suite"
    assert refused(plan(tmp_path, projects=0), [NEW], memory=1e8).hint == error.hint


def test_the_largest_number_that_fits_is_exact() -> None:
    room = dataclasses.replace(PLENTY, memory=5e9)
    made = object_counts([(200, 50, 10_000)])
    most = most_projects(made, MILO_SHARED, Interleave.REQUEST, 0, room)
    for projects, expected in ((most, True), (most + 1, False)):
        taken = estimate(
            object_counts([(projects, 50, 10_000)]), MILO_SHARED, Interleave.REQUEST, 0
        )
        assert (not shortfalls(taken, room)) is expected


HERD = """
[[workload]]
name = "watch-herd"
metric = [ {{ name = "x", select = "requests", unit = "1", better = "lower", margin = 0.1 }} ]
[workload.driver]
kind = "watch-herd"
watches = {watches}
rate = 1
projects = 10
duration_s = 10
"""


def watching(tmp_path: Path, watches: int) -> Plan:
    path = tmp_path / "large.toml"
    path.write_text(SUITE + HERD.format(watches=watches))
    suite = suite_file.load(path).suite.of(Product.REFERENCE)
    return Plan(suite, 5, Interleave.REQUEST, 1)


@pytest.mark.parametrize(
    ("room", "said", "most"),
    [
        pytest.param({"files": 1024}, "a process opens about 2,100, and 1,024", 46_200, id="files"),
        pytest.param({"memory": 12e9}, "memory: a launch needs about 30.", 37_600, id="memory"),
    ],
)
def test_watches_that_a_machine_cannot_hold_are_refused_with_the_number_that_fits(
    tmp_path: Path, room: dict[str, float], said: str, most: int
) -> None:
    reference = [parse_spec("reference")]
    error = refused(watching(tmp_path, 100_000), reference, **room)
    assert said in str(error)
    assert f"{most:,} of its 100,000 watches would fit" in error.hint
    headroom = Headroom(room.get("memory", 1e12), 1e12, 1e12, room.get("files", 1e6))
    preflight.require(watching(tmp_path, most), reference, Path("out"), headroom)


def herd_in_pods(tmp_path: Path, kind: str, pods: int, watches: int = 20) -> Plan:
    path = tmp_path / "large.toml"
    text = SUITE.replace('kind = "local"', f'kind = "{kind}"\nload_pods = {pods}')
    path.write_text(text + HERD.format(watches=watches))
    return request.resolve_plan(RunRequest(suite=f"{path}", candidate="reference"))[1]


def test_more_pods_than_projects_are_refused(tmp_path: Path) -> None:
    said = "20 watches over 10 Projects can be divided over at most 10 load pods, and .* has 11"
    with pytest.raises(ConfigError, match=said) as caught:
        herd_in_pods(tmp_path, "kind", 11)
    assert "--load-pods 10" in caught.value.hint
    assert caught.value.exit_code is Exit.BAD_ARGUMENTS
    herd_in_pods(tmp_path, "kind", 10)


@pytest.mark.parametrize("kind", ["kind", "remote"])
def test_watches_of_pods_need_no_files_of_this_machine(tmp_path: Path, kind: str) -> None:
    reference = [parse_spec("reference")]
    found, none = (
        preflight.resource_estimate(herd_in_pods(tmp_path, kind, 10, watches), reference)
        for watches in (100_000, 20)
    )
    # Of a cluster on this machine, an API server still has the connections of all watches.
    assert found.files - none.files == (999 if kind == "kind" else 0)
    assert (found.memory > none.memory) is (kind == "kind")


def test_pods_without_memory_for_their_watches_are_refused_with_the_number_that_suffices(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        preflight.require(herd_in_pods(tmp_path, "remote", 4, 50_000), [], tmp_path, PLENTY)
    assert str(caught.value) == (
        "watch-herd: each of 4 load pods needs about 1,700 MB for its share of 50,000 watches,"
        " and has 1,074 MB"
    )
    assert caught.value.hint == (
        "use --load-pods 10, or raise `memory_mib` in [environment.load.resources]"
    )
    preflight.require(herd_in_pods(tmp_path, "remote", 10, 50_000), [], tmp_path, PLENTY)
    with pytest.raises(ConfigError) as caught:
        preflight.require(herd_in_pods(tmp_path, "remote", 4, 100_000), [], tmp_path, PLENTY)
    assert caught.value.hint == "raise `memory_mib` in [environment.load.resources]"


def test_a_build_of_unknown_version_is_not_refused_for_what_only_old_ones_take(
    tmp_path: Path,
) -> None:
    room = dataclasses.replace(PLENTY, files=10_000)
    preflight.require(plan(tmp_path), [UNKNOWN], Path("out"), room)
    assert footprint(Product.MILO, is_shared=None) == MILO_SHARED
    assert footprint(Product.REFERENCE, is_shared=None) == REFERENCE


def test_the_version_is_told_by_a_revision_or_by_a_flag_in_the_binary(tmp_path: Path) -> None:
    def said(content: bytes) -> bool | None:
        path = tmp_path / f"milo-{len(content)}"
        path.write_bytes(content)
        return toolchain.shares_etcd_connections(parse_spec(f"binary:{path}"))

    assert said(b"\0--shared-etcd-client-pool-size\0") is True
    assert said(b"\0--etcd-servers\0") is False
    assert said(b"") is None
    assert toolchain.shares_etcd_connections(OLD) is False
    assert toolchain.shares_etcd_connections(NEW) is True
    assert toolchain.shares_etcd_connections(parse_spec("source:milo@main")) is None
    assert toolchain.shares_etcd_connections(parse_spec("reference")) is None
    assert toolchain.shares_etcd_connections(UNKNOWN) is None


def test_plan_and_run_refuse_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> None:
        pytest.fail("something was built or started")

    small = dataclasses.replace(PLENTY, memory=1e8)
    monkeypatch.setattr(toolchain, "headroom", lambda _out: small)
    monkeypatch.setattr(toolchain, "artifact", nothing)
    asked = RunRequest("smoke", "reference", against="reference")
    with pytest.raises(ConfigError, match="the suite smoke does not fit"):
        request.preview(asked)
    with pytest.raises(ConfigError, match="the suite smoke does not fit") as caught:
        run.run(asked, tmp_path / "out")
    assert caught.value.exit_code == Exit.BAD_ARGUMENTS
    assert not (tmp_path / "out").exists()
