"""Free ports of loopback, and TLS certificates for servers on them."""

import datetime as dt
import ipaddress
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
ADDRESS_IN_USE = "address already in use"  # error of a Go server whose port was taken meanwhile
MAX_STARTS = 3  # of a server whose port was taken
_LIFETIME = dt.timedelta(days=40)  # longer than the longest soak, see model/bounds.py


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Paths of the PEM files of a server and its own authority; only this user can read them."""

    ca: Path
    certificate: Path
    key: Path


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nothing listens."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in held:
            sock.bind((ADDRESS, 0))
        return [int(sock.getsockname()[1]) for sock in held]


def create_identity(folder: Path, *names: str) -> ServerIdentity:
    """Create an authority and a server's certificate, with further names, in a folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    folder.mkdir(mode=0o700, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
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
    san = [
        *(x509.DNSName(one) for one in ("localhost", *names)),
        x509.IPAddress(ipaddress.ip_address(ADDRESS)),
    ]
    certificate = (
        builder(name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(san), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return ServerIdentity(
        ca=private_file(folder / "ca.crt", ca.public_bytes(pem)),
        certificate=private_file(folder / "server.crt", certificate.public_bytes(pem)),
        key=private_file(
            folder / "server.key",
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        ),
    )


def private_file(path: Path, content: bytes) -> Path:
    """Write a file that only this user can read, and return its path."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
