"""`deploy`: build two builds, start them under a keeper, and return while they stay up."""

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.model.deployment import DeployedArm, Deployment, DeploymentState
from pipeline.model.ports import EnvironmentSettings
from pipeline.model.request import RunRequest
from pipeline.model.subject import Arm
from pipeline.render.numbers import moment
from pipeline.runs import run
from pipeline.runs.deploy import channel
from pipeline.runs.deploy.folder import DeploymentFolder
from pipeline.runs.request import resolve_plan
from pipeline.storage import codec
from pipeline.system import paths, private_folder, processes, terminal
from pipeline.system.errors import ConfigError, LaunchError
from pipeline.system.log import log, step

LIFE_S = 2 * 3600.0
MAX_LIFE_S = 24 * 3600.0
"""Default and longest life of a deployment, in seconds."""

_POLL_S = 0.1
_STOP_S = 180.0  # a namespace may take its time


def deploy(request: RunRequest, out: Path, life_s: float = LIFE_S) -> Deployment:
    """Build and start both builds, and return the deployment that stays up.

    Args:
        request: Arguments of a run; its candidate and baseline are deployed.
        out: New folder.
        life_s: Seconds after which the deployment ends by itself.

    Raises:
        ConfigError: The folder is in use, or the environment has load pods.
        PipelineError: A build failed or did not start; nothing is left running.
    """
    folder = DeploymentFolder(out)
    if folder.file.is_file():
        _refuse_existing(folder)
    loaded, _ = resolve_plan(request)
    environment = loaded.suite.environment
    _require_possible(environment, life_s)
    ready = run.prepare(request, out)
    results = replace(ready.results, budget_s=None)  # nobody waits for a deployment
    codec.RESULTS.write(out / paths.RESULTS, results)
    folder.write(_starting(environment, life_s))
    return _start(folder)


def resume(out: Path, life_s: float = LIFE_S, *, is_trusted: bool = False) -> Deployment:
    """Start the builds of a deployment that has ended; what was measured is kept."""
    folder = DeploymentFolder(out)
    before = folder.read()
    if folder.is_kept():
        _refuse_existing(folder)
    settings = run.open_run(out, is_trusted=is_trusted).plan.suite.environment
    _require_possible(settings, life_s)
    private_folder.remove_leftovers(out)
    launch = before.launch + 1
    folder.write(replace(_starting(settings, life_s), launch=launch))
    return _start(folder)


def stop(out: Path) -> None:
    """End a deployment, and wait until everything of it is stopped.

    Raises:
        LaunchError: Something of a cluster is left, because the keeper was killed.
    """
    folder = DeploymentFolder(out)
    deployment = folder.read()
    if folder.is_kept():
        with step(f"stop the deployment in {out}"):
            channel.ask(folder.socket, {"do": "stop"}, folder.is_kept)
            _wait_until_gone(folder)
        return
    private_folder.remove_leftovers(out)
    if deployment.state is DeploymentState.ENDED:
        log.info("the deployment in %s has ended already: %s", out, deployment.reason)
        return
    for arm in Arm:
        folder.kubeconfig(arm).unlink(missing_ok=True)
    reason = "its keeper was killed"
    folder.write(replace(deployment, state=DeploymentState.ENDED, arms={}, reason=reason))
    if deployment.environment != "local":
        raise LaunchError(
            f"the keeper of {out} was killed, so its namespaces are left in the cluster until they"
            " expire",
            hint="`milo-perf cluster sweep --context NAME --delete` deletes what has expired, and"
            " `milo-perf kind down` a kind cluster with all that is in it",
        )


def deployment_text(deployment: Deployment, out: Path) -> str:
    """Return what a person needs to use a deployment."""
    lines = [f"both builds are up until {moment(deployment.expires_at)}", ""]
    for arm, one in deployment.arms.items():
        urls = [f"  {name:<15} {url}" for name, url in _urls(one).items()]
        lines += [f"{arm}: {one.spec}", *urls]
        lines += [f"  kubectl --kubeconfig {one.kubeconfig} get namespaces", ""]
    lines += [
        f"measure a pair:    {terminal.command('load', out)}",
        f"with new launches: {terminal.command('load', out, '--pairs', 3)}",
        f"end it:            {terminal.command('deploy', '--stop', out)}",
    ]
    return "\n".join([*lines, ""])


def _urls(one: DeployedArm) -> Mapping[str, str]:
    others = {f"{name} metrics": url for name, url in one.metrics.items() if name != "server"}
    return {"url": one.url, "etcd": one.etcd_url or "not reachable", **others}


def _refuse_existing(folder: DeploymentFolder) -> None:
    where = folder.path
    if folder.is_kept():
        raise ConfigError(
            f"{where} is a deployment that is up",
            hint=f"measure it: {terminal.command('load', where)}; or end it:"
            f" {terminal.command('deploy', '--stop', where)}",
        )
    raise ConfigError(
        f"{where} is a deployment that has ended",
        hint=f"start its builds again: {terminal.command('deploy', '--resume', where)}; or give"
        " another --out",
    )


def _require_possible(environment: EnvironmentSettings, life_s: float) -> None:
    if environment.load_pods:
        raise ConfigError(
            "a deployment is loaded from this machine, and its environment has load pods",
            hint="leave `load_pods` out, or use `milo-perf run`",
        )
    if life_s > MAX_LIFE_S:
        raise ConfigError(
            f"--for: a deployment lives {MAX_LIFE_S / 3600:g} h at most",
            hint="`deploy --resume DIR` starts the same builds again",
        )


def _starting(environment: EnvironmentSettings, life_s: float) -> Deployment:
    return Deployment(
        state=DeploymentState.STARTING,
        environment=environment.kind,
        expires_at=datetime.now(UTC) + timedelta(seconds=life_s),
        life_s=life_s,
    )


def _start(folder: DeploymentFolder) -> Deployment:
    """Start a keeper, and return once both builds are up; stop it if they are not."""
    folder.error.unlink(missing_ok=True)
    words = ["--error-file", f"{folder.error}", "deploy", "--keeper", f"{folder.path}"]
    keeper = processes.detach([sys.executable, "-m", "pipeline", *words], output=folder.log)
    try:
        with step(f"start both builds; the log is {folder.log}"):
            while (status := keeper.exit_status()) is None:
                deployment = folder.read()
                if deployment.state is DeploymentState.UP:
                    return deployment
                time.sleep(_POLL_S)
    except BaseException:
        keeper.stop(_STOP_S)
        raise
    message, _, hint = _error_of(folder).partition("\nhint: ")
    raise LaunchError(
        f"the deployment did not start: {message.removeprefix('error: ') or status}",
        hint=hint or processes.log_tail(folder.log),
    )


def _error_of(folder: DeploymentFolder) -> str:
    try:
        return folder.error.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _wait_until_gone(folder: DeploymentFolder) -> None:
    deadline = time.monotonic() + _STOP_S
    while folder.is_kept():
        if time.monotonic() > deadline:
            raise LaunchError(
                f"the deployment in {folder.path} has not ended after {_STOP_S:g} s",
                hint=f"its log is {folder.log}",
            )
        time.sleep(_POLL_S)
