"""Load pods that each run a ClusterLoader2, and how they reach the servers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.clusterloader2.endpoint import RULES, SCRAPE_S, Door
from pipeline.drivers.clusterloader2.processes import Batch, Beside, Ran, in_pods
from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.monitoring_config import (
    METRICS,
    Seen,
    configuration,
    gateway_args,
    prometheus_args,
)
from pipeline.model.ports import FILES_IN_POD, SECRETS_IN_POD, LoadPods, Program, Target
from pipeline.model.subject import Arm
from pipeline.system import tls
from pipeline.system.errors import ConfigError
from pipeline.system.private_folder import private_folder

_GATEWAY = f"{tls.ADDRESS}:9443"
_PROMETHEUS = f"{tls.ADDRESS}:9090"
_DATA = Path("/tmp/prometheus")  # noqa: S108 (of a pod, which has it for itself)


@dataclass(frozen=True, slots=True)
class Crew:
    """Where the processes of a load run.

    Attributes:
        pods: One for each process.
        doors: How a server is reached from them.
        secrets: That all of them need, by path below `SECRETS_IN_POD`.
        watchers: A Prometheus and a gateway for each pod, where a server is to be watched.
    """

    pods: LoadPods
    doors: Mapping[Arm, Door]
    secrets: Mapping[str, bytes]
    watchers: tuple[Beside, ...]

    def ran(self, batch: Batch, out: Path) -> Ran:
        """Run all of a batch, each in a pod; see `in_pods`.

        Args:
            batch: What is run.
            out: Folder for what pods leave; it is made, and removed when that is where it belongs.
        """
        out.mkdir()
        ran = in_pods(batch, self.pods, self.secrets, self.watchers, out)
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
        watchers: Prometheus and gateway, where a server is to be watched.
        out: Existing folder, for keys that are removed at once.

    Raises:
        ConfigError: A Prometheus that exists is to be asked.
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
    doors = {
        arm: Door(
            f"https://{_GATEWAY}" if watchers else target.url_in_pods,
            SECRETS_IN_POD / ("gateway.ca" if watchers else f"{arm}.ca"),
            SECRETS_IN_POD / f"{arm}.token",
            lambda: None,
            dict,
        )
        for arm, target in targets.items()
    }
    if not watchers:
        return Crew(pods, doors, secrets, ())
    identity = tls.Identity(*(SECRETS_IN_POD / f"gateway.{end}" for end in ("ca", "crt", "key")))
    secrets |= _identity(identity, out)
    for arm, target in targets.items():
        secrets[_admin(arm)] = target.admin_token_file.read_bytes()
        seen = Seen(
            target.metrics_in_pods, SECRETS_IN_POD / f"{arm}.ca", SECRETS_IN_POD / _admin(arm)
        )
        config = configuration(
            seen,
            f"http://{_PROMETHEUS}",
            (f"https://{_GATEWAY}{METRICS}", identity.ca),
            SCRAPE_S,
            [FILES_IN_POD / RULES],
        )
        secrets[_config(arm)] = json.dumps(config).encode()
    return Crew(pods, doors, secrets, _watchers(targets, watchers, identity))


def _admin(arm: Arm) -> str:
    return f"{arm}.admin-token"


def _config(arm: Arm) -> str:
    return f"{arm}.prometheus.json"


def _identity(inside: tls.Identity, out: Path) -> dict[str, bytes]:
    """Return what gateways show, by name of the file; one for all, as all are at one address."""
    with private_folder(out) as private:
        made = tls.identity(private)
        return {
            inside.ca.name: made.ca.read_bytes(),
            inside.certificate.name: made.certificate.read_bytes(),
            inside.key.name: made.key.read_bytes(),
        }


def _watchers(
    targets: Mapping[Arm, Target], programs: Mapping[str, Program], identity: tls.Identity
) -> tuple[Beside, ...]:
    prometheus = {
        arm: prometheus_args(SECRETS_IN_POD / _config(arm), _DATA, _PROMETHEUS) for arm in targets
    }
    gateway = {
        arm: (
            *gateway_args(
                target.url_in_pods, SECRETS_IN_POD / f"{arm}.ca", f"http://{_PROMETHEUS}", identity
            ),
            f"--port={_GATEWAY.rpartition(':')[2]}",
        )
        for arm, target in targets.items()
    }
    return (
        Beside(programs["prometheus"], prometheus, _PROMETHEUS),
        Beside(programs["gateway"], gateway, _GATEWAY),
    )
