"""The local environment with programs that misbehave."""

import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline import toolchain
from pipeline.environments.local import LocalEnvironment, LocalSettings
from pipeline.model.ports import Artifact, Program
from pipeline.model.subject import Arm, Product, Subject
from pipeline.system import http_client
from pipeline.system.errors import Exit, LaunchError, LoadError, SubjectDiedError
from tests.gotests import go_tests

ETCD = """
    import http.server, sys
    url = next(a for a in sys.argv if a.startswith("--listen-client-urls=")).split("=", 1)[1]
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
            self.wfile.write(b"{}")
        def log_message(self, *args): pass
    {before}
    http.server.HTTPServer(("127.0.0.1", int(url.rsplit(":", 1)[1])), Handler).serve_forever()
"""
SERVER = """
    import http.server, json, ssl, sys, threading, os
    flag = lambda name: next(a for a in sys.argv if a.startswith(f"--{name}=")).split("=", 1)[1]
    {before}
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            condition = {"type": "Ready", "status": "{ready}"}
            body = json.dumps({"status": {"conditions": [condition]}, "items": []})
            self.send_response({status})
            self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body.encode())
        def do_POST(self): self.do_GET()
        def log_message(self, *args): pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(flag("secure-port"))), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(flag("tls-cert-file"), flag("tls-private-key-file"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
"""


def program(path: Path, code: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
    path.chmod(0o755)
    return path


def etcd(tmp_path: Path, before: str = "pass") -> Program:
    return Program(program(tmp_path / "etcd", ETCD.replace("{before}", before)), "3.6", "sha256:00")


def server(
    tmp_path: Path, before: str = "pass", ready: str = "True", status: int = 200
) -> dict[Arm, Artifact]:
    code = SERVER.replace("{before}", before).replace("{ready}", ready)
    code = code.replace("{status}", str(status))
    binary = program(tmp_path / "server", code)
    return {arm: Artifact(Subject("reference", "sha256:00"), binary) for arm in Arm}


def nothing_is_left(tmp_path: Path) -> bool:
    ours = [p for p in psutil.Process().children(recursive=True) if str(tmp_path) in _line(p)]
    return not ours and not (tmp_path / "out" / "private").exists()


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_both_arms_answer_inside_and_nothing_is_left_outside(tmp_path: Path, out: Path) -> None:
    environment = LocalEnvironment(LocalSettings(), etcd(tmp_path))
    with environment.launch(server(tmp_path), out) as targets:
        assert len({target.url for target in targets.values()}) == 2
        for target in targets.values():
            target.check()
            assert psutil.pid_exists(target.processes["server"])

    assert nothing_is_left(tmp_path)


def test_a_component_is_killed_and_started_again(tmp_path: Path, out: Path) -> None:
    environment = LocalEnvironment(LocalSettings(), etcd(tmp_path))
    with environment.launch(server(tmp_path), out) as targets:
        target = targets[Arm.CANDIDATE]
        assert target.restart is not None
        before = dict(target.processes)
        target.restart()
        assert target.processes["server"] != before["server"]
        assert target.processes["etcd"] == before["etcd"]
        assert not psutil.pid_exists(before["server"])
        deadline = time.monotonic() + 20
        while not http_client.answers(f"{target.url}/readyz", ca_file=target.ca_file):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        target.check()
    assert nothing_is_left(tmp_path)


def test_replicas_answer_at_one_address_and_one_that_dies_is_named(
    tmp_path: Path, out: Path
) -> None:
    settings = LocalSettings(replicas=2, etcd_members=3)
    environment = LocalEnvironment(settings, etcd(tmp_path), toolchain.program("balancer"))
    artifacts = {arm: replace(one, product=Product.MILO) for arm, one in server(tmp_path).items()}
    with environment.launch(artifacts, out) as targets:
        target = targets[Arm.CANDIDATE]
        names = {f"{name}{end}" for name in ("server", "manager") for end in ("", "-2")}
        assert set(target.processes) == {*names, "etcd", "etcd-2", "etcd-3"}
        direct = {url.removesuffix("/metrics") for url in target.metrics.values()}
        assert target.url not in direct
        assert http_client.answers(f"{target.url}/readyz", ca_file=target.ca_file)
        target.check()
        psutil.Process(target.processes["server-2"]).kill()
        with pytest.raises(SubjectDiedError, match="server-2 of the candidate was killed by"):
            _until_dead(target.check)
        assert http_client.answers(f"{target.url}/readyz", ca_file=target.ca_file)
    assert nothing_is_left(tmp_path)


def test_the_go_tests_of_the_balancer_pass(tmp_path: Path) -> None:
    said = go_tests("balancer", tmp_path, "-count=1", "-v", ".")
    assert said.count("--- PASS") >= 6


def test_no_secret_is_in_an_argument(tmp_path: Path, out: Path) -> None:
    environment = LocalEnvironment(LocalSettings(), etcd(tmp_path))
    with environment.launch(server(tmp_path), out) as targets:
        target = targets[Arm.BASELINE]
        tokens = [target.token_file.read_text(), target.admin_token_file.read_text()]
        lines = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]

    assert lines
    assert not any(token in line for token in tokens for line in lines)


def test_a_server_that_dies_at_start_is_told_with_its_last_lines(tmp_path: Path, out: Path) -> None:
    artifacts = server(tmp_path, before="sys.exit('panic: no such storage')")
    with (
        pytest.raises(LaunchError, match="exited with 1 before it was ready") as caught,
        LocalEnvironment(LocalSettings(), etcd(tmp_path)).launch(artifacts, out),
    ):
        pass

    assert "panic: no such storage" in caught.value.hint
    assert caught.value.exit_code == Exit.NOT_STARTED
    assert nothing_is_left(tmp_path)


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path, out: Path) -> None:
    artifacts = server(tmp_path, status=500)
    with (
        pytest.raises(LaunchError, match="was not ready after 2 s"),
        LocalEnvironment(LocalSettings(ready_s=2), etcd(tmp_path)).launch(artifacts, out),
    ):
        pass

    assert nothing_is_left(tmp_path)


def test_a_server_whose_first_project_is_never_ready_is_given_up(tmp_path: Path, out: Path) -> None:
    artifacts = server(tmp_path, ready="False")
    with (
        pytest.raises(LaunchError, match="its first Project was not Ready after 2 s"),
        LocalEnvironment(LocalSettings(ready_s=2), etcd(tmp_path)).launch(artifacts, out),
    ):
        pass

    assert nothing_is_left(tmp_path)


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path, out: Path) -> None:
    marker = tmp_path / "failed-once"
    before = (
        f"marker = {str(marker)!r}\n"
        "    if not os.path.exists(marker):\n"
        "        open(marker, 'w').close(); sys.exit('listen: bind: address already in use')"
    )
    environment = LocalEnvironment(LocalSettings(), etcd(tmp_path))
    with environment.launch(server(tmp_path, before=before), out) as targets:
        for target in targets.values():
            target.check()

    assert marker.exists()
    assert nothing_is_left(tmp_path)


def test_a_binary_that_is_not_executable_is_one_clear_error(tmp_path: Path, out: Path) -> None:
    artifacts = server(tmp_path)
    artifacts[Arm.BASELINE].binary.chmod(0o644)
    with (
        pytest.raises(LaunchError, match="not there, or not executable"),
        LocalEnvironment(LocalSettings(), etcd(tmp_path)).launch(artifacts, out),
    ):
        pass

    assert nothing_is_left(tmp_path)


def test_a_component_that_dies_later_is_named(tmp_path: Path, out: Path) -> None:
    environment = LocalEnvironment(LocalSettings(), etcd(tmp_path))
    with environment.launch(server(tmp_path), out) as targets:
        target = targets[Arm.CANDIDATE]
        victim = psutil.Process(target.processes["etcd"])
        victim.kill()
        with pytest.raises(LoadError, match="etcd of the candidate was killed by signal 9"):
            _until_dead(target.check)


def _until_dead(check: object) -> None:
    assert callable(check)
    for _ in range(100):
        check()
        time.sleep(0.05)
