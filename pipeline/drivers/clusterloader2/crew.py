"""Load pods that each run a ClusterLoader2, and how they reach the servers."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import loopback
from pipeline.drivers.clusterloader2.door import Door
from pipeline.drivers.clusterloader2.processes import Batch, Gateways, Ran, in_pods
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.monitoring import gateway_args
from pipeline.errors import ConfigError
from pipeline.model.subject import Arm
from pipeline.ports import SECRETS_IN_POD, LoadPods, Program, Target

_PORT = 9443
_GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Crew:
    """Where the processes of a load run.

    Attributes:
        pods: One for each process.
        doors: How a server is reached from them.
        secrets: That all of them need, by path below `SECRETS_IN_POD`.
        gateways: What stands before the servers; None where nobody asks a Prometheus.
    """

    pods: LoadPods
    doors: Mapping[Arm, Door]
    secrets: Mapping[str, bytes]
    gateways: Gateways | None

    def ran(self, batch: Batch, out: Path) -> Ran:
        """Run all of a batch, each in a pod; see `in_pods`.

        Args:
            batch: What is run.
            out: Folder for what pods leave; it is made, and removed when that is where it belongs.
        """
        out.mkdir()
        ran = in_pods(batch, self.pods, self.secrets, self.gateways, out)
        if not any(out.iterdir()):
            out.rmdir()
        return ran


def crew_of(
    targets: Mapping[Arm, Target],
    settings: ClusterLoader2,
    watchers: Mapping[str, Program],
    out: Path,
) -> Crew | None:
    """Return the pods that a load is to come from, or None where it comes from this machine.

    Args:
        targets: One or both arms.
        settings: The load.
        watchers: The gateway, where a Prometheus is to be asked.
        out: Existing folder, for keys that are removed at once.

    Raises:
        ConfigError: A Prometheus is to be asked, and it is none that the pods can reach.
    """
    pods = next((target.pods for target in targets.values() if target.pods), None)
    if pods is None:
        return None
    if watchers and not settings.prometheus_url:
        raise ConfigError(
            "ClusterLoader2 in load pods asks a Prometheus of the cluster, and none is given",
            hint="set `prometheus_url` of the workload to one that scrapes both builds, such as"
            " http://prometheus.monitoring.svc:9090; or `prometheus = false`",
        )
    secrets: dict[str, bytes] = {}
    for arm, target in targets.items():
        secrets[f"{arm}.ca"] = target.ca_file.read_bytes()
        secrets[f"{arm}.token"] = target.token_file.read_bytes()
    doors = {
        arm: Door(
            f"https://{loopback.ADDRESS}:{_PORT}" if watchers else target.url_in_pods,
            SECRETS_IN_POD / (f"{_GATEWAY}.ca" if watchers else f"{arm}.ca"),
            SECRETS_IN_POD / f"{arm}.token",
            lambda: None,
            dict,
        )
        for arm, target in targets.items()
    }
    gateways = _gateways(targets, settings.prometheus_url, watchers, out) if watchers else None
    return Crew(pods, doors, secrets, gateways)


def _gateways(
    targets: Mapping[Arm, Target], prometheus_url: str, watchers: Mapping[str, Program], out: Path
) -> Gateways:
    inside = loopback.Identity(
        *(SECRETS_IN_POD / f"{_GATEWAY}.{end}" for end in ("ca", "crt", "key"))
    )
    private = out / "private"
    try:
        made = loopback.identity(private)
        secrets = {
            inside.ca.name: made.ca.read_bytes(),
            inside.certificate.name: made.certificate.read_bytes(),
            inside.key.name: made.key.read_bytes(),
        }
    finally:
        shutil.rmtree(private, ignore_errors=True)
    url = prometheus_url.rstrip("/")
    args = {
        arm: (
            *gateway_args(target.url_in_pods, SECRETS_IN_POD / f"{arm}.ca", url, inside),
            f"--port={_PORT}",
        )
        for arm, target in targets.items()
    }
    return Gateways(watchers["gateway"], secrets, args, f"{loopback.ADDRESS}:{_PORT}")
