"""Resources that clusters leave behind: disks, addresses, load balancers, firewall rules."""

from functools import cache
from typing import Any

from pipeline.environments.gke import google
from pipeline.environments.gke.clusters import project_of, unix_time
from pipeline.environments.gke.cost import Prices
from pipeline.environments.gke.resources import (
    CloudResource,
    ResourceKind,
    cluster_name,
    cluster_of_tags,
    label_fields,
)

_CLUSTER = "goog-k8s-cluster-name"  # label that GKE puts on the resources of a cluster

_LISTS = {
    ResourceKind.DISK: ("DisksClient", "disks"),
    ResourceKind.ADDRESS: ("AddressesClient", "addresses"),
    ResourceKind.BALANCER: ("ForwardingRulesClient", "forwarding_rules"),
}
# By kind and scope: the client, and the name of its argument.
_DELETES = {
    (ResourceKind.DISK, "zones"): ("DisksClient", "disk"),
    (ResourceKind.DISK, "regions"): ("RegionDisksClient", "disk"),
    (ResourceKind.ADDRESS, "regions"): ("AddressesClient", "address"),
    (ResourceKind.ADDRESS, "global"): ("GlobalAddressesClient", "address"),
    (ResourceKind.BALANCER, "regions"): ("ForwardingRulesClient", "forwarding_rule"),
    (ResourceKind.BALANCER, "global"): ("GlobalForwardingRulesClient", "forwarding_rule"),
    (ResourceKind.FIREWALL, "global"): ("FirewallsClient", "firewall"),
}
PERMISSIONS = {
    ResourceKind.DISK: "compute.disks",
    ResourceKind.ADDRESS: "compute.addresses",
    ResourceKind.BALANCER: "compute.forwardingRules",
    ResourceKind.FIREWALL: "compute.firewalls",
}


def list_leftovers(project: str, prices: Prices) -> list[CloudResource]:
    """Return every such resource of a project, including those of others."""
    resources = []
    for kind, (client, key) in _LISTS.items():
        with google.translate_errors(f"list every {kind}", f"{PERMISSIONS[kind]}.list"):
            pages = _client(client).aggregated_list(project=project, retry=google.retry())
            resources += [
                _labelled(kind, scope, one, prices)
                for scope, scoped in pages
                for one in getattr(scoped, key)
            ]
    with google.translate_errors("list every firewall rule", "compute.firewalls.list"):
        rules = list(_client("FirewallsClient").list(project=project, retry=google.retry()))
    return resources + [
        CloudResource(
            kind=ResourceKind.FIREWALL,
            name=rule.name,
            where="global",
            owner=project_of(rule.self_link),
            created_s=unix_time(rule.creation_timestamp),
            cluster=cluster_of_tags(list(rule.target_tags)),
            usd_per_hour=0.0,
        )
        for rule in rules
    ]


def delete_leftover(project: str, resource: CloudResource) -> bool:
    """Begin to delete a resource; return False if it is busy."""
    scope, _, place = resource.where.partition("/")
    client, key = _DELETES[resource.kind, scope]
    at = {scope.removesuffix("s"): place} if place else {}
    return google.begin_deletion(
        f"{resource.kind} {resource.name}",
        f"{PERMISSIONS[resource.kind]}.delete",
        _client(client).delete_unary,
        project=project,
        **at,
        **{key: resource.name},
    )


def _labelled(kind: ResourceKind, scope: str, one: Any, prices: Prices) -> CloudResource:  # noqa: ANN401 (the library's)
    labels = label_fields(one.labels)
    cluster = one.labels.get(_CLUSTER, "")
    if not cluster and labels["run"] and one.name.startswith(cluster_name(labels["run"])):
        cluster = cluster_name(labels["run"])
    if kind is ResourceKind.DISK:
        usd = prices.disk(one.type_.rpartition("/")[2], one.size_gb)
    else:
        usd = prices.other_per_hour.get(kind, 0.0)
    return CloudResource(
        kind=kind,
        name=one.name,
        where=scope,
        owner=project_of(one.self_link),
        created_s=unix_time(one.creation_timestamp),
        cluster=cluster,
        is_ending=kind is ResourceKind.DISK and one.status == "DELETING",
        is_used=kind is not ResourceKind.BALANCER and bool(one.users),
        usd_per_hour=usd * prices.factor(scope.rpartition("/")[2]),
        **labels,
    )


@cache
def _module() -> Any:  # noqa: ANN401 (as above)
    with google.importing_extra():
        from google.cloud import compute_v1

    return compute_v1


def _client(name: str) -> Any:  # noqa: ANN401 (as above)
    return getattr(_module(), name)(transport="rest", **google.client_options())
