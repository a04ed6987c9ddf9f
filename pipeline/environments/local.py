"""Start subjects as processes of this machine, each with its own etcd, on loopback only."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.environments import bootstrap, components
from pipeline.environments.balancer import Frontend, find_leader, start_balancer
from pipeline.environments.credentials import Credentials, create_credentials
from pipeline.environments.milo_manifests import MiloManifests
from pipeline.environments.profile import ProfileSettings, profile_checks, read_manifests
from pipeline.model.health import Check
from pipeline.model.ports import Artifact, Program, Target
from pipeline.model.replicas import replica_names
from pipeline.model.subject import Arm, Product
from pipeline.storage.settings import Seconds
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
    ready_s: Seconds = 60.0

    is_here: ClassVar[bool] = True
    starts_images: ClassVar[bool] = False
    shows_processes: ClassVar[bool] = True
    can_restart: ClassVar[bool] = True
    load_pods: ClassVar[int] = 0
    load_memory: ClassVar[float] = 0.0
    load_path: ClassVar[str] = "loopback only"
    asks: ClassVar[str] = ""
    asks_for_load: ClassVar[str] = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """See `EnvironmentSettings.needs`."""
        return ("etcd", *self.replica_programs)

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
        yield LocalEnvironment(self, programs["etcd"], programs.get("balancer"))


@dataclass(frozen=True, slots=True)
class LocalEnvironment:
    """Implements `Environment` with processes."""

    settings: LocalSettings
    etcd: Program
    balancer: Program | None = None

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
        out = out.absolute()  # a server runs in its own folder
        with private_folder(out) as private, processes.stop_together(_GRACE_S) as stack:
            manifests = {
                arm: read_manifests(artifact, self.settings) for arm, artifact in artifacts.items()
            }
            credentials = create_credentials(private / "pki")
            launch = _LocalLaunch(self, stack, credentials, private, out, manifests)
            stores = launch.start(
                {arm: partial(launch.etcd, arm, one) for arm, one in artifacts.items()}, "etcd"
            )
            servers = launch.start(
                {
                    arm: partial(launch.servers, arm, artifact, stores[arm])
                    for arm, artifact in artifacts.items()
                },
                "server",
            )
            yield launch.set_up(artifacts, stores, servers)


@dataclass(frozen=True, slots=True)
class _RunningReplica:
    """A process, its environment variables and the base URLs at which it answers."""

    name: str
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
    manifests: Mapping[Arm, MiloManifests]

    def set_up(
        self,
        artifacts: Mapping[Arm, Artifact],
        stores: Mapping[Arm, Sequence[_RunningReplica]],
        servers: Mapping[Arm, Sequence[_RunningReplica]],
    ) -> dict[Arm, Target]:
        """Return the targets once everything else runs and the control planes can be used."""
        token = self.credentials.admin_token.read_text()
        ready_s = self.environment.settings.ready_s
        frontends = {arm: self.one_address("server", arm, servers[arm]) for arm in artifacts}
        targets = {
            arm: self.target(frontends[arm], [*servers[arm], *stores[arm]]) for arm in artifacts
        }
        with bootstrap.blame_dead_build(targets):
            for arm, artifact in artifacts.items():
                bootstrap.prepare_server(targets[arm], token, artifact.product, str(arm), ready_s)
            managers = self.start(
                {
                    arm: partial(self.managers, arm, artifact, frontends[arm].url)
                    for arm, artifact in artifacts.items()
                    if artifact.product is Product.MILO
                },
                "manager",
            )
            for arm, of_arm in managers.items():
                frontend, parts = frontends[arm], [*servers[arm], *of_arm, *stores[arm]]
                if self.environment.settings.is_production:
                    hooks = self.one_address("webhooks", arm, of_arm)
                    targets[arm] = self.target(frontend.with_check(hooks.check), parts)
                    bootstrap.set_up_production(
                        targets[arm],
                        token,
                        self.manifests[arm],
                        hooks.url,
                        arm=str(arm),
                        timeout_s=ready_s,
                    )
                    targets[arm] = replace(targets[arm], needs_organization_path=True)
                else:
                    targets[arm] = self.target(frontend, parts)
            bootstrap.create_first_projects(targets, token, ready_s)
        return targets

    def etcd(self, arm: Arm, artifact: Artifact) -> list[_RunningReplica]:
        settings = self.environment.settings
        names = replica_names("etcd", settings.etcd_members)
        urls = [f"http://{tls.ADDRESS}:{port}" for port in tls.free_ports(2 * len(names))]
        members = [
            components.EtcdMember(name, client, peer)
            for name, client, peer in zip(names, urls[::2], urls[1::2], strict=True)
        ]
        running = []
        for member in members:
            data = self.private / f"{member.name}-{arm}"
            shutil.rmtree(data, ignore_errors=True)
            argv = components.etcd_command(
                *(self.environment.etcd.path, data, member, members),
                has_fsync=settings.has_fsync,
                is_profiled=artifact.is_profiled,
            )
            service = self._start(argv, member.name, arm, {})
            running.append(_RunningReplica(member.name, service, {}, member.client))
        return running

    def servers(
        self, arm: Arm, artifact: Artifact, stores: Sequence[_RunningReplica]
    ) -> list[_RunningReplica]:
        etcd_url = ",".join(one.url for one in stores)
        manifests = self.manifests[arm]
        variables = {**manifests.server_variables, **artifact.variables}
        running = []
        names = replica_names("server", self.environment.settings.replicas)
        for name, port in zip(names, tls.free_ports(len(names)), strict=True):
            argv = components.server_command(
                artifact, port, etcd_url, self.credentials, flags=manifests.server_flags
            )
            service = self._start(argv, name, arm, variables)
            url = f"https://{tls.ADDRESS}:{port}"
            running.append(_RunningReplica(name, service, variables, url))
        return running

    def managers(self, arm: Arm, artifact: Artifact, server_url: str) -> list[_RunningReplica]:
        path = self.private / "pki" / f"manager-{arm}.kubeconfig"
        path.unlink(missing_ok=True)
        kubeconfig = self.credentials.write_manager_kubeconfig(path, server_url)
        manifests = self.manifests[arm]
        variables = {**manifests.manager_variables, **artifact.variables}
        running = []
        names = replica_names("manager", self.environment.settings.replicas)
        ports = tls.free_ports(2 * len(names))
        for name, port, webhook_port in zip(names, ports[::2], ports[1::2], strict=True):
            argv = components.manager_command(
                artifact,
                port,
                webhook_port,
                kubeconfig,
                self.credentials,
                flags=manifests.manager_flags,
            )
            service = self._start(argv, name, arm, variables)
            url, webhooks = (f"https://{tls.ADDRESS}:{one}" for one in (port, webhook_port))
            running.append(_RunningReplica(name, service, variables, url, webhooks))
        return running

    def one_address(self, what: str, arm: Arm, replicas: Sequence[_RunningReplica]) -> Frontend:
        """Return the address of a component; of several replicas, that of a balancer."""
        urls = [one.webhooks_url if what == "webhooks" else one.url for one in replicas]
        balancer = self.environment.balancer
        if len(urls) == 1:
            return Frontend(urls[0])
        if balancer is None:
            raise LaunchError(f"{len(urls)} replicas need a balancer, and none was given")
        name = f"balancer-{what}-{arm}"
        return start_balancer(self.stack, balancer, urls, name, out=self.out, private=self.private)

    def _start(
        self, argv: Sequence[str], component: str, arm: Arm, variables: Mapping[str, str]
    ) -> processes.Service:
        log_file = self.out / f"{component}-{arm}.log"
        return self._run(argv, f"{component} of the {arm}", log_file, variables)

    def _restart(self, one: _RunningReplica) -> _RunningReplica:
        """Kill a process and start it again, with the same command."""
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
        self, starts: Mapping[Arm, Callable[[], list[_RunningReplica]]], component: str
    ) -> dict[Arm, list[_RunningReplica]]:
        """Start all, then wait for all; start an arm's again if another program took a port."""
        running = {arm: start() for arm, start in starts.items()}
        for arm in starts:
            for left in reversed(range(tls.MAX_STARTS)):
                if all(self._is_ready(one, component, left) for one in running[arm]):
                    break
                log.info("%s of the %s: another program took its port", component, arm)
                processes.stop([one.service for one in running[arm]], grace_s=0.0)
                running[arm] = starts[arm]()
        return running

    def _is_ready(self, one: _RunningReplica, component: str, left: int) -> bool:
        """Return True once a process is ready, and False if its port was taken and tries are left.

        Raises:
            LaunchError: The process ended, or is not ready in time.
        """
        ca_file = self.credentials.ca if one.url.startswith("https:") else None
        ready = partial(
            http_client.answers, f"{one.url}{components.READY_PATHS[component]}", ca_file=ca_file
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
            if left and error.status and tls.ADDRESS_IN_USE in tail:
                return False
            raise
        return True

    def target(self, frontend: Frontend, replicas: Sequence[_RunningReplica]) -> Target:
        """Return a target of these processes; `Target.restart` replaces one of them."""
        parts = {one.name: one for one in replicas}
        pids = {name: one.service.pid for name, one in parts.items()}

        def check() -> None:
            for one in parts.values():
                if status := one.service.exit_status():
                    raise SubjectDiedError(
                        f"{one.service.name} {status}",
                        hint=processes.log_tail(one.service.output),
                    )
            frontend.check()

        def restart() -> None:
            name = find_leader(target) if "manager" in parts else "server"
            parts[name] = self._restart(parts[name])
            pids[name] = parts[name].service.pid

        target = Target(
            url=frontend.url,
            ca_file=self.credentials.ca,
            token_file=self.credentials.load_token,
            admin_token_file=self.credentials.admin_token,
            processes=pids,
            metrics={name: f"{one.url}/metrics" for name, one in parts.items()},
            etcd_url=parts["etcd"].url,
            check=check,
            restart=restart,
        )
        return target
