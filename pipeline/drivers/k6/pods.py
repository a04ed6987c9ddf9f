"""k6 in load pods: the same script and the same points, from several machines."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.drivers.k6.command import (
    CA,
    LOG,
    POINTS,
    SLACK_S,
    arguments,
    authorities,
    complaints,
    environment,
    meaning,
    unprepared,
)
from pipeline.drivers.k6.merge_pods import clock_was_set, merge, sent, share_of, unequal
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import read_points
from pipeline.drivers.k6.validity import judge
from pipeline.model.ports import (
    FILES_IN_POD,
    RESULTS_IN_POD,
    SECRETS_IN_POD,
    Load,
    PodResult,
    PodWork,
    Program,
    Span,
    Target,
)
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

REST_ADDRESS = "127.0.0.1:6566"
"""Address of k6's REST API in a load pod: not its default, at which the k6-operator asks."""

_STOPPED = 105  # exit code of a k6 that was told to end


def measure(
    settings: K6, program: Program, targets: Mapping[Arm, Target], out: Path, seed: int
) -> Load:
    """Apply a load once, from pods; see the port `Driver`.

    Args:
        settings: The load, of all pods together.
        program: k6.
        targets: One or both arms, with the pods that the load comes from.
        out: Existing empty folder; receives a folder for each pod, and the points of all.
        seed: Of the arm and the work of each iteration.

    Raises:
        LoadError: The load could not be applied, or no pod left anything.
    """

    def check() -> None:
        for target in targets.values():
            target.check()

    (pods,) = {id(one.pods): one.pods for one in targets.values() if one.pods}.values()
    done = pods.run(_work(settings, program, targets, seed), out, check)
    left = [one for one in done if not _is_lost(one)]
    lost = [f"{one.name} was lost: {one.lost or 'k6 was stopped'}" for one in done if _is_lost(one)]
    for one in left:
        if one.exit:
            if failed := unprepared(one.folder, targets):
                return Load.without_readings(targets, Span(time.time(), time.time()), failed)
            said = complaints(one.folder / LOG)
            raise LoadError(
                f"{one.name}: k6 {settings.script} {meaning(one.exit)}",
                hint="\n".join([*said[:3], f"its log: {one.folder / LOG}"]),
            )
    if not left:
        raise LoadError(f"no load pod left anything: {'; '.join(lost)}")
    shares = {one.name: share_of(one.folder / POINTS) for one in left}
    merge([one.folder / POINTS for one in left], out / POINTS)
    for one in left:
        (one.folder / POINTS).unlink()  # all of it is in the file of all
    points = read_points(out / POINTS, list(targets), is_open=settings.rate is not None)
    said = [text for one in left for text in complaints(one.folder / LOG)]
    load = judge(settings, points, max(one.cpu_share for one in left), said)
    unfair = unequal(settings, len(targets), len(done), shares)
    readings = {
        arm: (*found, *sent(str(arm), shares.values())) for arm, found in load.readings.items()
    }
    clocks = [said for one in left for said in clock_was_set(shares[one.name], one)]
    invalid = (*lost, *clocks, *unfair, *load.invalid)
    return dataclasses.replace(load, readings=readings, invalid=invalid)


def _work(settings: K6, program: Program, targets: Mapping[Arm, Target], seed: int) -> PodWork:
    script = settings.script
    inside = {
        arm: dataclasses.replace(
            target, url=target.url_in_pods, token_file=SECRETS_IN_POD / _token(arm)
        )
        for arm, target in targets.items()
    }
    tokens = {_token(arm): target.token_file.read_bytes() for arm, target in targets.items()}
    return PodWork(
        name=script,
        program=program,
        args=(tuple(arguments(FILES_IN_POD / script, RESULTS_IN_POD)[1:]),),
        log=LOG,
        variables=environment(settings, inside, SECRETS_IN_POD, seed),
        files={name: path.read_bytes() for name, path in settings.tree().items()},
        secrets={**tokens, CA: authorities(targets).encode()},
        timeout_s=settings.longest_s + SLACK_S,
        control_address=REST_ADDRESS,
        operator_resource="testruns.k6.io",
    )


def _token(arm: Arm) -> str:
    return f"{arm}.token"


def _is_lost(one: PodResult) -> bool:
    return bool(one.lost) or one.exit == _STOPPED
