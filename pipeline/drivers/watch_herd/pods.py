"""Run `watch-herd` in load pods, each with Projects of its own.

A pod writes what it watches, so that the time of an event is that of its own clock.
"""

import dataclasses
from pathlib import Path

from pipeline.drivers.pod_clocks import clock_jumps
from pipeline.drivers.watch_herd.config import CONFIG, LOG, RESULT, SLACK_S, HerdRun
from pipeline.drivers.watch_herd.result import HerdResult, read_result
from pipeline.drivers.watch_herd.settings import PROGRAM
from pipeline.model.ports import (
    RESULTS_IN_POD,
    SECRETS_IN_POD,
    LoadPods,
    PodWork,
    Program,
    check_all,
)
from pipeline.system import processes
from pipeline.system.errors import LoadError


def run_in_pods(
    pods: LoadPods, program: Program, run: HerdRun, out: Path
) -> tuple[dict[str, HerdResult], tuple[str, ...]]:
    """Apply a load that pods divide.

    `out` receives a folder for each pod.

    Returns:
        The results by name of the pod, and the reasons why the load does not count.

    Raises:
        LoadError: The program failed in a pod, a target has died, or no pod left a result.
    """
    work = _work(program, run, pods.count)
    results = pods.run(work, out, lambda: check_all(run.targets))
    invalid = [f"{one.name} was lost: {one.lost}" for one in results if one.lost]
    left = [one for one in results if not one.lost]
    for one in left:
        if one.exit:
            raise LoadError(
                f"{one.name}: {PROGRAM} exited with {one.exit}",
                hint=processes.log_tail(one.folder / LOG),
            )
    if not left:
        raise LoadError(f"no load pod left anything: {'; '.join(invalid)}")
    parts = {one.name: read_result(one.folder / RESULT) for one in left}
    for one in left:
        part = parts[one.name]
        invalid += clock_jumps(one, (part.began_s, part.ended_s))
    return parts, tuple(invalid)


def _work(program: Program, run: HerdRun, pods: int) -> PodWork:
    secrets: dict[str, bytes] = {}
    inside = {}
    for arm, target in run.targets.items():
        one = dataclasses.replace(
            target,
            url=target.url_in_pods,
            metrics=target.metrics_in_pods,
            ca_file=SECRETS_IN_POD / f"{arm}.ca",
            token_file=SECRETS_IN_POD / f"{arm}.token",
            admin_token_file=SECRETS_IN_POD / f"{arm}.admin-token",
        )
        secrets[one.ca_file.name] = target.ca_file.read_bytes()
        secrets[one.token_file.name] = target.token_file.read_bytes()
        secrets[one.admin_token_file.name] = target.admin_token_file.read_bytes()
        inside[arm] = one
    files = (str(SECRETS_IN_POD / CONFIG), str(RESULTS_IN_POD / RESULT))
    return PodWork(
        name=run.settings.title,
        program=program,
        args=tuple((*files, f"{number}/{pods}") for number in range(1, pods + 1)),
        log=LOG,
        variables={},
        files={},
        secrets={**secrets, CONFIG: run.config(inside).encode()},
        timeout_s=run.settings.most_s + SLACK_S,
        has_barriers=True,
    )
