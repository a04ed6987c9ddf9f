"""Render the manifests of `deploy/`, which are applied to a cluster."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.environments.cluster_settings import ClusterSettings, Resources
from pipeline.model.ports import FILES_IN_POD, RESULTS_IN_POD, SECRETS_IN_POD
from pipeline.model.replicas import component_of
from pipeline.system import paths

if TYPE_CHECKING:
    from jinja2 import Environment

Manifest = dict[str, Any]

MANAGED = "app.kubernetes.io/managed-by"
RUN = "milo-perf/run"
EXPIRES = "milo-perf/expires"
OURS = "milo-perf"
FOLDER = Path("/files")
"""Folder of a container with its keys and tokens."""

OWN_SERVICE = "-only"
"""End of the name of a Service that leads to one Pod of a group, after the name of the Pod."""

_MEMORY_SHARE = 0.9
"""GOMEMLIMIT as a share of the memory limit, so that Go collects harder before an OOM kill."""


@dataclass(frozen=True, slots=True)
class NamespaceSpec:
    """The namespace of a build, or of load pods, in one launch.

    Attributes:
        namespace: Name of the namespace.
        run: Id of the run.
        arm: Arm of the build, or `load`.
        expires_s: Unix time after which a sweep may delete it.
        settings: Settings of the environment.
        node: Name of the node for its Pods; empty to leave it to the scheduler.
        node_ports: Node port by component; empty for none.
        pull_secret: Data of the Secret for pulling images; empty for none.
    """

    namespace: str
    run: str
    arm: str
    expires_s: int
    settings: ClusterSettings
    node: str = ""
    node_ports: Mapping[str, int] = field(default_factory=dict)
    pull_secret: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object in the namespace."""
        return {MANAGED: OURS, RUN: self.run, "milo-perf/arm": self.arm}

    def host(self, component: str) -> str:
        """Return the host name of a component's Service, for all namespaces of the cluster."""
        return f"{component}.{self.namespace}.svc"

    def own_host(self, replica: str) -> str:
        """Return the host name of the Service that leads to one Pod only."""
        is_grouped = self.settings.replicas > 1 and component_of(replica) != "etcd"
        return self.host(f"{replica}{OWN_SERVICE}" if is_grouped else replica)


@dataclass(frozen=True, slots=True)
class Component:
    """One process of a build, as a Pod with a Service.

    Attributes:
        name: Name of the replica, such as `server` or `server-2`.
        group: Name of the Service, which spreads connections over all Pods of the group.
        image: Reference of the image, whose entry point is the program.
        args: Arguments of the program.
        port: Port of the container.
        ready_path: Path of the readiness probe.
        scheme: `HTTP` or `HTTPS`.
        resources: Resources of the container.
        variables: Environment variables, besides those for Go's limits.
        secrets: Content of keys and tokens, by file name.
        data: Folder of the data volume; empty for none.
        other_ports: Further ports of the container that other Pods connect to.
        has_others: True if the group has other Pods; then each also has a Service of its own.
        has_peers: True if the Pod becomes Ready only once it has found others by their Services.
    """

    name: str
    group: str
    image: str
    args: Sequence[str]
    port: int
    ready_path: str
    scheme: str
    resources: Resources
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    data: str = ""
    other_ports: Sequence[int] = ()
    has_others: bool = False
    has_peers: bool = False


def namespace(
    spec: NamespaceSpec, open_ports: Sequence[int], *, is_open_to_run: bool = False
) -> list[Manifest]:
    """Return a namespace with its service account, network policy and pull secret.

    Args:
        spec: Spec of the namespace.
        open_ports: Container ports that accept connections from outside the namespace.
        is_open_to_run: True to allow connections from the other namespaces of the run.
    """
    return _render(
        "namespace.yaml.j2",
        namespace=spec.namespace,
        labels=spec.labels,
        annotations={EXPIRES: str(spec.expires_s)},
        open_ports=list(open_ports),
        run={RUN: spec.run} if is_open_to_run else {},
        pull_secret=dict(spec.pull_secret),
    )


def component(spec: NamespaceSpec, one: Component) -> list[Manifest]:
    """Return the Pod, Service and other objects of one component."""
    settings = spec.settings
    node = {"kubernetes.io/hostname": spec.node} if spec.node else {}
    return _render(
        "component.yaml.j2",
        **_pod_values(spec, one, one.resources),
        node_port=spec.node_ports.get(one.name, 0),
        own_service=f"{one.name}{OWN_SERVICE}",
        files={name: _encode(content) for name, content in one.secrets.items()},
        folder=str(FOLDER),
        storage_class=settings.storage_class,
        storage_gib=settings.storage_gib,
        node_selector={**settings.node_selector, **node},
    )


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """The pods of one load.

    Attributes:
        name: Name of every object of the load.
        image: Reference of the image with the load agent and the load generator.
        pods: Number of pods.
        by_operator: True if the k6-operator creates the pods.
        script: Name of the script.
        files: Content of public files, by path below `FILES_IN_POD`.
        secrets: Content of secret files, by path below `SECRETS_IN_POD`.
        variables: Environment variables.
        port: Port of the load agent.
    """

    name: str
    image: str
    pods: int
    by_operator: bool
    script: str
    files: Mapping[str, bytes]
    secrets: Mapping[str, bytes]
    variables: Mapping[str, str]
    port: int


LOAD = "milo-perf/load"
"""Label of the pods of one load; its value is the name of the load."""


def load(spec: NamespaceSpec, one: LoadSpec) -> list[Manifest]:
    """Return the objects of one load: files, secrets, and a Job or a TestRun."""
    settings = spec.settings
    return _render(
        "load.yaml.j2",
        **_pod_values(spec, one, settings.load.resources),
        pod_labels={LOAD: one.name},
        items=[{"key": _key(path), "path": path} for path in one.files],
        data={_key(path): _encode(content) for path, content in one.files.items()},
        secret_items=[{"key": _key(path), "path": path} for path in one.secrets],
        secret_data={_key(path): _encode(content) for path, content in one.secrets.items()},
        folders={
            "files": str(FILES_IN_POD),
            "secrets": str(SECRETS_IN_POD),
            "kept": str(RESULTS_IN_POD),
        },
        node_selector=dict(settings.load.node_selector or settings.node_selector),
    )


def _pod_values(
    spec: NamespaceSpec, one: Component | LoadSpec, resources: Resources
) -> dict[str, Any]:
    """Return the values that both templates of Pods have: all fields, and those of the spec."""
    variables = {**_go_limits(resources), **one.variables}
    settings = spec.settings
    return {
        **{field.name: getattr(one, field.name) for field in fields(one)},
        "namespace": spec.namespace,
        "labels": spec.labels,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ready_s": math.ceil(settings.ready_s),
        "resources": quantities(resources),
        "tolerations": [one.model_dump(exclude_defaults=True) for one in settings.tolerations],
        "pull_secret": bool(spec.pull_secret),
    }


def _key(path: str) -> str:
    """Return the key of a file in a ConfigMap, whose keys have no slashes."""
    return path.replace("/", "__")


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def quantities(resources: Resources) -> dict[str, str]:
    """Return resources as quantities of Kubernetes."""
    amounts = {"memory": f"{resources.memory_mib}Mi"}
    if resources.cpu is not None:
        amounts["cpu"] = f"{round(resources.cpu * 1000)}m"
    return amounts


def read(name: str) -> list[Manifest]:
    """Return the objects in a file of `deploy/` that is no template."""
    import yaml

    text = paths.project_path("deploy", name).read_text(encoding="utf-8")
    return [dict(one) for one in yaml.safe_load_all(text)]


def _go_limits(resources: Resources) -> dict[str, str]:
    """Return the variables that fix Go's limits, independently of the node."""
    variables = {"GOMEMLIMIT": f"{math.floor(_MEMORY_SHARE * resources.memory_mib)}MiB"}
    if resources.cpu is not None:
        variables["GOMAXPROCS"] = str(math.ceil(resources.cpu))
    return variables


def _render(template: str, **values: object) -> list[Manifest]:
    import yaml

    text = _templates().get_template(template).render(**values)
    return [dict(one) for one in yaml.safe_load_all(text) if one]


@cache
def _templates() -> "Environment":
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.project_path("deploy")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (YAML, in which every value is written as JSON)
    )
    templates.filters["combined"] = lambda one, other: {**one, **other}
    return templates
