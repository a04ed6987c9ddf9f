"""Start subjects as processes of this machine, each with its own etcd, on loopback only."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveFloat

from pipeline.environments import bootstrap, components
from pipeline.environments.credentials import Credentials, create_credentials
from pipeline.environments.profile import (
    MiloManifests,
    ProfileSettings,
    profile_checks,
    read_manifests,
)
from pipeline.model.health import Check
from pipeline.model.ports import Artifact, Program, Target
from pipeline.model.subject import Arm, Product
from pipeline.system import http_client, processes, tls
from pipeline.system.errors import ConfigError, LaunchError, SubjectDiedError
from pipeline.system.log import log
from pipeline.system.private_folder import private_folder

_GRACE_S = 1.0
"""Seconds until the programs of a launch are killed; what they would still write is not needed."""

_UNKNOWN_FLAG = re.compile(r"unknown (?:shorthand )?flag:? .*?(--?[A-Za-z][\w-]*)")


class LocalSettings(ProfileSettings):
    """Settings of subjects that are processes of this machine.

    Attributes:
        ready_s: Seconds from the start of a server until it must answer, and must have made a
            first Project.
    """

    kind: Literal["local"] = "local"
    ready_s: PositiveFloat = 60.0

    needs: ClassVar[tuple[str, ...]] = ("etcd",)
    is_here: ClassVar[bool] = True
    starts_images: ClassVar[bool] = False
    shows_processes: ClassVar[bool] = True
    can_restart: ClassVar[bool] = True
    load_pods: ClassVar[int] = 0
    load_path: ClassVar[str] = "loopback only"
    asks: ClassVar[str] = ""
    asks_for_load: ClassVar[str] = ""

    @property
    def facts(self) -> dict[str, str]:
        """See `EnvironmentSettings.facts`."""
        return {"environment": self.kind, **self.profile_facts()}

    def start_s(self, product: Product) -> float:
        """See `EnvironmentSettings.start_s`."""
        return 3.0 if product is Product.REFERENCE else 9.0

    def price(self, duration_s: float) -> str:
        """Return nothing: this machine is free."""
        return ""

    def checks(self) -> list[Check]:
        """Return the checks of the profile; the doctor always checks this machine."""
        return list(profile_checks(self))

    @contextmanager
    def open(self, programs: Mapping[str, Program]) -> Iterator["LocalEnvironment"]:
        """See `EnvironmentSettings.open`."""
        yield LocalEnvironment(self, programs["etcd"])


@dataclass(frozen=True, slots=True)
class LocalEnvironment:
    """Implements `Environment` with processes."""

    settings: LocalSettings
    etcd: Program

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        """See `Environment.launch`.

        Raises:
            ConfigError: A subject is a container image.
        """
        for artifact in artifacts.values():
            if artifact.image:
                raise ConfigError(
                    f"`{artifact.subject.spec}` is a container image, which cannot be a process",
                    hint='say --environment kind, or a file with kind = "remote"',
                )
        ready_s = self.settings.ready_s
        out = out.absolute()  # a server runs in its own folder
        with private_folder(out) as private, processes.stop_together(_GRACE_S) as stack:
            installed = {
                arm: read_manifests(artifact, self.settings) for arm, artifact in artifacts.items()
            }
            credentials = create_credentials(private / "pki")
            token = credentials.admin_token.read_text()
            launch = _LocalLaunch(self, stack, credentials, private, out, installed)
            stores = launch.start({arm: partial(launch.etcd, arm) for arm in artifacts}, "etcd")
            servers = launch.start(
                {
                    arm: partial(launch.server, arm, artifact, stores[arm].url)
                    for arm, artifact in artifacts.items()
                },
                "server",
            )
            targets = {
                arm: launch.target({"server": servers[arm], "etcd": stores[arm]})
                for arm in artifacts
            }
            for arm, artifact in artifacts.items():
                bootstrap.prepare_server(targets[arm], token, artifact.product, str(arm), ready_s)
            managers = launch.start(
                {
                    arm: partial(launch.manager, arm, artifact, servers[arm].url)
                    for arm, artifact in artifacts.items()
                    if artifact.product is Product.MILO
                },
                "manager",
            )
            for arm, manager in managers.items():
                parts = {"server": servers[arm], "manager": manager, "etcd": stores[arm]}
                targets[arm] = launch.target(parts)
                if self.settings.is_production:
                    url = manager.webhooks_url
                    bootstrap.set_up_production(targets[arm], token, installed[arm], url, ready_s)
                    targets[arm] = replace(targets[arm], needs_organization_path=True)
            bootstrap.create_first_projects(targets, token, ready_s)
            yield targets


@dataclass(frozen=True, slots=True)
class _RunningComponent:
    """A process, its environment variables and the base URLs at which it answers."""

    service: processes.Service
    variables: Mapping[str, str]
    url: str
    webhooks_url: str = ""


@dataclass(frozen=True, slots=True)
class _LocalLaunch:
    """One launch: its stack stops every process that it starts."""

    environment: LocalEnvironment
    stack: ExitStack
    credentials: Credentials
    private: Path
    out: Path
    installed: Mapping[Arm, MiloManifests]

    def etcd(self, arm: Arm) -> _RunningComponent:
        client, peer = (f"http://{tls.ADDRESS}:{port}" for port in tls.free_ports(2))
        data = self.private / f"etcd-{arm}"
        shutil.rmtree(data, ignore_errors=True)
        argv = components.etcd_command(
            self.environment.etcd.path,
            data,
            client,
            peer,
            has_fsync=self.environment.settings.has_fsync,
        )
        return _RunningComponent(self._start(argv, "etcd", arm, {}), {}, client)

    def server(self, arm: Arm, artifact: Artifact, etcd_url: str) -> _RunningComponent:
        (port,) = tls.free_ports(1)
        parts = self.installed[arm]
        argv = components.server_command(
            artifact, port, etcd_url, self.credentials, flags=parts.server_flags
        )
        variables = {**parts.server_variables, **artifact.variables}
        service = self._start(argv, "server", arm, variables)
        return _RunningComponent(service, variables, f"https://{tls.ADDRESS}:{port}")

    def manager(self, arm: Arm, artifact: Artifact, server_url: str) -> _RunningComponent:
        port, webhook_port = tls.free_ports(2)
        path = self.private / "pki" / f"manager-{arm}.kubeconfig"
        path.unlink(missing_ok=True)
        kubeconfig = self.credentials.write_manager_kubeconfig(path, server_url)
        parts = self.installed[arm]
        argv = components.manager_command(
            artifact, port, webhook_port, kubeconfig, self.credentials, flags=parts.manager_flags
        )
        variables = {**parts.manager_variables, **artifact.variables}
        service = self._start(argv, "manager", arm, variables)
        url, webhooks = (f"https://{tls.ADDRESS}:{one}" for one in (port, webhook_port))
        return _RunningComponent(service, variables, url, webhooks)

    def _start(
        self, argv: Sequence[str], component: str, arm: Arm, variables: Mapping[str, str]
    ) -> processes.Service:
        log_file = self.out / f"{component}-{arm}.log"
        return self._run(argv, f"{component} of the {arm}", log_file, variables)

    def _restart(self, one: _RunningComponent) -> _RunningComponent:
        """Kill a component and start it again, with the same command."""
        killed = one.service
        processes.stop([killed], grace_s=0.0)
        service = self._run(killed.argv, killed.name, killed.output, one.variables)
        return replace(one, service=service)

    def _run(
        self, argv: Sequence[str], name: str, output: Path, variables: Mapping[str, str]
    ) -> processes.Service:
        return self.stack.enter_context(
            processes.background(argv, name=name, output=output, env=variables, cwd=self.out)
        )

    def start(
        self, starts: Mapping[Arm, Callable[[], _RunningComponent]], component: str
    ) -> dict[Arm, _RunningComponent]:
        """Start all, then wait for all; start one again if another program took its port."""
        running = {arm: start() for arm, start in starts.items()}
        for arm in starts:
            for left in reversed(range(tls.MAX_STARTS)):
                one = running[arm]
                ca_file = self.credentials.ca if one.url.startswith("https:") else None
                ready = partial(
                    http_client.answers,
                    f"{one.url}{components.READY_PATHS[component]}",
                    ca_file=ca_file,
                )
                try:
                    one.service.wait_ready(ready, self.environment.settings.ready_s)
                except processes.CommandError as error:
                    tail = processes.log_tail(one.service.output)
                    if flag := _UNKNOWN_FLAG.search(tail):
                        raise LaunchError(
                            f"{one.service.name} does not know the flag `{flag[1]}`",
                            hint="this version of Milo does not have it: leave it out of the spec",
                        ) from error
                    if not (left and error.status and tls.ADDRESS_IN_USE in tail):
                        raise
                    log.info(
                        "%s: another program took its port; trying another port", one.service.name
                    )
                    running[arm] = starts[arm]()
                else:
                    break
        return running

    def target(self, parts: dict[str, _RunningComponent]) -> Target:
        """Return a target of these components; `Target.restart` replaces one of them."""
        pids = {name: one.service.pid for name, one in parts.items()}

        def check() -> None:
            for one in parts.values():
                if status := one.service.exit_status():
                    raise SubjectDiedError(
                        f"{one.service.name} {status} while it was measured",
                        hint=processes.log_tail(one.service.output),
                    )

        def restart() -> None:
            name = "manager" if "manager" in parts else "server"
            parts[name] = self._restart(parts[name])
            pids[name] = parts[name].service.pid

        return Target(
            url=parts["server"].url,
            ca_file=self.credentials.ca,
            token_file=self.credentials.load_token,
            admin_token_file=self.credentials.admin_token,
            processes=pids,
            metrics={name: f"{one.url}/metrics" for name, one in parts.items()},
            etcd_url=parts["etcd"].url,
            check=check,
            restart=restart,
        )
