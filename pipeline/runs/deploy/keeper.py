"""The process that holds a deployment: it starts the builds, answers, and stops them at the end.

It is in a session of its own, so that the builds outlive `deploy`.  It ends after the time that was
asked for, when `deploy --stop` asks it to, or by SIGTERM; the builds die with it, also after
`kill -9`.  A build that dies does not end it, even before it could be loaded: to see that is the
task of a load, and the next pair starts both anew.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline import toolchain
from pipeline.environments import registry
from pipeline.model.deployment import DeployedArm, Deployment, DeploymentState
from pipeline.model.ports import Artifact, Environment, Target
from pipeline.model.subject import Arm
from pipeline.runs import run
from pipeline.runs.deploy import channel
from pipeline.runs.deploy.folder import DeploymentFolder
from pipeline.runs.measure import new_folder
from pipeline.system import tls
from pipeline.system.errors import (
    ConfigError,
    LaunchError,
    LoadError,
    PipelineError,
    SetupDeathError,
)
from pipeline.system.kubeconfig import kubeconfig_json
from pipeline.system.log import log


@dataclass(frozen=True, slots=True)
class Relaunch:
    """A request to start both builds anew, in an order; whoever asked waits at the connection."""

    order: tuple[Arm, ...]
    connection: socket.socket | None = None


def keep(out: Path) -> None:
    """Hold the deployment in a folder until it is to end; its builds exist.

    Raises:
        ConfigError: Another keeper holds it.
        PipelineError: The builds did not start.
    """
    folder = DeploymentFolder(out)
    with folder.hold_lock("keeper.lock", ConfigError(f"{out} has a keeper already")):
        reason = "it was stopped"
        try:
            reason = _keep(folder)
        except BaseException as error:
            reason = f"{error}" or "it was interrupted"
            raise
        finally:
            deployment = replace(
                folder.read(), state=DeploymentState.ENDED, arms={}, keeper=0, reason=reason
            )
            for arm in Arm:
                folder.kubeconfig(arm).unlink(missing_ok=True)
            folder.write(deployment)


def _keep(folder: DeploymentFolder) -> str:
    """Hold the deployment, and return why it ended."""
    stored = run.open_run(folder.path)
    plan, artifacts = stored.plan, stored.rebuild()
    programs = toolchain.programs_of(plan.suite.environment.needs)
    pair = next(one for one in plan.order() if one.number >= stored.results.pairs)
    wanted: Relaunch | str = Relaunch(pair.order)
    settings = registry.with_life(plan.suite.environment, folder.read().life_s)
    with (
        settings.open(programs) as environment,
        channel.open_listener(folder.socket) as server,
    ):
        while isinstance(wanted, Relaunch):
            wanted = hold(folder, environment, artifacts, server, wanted)
    return wanted


def hold(
    folder: DeploymentFolder,
    environment: Environment,
    artifacts: Mapping[Arm, Artifact],
    server: socket.socket,
    relaunch: Relaunch,
) -> Relaunch | str:
    """Start both builds and answer until they are to be started anew, or until the end.

    Returns the next launch that is wanted, or the reason of the end.
    """
    deployment = folder.read()
    number = deployment.launch
    out = new_folder(folder.launch(number))
    ordered = {arm: artifacts[arm] for arm in relaunch.order}
    waiting = relaunch.connection
    try:
        with environment.launch(ordered, out) as targets:
            arms = {
                arm: _deployed(folder, arm, artifacts[arm], target)
                for arm, target in targets.items()
            }
            deployment = replace(
                deployment,
                state=DeploymentState.UP,
                arms=arms,
                loads=0,
                keeper=os.getpid(),
            )
            folder.write(deployment)
            log.info("launch %s is up", number)
            if waiting is not None:
                channel.reply(waiting)
                waiting.close()
                waiting = None
            return _serve(_Answers(folder, deployment, targets), server)
    except PipelineError as error:
        if waiting is None:
            raise
        is_dead = isinstance(error, SetupDeathError)
        if is_dead:  # a load counts it against its build, and may ask for further launches
            deployment = replace(deployment, state=DeploymentState.UP, loads=0)
            folder.write(deployment)
        channel.refuse(waiting, error)
        waiting.close()
        if not is_dead:
            raise
    return _serve(_Answers(folder, deployment, {}), server)


def _serve(answers: "_Answers", server: socket.socket) -> Relaunch | str:
    """Answer until the launch is to end."""
    while answers.wanted is None:
        answers.serve(server)
    return answers.wanted


@dataclass(slots=True)
class _Answers:
    """Answers questions about a launch; `wanted` is set once the launch is to end."""

    folder: DeploymentFolder
    deployment: Deployment
    targets: Mapping[Arm, Target]
    wanted: Relaunch | str | None = None

    def serve(self, server: socket.socket) -> None:
        """Answer one question, if somebody asks, and notice the end of the time."""
        if datetime.now(UTC) >= self.deployment.expires_at:
            self.wanted = f"its time of {timedelta(seconds=self.deployment.life_s)} is over"
            return
        try:
            connection, _ = server.accept()
        except TimeoutError:
            return
        question = channel.receive(connection) or {}
        keeps_open = False
        try:
            keeps_open = self._answer(connection, question)
        except PipelineError as error:
            channel.refuse(connection, error)
        except (KeyError, TypeError, ValueError) as error:
            channel.refuse(connection, ConfigError(f"the keeper does not understand: {error}"))
        finally:
            if not keeps_open:
                connection.close()

    def _answer(self, connection: socket.socket, question: channel.Question) -> bool:
        """Answer a question; return True if the connection is answered later."""
        match question.get("do"):
            case "check":
                self._target(question).check()
                channel.reply(connection)
            case "usage":
                usage = self._target(question).usage or dict
                channel.reply(connection, {name: asdict(one) for name, one in usage().items()})
            case "restart":
                channel.reply(connection, self._restart(self._target(question)))
            case "begin":
                loads = self.deployment.loads
                self._update(replace(self.deployment, loads=loads + 1))
                channel.reply(connection, loads)
            case "relaunch":
                order = tuple(Arm(name) for name in question["order"])
                if set(order) != set(Arm):
                    raise ConfigError(f"a launch starts {' and '.join(Arm)}")
                launch = self.deployment.launch + 1
                state = DeploymentState.STARTING
                self._update(replace(self.deployment, launch=launch, state=state, arms={}))
                self.wanted = Relaunch(order, connection)
                return True
            case "stop":
                channel.reply(connection)
                self.wanted = "it was stopped"
            case _:
                raise ConfigError(f"the keeper has no answer to {question.get('do')}")
        return False

    def _target(self, question: channel.Question) -> Target:
        return self.targets[Arm(question["arm"])]

    def _restart(self, target: Target) -> dict[str, int]:
        if target.restart is None:
            raise LoadError("this environment cannot restart controllers")
        target.restart()
        return dict(target.processes)

    def _update(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.folder.write(deployment)


def _deployed(
    folder: DeploymentFolder, arm: Arm, artifact: Artifact, target: Target
) -> DeployedArm:
    """Return how a build is reached, after its kubeconfig is written."""
    keys = target.admin_token_file.absolute().parent
    path = keys / f"{arm}.kubeconfig"
    text = kubeconfig_json(
        target.url, target.ca_file.absolute(), target.admin_token_file.absolute(), "milo-perf"
    )
    tls.private_file(path, text.encode())
    link = folder.kubeconfig(arm).absolute()
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    if target.pods is not None:
        raise LaunchError("a deployment has no load pods")
    return DeployedArm(
        spec=artifact.subject.spec,
        url=target.url,
        kubeconfig=f"{link}",
        ca_file=f"{target.ca_file.absolute()}",
        token_file=f"{target.token_file.absolute()}",
        admin_token_file=f"{target.admin_token_file.absolute()}",
        processes=dict(target.processes),
        metrics=dict(target.metrics),
        etcd_url=target.etcd_url,
        needs_organization_path=target.needs_organization_path,
        can_restart=target.restart is not None,
        has_usage=target.usage is not None,
    )
