"""Certificates and tokens of one launch: made anew each time, in files that only we can read."""

import secrets
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.system import tls
from pipeline.system.kubeconfig import kubeconfig_json as kubeconfig_text

ADMIN_GROUP = "system:masters"
LOAD_GROUP = "milo-perf:load"
SERVER = "server"
"""Name under which the API server is found by its neighbours in a cluster."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Paths of what a server and its clients need.

    Attributes:
        ca: Certificate of the authority, PEM.
        certificate: Of the server, for localhost, 127.0.0.1 and the name `server`, PEM.
        key: Of the server, PEM.
        service_account_key: Public key for service accounts, PEM.
        tokens: Kubernetes' static token file.
        admin_token: Token of a member of `ADMIN_GROUP`, which passes every check and limit.
        manager_token: Token of Milo's controller-manager, of the same group.
        load_token: Token of a member of `LOAD_GROUP`, an ordinary user.
    """

    ca: Path
    certificate: Path
    key: Path
    service_account_key: Path
    tokens: Path
    admin_token: Path
    manager_token: Path
    load_token: Path

    def inside(self, folder: Path) -> "Credentials":
        """Return the same files as a container sees them, all in one folder."""
        paths = {one.name: folder / getattr(self, one.name).name for one in fields(self)}
        return Credentials(**paths)


def create(folder: Path, *more: str) -> Credentials:
    """Make a certificate authority, a server certificate and its users in a new folder.

    Args:
        folder: Where they are written.
        more: Further names of the server.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    server = tls.create_identity(folder, SERVER, *more)
    account_key = ec.generate_private_key(ec.SECP256R1())
    admin, manager, load = (secrets.token_hex(24) for _ in range(3))
    users = (
        f'{admin},milo-perf-admin,milo-perf-admin,"{ADMIN_GROUP}"\n'
        f'{manager},milo-controller-manager,milo-controller-manager,"{ADMIN_GROUP}"\n'
        f'{load},milo-perf-load,milo-perf-load,"{LOAD_GROUP}"\n'
    )
    return Credentials(
        ca=server.ca,
        certificate=server.certificate,
        key=server.key,
        service_account_key=tls.private_file(
            folder / "accounts.pub",
            account_key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
        ),
        tokens=tls.private_file(folder / "tokens.csv", users.encode()),
        admin_token=tls.private_file(folder / "admin.token", admin.encode()),
        manager_token=tls.private_file(folder / "manager.token", manager.encode()),
        load_token=tls.private_file(folder / "load.token", load.encode()),
    )


def kubeconfig(path: Path, url: str, credentials: Credentials) -> Path:
    """Write what Milo's controller-manager reads to find its API server, and return the file."""
    text = kubeconfig_text(url, credentials.ca, credentials.manager_token, "manager")
    return tls.private_file(path, text.encode())
