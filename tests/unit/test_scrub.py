"""No credential that a log can hold is left in it, and the rest of the log is."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.drivers.scrub import MAX_LINE, REMOVED, scrub_file, scrub_lines
from pipeline.system.errors import StorageError

# Made up, and put together here, so that no scanner takes them for real ones.
OPAQUE = "0f9c" * 8 + "OPAQUE"
JWT = ".".join(("eyJ" + "hbGciOiJSUzI1NiJ9", "eyJ" + "zdWIiOiJtaWxvIn0", "c2lnbmF0dXJl-_x"))
DASHES = "-" * 5
KEY_LINES = ("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg", "c2VjcmV0LWtleS1tYXRlcmlhbA==")
KIND = "EC PRIVATE KEY"
PEM = "\n".join((f"{DASHES}BEGIN {KIND}{DASHES}", *KEY_LINES, f"{DASHES}END {KIND}{DASHES}"))
DATA = base64.b64encode(PEM.encode()).decode()
SECRETS = (OPAQUE, JWT, *KEY_LINES, DATA, "hunter2", "s3cr3t,with{all}", "bWlsbzpodW50ZXIy")


def scrub(text: str, known: Sequence[str] = ()) -> str:
    return "".join(scrub_lines(text.splitlines(keepends=True), known))


HEAD = "I1123 21:19:24.000001   21252"

# What ClusterLoader2 prints at --v=2, and what other parts of it can print.
KUBECONFIG = f"""\
I1123 21:19:23.483434   21252 clusterloader.go:314] KubeConfigPath: run/p.kubeconfig
I1123 21:19:23.483435   21252 clusterloader.go:320] KubeConfig content:
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: {DATA}
    server: https://127.0.0.1:6443/projects/p1/control-plane
  name: milo
users:
- name: load
  user:
    client-certificate-data: {DATA}
    client-key-data: >-
      {DATA[:60]}
      {DATA[60:]}
    token: {OPAQUE}
    tokenFile: run/token
    username: admin
    password: "hunter2"
- name: plain
  user:
    password: s3cr3t,with{{all}}
contexts: []
"""
LOG = f"""{KUBECONFIG}
{HEAD} clusterloader.go:332] Using config: {{ClusterConfig:{{Nodes:1}}}}
{HEAD} round_trippers.go:463]     Authorization: Bearer {OPAQUE}
{HEAD} round_trippers.go:463] curl -H "authorization: Basic bWlsbzpodW50ZXIy" 'x'
{HEAD} x.go:1] rest.Config{{Host:"https://milo", BearerToken:"{OPAQUE}", CAData:[45 45 45 45]}}
{HEAD} x.go:2] {{"status": {{"token": "{JWT}", "expires": "2026"}}}}
{HEAD} x.go:3] value="{{\\"id_token\\":\\"{JWT}\\",\\"kind\\":\\"TokenRequest\\"}}"
{HEAD} x.go:4] proxy https://milo:hunter2@proxy.example:3128/path is used
{HEAD} x.go:5] $ tool --token {OPAQUE} --nodes=1
{HEAD} x.go:6] GET https://milo/api?access_token={OPAQUE}
{HEAD} x.go:7] loose {JWT} in a sentence
{PEM}
{HEAD} clusterloader.go:278]   Status: Success
"""
KEPT = (
    "KubeConfigPath: run/p.kubeconfig",
    "server: https://127.0.0.1:6443/projects/p1/control-plane",
    "tokenFile: run/token",
    "username: admin",
    "contexts: []",
    "Using config: {ClusterConfig:{Nodes:1}}",
    'Host:"https://milo"',
    '"expires": "2026"',
    "proxy.example:3128/path is used",
    "--nodes=1",
    "in a sentence",
    "Status: Success",
)


def test_a_log_with_every_kind_of_credential_has_none_afterwards() -> None:
    assert all(secret in LOG.replace("\n      ", "") for secret in SECRETS)
    found = scrub(LOG)
    for secret in (*SECRETS, DATA[:60], DATA[60:], "45 45 45"):
        assert secret not in found
    for text in KEPT:
        assert text in found
    assert found.count(REMOVED) >= 15


def test_a_log_without_credentials_stays_as_it_is() -> None:
    plain = "\n".join(line for line in KEPT if "proxy" not in line) + "\nno end of line"
    assert scrub(plain) == plain
    assert scrub("") == ""


def test_what_was_scrubbed_is_not_changed_again() -> None:
    assert scrub(scrub(LOG)) == scrub(LOG)


def test_a_secret_that_is_known_is_found_wherever_it_stands() -> None:
    assert scrub(f"x{OPAQUE}y {OPAQUE}\n", [OPAQUE, ""]) == f"x{REMOVED}y {REMOVED}\n"


def test_a_block_that_never_ends_does_not_take_the_rest_of_the_log() -> None:
    cut = "\n".join(PEM.splitlines()[:2]) + "\nI1123 21:19:48 clusterloader.go:278] Status: Fail\n"
    found = scrub(cut)
    assert KEY_LINES[0] not in found
    assert "Status: Fail" in found


@pytest.mark.parametrize(
    "key", ["token", "client-key-data", "PASSWORD", "client_secret", "id-token"]
)
@pytest.mark.parametrize(
    "form", ["{}: {}", '"{}": "{}"', "{}={}", "{}:{}", "  - {}: '{}'", '{{\\"{}\\":\\"{}\\"}}']
)
def test_a_secret_key_has_no_value_in_any_form(key: str, form: str) -> None:
    found = scrub(form.format(key, OPAQUE))
    assert OPAQUE not in found
    assert key in found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(codec="utf-8"), max_size=200), st.text(max_size=200))
def test_a_jwt_is_found_in_any_line_and_nothing_crashes(before: str, after: str) -> None:
    assert JWT not in scrub(f"{before} {JWT} {after}")


def test_a_file_is_replaced_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clusterloader2.log"
    path.write_bytes(LOG.encode() + b"\xff not UTF-8\r\n")
    scrub_file(path, ["21252"])
    text = path.read_bytes().decode()
    assert text == scrub(LOG, ["21252"]) + "\ufffd not UTF-8\r\n"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_that_cannot_be_read_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.log: cannot be freed of credentials") as refused:
        scrub_file(tmp_path / "none.log")
    assert "do not hand it on" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_is_read_line_by_line_and_an_endless_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "large.log"
    with path.open("w") as file:
        for _ in range(2_000):
            file.write(f"I1123 21:19:24 x.go:1] token: {OPAQUE}\n")
        file.write(OPAQUE * MAX_LINE + "\nthe end\n")
    scrub_file(path)
    lines = path.read_text().splitlines()
    assert lines[0] == f"I1123 21:19:24 x.go:1] token: {REMOVED}"
    assert lines[-2] == "[a line of more than 65536 characters was left out]"
    assert lines[-1] == "the end"
    assert len(lines) == 2_002
    assert OPAQUE not in path.read_text()
    assert path.stat().st_size < 200_000


def test_a_line_of_the_greatest_length_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "edge.log"
    line = "x" * (MAX_LINE - 1)
    for text in (f"{line}\nend", line, f"{line}y\nend"):
        path.write_text(text)
        scrub_file(path)
        kept = path.read_text()
        assert kept == text if "y" not in text else kept.endswith("left out]\nend")
