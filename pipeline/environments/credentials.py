"""Certificates and tokens of one launch, created each time, in files that only we can read."""

import secrets
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.system import kubeconfig, tls

ADMIN_GROUP = "system:masters"
LOAD_GROUP = "milo-perf:load"
ADMIN_USER = "milo-perf-admin"
LOAD_USER = "milo-perf-load"
"""Names and uids of the administrator and of the load's user."""

SERVER = "server"
"""Name of the API server's Service in a cluster."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Paths of the files that a server and its clients need.

    Attributes:
        ca: Certificate of the authority, PEM.
        certificate: Server certificate for localhost, 127.0.0.1 and the name `server`, PEM.
        key: Private key of the server, PEM.
        service_account_key: Public key for service accounts, PEM.
        tokens: Kubernetes' static token file.
        admin_token: Token of a member of `ADMIN_GROUP`, which passes every check and limit.
        manager_token: Token of Milo's controller-manager, a member of the same group.
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
        """Return the paths of the same files in a container, where they are in one folder."""
        paths = {one.name: folder / getattr(self, one.name).name for one in fields(self)}
        return Credentials(**paths)

    def write_manager_kubeconfig(self, path: Path, url: str) -> Path:
        """Write the kubeconfig of Milo's controller-manager, and return its path.

        Args:
            path: Path of the file.
            url: Base URL of the API server.
        """
        text = kubeconfig.kubeconfig_json(url, self.ca, self.manager_token, "manager")
        return tls.private_file(path, text.encode())


def create_credentials(folder: Path, *names: str) -> Credentials:
    """Create a certificate authority, a server certificate and three users.

    Args:
        folder: Folder for the files, created if needed.
        names: Additional host names of the server.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    server = tls.create_identity(folder, SERVER, *names)
    account_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    admin, manager, load = (secrets.token_hex(24) for _ in range(3))
    users = (
        f'{admin},{ADMIN_USER},{ADMIN_USER},"{ADMIN_GROUP}"\n'
        f'{manager},milo-controller-manager,milo-controller-manager,"{ADMIN_GROUP}"\n'
        f'{load},{LOAD_USER},{LOAD_USER},"{LOAD_GROUP}"\n'
    )
    files = {
        "accounts.pub": account_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "tokens.csv": users.encode(),
        "admin.token": admin.encode(),
        "manager.token": manager.encode(),
        "load.token": load.encode(),
    }
    written = [tls.private_file(folder / name, content) for name, content in files.items()]
    return Credentials(server.ca, server.certificate, server.key, *written)
