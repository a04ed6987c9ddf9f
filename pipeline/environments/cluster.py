"""Start subjects as Pods of a cluster; each build of a launch gets its own namespace."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.environments import bootstrap, components, manifests
from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.environments.balancer import Frontend, start_balancer
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import Connection, Connector, ServiceRef, wait_until
from pipeline.environments.containers import find_processes, read_usage
from pipeline.environments.credentials import SERVER, Credentials, create_credentials
from pipeline.environments.images import Image
from pipeline.environments.load_pods import POLL_S, ClusterPods
from pipeline.environments.manifests import Component, NamespaceSpec
from pipeline.environments.milo_manifests import MiloManifests
from pipeline.environments.namespaces import LaunchNamespace, delete_namespaces
from pipeline.environments.pods import Pods
from pipeline.environments.profile import read_manifests
from pipeline.model.ports import Artifact, Program, Target
from pipeline.model.replicas import component_of, replica_names
from pipeline.model.subject import Arm, Product
from pipeline.system import http_client
from pipeline.system.errors import LaunchError, LoadError
from pipeline.system.log import log
from pipeline.system.private_folder import private_folder

_ANSWER_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class ClusterEnvironment:
    """Implements `Environment` in an existing cluster.

    Attributes:
        settings: Settings of the environment.
        api: Client of the cluster.
        programs: Programs by name: etcd, and what load pods need.
        connector: Connection to the components from this machine.
        image: Function that packs programs (name, paths, digest) into an image that the cluster
            can use.
        nodes: Nodes for the arms in start order, which is swapped between pairs; empty to leave it
            to the scheduler.
        is_here: True if the cluster may run on the kernel of this machine.
        run: Id of the run.
        poll_s: Seconds between two requests to the agents of load pods.
    """

    settings: ClusterSettings
    api: Api
    programs: Mapping[str, Program]
    connector: Connector
    image: Callable[[str, Mapping[str, Path], str], Image]
    nodes: Sequence[str] = ()
    is_here: bool = False
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    poll_s: float = POLL_S
    _launches: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        """See `Environment.launch`."""
        milo_manifests = {arm: read_manifests(one, self.settings) for arm, one in artifacts.items()}
        with ExitStack() as stack:
            private = stack.enter_context(private_folder(out))
            number = next(self._launches)
            specs = {
                arm: self._build_spec(arm, index, number) for index, arm in enumerate(artifacts)
            }
            hosts = [host for spec in specs.values() for host in _server_hosts(spec)]
            credentials = create_credentials(private / "pki", *dict.fromkeys(hosts))
            builds = {
                arm: _Build(
                    self,
                    arm,
                    artifact,
                    specs[arm],
                    milo_manifests[arm],
                    credentials,
                    out,
                    etcd_image=self._etcd_image(),
                    image=self._image_of(artifact),
                )
                for arm, artifact in artifacts.items()
            }
            pods = self._load_pods(number) if self.settings.load_pods else None
            self._create_namespaces(stack, list(builds.values()), pods)
            self._wait_ready(builds.values(), "etcd")
            for build in builds.values():
                build.apply_servers()
            self._wait_ready(builds.values(), "server")
            targets = {arm: build.target(stack, private) for arm, build in builds.items()}
            with bootstrap.blame_dead_build(targets):
                token = credentials.admin_token.read_text()
                self._set_up(targets, builds, token, stack, private)
            yield {arm: _with_pods(target, pods, specs[arm]) for arm, target in targets.items()}

    def _create_namespaces(
        self, stack: ExitStack, builds: Sequence["_Build"], pods: ClusterPods | None
    ) -> None:
        """Create the namespace of load pods, and that of each build with its etcd.

        The end of the stack saves the logs, and deletes all namespaces.
        """
        namespaces = [self._namespace(build.spec) for build in builds]
        load_namespace = [self._namespace(pods.spec)] if pods else []
        deleted = [*namespaces, *load_namespace]
        stack.callback(delete_namespaces, deleted, self.settings.gone_s)
        stack.callback(_save_logs, builds)  # runs before the deletion
        if pods:
            pods.create_namespace(*load_namespace)
        for build, namespace in zip(builds, namespaces, strict=True):
            namespace.create(build.namespace_manifests())
            build.apply_etcd()

    def _set_up(
        self,
        targets: dict[Arm, Target],
        builds: Mapping[Arm, "_Build"],
        token: str,
        stack: ExitStack,
        private: Path,
    ) -> None:
        """Start the controller-managers, and prepare the control planes for a load.

        `targets` have servers that are ready, and receive what is added to them.
        """
        ready_s = self.settings.ready_s
        for arm, target in targets.items():
            bootstrap.prepare_server(target, token, builds[arm].artifact.product, str(arm), ready_s)
        milo = {arm: one for arm, one in builds.items() if one.artifact.product is Product.MILO}
        for build in milo.values():
            build.apply_managers()
        self._wait_ready(milo.values(), "manager")
        targets |= {arm: build.target(stack, private) for arm, build in milo.items()}
        if self.settings.is_production:
            for arm, target in targets.items():
                build = builds[arm]
                url = f"https://{build.spec.host('manager')}:{components.WEBHOOK_PORT}"
                bootstrap.set_up_production(
                    *(target, token, build.milo_manifests, url), arm=str(arm), timeout_s=ready_s
                )
                targets[arm] = replace(target, needs_organization_path=True)
        bootstrap.create_first_projects(targets, token, ready_s)

    def _etcd_image(self) -> str:
        etcd = self.programs["etcd"]
        return self.image("etcd", {"etcd": etcd.path}, etcd.digest).reference

    def _image_of(self, artifact: Artifact) -> str:
        if artifact.image:
            return artifact.image
        name, digest = str(artifact.product), artifact.subject.digest
        return self.image(name, {name: artifact.binary}, digest).reference

    def _namespace(self, spec: NamespaceSpec) -> LaunchNamespace:
        return LaunchNamespace(self.api, spec.namespace, spec.run)

    def _build_spec(self, arm: Arm, index: int, number: int) -> NamespaceSpec:
        return replace(
            self._spec(str(arm), number),
            node=self.nodes[index % len(self.nodes)] if self.nodes else "",
            node_ports=self.connector.node_ports(arm),
        )

    def _spec(self, role: str, number: int) -> NamespaceSpec:
        return NamespaceSpec(
            namespace=f"{self.settings.prefix}-{self.run}-{number:03}-{role}",
            run=self.run,
            arm=role,
            expires_s=round(time.time() + 3600 * self.settings.expires_h),
            settings=self.settings,
            pull_secret=self._pull_secret(),
        )

    def _load_pods(self, number: int) -> ClusterPods:
        return ClusterPods(
            api=self.api,
            spec=self._spec("load", number),
            agent=self.programs["load-agent"],
            image=self.image,
            poll_s=self.poll_s,
        )

    def _pull_secret(self) -> Mapping[str, str]:
        """Return the data of the pull secret; empty for none.

        Raises:
            LaunchError: The Secret does not exist, or we may not read it.
        """
        if not self.settings.pull_secret:
            return {}
        namespace, _, name = self.settings.pull_secret.partition("/")
        path = f"{namespace_path(namespace, 'secrets')}/{name}"
        secret = self.api.request_or_none("GET", path)
        if secret is None or secret.get("type") != "kubernetes.io/dockerconfigjson":
            raise LaunchError(
                f"there is no pull secret {self.settings.pull_secret}",
                hint="create it with `kubectl create secret docker-registry`",
            )
        return dict(secret["data"])

    def _wait_ready(self, builds: Iterable["_Build"], component: str) -> None:
        for build in builds:
            names = [name for name in build.applied if component_of(name) == component]
            build.pods.wait_ready(names, self.settings.ready_s)


@dataclass(frozen=True, slots=True)
class _Build:
    """One build in one launch."""

    environment: ClusterEnvironment
    arm: Arm
    artifact: Artifact
    spec: NamespaceSpec
    milo_manifests: MiloManifests
    credentials: Credentials
    out: Path
    etcd_image: str
    image: str
    applied: list[str] = field(default_factory=list)
    connections: dict[str, Connection] = field(default_factory=dict)
    frontends: list[Frontend] = field(default_factory=list)

    @property
    def pods(self) -> Pods:
        return Pods(self.environment.api, self.spec.namespace, str(self.arm))

    def namespace_manifests(self) -> list[manifests.Manifest]:
        ports = tuple(components.PORTS.values()) if self.spec.node_ports else ()
        has_load = self.spec.settings.load_pods > 0
        return manifests.namespace(self.spec, ports, is_open_to_run=has_load)

    def apply_etcd(self) -> None:
        """Apply every member of etcd."""
        settings, is_profiled = self.environment.settings, self.artifact.is_profiled
        self._apply(components.etcd_containers(settings, self.etcd_image, is_profiled=is_profiled))

    def apply_servers(self) -> None:
        """Apply the API servers."""
        self._apply(
            components.server_containers(
                *(self.environment.settings, self.image, self.artifact, self.credentials),
                self.milo_manifests.server_flags,
            )
        )

    def apply_managers(self) -> None:
        """Apply the controller-managers."""
        self._apply(
            components.manager_containers(
                *(self.environment.settings, self.image, self.artifact, self.credentials),
                self.milo_manifests.manager_flags,
            )
        )

    def _apply(self, replicas: Sequence[Component]) -> None:
        for one in replicas:
            for manifest in manifests.component(self.spec, one):
                self.environment.api.apply(manifest)
            self.applied.append(one.name)

    def target(self, stack: ExitStack, private: Path) -> Target:
        """Return the target, whose components are all ready."""
        for name in self.applied:
            if name not in self.connections:
                service = ServiceRef(self.spec.namespace, self.arm, name, _port(name))
                connection = self.environment.connector.open(stack, service, self.out)
                self.connections[name] = connection
        urls = {
            name: f"{'http' if component_of(name) == 'etcd' else 'https'}://{connection.address}"
            for name, connection in self.connections.items()
        }
        servers = [url for name, url in urls.items() if component_of(name) == "server"]
        for url in servers:
            self._require_answer(f"{url}/readyz")
        if not self.frontends:
            self.frontends.append(self._frontend(stack, servers, private))
        pods, pids = self.pods, self._pids()
        return Target(
            url=self.frontends[0].url,
            ca_file=self.credentials.ca,
            token_file=self.credentials.load_token,
            admin_token_file=self.credentials.admin_token,
            processes=pids,
            metrics={name: f"{url}/metrics" for name, url in urls.items()},
            etcd_url=urls["etcd"],
            check=partial(self._check, pods, tuple(self.applied)),
            usage=None if pids else partial(read_usage, pods.api, pods, tuple(self.applied)),
        )

    def _frontend(self, stack: ExitStack, servers: Sequence[str], private: Path) -> Frontend:
        """Return the address of the API servers here: the Service is in the cluster only."""
        if len(servers) == 1:
            return Frontend(servers[0])
        program, name = self.environment.programs["balancer"], f"balancer-server-{self.arm}"
        return start_balancer(
            stack, program, servers, name, out=self.out.absolute(), private=private
        )

    def _pids(self) -> dict[str, int]:
        if not self.environment.is_here:
            return {}
        pods = {str(pod["metadata"]["name"]): pod for pod in self.pods.read()}
        pids = find_processes({name: pods[name] for name in self.applied if name in pods})
        if not pids:
            log.debug("the processes of containers are not visible; usage is that of the kubelet")
        return pids

    def _require_answer(self, url: str) -> None:
        answers = partial(http_client.answers, url, ca_file=self.credentials.ca)
        if not wait_until(answers, _ANSWER_TIMEOUT_S):
            raise LaunchError(
                f"the server of the {self.arm} is Ready in the cluster, but {url} does not"
                f" answer here after {_ANSWER_TIMEOUT_S:g} s",
                hint="is there a firewall between this machine and the node?",
            )

    def _check(self, pods: Pods, replicas: Sequence[str]) -> None:
        for connection in self.connections.values():
            if status := connection.exit_status():
                raise LoadError(
                    f"the connection to a component of the {self.arm} {status} under load"
                )
        for frontend in self.frontends:
            frontend.check()
        pods.check(replicas)


def _server_hosts(spec: NamespaceSpec) -> Iterator[str]:
    """Yield the host names that the certificate of a build's servers must have."""
    for component in (SERVER, "manager"):
        yield spec.host(component)
        yield from map(spec.own_host, replica_names(component, spec.settings.replicas))


def _port(replica: str) -> int:
    return components.PORTS[component_of(replica)]


def choose_nodes(api: Api, settings: ClusterSettings) -> list[str]:
    """Return the names of two nodes, one for each arm; empty to leave it to the scheduler.

    They are the first by name that match the node selector, are ready and schedulable, and have
    no taint. With tolerations in the settings, taints do not matter.
    """
    selector = ",".join(f"{name}={value}" for name, value in settings.node_selector.items())
    try:
        nodes = api.request("GET", "/api/v1/nodes", query={"labelSelector": selector})
    except ClusterError as error:
        log.warning("nodes cannot be listed, so the scheduler places both builds: %s", error)
        return []
    is_tolerant = bool(settings.tolerations)
    names = sorted(
        str(node["metadata"]["name"])
        for node in nodes.get("items", ())
        if _takes_pods(node, is_tolerant=is_tolerant)
    )
    return names[:2] if len(names) > 1 else []


def _takes_pods(node: Mapping[str, Any], *, is_tolerant: bool) -> bool:
    spec = node.get("spec", {})
    taints = [t for t in spec.get("taints") or () if t.get("effect") != "PreferNoSchedule"]
    conditions = node.get("status", {}).get("conditions") or ()
    is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return is_ready and not spec.get("unschedulable") and (is_tolerant or not taints)


def _with_pods(target: Target, pods: ClusterPods | None, spec: NamespaceSpec) -> Target:
    """Return a target with its addresses within the cluster, and the pods that apply the load."""
    metrics = {
        name: f"{url.split(':', 1)[0]}://{spec.own_host(name)}:{_port(name)}/metrics"
        for name, url in target.metrics.items()
    }
    url = f"https://{spec.host(SERVER)}:{_port(SERVER)}"
    return replace(target, pods=pods, url_in_pods=url, metrics_in_pods=metrics)


def _save_logs(builds: Sequence[_Build]) -> None:
    for build in builds:
        build.pods.save_logs(build.applied, build.out)
