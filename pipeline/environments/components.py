"""The processes of a build: their command lines, and their containers in a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pipeline.environments.cluster_settings import ClusterSettings, Resources
from pipeline.environments.credentials import SERVER, Credentials
from pipeline.environments.manifests import FOLDER, Component
from pipeline.model.ports import Artifact
from pipeline.model.replicas import component_of, replica_names
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

_PROFILING = ("--profiling=true", "--contention-profiling=true")
_ANYWHERE = "0.0.0.0"  # noqa: S104 (of a container, behind a network policy)
_PEER_PORT = 2380
_SERVER_URL = f"https://{SERVER}:{PORTS['server']}"
_OPEN_PATHS = "/healthz,/readyz,/livez,/metrics,/debug/pprof/*"


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """Addresses of one member of etcd.

    Attributes:
        name: Name of the member.
        client: URL on which it listens for clients.
        peer: URL on which it listens for the other members.
        client_host: URL by which clients find it; empty for the same.
        peer_host: URL by which the other members find it; empty for the same.
    """

    name: str
    client: str
    peer: str
    client_host: str = ""
    peer_host: str = ""

    def etcd_flags(self, members: "Sequence[EtcdMember]") -> list[str]:
        """Return the flags of this member, in a cluster of all of them."""
        cluster = ",".join(f"{one.name}={one.peer_host or one.peer}" for one in members)
        return [
            f"--name={self.name}",
            f"--listen-client-urls={self.client}",
            f"--advertise-client-urls={self.client_host or self.client}",
            f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer_host or self.peer}",
            f"--initial-cluster={cluster}",
        ]


def etcd_command(
    binary: Path,
    data: Path,
    member: EtcdMember,
    members: Sequence[EtcdMember] = (),
    *,
    has_fsync: bool = False,
    is_profiled: bool = False,
) -> list[str]:
    """Return the command of one member of an etcd.

    Args:
        binary: Path of etcd.
        data: Folder for its data, which etcd creates.
        member: The member.
        members: All members, with this one; empty if it is the only one.
        has_fsync: True to wait for the disk at each write.
        is_profiled: True to serve profiles.
    """
    return [
        str(binary),
        f"--data-dir={data}",
        "--log-level=warn",
        *([] if has_fsync else ["--unsafe-no-fsync"]),  # the disk is usually not what we measure
        "--quota-backend-bytes=8589934592",
        *member.etcd_flags(members or (member,)),
        *(["--enable-pprof"] if is_profiled else []),
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
        etcd_url: Client URLs of etcd's members, with commas between them.
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
        *(_PROFILING if artifact.is_profiled else ()),
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
        *(_PROFILING if artifact.is_profiled else ()),
        *artifact.manager_arguments,
    ]


def etcd_containers(
    settings: ClusterSettings, image: str, *, is_profiled: bool = False
) -> list[Component]:
    """Return every member of an etcd; each has a Service, by which the others find it."""
    client, peer = PORTS["etcd"], _PEER_PORT
    names = replica_names("etcd", settings.etcd_members)
    is_alone = len(names) == 1
    members = [
        EtcdMember(
            name,
            client=f"http://{_ANYWHERE}:{client}",
            peer=f"http://{ADDRESS if is_alone else _ANYWHERE}:{peer}",
            client_host=f"http://{name}:{client}",
            peer_host="" if is_alone else f"http://{name}:{peer}",
        )
        for name in names
    ]
    data = Path("/data/etcd")
    return [
        replace(
            _container(
                member.name,
                image,
                etcd_command(
                    *(Path("etcd"), data, member, members),
                    has_fsync=settings.has_fsync,
                    is_profiled=is_profiled,
                ),
                settings.etcd,
                data="/data",
            ),
            group=member.name,
            other_ports=() if is_alone else (peer,),
            has_peers=not is_alone,
        )
        for member in members
    ]


def server_containers(
    settings: ClusterSettings,
    image: str,
    artifact: Artifact,
    credentials: Credentials,
    flags: Sequence[str],
) -> list[Component]:
    """Return the API servers, which find their etcd by the names of its Services."""
    inside = credentials.inside(FOLDER)
    members = replica_names("etcd", settings.etcd_members)
    etcd_url = ",".join(f"http://{name}:{PORTS['etcd']}" for name in members)
    argv = server_command(artifact, PORTS["server"], etcd_url, inside, _ANYWHERE, flags=flags)
    own = (credentials.service_account_key, credentials.tokens)
    files = (credentials.ca, credentials.certificate, credentials.key, *own)
    names = replica_names("server", settings.replicas)
    return [
        replace(
            _container(
                name, image, argv, settings.server, variables=artifact.variables, files=files
            ),
            has_others=len(names) > 1,
        )
        for name in names
    ]


def manager_containers(
    settings: ClusterSettings,
    image: str,
    artifact: Artifact,
    credentials: Credentials,
    flags: Sequence[str],
) -> list[Component]:
    """Return Milo's controller-managers, which find a server by the name of the Service."""
    inside = credentials.inside(FOLDER)
    kubeconfig = credentials.ca.with_name("manager.kubeconfig")
    inside.write_manager_kubeconfig(kubeconfig, _SERVER_URL)
    path = FOLDER / kubeconfig.name
    argv = manager_command(
        artifact, PORTS["manager"], WEBHOOK_PORT, path, inside, host=_ANYWHERE, flags=flags
    )
    own = (credentials.manager_token, kubeconfig)
    files = (credentials.ca, credentials.certificate, credentials.key, *own)
    names = replica_names("manager", settings.replicas)
    return [
        replace(
            _container(
                name, image, argv, settings.manager, variables=artifact.variables, files=files
            ),
            other_ports=(WEBHOOK_PORT,),
            has_others=len(names) > 1,
        )
        for name in names
    ]


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
    component = component_of(name)
    return Component(
        name=name,
        group=component,
        image=image,
        args=argv[1:],
        port=PORTS[component],
        ready_path=READY_PATHS[component],
        scheme="HTTP" if component == "etcd" else "HTTPS",
        resources=resources,
        variables=variables,
        secrets={path.name: path.read_bytes() for path in files},
        data=data,
    )
