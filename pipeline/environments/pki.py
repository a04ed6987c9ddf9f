"""Certificates and tokens of one launch: made anew each time, in files that only we can read."""

import datetime as dt
import ipaddress
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

_LIFETIME = dt.timedelta(days=2)
ADMIN_GROUP = "system:masters"
LOAD_GROUP = "milo-perf:load"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Paths of what a server and its clients need.

    Attributes:
        ca: Certificate of the authority, PEM.
        certificate: Of the server, for localhost and 127.0.0.1, PEM.
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


def create(folder: Path) -> Credentials:
    """Make a certificate authority, a server certificate and two users in a new folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    folder.mkdir(mode=0o700)
    now = dt.datetime.now(dt.UTC)
    ca_key, key, account_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "milo-perf")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + _LIFETIME)
        )

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        builder(name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    admin, manager, load = (secrets.token_hex(24) for _ in range(3))
    users = (
        f'{admin},milo-perf-admin,milo-perf-admin,"{ADMIN_GROUP}"\n'
        f'{manager},milo-controller-manager,milo-controller-manager,"{ADMIN_GROUP}"\n'
        f'{load},milo-perf-load,milo-perf-load,"{LOAD_GROUP}"\n'
    )
    return Credentials(
        ca=_write(folder / "ca.crt", ca.public_bytes(pem)),
        certificate=_write(folder / "server.crt", certificate.public_bytes(pem)),
        key=_write(
            folder / "server.key",
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        ),
        service_account_key=_write(
            folder / "accounts.pub",
            account_key.public_key().public_bytes(
                pem, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
        ),
        tokens=_write(folder / "tokens.csv", users.encode()),
        admin_token=_write(folder / "admin.token", admin.encode()),
        manager_token=_write(folder / "manager.token", manager.encode()),
        load_token=_write(folder / "load.token", load.encode()),
    )


def kubeconfig(path: Path, url: str, credentials: Credentials) -> Path:
    """Write what Milo's controller-manager reads to find its API server, and return the file."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "milo",
                "cluster": {"server": url, "certificate-authority": str(credentials.ca)},
            }
        ],
        "users": [{"name": "manager", "user": {"tokenFile": str(credentials.manager_token)}}],
        "contexts": [{"name": "milo", "context": {"cluster": "milo", "user": "manager"}}],
        "current-context": "milo",
    }
    return _write(path, json.dumps(content).encode())  # JSON is YAML


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
