"""Credentials work, and nobody else can read them."""

import ssl
import stat
from pathlib import Path

from pipeline.environments.credentials import create_credentials


def test_every_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    create_credentials(tmp_path / "pki")

    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "pki").iterdir()}
    assert modes == {0o600}


def test_a_client_that_trusts_the_authority_trusts_the_server(tmp_path: Path) -> None:
    made = create_credentials(tmp_path / "pki")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    client = ssl.create_default_context(cafile=str(made.ca))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    there = server.wrap_bio(outgoing, incoming, server_side=True)

    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue

    assert here.version() == "TLSv1.3"


def test_the_load_has_a_token_that_is_not_an_administrators(tmp_path: Path) -> None:
    made = create_credentials(tmp_path / "pki")
    lines = [line.split(",") for line in made.tokens.read_text().splitlines()]
    users = {token: group for token, _, _, group in lines}

    assert users[made.load_token.read_text()] == '"milo-perf:load"'
    assert users[made.admin_token.read_text()] == '"system:masters"'
