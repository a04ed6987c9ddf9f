"""The processes of a build: their command lines, and their containers in a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pipeline.environments.cluster_settings import ClusterSettings, Resources
from pipeline.environments.credentials import SERVER, Credentials
from pipeline.environments.manifests import FOLDER, Component
from pipeline.model.ports import Artifact
from pipeline.model.subject import Product
from pipeline.system.tls import ADDRESS

PORTS: Mapping[str, int] = MappingProxyType({"server": 6443, "etcd": 2379, "manager": 10257})
"""Port of each component's container."""

READY_PATHS: Mapping[str, str] = MappingProxyType(
    {"server": "/readyz", "etcd": "/health", "manager": "/healthz"}
)
"""Path that answers 200 once a component is ready."""

WEBHOOK_PORT = 9443
"""Port of the controller-manager's webhook server in a cluster."""

_ANYWHERE = "0.0.0.0"  # noqa: S104 (of a container, behind a network policy)
_ETCD_URL = f"http://etcd:{PORTS['etcd']}"
_SERVER_URL = f"https://{SERVER}:{PORTS['server']}"
_OPEN_PATHS = "/healthz,/readyz,/livez,/metrics,/debug/pprof/*"


def etcd_command(
    binary: Path,
    data: Path,
    client: str,
    peer: str,
    advertised: str = "",
    *,
    has_fsync: bool = False,
) -> list[str]:
    """Return the command of an etcd of one member.

    Args:
        binary: Path of etcd.
        data: Folder for its data, which etcd creates.
        client: URL on which it listens for clients.
        peer: URL for other members, of which there are none.
        advertised: URL that clients use; empty for the same.
        has_fsync: True to wait for the disk at each write.
    """
    return [
        str(binary),
        f"--data-dir={data}",
        "--log-level=warn",
        *([] if has_fsync else ["--unsafe-no-fsync"]),  # the disk is usually not what we measure
        "--quota-backend-bytes=8589934592",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={advertised or client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def server_command(
    artifact: Artifact,
    port: int,
    etcd_url: str,
    credentials: Credentials,
    host: str = ADDRESS,
    *,
    flags: Sequence[str] = (),
) -> list[str]:
    """Return the command of an API server; both products have the same flags.

    Args:
        artifact: The build.
        port: Port on which it listens.
        etcd_url: Client URL of etcd.
        credentials: Paths of certificates and tokens.
        host: Address on which it listens.
        flags: Flags of the profile; those of the spec come later, so they win.
    """
    subcommand = ["apiserver"] if artifact.product is Product.MILO else []
    return [
        str(artifact.binary),
        *subcommand,
        f"--bind-address={host}",
        f"--advertise-address={ADDRESS}",  # there may be no default route
        f"--secure-port={port}",
        f"--etcd-servers={etcd_url}",
        "--etcd-prefix=/registry",
        f"--tls-cert-file={credentials.certificate}",
        f"--tls-private-key-file={credentials.key}",
        f"--client-ca-file={credentials.ca}",
        f"--token-auth-file={credentials.tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://milo-perf.invalid",
        f"--service-account-key-file={credentials.service_account_key}",
        *(flags or ["--v=0"]),
        *artifact.arguments,
    ]


def manager_command(
    artifact: Artifact,
    port: int,
    webhook_port: int,
    kubeconfig: Path,
    credentials: Credentials,
    *,
    host: str = ADDRESS,
    flags: Sequence[str] = (),
) -> list[str]:
    """Return the command of Milo's controller-manager, whose infra cluster is Milo itself.

    It always starts a server for webhooks, which needs a port and a certificate below `--cert-dir`.

    Args:
        artifact: The build.
        port: Port for health and metrics.
        webhook_port: Port of the webhook server.
        kubeconfig: Path of the kubeconfig for the API server.
        credentials: Paths of certificates and tokens.
        host: Address on which it listens.
        flags: Flags of the profile; those of the spec come later, so they win.
    """
    return [
        str(artifact.binary),
        "controller-manager",
        "--control-plane-scope=core",
        f"--kubeconfig={kubeconfig}",
        f"--infra-cluster-kubeconfig={kubeconfig}",
        f"--bind-address={host}",
        f"--secure-port={port}",
        f"--controller-runtime-webhook-port={webhook_port}",
        f"--cert-dir={credentials.certificate.parent}",
        f"--tls-cert-file={credentials.certificate}",
        f"--tls-private-key-file={credentials.key}",
        f"--client-ca-file={credentials.ca}",
        "--authentication-skip-lookup",
        f"--authorization-always-allow-paths={_OPEN_PATHS}",
        *(flags or ["--leader-elect=false", "--v=0"]),
        *artifact.manager_arguments,
    ]


def etcd_container(settings: ClusterSettings, image: str) -> Component:
    """Return an etcd of one member."""
    argv = etcd_command(
        Path("etcd"),
        Path("/data/etcd"),
        f"http://{_ANYWHERE}:{PORTS['etcd']}",
        f"http://{ADDRESS}:2380",
        _ETCD_URL,
        has_fsync=settings.has_fsync,
    )
    return _container("etcd", image, argv, settings.etcd, data="/data")


def server_container(
    settings: ClusterSettings,
    image: str,
    artifact: Artifact,
    credentials: Credentials,
    flags: Sequence[str],
) -> Component:
    """Return an API server, which finds its etcd by the name of the Service."""
    inside = credentials.inside(FOLDER)
    argv = server_command(artifact, PORTS["server"], _ETCD_URL, inside, _ANYWHERE, flags=flags)
    own = (credentials.service_account_key, credentials.tokens)
    files = (credentials.ca, credentials.certificate, credentials.key, *own)
    return _container(
        "server", image, argv, settings.server, variables=artifact.variables, files=files
    )


def manager_container(
    settings: ClusterSettings,
    image: str,
    artifact: Artifact,
    credentials: Credentials,
    flags: Sequence[str],
) -> Component:
    """Return Milo's controller-manager, which finds its server by the name of the Service."""
    inside = credentials.inside(FOLDER)
    kubeconfig = credentials.ca.with_name("manager.kubeconfig")
    inside.write_manager_kubeconfig(kubeconfig, _SERVER_URL)
    path = FOLDER / kubeconfig.name
    argv = manager_command(
        artifact, PORTS["manager"], WEBHOOK_PORT, path, inside, host=_ANYWHERE, flags=flags
    )
    own = (credentials.manager_token, kubeconfig)
    files = (credentials.ca, credentials.certificate, credentials.key, *own)
    container = _container(
        "manager", image, argv, settings.manager, variables=artifact.variables, files=files
    )
    return replace(container, other_ports=(WEBHOOK_PORT,))


def _container(
    name: str,
    image: str,
    argv: Sequence[str],
    resources: Resources,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    files: Sequence[Path] = (),
    data: str = "",
) -> Component:
    return Component(
        name=name,
        image=image,
        args=argv[1:],
        port=PORTS[name],
        ready_path=READY_PATHS[name],
        scheme="HTTP" if name == "etcd" else "HTTPS",
        resources=resources,
        variables=variables,
        secrets={path.name: path.read_bytes() for path in files},
        data=data,
    )
