"""A deployment answers, is started anew, is noticed to be dead, and ends; nothing in it is real."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import toolchain
from pipeline.commands import main
from pipeline.model.deployment import Deployment, DeploymentState
from pipeline.model.ports import Artifact, Environment, ResourceUsage, Target
from pipeline.model.results import Interleave
from pipeline.model.subject import Arm, Subject
from pipeline.runs import preflight, reports, run, suite_file
from pipeline.runs.deploy import channel, keeper
from pipeline.runs.deploy import load as loads
from pipeline.runs.deploy.folder import DeploymentFolder
from pipeline.runs.deploy.keeper import Relaunch
from pipeline.runs.deploy.load import DeployedEnvironment
from pipeline.runs.measure import Harness
from pipeline.runs.plan import Plan
from pipeline.storage import codec
from pipeline.system import errors
from pipeline.system.errors import (
    ConfigError,
    LaunchError,
    LoadError,
    PipelineError,
    SetupDeathError,
    SubjectDiedError,
)
from tests import fakes
from tests.fakes import SUITE, FakeDriver, applied, empty

ARTIFACTS = {arm: Artifact(Subject("reference", "sha256:00"), Path("x")) for arm in Arm}


@dataclass
class FakeEnvironment:
    """Starts nothing, and remembers in which order.

    Attributes:
        pid: Process id of every component.
        fails: Error of the launches after the first, each of which it ends.
        dead: Builds that are dead while `is_dead` is true.
    """

    pid: int = field(default_factory=os.getpid)
    fails: LaunchError | None = None
    dead: tuple[Arm, ...] = tuple(Arm)
    orders: list[list[Arm]] = field(default_factory=list)
    is_dead: bool = False
    ended: int = 0

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        if self.orders and self.fails:
            raise self.fails
        self.orders.append(list(artifacts))
        keys = out / "private"
        keys.mkdir()
        (keys / "admin.token").write_text("t")
        yield {arm: self._target(arm, keys) for arm in artifacts}
        self.ended += 1

    def _target(self, arm: Arm, keys: Path) -> Target:
        def check() -> None:
            if self.is_dead and arm in self.dead:
                raise SubjectDiedError(f"server of the {arm} exited with 2", hint="panic: x")

        return Target(
            url=f"https://127.0.0.1:{len(self.orders)}",
            ca_file=keys / "ca.crt",
            token_file=keys / "load.token",
            admin_token_file=keys / "admin.token",
            processes={"server": self.pid},
            metrics={"server": "https://127.0.0.1:1/metrics"},
            etcd_url="http://127.0.0.1:2",
            check=check,
            usage=lambda: {"server": ResourceUsage(1.0, 2.0, 3)},
            restart=lambda: None,
        )


@dataclass
class Lab:
    """A keeper in a thread, and what it returned or raised."""

    folder: DeploymentFolder
    environment: FakeEnvironment
    thread: threading.Thread
    reasons: list[object]

    def deployed(self, *, is_as_it_stands: bool) -> DeployedEnvironment:
        return DeployedEnvironment(self.folder, is_as_it_stands=is_as_it_stands)

    def stop(self) -> object:
        channel.ask(self.folder.socket, {"do": "stop"}, self.folder.is_kept)
        self.thread.join(10)
        return self.reasons[-1]


@contextmanager
def keeping(path: Path, environment: FakeEnvironment, life_s: float = 60.0) -> Iterator[Lab]:
    """Hold a deployment in a folder, as a keeper does."""
    path.mkdir(parents=True)
    folder = DeploymentFolder(path)
    expires_at = datetime.now(UTC) + timedelta(seconds=life_s)
    folder.write(Deployment(DeploymentState.STARTING, "local", expires_at, life_s))
    reasons: list[object] = []

    def keep() -> None:
        wanted: Relaunch | str = Relaunch(tuple(Arm))
        error = ConfigError("another keeper")
        with folder.hold_lock("keeper.lock", error), channel.open_listener(folder.socket) as server:
            try:
                while isinstance(wanted, Relaunch):
                    wanted = keeper.hold(folder, environment, ARTIFACTS, server, wanted)
                reasons.append(wanted)
            except LaunchError as failure:
                reasons.append(failure)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        while not reasons and folder.read().state is not DeploymentState.UP:
            thread.join(0.01)
        yield Lab(folder, environment, thread, reasons)
    finally:
        if thread.is_alive():
            channel.ask(folder.socket, {"do": "stop"}, folder.is_kept)
        thread.join(10)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with keeping(tmp_path / ("long" * 40) / "dep", FakeEnvironment()) as made:
        yield made


def test_the_builds_that_are_up_are_loaded_as_they_stand_and_stay(lab: Lab, tmp_path: Path) -> None:
    for load in range(2):
        deployed = lab.deployed(is_as_it_stands=True)
        with deployed.launch(ARTIFACTS, tmp_path) as targets:
            assert targets[Arm.CANDIDATE].url == "https://127.0.0.1:1"
        assert deployed.number() == 0
        assert lab.folder.read().loads == load + 1

    assert len(lab.environment.orders) == 1
    assert not lab.environment.ended


def test_further_pairs_get_a_new_launch_in_their_order(lab: Lab, tmp_path: Path) -> None:
    deployed = lab.deployed(is_as_it_stands=False)
    reverse = dict(reversed(ARTIFACTS.items()))
    numbers, urls = [], []
    for artifacts in (ARTIFACTS, reverse):
        with deployed.launch(artifacts, tmp_path) as targets:
            numbers.append(deployed.number())
            urls.append(targets[Arm.BASELINE].url)

    assert numbers == [0, 1]
    assert urls[0] != urls[1]
    assert lab.environment.orders == [list(Arm), list(reversed(Arm))]
    with lab.deployed(is_as_it_stands=False).launch(ARTIFACTS, tmp_path):
        assert lab.folder.read().launch == 2  # the one that is up was loaded


def test_a_kubeconfig_has_one_path_whatever_the_launch(lab: Lab, tmp_path: Path) -> None:
    path = lab.folder.kubeconfig(Arm.CANDIDATE)
    first = path.read_text()
    deployed = lab.deployed(is_as_it_stands=False)
    for _ in range(2):
        with deployed.launch(ARTIFACTS, tmp_path):
            pass

    assert lab.folder.read().arms[Arm.CANDIDATE].kubeconfig == f"{path.absolute()}"
    assert path.read_text() != first


def test_usage_and_restart_are_those_of_the_keeper(lab: Lab, tmp_path: Path) -> None:
    with lab.deployed(is_as_it_stands=True).launch(ARTIFACTS, tmp_path) as targets:
        target = targets[Arm.BASELINE]
        assert target.usage
        assert target.restart
        assert target.usage() == {"server": ResourceUsage(1.0, 2.0, 3)}
        target.restart()
        target.check()


@pytest.fixture
def dead_process() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    return dead.pid


def test_two_builds_that_died_before_the_load_are_an_error_with_a_way_on(
    tmp_path: Path, dead_process: int
) -> None:
    environment = FakeEnvironment(pid=dead_process, is_dead=True)
    with (
        keeping(tmp_path / "dep", environment) as lab,
        pytest.raises(LaunchError, match="has died since it was deployed") as caught,
        lab.deployed(is_as_it_stands=True).launch(ARTIFACTS, tmp_path),
    ):
        pass
    assert "--pairs 1" in caught.value.hint
    assert "panic: x" in caught.value.hint
    assert not isinstance(caught.value, SetupDeathError)


@pytest.mark.parametrize("arm", Arm)
def test_one_build_that_died_before_a_load_has_seen_it_is_a_result_of_that_build(
    tmp_path: Path, dead_process: int, arm: Arm
) -> None:
    environment = FakeEnvironment(pid=dead_process, dead=(arm,))
    with keeping(tmp_path / "dep", environment) as lab:
        deployed = lab.deployed(is_as_it_stands=True)
        environment.is_dead = True
        with pytest.raises(SetupDeathError) as caught, deployed.launch(ARTIFACTS, tmp_path):
            pass
        assert caught.value.arm == arm
        environment.is_dead = False
        with lab.deployed(is_as_it_stands=True).launch(ARTIFACTS, tmp_path):
            environment.is_dead = True
        with (
            pytest.raises(LaunchError, match="has died") as again,
            lab.deployed(is_as_it_stands=True).launch(ARTIFACTS, tmp_path),
        ):
            pass
    assert not isinstance(again.value, SetupDeathError), "a load has seen that launch"


def test_a_launch_that_fails_ends_the_deployment_and_says_so_where_it_was_asked_for(
    tmp_path: Path,
) -> None:
    environment = FakeEnvironment(fails=LaunchError("etcd did not start", hint="look"))
    with keeping(tmp_path / "dep", environment) as lab:
        deployed = lab.deployed(is_as_it_stands=False)
        with deployed.launch(ARTIFACTS, tmp_path):
            pass
        with (
            pytest.raises(LaunchError, match="etcd did not start"),
            deployed.launch(ARTIFACTS, tmp_path),
        ):
            pass
        lab.thread.join(10)
        assert lab.reasons == [environment.fails]


def test_a_build_that_dies_in_a_new_launch_is_a_result_and_the_next_pair_starts_both(
    tmp_path: Path,
) -> None:
    death = SetupDeathError("before the load: server exited with 2", arm="baseline", hint="panic")
    with keeping(tmp_path / "dep", FakeEnvironment()) as lab:
        deployed = lab.deployed(is_as_it_stands=False)
        with deployed.launch(ARTIFACTS, tmp_path):
            pass
        lab.environment.fails = death
        with pytest.raises(SetupDeathError) as caught, deployed.launch(ARTIFACTS, tmp_path):
            pass
        assert (caught.value.arm, caught.value.hint) == ("baseline", "panic")
        assert deployed.number() == 1

        lab.environment.fails = None
        with deployed.launch(ARTIFACTS, tmp_path) as targets:
            assert set(targets) == set(Arm)
        assert deployed.number() == 2
        for is_as_it_stands in (True, False):
            lab.environment.fails = death
            with pytest.raises(SetupDeathError), deployed.launch(ARTIFACTS, tmp_path):
                pass
            lab.environment.fails = None
            again = lab.deployed(is_as_it_stands=is_as_it_stands)
            with again.launch(ARTIFACTS, tmp_path) as targets:
                assert set(targets) == set(Arm)


def errors_of(kind: type[PipelineError]) -> list[type[PipelineError]]:
    """Return an error of `pipeline.system.errors` and all that are derived from it."""
    return [kind, *(found for one in kind.__subclasses__() for found in errors_of(one))]


@pytest.mark.parametrize(
    "kind", [one for one in errors_of(PipelineError) if one.__module__ == errors.__name__][1:]
)
def test_an_error_of_the_keeper_has_the_same_exit_code_where_it_was_asked(
    tmp_path: Path, kind: type[PipelineError]
) -> None:
    error = (
        SetupDeathError("m", arm="candidate", hint="h")
        if kind is SetupDeathError
        else kind("m", hint="h")
    )
    path = tmp_path / "socket"
    with channel.open_listener(path) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                channel.receive(connection)
                channel.refuse(connection, error)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PipelineError, match="m") as caught:
            channel.ask(path, {"do": "check"}, lambda: True)
        thread.join(10)
    assert caught.value.exit_code == kind.exit_code
    assert isinstance(caught.value, SetupDeathError) == (kind is SetupDeathError)
    assert caught.value.hint == "h"


def test_a_deployment_ends_when_it_is_asked_to(lab: Lab) -> None:
    assert lab.stop() == "it was stopped"
    assert lab.environment.ended == 1
    assert not lab.folder.socket.exists()
    with pytest.raises(LoadError, match="ended meanwhile"):
        channel.ask(lab.folder.socket, {"do": "check"}, lab.folder.is_kept)


def test_a_deployment_ends_after_its_time(tmp_path: Path) -> None:
    with keeping(tmp_path / "dep", FakeEnvironment(), life_s=0.0) as lab:
        lab.thread.join(10)
        assert lab.reasons == ["its time of 0:00:00 is over"]


@pytest.mark.parametrize("question", [{"do": "dance"}, {}, {"do": "check"}, {"do": "relaunch"}])
def test_a_question_that_makes_no_sense_is_refused_and_harms_nothing(
    lab: Lab, question: dict[str, object]
) -> None:
    with pytest.raises(ConfigError):
        channel.ask(lab.folder.socket, question, lab.folder.is_kept)
    channel.ask(lab.folder.socket, {"do": "check", "arm": "baseline"}, lab.folder.is_kept)


def test_nobody_else_may_ask(lab: Lab) -> None:
    assert stat.S_IMODE(lab.folder.socket.stat().st_mode) == 0o600


def test_a_lock_that_is_held_is_an_error_at_once(tmp_path: Path) -> None:
    folder, error = DeploymentFolder(tmp_path), ConfigError("another load measures it")
    with (
        folder.hold_lock("load.lock", error),
        pytest.raises(ConfigError, match="another load"),
        folder.hold_lock("load.lock", error),
    ):
        pass
    with folder.hold_lock("load.lock", error):
        pass


def test_a_folder_without_a_deployment_cannot_be_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["load", f"{tmp_path}"]) == 2
    assert "is not the folder of a deployment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (DeploymentState.UP, "its keeper is gone"),
        (DeploymentState.ENDED, "its time is over"),
    ],
)
def test_a_dead_deployment_cannot_be_loaded_and_says_how_it_is_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], state: DeploymentState, text: str
) -> None:
    deployment = Deployment(state, "local", datetime.now(UTC), 1.0)
    if state is DeploymentState.ENDED:
        deployment = replace(deployment, reason=text)
    DeploymentFolder(tmp_path).write(deployment)

    assert main.main(["load", f"{tmp_path}"]) == 2
    message = capsys.readouterr().err
    assert text in message
    assert f"deploy --resume {tmp_path}" in message
    assert main.main(["deploy", "--out", f"{tmp_path}", "--against", "reference"]) == 2
    assert "has ended" in capsys.readouterr().err


def test_stopping_what_has_ended_is_no_error(tmp_path: Path) -> None:
    folder = DeploymentFolder(tmp_path)
    folder.write(Deployment(DeploymentState.UP, "local", datetime.now(UTC), 1.0))

    assert main.main(["deploy", "--stop", f"{tmp_path}"]) == 0
    assert folder.read().state is DeploymentState.ENDED
    assert main.main(["deploy", "--stop", f"{tmp_path}"]) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--stop", "x", "--for", "1h"], "takes no other option"),
        (["--for", "25h"], "24 h at most"),
        (["--resume", "x", "--suite", "smoke"], "cannot be changed by --resume"),
        (["--trust"], "--trust needs --resume"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    out = [] if "--stop" in arguments or "--resume" in arguments else ["--out", f"{tmp_path / 'o'}"]
    assert main.main(["deploy", *arguments, *out]) == 2
    assert text in capsys.readouterr().err


BOTH = f"""{SUITE}
[[workload]]
name = "churn"
metric = [{{ name = "ready", select = "create/p50", unit = "s", margin = 0.1 }}]
[workload.driver]
kind = "clusterloader2"
config = "churn"
rate = 5.0
projects = 1
duration_s = 5
"""


def up(loads: int) -> object:
    """Return what `load` asks of a deployment that is up."""
    return SimpleNamespace(loads=loads, arms=ARTIFACTS)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeploymentFolder:
    """Return a deployment whose launch, drivers and probes are fakes."""
    path = tmp_path / "both.toml"
    path.write_text(BOTH)
    suite = suite_file.load(path).suite
    plan = Plan(suite, 5, Interleave.REQUEST, 1, (3, 5))
    folder = DeploymentFolder(tmp_path / "dep")
    folder.path.mkdir()
    first = replace(empty(suite), pairs_asked=5, looks=(3, 5))
    codec.RESULTS.write(folder.path / "results.json", first)
    launches = iter(range(9))

    def open_run(out: Path) -> object:
        results = codec.RESULTS.read(out / "results.json")
        return SimpleNamespace(results=results, plan=plan, rebuild=lambda: ARTIFACTS)

    def harness_of(
        part: Plan, environment: Environment, artifacts: Mapping[Arm, Artifact], _: object
    ) -> Harness:
        drivers = {one.name: FakeDriver([applied()]) for one in part.suite.workloads}
        return Harness(environment, drivers, (), {}, artifacts)

    class Standing(DeployedEnvironment):
        """Gives a new number to each launch that is not the one that is up."""

        @contextmanager
        def launch(
            self, artifacts: Mapping[Arm, Artifact], out: Path
        ) -> Iterator[Mapping[Arm, Target]]:
            if not self.is_as_it_stands:
                self._launch = next(launches) + 1
            with fakes.FakeEnvironment().launch(artifacts, out) as targets:
                yield targets

    monkeypatch.setattr(run, "open_run", open_run)
    monkeypatch.setattr(run, "harness_of", harness_of)
    monkeypatch.setattr(loads, "DeployedEnvironment", Standing)
    monkeypatch.setattr(DeploymentFolder, "require_up", lambda _: up(loads=1))
    monkeypatch.setattr(preflight, "require_programs", lambda _: None)
    monkeypatch.setattr(toolchain, "programs_of", lambda _: {})
    return folder


def values_of(folder: DeploymentFolder) -> dict[str, tuple[float | None, ...]]:
    """Return the stored values of the candidate by sample key."""
    samples = codec.RESULTS.read(folder.path / "results.json").samples[Arm.CANDIDATE]
    return {sample.key: sample.values for sample in samples if sample.key != "crud/cpu"}


def test_a_load_of_each_driver_adds_to_what_is_known_of_the_launch(
    measured: DeploymentFolder,
) -> None:
    loads.load(measured.path, driver="clusterloader2")
    report = loads.load(measured.path, driver="k6")

    assert values_of(measured) == {"crud/create_p50": (None, 0.01), "churn/ready": (0.01, None)}
    assert report.results.valid_pairs == (0,)
    assert all(
        sample.values != (None,)
        for sample in report.results.samples[Arm.CANDIDATE]
        if sample.key != "crud/cpu"
    )


def test_pairs_that_count_are_measured_until_there_are_as_many_as_asked_for(
    measured: DeploymentFolder,
) -> None:
    loads.load(measured.path)
    loads.load(measured.path)
    report = loads.load(measured.path, pairs=2)

    assert len(values_of(measured)["crud/create_p50"]) == 4
    assert report.results.valid_pairs == (0, 1, 2)
    with pytest.raises(ConfigError, match="3 of its 5 pairs, no room for 3 more"):
        loads.load(measured.path, pairs=3)


def test_a_deployment_with_too_few_pairs_says_how_the_next_is_measured_while_it_is_up(
    measured: DeploymentFolder,
) -> None:
    report = loads.load(measured.path)

    assert report.results.valid_pairs == (0,)
    assert not reports.next_step(report, measured.path), "its keeper is gone"
    with measured.hold_lock("keeper.lock", ConfigError("another keeper")):
        step = reports.next_step(report, measured.path)
        assert step.endswith(f"load {measured.path} --pairs 1")
        assert step in reports.render(report, measured.path, "text")
    enough = loads.load(measured.path, pairs=1)
    with measured.hold_lock("keeper.lock", ConfigError("another keeper")):
        assert "load" not in reports.next_step(enough, measured.path)


def test_the_pair_after_the_last_planned_one_is_refused(
    measured: DeploymentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads.load(measured.path, pairs=5)
    monkeypatch.setattr(DeploymentFolder, "require_up", lambda _: up(loads=0))
    with pytest.raises(ConfigError, match="5 of its 5 pairs, no room for 1 more"):
        loads.load(measured.path)
