"""What a cluster would lack for a run, said before anything is created in it."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import toolchain
from pipeline.environments import manifests
from pipeline.environments.api import Api, ClusterError
from pipeline.environments.cluster_settings import ClusterSettings, Resources
from pipeline.environments.kind import KindCluster, KindSettings
from pipeline.environments.registry import read_environment
from pipeline.environments.remote import RemoteSettings, chosen_nodes
from pipeline.system import processes
from pipeline.system.errors import PipelineError
from pipeline.toolchain.health import Check, Status
from pipeline.toolchain.kind import kind_recipe, own_kind

OLDEST = (1, 29)
"""The first Kubernetes whose Pods of ours are started as the templates say."""

_ARMS = 2
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ENGINES = ("docker", "podman", "nerdctl")


def checks(environment: str) -> list[Check]:
    """Look at what an environment in a cluster needs; creates nothing but reviews of rights.

    Args:
        environment: `kind`, `remote`, or the path of a .toml file.

    Raises:
        ConfigError: There is no such environment.
    """
    settings = read_environment(environment)
    if isinstance(settings, KindSettings):
        return list(_kind(settings))
    if isinstance(settings, RemoteSettings):
        return list(_remote(settings))
    return []


def _kind(settings: KindSettings) -> Iterator[Check]:
    engine = _engine()
    yield engine
    try:
        own = own_kind()
        recipe = kind_recipe()
    except PipelineError as error:
        yield Check("kind", Status.MISSING, str(error), error.hint)
        return
    if own is None:
        found = f"not on the path: {recipe.title} is built, unless it is in the cache"
        yield Check("kind", Status.OK, found, cost=recipe.usual)
        return
    yield Check("kind", Status.OK, str(own))
    if engine.status is Status.OK:
        yield _cluster_of_kind(settings)


def _engine() -> Check:
    for name in _ENGINES:
        if shutil.which(name):
            if processes.capture([name, "info"]) is not None:
                return Check("container engine", Status.OK, f"{name} answers")
            found = f"{name} is there, and `{name} info` fails"
            fix = f"start it, and see that you may use it: {name} info"
            return Check("container engine", Status.MISSING, found, fix)
    found = f"none of {', '.join(_ENGINES)} is on the path"
    return Check("container engine", Status.MISSING, found, "sudo apt-get install docker.io")


def _cluster_of_kind(settings: KindSettings) -> Check:
    try:
        cluster = KindCluster(settings, toolchain.kind())
        if not cluster.is_there():
            found = "not there: a run makes it, and deletes it again"
            return Check("kind cluster", Status.OK, found, cost="about a minute, once its image is")
        cluster.found()
    except PipelineError as error:
        return Check("kind cluster", Status.MISSING, str(error), error.hint)
    return Check("kind cluster", Status.OK, f"{settings.name} is up, and ours")


def _remote(settings: RemoteSettings) -> Iterator[Check]:
    try:
        kubectl = toolchain.kubectl()
        yield Check("kubectl", Status.OK, f"{kubectl.version} ({kubectl.path})")
    except PipelineError as error:
        yield Check("kubectl", Status.MISSING, str(error), error.hint)
    try:
        api = settings.api()
        version = api.request("GET", "/version")
    except PipelineError as error:
        yield Check("cluster", Status.MISSING, str(error), error.hint)
        return
    yield _version(str(version.get("gitVersion", "")), settings.context)
    yield _rights(api, with_load=settings.load_pods > 0)
    yield _pull_secret(api, settings)
    yield _room(api, settings)
    if not settings.registry:
        found = "not set, so the cluster gets no image of etcd, nor of a build that is a program"
        fix = 'registry = "…" in [environment], and push what `milo-perf pack` writes'
        yield Check("registry", Status.MISSING, found, fix)


def _version(version: str, context: str) -> Check:
    numbers = tuple(int(part) for part in version.lstrip("v").split(".")[:2] if part.isdigit())
    found = f"Kubernetes {version} ({context or 'current context'})"
    if numbers < OLDEST:
        lowest = ".".join(map(str, OLDEST))
        return Check("cluster", Status.MISSING, f"{found}; {lowest} is the oldest that will do")
    return Check("cluster", Status.OK, found)


def _rights(api: Api, *, with_load: bool) -> Check:
    """Ask for every right of the role, one review each, because a role may lack any."""
    missing = []
    asked = 0
    names = ("rights.yaml", "rights-load.yaml") if with_load else ("rights.yaml",)
    for rule in manifests.rights(with_load=with_load):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    asked += 1
                    if not _may(api, group, resource, verb):
                        missing.append(f"{verb} {resource}")
    if missing:
        found = f"{len(missing)} of {asked} are missing: {', '.join(missing)}"
        fix = "".join(f"kubectl apply -f deploy/{one}\n" for one in names).rstrip()
        return Check("rights", Status.MISSING, found, fix)
    return Check("rights", Status.OK, f"all {asked} of deploy/{' and deploy/'.join(names)}")


def _may(api: Api, group: str, resource: str, verb: str) -> bool:
    plural, _, sub = resource.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": sub, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        return bool(api.request("POST", _REVIEW, review).get("status", {}).get("allowed"))
    except ClusterError:
        return False


def _pull_secret(api: Api, settings: ClusterSettings) -> Check:
    if not settings.pull_secret:
        return Check("pull secret", Status.OK, "none is asked for")
    namespace, _, name = settings.pull_secret.partition("/")
    try:
        found = api.request_or_none("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except ClusterError as error:
        return Check("pull secret", Status.MISSING, str(error), error.hint)
    if found is None:
        fix = f"kubectl -n {namespace} create secret docker-registry {name} …"
        return Check("pull secret", Status.MISSING, f"{settings.pull_secret} is not there", fix)
    return Check("pull secret", Status.OK, settings.pull_secret)


def _room(api: Api, settings: ClusterSettings) -> Check:
    """Compare what both builds ask for with what the nodes have left; quotas are of namespaces."""
    try:
        nodes = api.request("GET", "/api/v1/nodes").get("items", ())
        pods = api.request("GET", "/api/v1/pods").get("items", ())
    except ClusterError as error:
        return Check("room", Status.WARNING, f"cannot be told: {error}")
    names = chosen_nodes(api, settings) or [str(node["metadata"]["name"]) for node in nodes]
    chosen_ones = [node for node in nodes if node["metadata"]["name"] in names]
    there = [pod for pod in pods if _is_on(pod, names)]
    left_cpu, left_memory = (
        sum(_amount(node["status"]["allocatable"], what) for node in chosen_ones)
        - sum(_asked(pod, what) for pod in there)
        for what in ("cpu", "memory")
    )
    wanted_cpu, wanted_memory = wanted(settings)
    found = (
        f"{len(names)} nodes have {left_cpu:.1f} CPU and {left_memory / 1e9:.1f} GB left, and both"
        f" builds ask for {wanted_cpu:.1f} and {wanted_memory / 1e9:.1f}"
    )
    if wanted_cpu > left_cpu or wanted_memory > left_memory:
        fix = "give less to server, manager and etcd in [environment], or choose larger nodes"
        return Check("room", Status.MISSING, found, fix)
    return Check("room", Status.OK, found)


def wanted(settings: ClusterSettings) -> tuple[float, float]:
    """Return the processors and the bytes of memory that both builds ask for."""
    parts: tuple[Resources, ...] = (settings.server, settings.manager, settings.etcd)
    return (
        _ARMS * sum(part.cpu or 0.0 for part in parts),
        _ARMS * sum(part.memory_mib * 2.0**20 for part in parts),
    )


def _is_on(pod: Mapping[str, Any], nodes: Sequence[str]) -> bool:
    is_over = pod["status"].get("phase") in ("Succeeded", "Failed")
    return pod["spec"].get("nodeName") in nodes and not is_over


def _asked(pod: Mapping[str, Any], what: str) -> float:
    containers = pod["spec"]["containers"]
    return sum(_amount(one.get("resources", {}).get("requests", {}), what) for one in containers)


def _amount(quantities: Mapping[str, str], what: str) -> float:
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(quantities.get(what, "0")))
