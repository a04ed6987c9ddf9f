"""The processes of a build as containers: arguments, keys and tokens; pure but for reading."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pipeline.environments import commands, pki
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.manifests import FOLDER, Component
from pipeline.environments.pki import Credentials
from pipeline.model.ports import Artifact
from pipeline.system.tls import ADDRESS

PORTS: Mapping[str, int] = MappingProxyType({"server": 6443, "etcd": 2379, "manager": 10257})
"""Of containers, by component."""

_WEBHOOK_PORT = 9443
_ANYWHERE = "0.0.0.0"  # noqa: S104 (of a container, behind a network policy)
_ETCD_URL = f"http://etcd:{PORTS['etcd']}"
_SERVER_URL = f"https://{pki.SERVER}:{PORTS['server']}"


def etcd(settings: ClusterSettings, image: str) -> Component:
    """Return an etcd of one member."""
    argv = commands.etcd(
        Path("etcd"),
        Path("/data/etcd"),
        f"http://{_ANYWHERE}:{PORTS['etcd']}",
        f"http://{ADDRESS}:2380",
        _ETCD_URL,
    )
    return Component(
        name="etcd",
        image=image,
        args=argv[1:],
        port=PORTS["etcd"],
        ready_path="/health",
        scheme="HTTP",
        resources=settings.etcd,
        data="/data",
    )


def server(
    settings: ClusterSettings, image: str, artifact: Artifact, credentials: Credentials
) -> Component:
    """Return an API server, which finds its etcd by name."""
    inside = credentials.inside(FOLDER)
    argv = commands.server(artifact, PORTS["server"], _ETCD_URL, inside, _ANYWHERE)
    ours = credentials
    keys = (ours.ca, ours.certificate, ours.key, ours.service_account_key, ours.tokens)
    return Component(
        name="server",
        image=image,
        args=argv[1:],
        port=PORTS["server"],
        ready_path="/readyz",
        scheme="HTTPS",
        resources=settings.server,
        variables=artifact.variables,
        secrets=_contents(keys),
    )


def manager(
    settings: ClusterSettings, image: str, artifact: Artifact, credentials: Credentials
) -> Component:
    """Return Milo's controller-manager, which finds its server by name."""
    inside = credentials.inside(FOLDER)
    kubeconfig = credentials.ca.with_name("manager.kubeconfig")
    pki.kubeconfig(kubeconfig, _SERVER_URL, inside)
    argv = commands.manager(
        artifact,
        PORTS["manager"],
        _WEBHOOK_PORT,
        FOLDER / kubeconfig.name,
        inside,
        host=_ANYWHERE,
    )
    ours = credentials
    keys = (ours.ca, ours.certificate, ours.key, ours.manager_token, kubeconfig)
    return Component(
        name="manager",
        image=image,
        args=argv[1:],
        port=PORTS["manager"],
        ready_path="/healthz",
        scheme="HTTPS",
        resources=settings.manager,
        variables=artifact.variables,
        secrets=_contents(keys),
    )


def _contents(paths: Sequence[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}
