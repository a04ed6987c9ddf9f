"""Run the processes of one stage side by side: on this machine, or each in a load pod."""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.clusterloader2 import endpoint, phases
from pipeline.drivers.clusterloader2.endpoint import Endpoint
from pipeline.drivers.clusterloader2.phases import LOG, ProcessJob
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.scrub import scrub_file
from pipeline.model.ports import (
    FILES_IN_POD,
    RESULTS_IN_POD,
    SECRETS_IN_POD,
    LoadPods,
    PodWork,
    Program,
    Sidecar,
    Target,
)
from pipeline.model.subject import Arm
from pipeline.system import processes, tls
from pipeline.system.errors import ConfigError
from pipeline.system.private_folder import private_folder
from pipeline.system.processes import CommandResult, ExitStatus

_GATEWAY = f"{tls.ADDRESS}:9443"
_PROMETHEUS = f"{tls.ADDRESS}:9090"
_PROMETHEUS_DATA = Path("/tmp/prometheus")  # noqa: S108 (each pod has its own)
_IDENTITY = tls.ServerIdentity(*(SECRETS_IN_POD / f"gateway.{end}" for end in ("ca", "crt", "key")))


@dataclass(frozen=True, slots=True)
class ProcessBatch:
    """Processes that run side by side.

    Attributes:
        jobs: One job for each process.
        program: ClusterLoader2.
        rate: Objects per second of one process.
        has_prometheus: Whether the processes query a Prometheus.
        timeout_s: Seconds after which a process is given up.
        tokens: Tokens that no log may show.
        check: Function that raises LoadError when a target or a gateway has died.
    """

    jobs: Sequence[ProcessJob]
    program: Program
    rate: float
    has_prometheus: bool
    timeout_s: float
    tokens: Sequence[str]
    check: Callable[[], None]

    def argv(self, job: ProcessJob) -> list[str]:
        """Return the command of one process."""
        return phases.argv(self.program.path, job, self.rate, has_prometheus=self.has_prometheus)

    def scrub_logs(self) -> None:
        """Remove credentials from every log that exists."""
        for job in self.jobs:
            if job.log.exists():
                scrub_file(job.log, self.tokens)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How the processes of a batch ended, in the order of their jobs.

    Attributes:
        ended: One value for each process.
        cpu: Share of the available processors that they used, between 0 and 1; with pods, the
            largest share of one pod.
        lost: One sentence for each process that left nothing.
    """

    ended: Sequence[CommandResult]
    cpu: float
    lost: Sequence[str] = ()


def run_locally(batch: ProcessBatch) -> BatchResult:
    """Run all processes on this machine."""
    commands = [
        processes.Command(job.name, batch.argv(job), job.log, {"TZ": "UTC"}) for job in batch.jobs
    ]
    used_s, began = processes.cpu_of_children_s(), time.monotonic()
    try:
        ended = processes.run_all(
            commands, timeout_s=batch.timeout_s, hide=("CL2_",), check=batch.check
        )
    finally:
        batch.scrub_logs()
    machine_s = (time.monotonic() - began) * (os.cpu_count() or 1)
    return BatchResult(ended, (processes.cpu_of_children_s() - used_s) / machine_s)


@dataclass(frozen=True, slots=True)
class PodRunner:
    """Runs each process of a batch in a load pod.

    Attributes:
        pods: The load pods.
        targets: Targets of one or both arms.
        watchers: Prometheus and gateway, which run beside each process; empty for neither.
        secrets: Files that all pods need, by path relative to `SECRETS_IN_POD`.
    """

    pods: LoadPods
    targets: Mapping[Arm, Target]
    watchers: Mapping[str, Program]
    secrets: Mapping[str, bytes]

    def endpoints(self) -> dict[Arm, Endpoint]:
        """Return the endpoint of each server as the pods reach it."""
        return {
            arm: Endpoint(
                f"https://{_GATEWAY}" if self.watchers else target.url_in_pods,
                _IDENTITY.ca if self.watchers else SECRETS_IN_POD / f"{arm}.ca",
                SECRETS_IN_POD / f"{arm}.token",
            )
            for arm, target in self.targets.items()
        }

    def run(self, batch: ProcessBatch, out: Path) -> BatchResult:
        """Run all processes of a batch, whose kubeconfigs have paths as a pod sees them.

        Raises:
            LoadError: The pods could not be started, or a target has died.
        """
        out.mkdir()
        results = self.pods.run(self._work(batch), out, batch.check)
        try:
            for job, one in zip(batch.jobs, results, strict=True):
                if not one.lost:  # move its files to where a local process writes them
                    for path in one.folder.iterdir():
                        path.rename(job.log if path.name == LOG else job.report / path.name)
                    one.folder.rmdir()
        finally:
            batch.scrub_logs()
            with suppress(OSError):
                for path in out.glob("pod*-load.log"):  # the cluster's copy of the same log
                    path.unlink()
        if not any(out.iterdir()):
            out.rmdir()
        lost = [
            f"{job.name}: {one.name} was lost: {one.lost}"
            for job, one in zip(batch.jobs, results, strict=True)
            if one.lost
        ]
        ended = [CommandResult(ExitStatus(one.exit), one.began_s, one.ended_s) for one in results]
        return BatchResult(ended, max(one.cpu_share for one in results), lost)

    def _work(self, batch: ProcessBatch) -> PodWork:
        root = batch.jobs[0].config.parent  # see `LoadFromFiles.laid_out`
        secrets = dict(self.secrets)
        args = []
        for number, job in enumerate(batch.jobs):
            for path in (job.kubeconfig, job.overrides):
                secrets[f"{number}/{path.name}"] = path.read_bytes()
            inside = dataclasses.replace(
                job,
                config=FILES_IN_POD / job.config.relative_to(root),
                folder=SECRETS_IN_POD / f"{number}",
            )
            option = "--report-dir="  # a pod keeps another folder than that of the job
            args.append(
                tuple(
                    f"{option}{RESULTS_IN_POD}" if one.startswith(option) else one
                    for one in batch.argv(inside)[1:]
                )
            )
        return PodWork(
            name=f"clusterloader2 {batch.jobs[0].config.stem}",
            program=batch.program,
            args=tuple(args),
            log=LOG,
            variables={"TZ": "UTC"},
            files={
                path.relative_to(root).as_posix(): path.read_bytes()
                for path in root.rglob("*.y*ml")
            },
            secrets=secrets,
            timeout_s=batch.timeout_s,
            sidecars=self._sidecars([job.arm for job in batch.jobs]) if self.watchers else (),
        )

    def _sidecars(self, arms: Sequence[Arm]) -> tuple[Sidecar, ...]:
        configs = [SECRETS_IN_POD / f"{arm}.prometheus.json" for arm in arms]
        prometheus = tuple(
            endpoint.prometheus_args(one, _PROMETHEUS_DATA, _PROMETHEUS) for one in configs
        )
        gateway = tuple(
            (
                *endpoint.gateway_args(
                    self.targets[arm].url_in_pods,
                    SECRETS_IN_POD / f"{arm}.ca",
                    f"http://{_PROMETHEUS}",
                    _IDENTITY,
                ),
                f"--port={_GATEWAY.rpartition(':')[2]}",
            )
            for arm in arms
        )
        return (
            Sidecar(self.watchers["prometheus"], prometheus, _PROMETHEUS),
            Sidecar(self.watchers["gateway"], gateway, _GATEWAY),
        )


def pod_runner(
    targets: Mapping[Arm, Target],
    settings: ClusterLoader2,
    watchers: Mapping[str, Program],
    out: Path,
) -> PodRunner | None:
    """Return the runner for load pods, or None if the load comes from this machine.

    `watchers` are Prometheus and gateway; keys that are removed at once are written into `out`.

    Raises:
        ConfigError: The settings name an existing Prometheus.
    """
    pods = next((target.pods for target in targets.values() if target.pods), None)
    if pods is None:
        return None
    if settings.prometheus_url:
        raise ConfigError(
            "load pods bring a Prometheus of their own, and `prometheus_url` names another",
            hint="leave `prometheus_url` out of the workload",
        )
    secrets: dict[str, bytes] = {}
    for arm, target in targets.items():
        secrets[f"{arm}.ca"] = target.ca_file.read_bytes()
        secrets[f"{arm}.token"] = target.token_file.read_bytes()
        if watchers:
            secrets[f"{arm}.admin-token"] = target.admin_token_file.read_bytes()
            secrets[f"{arm}.prometheus.json"] = _prometheus_config(arm, target)
    if watchers:
        secrets |= _gateway_identity(out)
    return PodRunner(pods, targets, watchers, secrets)


def _prometheus_config(arm: Arm, target: Target) -> bytes:
    """Return the config of the Prometheus of an arm, with paths as the pod sees them."""
    inside = dataclasses.replace(
        target,
        metrics=target.metrics_in_pods,
        ca_file=SECRETS_IN_POD / f"{arm}.ca",
        admin_token_file=SECRETS_IN_POD / f"{arm}.admin-token",
    )
    config = endpoint.prometheus_config(
        inside,
        f"http://{_PROMETHEUS}",
        (f"https://{_GATEWAY}{endpoint.METRICS}", _IDENTITY.ca),
        endpoint.SCRAPE_S,
        [FILES_IN_POD / endpoint.RULES],
    )
    return json.dumps(config).encode()


def _gateway_identity(out: Path) -> dict[str, bytes]:
    """Return certificates and key of the gateways: one identity, because all have one address."""
    with private_folder(out) as private:
        made = tls.create_identity(private)
        return {
            _IDENTITY.ca.name: made.ca.read_bytes(),
            _IDENTITY.certificate.name: made.certificate.read_bytes(),
            _IDENTITY.key.name: made.key.read_bytes(),
        }
