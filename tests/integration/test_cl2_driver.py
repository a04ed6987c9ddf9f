"""A load of ClusterLoader2 is applied, given up or refused as a whole, played by a stand-in."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.model.subject import Arm
from pipeline.system.errors import ConfigError, LoadError
from tests.cl2_bench import GOOD, Bench
from tests.loopback import Request, answering, values

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def server(bench: Bench) -> Iterator[str]:
    with answering(bench.answer) as url:
        yield url


def test_a_good_run_is_a_load_of_both_arms(bench: Bench, server: str) -> None:
    load = bench.load(GOOD, server)

    assert load.invalid == ()
    assert set(load.readings) == set(Arm)
    found = values(load.readings[Arm.CANDIDATE])
    assert found["cl2.rate"] == pytest.approx(20)
    assert found["cl2.timer{label=total}"] == 1.0
    assert found["cl2.availability_share"] == 1.0
    assert found["objects_created"] == 100


def test_in_projects_each_has_a_process_and_an_address_of_its_own(
    bench: Bench, server: str
) -> None:
    load = bench.load(GOOD, server, where="projects", projects=2, rate=40)

    assert load.invalid == ()
    folder = bench.folder / "out" / "candidate" / "1-object-crud"
    urls = [
        json.loads((one / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
        for one in sorted(folder.iterdir())
    ]
    names = [f"perf-00000007-project-{number}" for number in range(2)]
    assert urls == [f"{server}/projects/{name}/control-plane" for name in names]
    # 40 objects a second, half of them in each Project.
    assert values(load.readings[Arm.CANDIDATE])["cl2.rate"] == pytest.approx(40)


def test_projects_are_created_in_their_organization_where_milo_accepts_no_other_way(
    bench: Bench, server: str
) -> None:
    bench.needs_organization_path = True
    assert bench.load(GOOD, server, where="projects", projects=1, rate=20).invalid == ()
    folder = bench.folder / "out" / "candidate"
    urls = {
        path.parent.relative_to(folder).parts[0]: json.loads(path.read_text())["clusters"][0][
            "cluster"
        ]["server"].removeprefix(server)
        for path in folder.rglob("kubeconfig")
    }
    created = json.loads((folder / "0-projects" / "overrides.yaml").read_text())
    organizations = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations"
    assert urls == {
        "0-projects": f"{organizations}/milo-perf/control-plane",
        "1-object-crud": "/projects/perf-00000007-project-0/control-plane",
    }
    assert created["CL2_ORGANIZATION"] == "milo-perf"


def test_a_project_that_is_not_gone_in_time_is_a_lower_bound(bench: Bench) -> None:
    names = [{"metadata": {"name": "perf-00000007-project-0"}}]

    def answer(one: Request, _: bytes) -> None:
        one.say(json.dumps({"items": names if one.path.endswith("/projects") else []}))

    with answering(answer) as url:
        code = "report(case(2, 'delete projects', 1)); timer(); available()\n"
        settings = {"config": "project-lifecycle", "projects": 2, "objects": 0, "gone_s": 0.5}
        load = bench.load(code, url, **settings)
    assert load.invalid == ()
    assert load.failed == {}
    readings = load.readings[Arm.BASELINE]
    assert values(readings)["projects_deleted"] == 1
    assert values(readings)["projects_never_gone"] == 1
    assert {one.name for one in readings if one.at_least} == {"span"}


def test_a_process_that_does_not_start_says_why(bench: Bench, server: str) -> None:
    with pytest.raises(LoadError, match="exited with 1 before its first step") as caught:
        bench.load("sys.exit('F1125 Test compilation failed: no such file')\n", server)
    assert "Test compilation failed" in caught.value.hint


def test_a_killed_process_is_told(bench: Bench, server: str) -> None:
    with pytest.raises(LoadError, match="was killed by signal 9"):
        bench.load("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", server)


def test_success_without_a_report_that_was_asked_for_does_not_count(
    bench: Bench, server: str
) -> None:
    load = bench.load("report(create); available(); print('Status: Success')\n", server)
    assert len(load.invalid) == 2  # one of each arm
    assert "no report of Timer" in load.invalid[0]


def test_a_failed_step_is_a_failure_of_the_build(bench: Bench, server: str) -> None:
    code = "report(create, case(3, 'delete objects', 1, 'timed out')); timer(); available()\n"
    load = bench.load(code + "sys.exit(1)\n", server)
    assert load.invalid == ()
    assert set(load.failed) == set(Arm)
    assert "the step of `delete objects` failed: timed out" in load.failed[Arm.CANDIDATE]
    assert load.readings == dict.fromkeys(Arm, ())


def test_a_process_that_does_not_end_is_a_failure_of_the_build(
    bench: Bench, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterLoader2, "longest_s", 2.0)
    load = bench.load("import time; time.sleep(60)\n", server, objects=5)
    assert set(load.failed) == set(Arm)
    assert "it had not ended after" in load.failed[Arm.BASELINE]


def test_a_report_that_is_cut_off_is_an_error(bench: Bench, server: str) -> None:
    cut = GOOD + "path = out / 'junit.xml'; path.write_text(path.read_text()[:-30])\n"
    with pytest.raises(LoadError, match=r"junit\.xml"):
        bench.load(cut, server)


def test_its_log_is_kept_without_credentials(bench: Bench, server: str) -> None:
    bench.load("print('Authorization: Bearer abcdefghijklmnop')\n" + GOOD, server)
    logs = list((bench.folder / "out").rglob("clusterloader2.log"))
    assert logs
    assert not [one for one in logs if "abcdefghijklmnop" in one.read_text()]


def test_what_it_made_is_deleted_also_when_it_fails(bench: Bench, server: str) -> None:
    with pytest.raises(LoadError):
        bench.load("sys.exit(1)\n", server)
    assert "DELETE /api/v1/namespaces/perf-00000007-1" in bench.asked


def test_a_parameter_that_the_config_does_not_read_is_refused_before_anything_starts(
    bench: Bench, server: str
) -> None:
    with pytest.raises(ConfigError, match="no parameter `CL2_COLOUR`"):
        bench.load(GOOD, server, parameters={"CL2_COLOUR": "red"})
    assert bench.asked == []


def test_a_config_that_is_not_there_is_refused(bench: Bench, server: str) -> None:
    with pytest.raises(ConfigError, match="object-crudd"):
        bench.load(GOOD, server, config="object-crudd")
