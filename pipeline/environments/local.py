"""Subjects as processes of this machine: an etcd and an API server for each, on loopback only."""

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

from pipeline import proc, web
from pipeline.environments import pki
from pipeline.environments.first import authorise, first_project
from pipeline.errors import LaunchError, LoadError
from pipeline.log import log
from pipeline.model.subject import Arm
from pipeline.ports import Artifact, Program, Target
from pipeline.settings import Settings

_TRIES = 3
_IN_USE = "address already in use"
_LOOPBACK = "127.0.0.1"


class Local(Settings):
    """Processes on this machine.

    Attributes:
        ready_s: Seconds that a server has, from its start, to answer and to make a first Project.
    """

    kind: Literal["local"] = "local"
    ready_s: PositiveFloat = 60.0

    def environment(self, etcd: Program) -> "LocalEnvironment":
        """Return what launches subjects, each with an etcd of its own."""
        return LocalEnvironment(self, etcd)


@dataclass(frozen=True, slots=True)
class LocalEnvironment:
    """Implements `Environment` with processes."""

    settings: Local
    etcd: Program

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        """See `Environment.launch`."""
        out = out.absolute()  # a server runs in its own folder
        private = out / "private"  # keys, tokens and etcd's data: never kept
        private.mkdir(mode=0o700)
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, private, ignore_errors=True)
            credentials = pki.create(private / "pki")
            stores = self._up(
                {arm: partial(self._etcd, stack, arm, private, out) for arm in artifacts},
                "/health",
                None,
            )
            servers = self._up(
                {
                    arm: partial(
                        self._server,
                        stack,
                        arm,
                        artifact,
                        credentials,
                        etcd_url=stores[arm].url,
                        out=out,
                    )
                    for arm, artifact in artifacts.items()
                },
                "/readyz",
                credentials.ca,
            )
            targets = {arm: _target(servers[arm], stores[arm], credentials) for arm in artifacts}
            for arm, target in targets.items():
                token = credentials.admin_token.read_text()
                authorise(target, token, pki.LOAD_GROUP)
                first_project(target, token, str(arm), self.settings.ready_s)
            yield targets

    def _etcd(self, stack: ExitStack, arm: Arm, private: Path, out: Path) -> "_Up":
        client, peer = (f"http://{_LOOPBACK}:{port}" for port in _free_ports(2))
        data = private / f"etcd-{arm}"
        shutil.rmtree(data, ignore_errors=True)
        argv = [
            str(self.etcd.path),
            f"--data-dir={data}",
            "--log-level=warn",
            "--unsafe-no-fsync",  # the disk of the machine is not what we measure
            "--quota-backend-bytes=8589934592",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]
        name = f"etcd of the {arm}"
        service = stack.enter_context(
            proc.started(argv, name=name, output=out / f"etcd-{arm}.log", error=LaunchError)
        )
        return _Up(service, client)

    def _server(
        self,
        stack: ExitStack,
        arm: Arm,
        artifact: Artifact,
        credentials: pki.Credentials,
        *,
        etcd_url: str,
        out: Path,
    ) -> "_Up":
        (port,) = _free_ports(1)
        argv = [
            str(artifact.binary),
            f"--bind-address={_LOOPBACK}",
            f"--advertise-address={_LOOPBACK}",  # there may be no default route
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
        name = f"server of the {arm}"
        service = stack.enter_context(
            proc.started(
                argv, name=name, output=out / f"server-{arm}.log", error=LaunchError, cwd=out
            )
        )
        return _Up(service, f"https://{_LOOPBACK}:{port}")

    def _up(
        self, starts: Mapping[Arm, Callable[[], "_Up"]], path: str, ca_file: Path | None
    ) -> dict[Arm, "_Up"]:
        """Start all, then wait for all; where another program took a port meanwhile, start anew."""
        up = {arm: start() for arm, start in starts.items()}
        for arm in starts:
            for left in reversed(range(_TRIES)):
                one = up[arm]
                ready = partial(web.answers, f"{one.url}{path}", ca_file=ca_file)
                try:
                    one.service.wait_ready(ready, self.settings.ready_s)
                except LaunchError:
                    taken = one.service.ended() and _IN_USE in proc.last(one.service.output)
                    if not (left and taken):
                        raise
                    log.info("%s: its port was taken meanwhile; trying another", one.service.name)
                    up[arm] = starts[arm]()
                else:
                    break
        return up


@dataclass(frozen=True, slots=True)
class _Up:
    """A service and the base URL at which it answers."""

    service: proc.Service
    url: str


def _target(server: _Up, store: _Up, credentials: pki.Credentials) -> Target:
    def check() -> None:
        for service in (server.service, store.service):
            if how := service.ended():
                raise LoadError(
                    f"{service.name} {how} while it was measured", hint=proc.last(service.output)
                )

    return Target(
        url=server.url,
        ca_file=credentials.ca,
        token_file=credentials.load_token,
        admin_token_file=credentials.admin_token,
        processes={"server": server.service.pid, "etcd": store.service.pid},
        metrics={"server": f"{server.url}/metrics", "etcd": f"{store.url}/metrics"},
        etcd_url=store.url,
        check=check,
    )


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nothing listens on just now."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in held:
            sock.bind((_LOOPBACK, 0))
        return [int(sock.getsockname()[1]) for sock in held]
