"""What is applied to a cluster: the templates of `deploy/`, filled in."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.environments.cluster_settings import ClusterSettings, Resources
from pipeline.model.ports import FILES_IN_POD, RESULTS_IN_POD, SECRETS_IN_POD
from pipeline.system import paths

if TYPE_CHECKING:
    from jinja2 import Environment

Manifest = dict[str, Any]

MANAGED = "app.kubernetes.io/managed-by"
RUN = "milo-perf/run"
EXPIRES = "milo-perf/expires"
OURS = "milo-perf"
FOLDER = Path("/files")
"""Where a container sees its keys and tokens."""

_MEMORY_SHARE = 0.9
"""Of the limit, GOMEMLIMIT: Go collects harder before the kernel kills."""


@dataclass(frozen=True, slots=True)
class NamespaceSpec:
    """The namespace of one build in one launch.

    Attributes:
        namespace: Its name.
        run: Id of the run.
        arm: Of the build.
        expires_s: Unix time after which anybody may delete it.
        settings: Of the environment.
        node: Name of the node that its Pods are put on, or empty for the scheduler's choice.
        node_ports: By component, the port of every node that leads to it; empty for none.
        pull_secret: Data of the Secret with which images are pulled, or empty.
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
        """What everything in it is found by."""
        return {MANAGED: OURS, RUN: self.run, "milo-perf/arm": self.arm}


@dataclass(frozen=True, slots=True)
class Component:
    """One process of a build, as a Pod and a Service of the same name.

    Attributes:
        name: `server`, `manager` or `etcd`.
        image: Reference of its image, whose entry point is the program.
        args: Of the program.
        port: At which it answers.
        ready_path: Answered with 200 once it is ready.
        scheme: `HTTP` or `HTTPS`.
        resources: What it gets.
        variables: Of its environment, added to those that the resources set.
        secrets: Content of its keys and tokens by name of the file.
        data: Folder that must be writable and empty at first, or empty for none.
    """

    name: str
    image: str
    args: Sequence[str]
    port: int
    ready_path: str
    scheme: str
    resources: Resources
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    data: str = ""


def namespace(
    place: NamespaceSpec, open_ports: Sequence[int], *, is_one_of_run: bool = False
) -> list[Manifest]:
    """Return a namespace with its account, its network policy and its pull secret.

    Args:
        place: What it is of.
        open_ports: Of containers, which may be spoken to from outside of it.
        is_one_of_run: Whether it and all others of the run may speak with each other.
    """
    return _rendered(
        "namespace.yaml.j2",
        namespace=place.namespace,
        labels=place.labels,
        annotations={EXPIRES: str(place.expires_s)},
        open_ports=list(open_ports),
        run={RUN: place.run} if is_one_of_run else {},
        pull_secret=dict(place.pull_secret),
    )


def component(place: NamespaceSpec, one: Component) -> list[Manifest]:
    """Return what one component is made of."""
    settings = place.settings
    selector = dict(settings.node_selector)
    if place.node:
        selector["kubernetes.io/hostname"] = place.node
    return _rendered(
        "component.yaml.j2",
        name=one.name,
        namespace=place.namespace,
        labels=place.labels,
        image=one.image,
        args=list(one.args),
        env=[{"name": k, "value": v} for k, v in {**_go(one.resources), **one.variables}.items()],
        port=one.port,
        node_port=place.node_ports.get(one.name, 0),
        ready_path=one.ready_path,
        scheme=one.scheme,
        ready_s=math.ceil(settings.ready_s),
        resources=quantities(one.resources),
        files={name: _encoded(content) for name, content in one.secrets.items()},
        folder=str(FOLDER),
        data=one.data,
        storage_class=settings.storage_class,
        storage_gib=settings.storage_gib,
        node_selector=selector,
        tolerations=[t.model_dump(exclude_defaults=True) for t in settings.tolerations],
        pull_secret=bool(place.pull_secret),
    )


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """The pods of one load.

    Attributes:
        name: Of all that is applied for it.
        image: Reference of the image with the load agent and the load generator.
        pods: How many there are.
        by_operator: Whether the k6-operator makes them.
        script: Name of the file that is run.
        files: That anybody may read, by path below `FILES_IN_POD`.
        secrets: By path below `SECRETS_IN_POD`.
        variables: Of the environment.
        port: At which a pod answers.
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
"""Label of the pods of one load, with its name."""


def load(place: NamespaceSpec, one: LoadSpec) -> list[Manifest]:
    """Return what the pods of one load are made of."""
    settings = place.settings
    resources = settings.load.resources
    variables = {**_go(resources), **one.variables}
    return _rendered(
        "load.yaml.j2",
        name=one.name,
        namespace=place.namespace,
        labels=place.labels,
        pod_labels={LOAD: one.name},
        image=one.image,
        pods=one.pods,
        operator=one.by_operator,
        script=one.script,
        files={_key(path): _encoded(content) for path, content in one.files.items()},
        items=[{"key": _key(path), "path": path} for path in one.files],
        secrets={_key(path): _encoded(content) for path, content in one.secrets.items()},
        secret_items=[{"key": _key(path), "path": path} for path in one.secrets],
        env=[{"name": name, "value": value} for name, value in variables.items()],
        port=one.port,
        ready_s=math.ceil(settings.ready_s),
        resources=quantities(resources),
        folders={
            "files": str(FILES_IN_POD),
            "secrets": str(SECRETS_IN_POD),
            "kept": str(RESULTS_IN_POD),
        },
        node_selector=dict(settings.load.node_selector or settings.node_selector),
        tolerations=[t.model_dump(exclude_defaults=True) for t in settings.tolerations],
        pull_secret=bool(place.pull_secret),
    )


def _key(path: str) -> str:
    """Return the key of a file in a ConfigMap, which has no folders."""
    return path.replace("/", "__")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def quantities(resources: Resources) -> dict[str, str]:
    """Return resources as Kubernetes writes them."""
    found = {"memory": f"{resources.memory_mib}Mi"}
    if resources.cpu is not None:
        found["cpu"] = f"{round(resources.cpu * 1000)}m"
    return found


def rules(names: Sequence[str]) -> list[Manifest]:
    """Return the access rules of roles, by the names of their files in `deploy/`."""
    import yaml

    files = [paths.project_path("deploy", name) for name in names]
    roles = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return [rule for role in roles for rule in role["rules"]]


def _go(resources: Resources) -> dict[str, str]:
    """Return what fixes how Go uses what it gets, whatever the node is."""
    found = {"GOMEMLIMIT": f"{math.floor(_MEMORY_SHARE * resources.memory_mib)}MiB"}
    if resources.cpu is not None:
        found["GOMAXPROCS"] = str(math.ceil(resources.cpu))
    return found


def _rendered(template: str, **values: object) -> list[Manifest]:
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
