"""Run the processes of one stage side by side: here, or each in a pod of its own."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.clusterloader2 import phases
from pipeline.drivers.clusterloader2.phases import LOG, Job
from pipeline.drivers.scrub import scrub_file
from pipeline.model.ports import (
    FILES_IN_POD,
    RESULTS_IN_POD,
    SECRETS_IN_POD,
    LoadPods,
    PodResult,
    PodWork,
    Program,
    Sidecar,
)
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.processes import CommandResult, ExitStatus


@dataclass(frozen=True, slots=True)
class Batch:
    """What is run side by side.

    Attributes:
        jobs: One for each process.
        program: ClusterLoader2.
        rate: Objects per second of one process.
        has_prometheus: Whether it is to ask a Prometheus.
        timeout_s: Seconds after which it is given up.
        tokens: That no log may show.
        check: Raises LoadError when something that the load needs has died.
    """

    jobs: Sequence[Job]
    program: Program
    rate: float
    has_prometheus: bool
    timeout_s: float
    tokens: Sequence[str]
    check: Callable[[], None]

    def argv(self, program: Path, job: Job) -> list[str]:
        """Return the command of one process."""
        more = phases.with_prometheus() if self.has_prometheus else []
        return [*phases.argv(program, job, self.rate), *more]

    def scrub(self) -> None:
        """Take credentials out of every log that there is."""
        for job in self.jobs:
            if job.log.exists():
                scrub_file(job.log, self.tokens)


@dataclass(frozen=True, slots=True)
class Ran:
    """How the processes ended, in the order of their jobs; and what they used.

    Attributes:
        ended: One for each.
        cpu: Share of the processors that they might use, between 0 and 1; of pods the largest.
        lost: A sentence for each that there is nothing of.
    """

    ended: Sequence[CommandResult]
    cpu: float
    lost: Sequence[str] = ()


def here(batch: Batch) -> Ran:
    """Run all on this machine.

    Raises:
        CommandError: One could not be started.
    """
    commands = [
        processes.Command(job.name, batch.argv(batch.program.path, job), job.log, {"TZ": "UTC"})
        for job in batch.jobs
    ]
    used_s, began = processes.cpu_of_children_s(), time.monotonic()
    try:
        ended = processes.run_all(
            commands,
            timeout_s=batch.timeout_s,
            hide=("CL2_",),
            check=batch.check,
        )
    finally:
        batch.scrub()
    machine_s = (time.monotonic() - began) * (os.cpu_count() or 1)
    return Ran(ended, (processes.cpu_of_children_s() - used_s) / machine_s)


@dataclass(frozen=True, slots=True)
class Beside:
    """What each pod needs beside ClusterLoader2, to see the server of its arm.

    Attributes:
        program: It.
        args: For each arm, with paths as a pod sees them.
        address: At which it listens, in every pod.
    """

    program: Program
    args: Mapping[Arm, tuple[str, ...]]
    address: str


def in_pods(
    batch: Batch,
    pods: LoadPods,
    secrets: Mapping[str, bytes],
    beside: Sequence[Beside],
    out: Path,
) -> Ran:
    """Run each in a pod.

    Args:
        batch: Whose jobs hold paths as a pod sees them in their kubeconfigs.
        pods: Where they run.
        secrets: That all of them need, by path below `SECRETS_IN_POD`.
        beside: What else runs in each pod, in the order in which it is started.
        out: Existing folder; receives a folder for each pod.

    Raises:
        LoadError: The pods could not be started, or something that the load needs has died.
    """
    root = batch.jobs[0].config.parent  # see `LoadFromFiles.laid_out`
    inside = [
        dataclasses.replace(
            job,
            config=FILES_IN_POD / job.config.relative_to(root),
            folder=SECRETS_IN_POD / f"{number}",
        )
        for number, job in enumerate(batch.jobs)
    ]
    given = dict(secrets)
    for number, job in enumerate(batch.jobs):
        for path in (job.kubeconfig, job.overrides):
            given[f"{number}/{path.name}"] = path.read_bytes()
    work = PodWork(
        name=f"clusterloader2 {batch.jobs[0].config.stem}",
        program=batch.program,
        args=tuple(_args(batch.argv(batch.program.path, job)) for job in inside),
        log=LOG,
        variables={"TZ": "UTC"},
        files={
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.y*ml")
        },
        secrets=given,
        timeout_s=batch.timeout_s,
        sidecars=tuple(
            Sidecar(one.program, tuple(one.args[job.arm] for job in batch.jobs), one.address)
            for one in beside
        ),
    )
    done = pods.run(work, out, batch.check)
    try:
        for job, one in zip(batch.jobs, done, strict=True):
            _sorted(job, one)
    finally:
        batch.scrub()
        with suppress(OSError):
            for path in out.glob("pod*-load.log"):  # the same, as the cluster kept it
                path.unlink()
    lost = [
        f"{job.name}: {one.name} was lost: {one.lost}"
        for job, one in zip(batch.jobs, done, strict=True)
        if one.lost
    ]
    ended = [CommandResult(ExitStatus(one.exit), one.began_s, one.ended_s) for one in done]
    return Ran(ended, max(one.cpu_share for one in done), lost)


def _args(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of a command in a pod, whose report is what it keeps."""
    report = "--report-dir="
    return tuple(f"{report}{RESULTS_IN_POD}" if a.startswith(report) else a for a in argv[1:])


def _sorted(job: Job, one: PodResult) -> None:
    """Put what a pod kept where a process here would have written it."""
    if one.lost:
        return
    for path in one.folder.iterdir():
        path.rename(job.log if path.name == LOG else job.report / path.name)
    one.folder.rmdir()
