"""The command line of every process of a subject; pure."""

from pathlib import Path

from pipeline.environments.pki import Credentials
from pipeline.model.ports import Artifact
from pipeline.model.subject import Product
from pipeline.system.tls import ADDRESS

_OPEN_PATHS = "/healthz,/readyz,/livez,/metrics,/debug/pprof/*"


def etcd(binary: Path, data: Path, client: str, peer: str, advertised: str = "") -> list[str]:
    """Return the command of an etcd of one member.

    Args:
        binary: etcd.
        data: Folder for its data; made by etcd.
        client: URL at which it listens for clients.
        peer: URL for other members, of which there are none.
        advertised: URL that clients use, where it is another.
    """
    return [
        str(binary),
        f"--data-dir={data}",
        "--log-level=warn",
        "--unsafe-no-fsync",  # the disk of the machine is not what we measure
        "--quota-backend-bytes=8589934592",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={advertised or client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def server(
    artifact: Artifact, port: int, etcd_url: str, credentials: Credentials, host: str = ADDRESS
) -> list[str]:
    """Return the command of an API server; both products take the same flags."""
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
        "--v=0",
        *artifact.arguments,
    ]


def manager(
    artifact: Artifact,
    port: int,
    webhook_port: int,
    kubeconfig: Path,
    credentials: Credentials,
    *,
    host: str = ADDRESS,
) -> list[str]:
    """Return the command of Milo's controller-manager, whose infra cluster is Milo itself.

    It starts a server for webhooks whether there are any or not, so it has a port and a
    certificate for them; the certificate must be below `--cert-dir`.
    """
    return [
        str(artifact.binary),
        "controller-manager",
        "--control-plane-scope=core",
        "--leader-elect=false",
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
        "--v=0",
        *artifact.manager_arguments,
    ]
