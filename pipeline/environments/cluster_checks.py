"""Check what a cluster lacks for a run, before anything is created in it."""

from collections.abc import Callable, Iterator, Mapping

from pipeline import toolchain
from pipeline.environments import manifests
from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.environments.cluster import choose_nodes
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.model.health import Check, Status
from pipeline.model.subject import Arm
from pipeline.system.errors import PipelineError

OLDEST_VERSION = (1, 29)
"""Oldest Kubernetes that supports all fields of our templates."""

_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def checks(settings: ClusterSettings, context: str, connect: Callable[[], Api]) -> Iterator[Check]:
    """Yield what a cluster lacks for a run; create nothing but reviews of access rights."""
    try:
        kubectl = toolchain.program("kubectl")
        yield Check("kubectl", Status.OK, f"{kubectl.version} ({kubectl.path})")
    except PipelineError as error:
        yield Check("kubectl", Status.MISSING, str(error), error.hint)
    try:
        api = connect()
        version = api.request("GET", "/version")
    except PipelineError as error:
        yield Check("cluster", Status.MISSING, str(error), error.hint)
        return
    yield _version(str(version.get("gitVersion", "")), context)
    yield _rights(api, with_load=settings.load_pods > 0)
    yield _pull_secret(api, settings)
    yield _free_resources(api, settings)
    if not settings.registry:
        found = "not set, so the cluster gets no image of etcd, nor of a build that is a program"
        fix = 'registry = "…" in [environment], and push what `milo-perf pack` writes'
        yield Check("registry", Status.MISSING, found, fix)


def _version(version: str, context: str) -> Check:
    numbers = tuple(int(part) for part in version.lstrip("v").split(".")[:2] if part.isdigit())
    found = f"Kubernetes {version} ({context or 'current context'})"
    if numbers < OLDEST_VERSION:
        lowest = ".".join(map(str, OLDEST_VERSION))
        return Check(
            "cluster", Status.MISSING, f"{found}; {lowest} is the oldest that is supported"
        )
    return Check("cluster", Status.OK, found)


def _rights(api: Api, *, with_load: bool) -> Check:
    names = ("rights.yaml", "rights-load.yaml") if with_load else ("rights.yaml",)
    rights = [
        (group, resource, verb)
        for name in names
        for role in manifests.read(name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    missing = [
        f"{verb} {resource}"
        for group, resource, verb in rights
        if not _is_allowed(api, group, resource, verb)
    ]
    if missing:
        found = f"{len(missing)} of {len(rights)} are missing: {', '.join(missing)}"
        fix = "".join(f"kubectl apply -f deploy/{one}\n" for one in names).rstrip()
        return Check("rights", Status.MISSING, found, fix)
    return Check("rights", Status.OK, f"all {len(rights)} of deploy/{' and deploy/'.join(names)}")


def _is_allowed(api: Api, group: str, resource: str, verb: str) -> bool:
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
        return Check("pull secret", Status.OK, "not set")
    namespace, _, name = settings.pull_secret.partition("/")
    try:
        secret = api.request_or_none("GET", f"{namespace_path(namespace, 'secrets')}/{name}")
    except ClusterError as error:
        return Check("pull secret", Status.MISSING, str(error), error.hint)
    if secret is None:
        fix = f"kubectl -n {namespace} create secret docker-registry {name} …"
        return Check("pull secret", Status.MISSING, f"{settings.pull_secret} is not there", fix)
    return Check("pull secret", Status.OK, settings.pull_secret)


def _free_resources(api: Api, settings: ClusterSettings) -> Check:
    """Compare the requests of both builds with what is free on the nodes, quotas aside."""
    try:
        nodes = api.request("GET", "/api/v1/nodes").get("items", ())
        pods = api.request("GET", "/api/v1/pods").get("items", ())
    except ClusterError as error:
        return Check("free resources", Status.WARNING, f"cannot be read: {error}")
    names = choose_nodes(api, settings) or [str(node["metadata"]["name"]) for node in nodes]
    allocatable = [
        one["status"]["allocatable"] for one in nodes if one["metadata"]["name"] in names
    ]
    requests = [
        container.get("resources", {}).get("requests", {})
        for pod in pods
        if pod["spec"].get("nodeName") in names
        and pod["status"].get("phase") not in ("Succeeded", "Failed")
        for container in pod["spec"]["containers"]
    ]
    free_cpu, free_memory = (
        sum(_amount(one, resource) for one in allocatable)
        - sum(_amount(one, resource) for one in requests)
        for resource in ("cpu", "memory")
    )
    replicas, members = settings.replicas, settings.etcd_members
    parts = ((settings.server, replicas), (settings.manager, replicas), (settings.etcd, members))
    cpu = len(Arm) * sum(count * (part.cpu or 0.0) for part, count in parts)
    memory = len(Arm) * sum(count * part.memory_mib * 2.0**20 for part, count in parts)
    found = (
        f"{len(names)} nodes have {free_cpu:.1f} CPU and {free_memory / 1e9:.1f} GB left, and both"
        f" builds request {cpu:.1f} and {memory / 1e9:.1f}"
    )
    if cpu > free_cpu or memory > free_memory:
        fix = "give less to server, manager and etcd in [environment], or choose larger nodes"
        return Check("free resources", Status.MISSING, found, fix)
    return Check("free resources", Status.OK, found)


def _amount(quantities: Mapping[str, str], resource: str) -> float:
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(quantities.get(resource, "0")))
